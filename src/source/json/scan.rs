//! Scans JSON text (RFC 8259) by position: finds the end of a value, and faults with their places. It builds nothing, so that a number
//! stays as it is written.
//!
//! `NaN`, `Infinity` and `-Infinity` are read as numbers, for Python writes them; a column of numbers refuses them by its own reason.

use crate::record::JsonFault;

/// Objects and arrays within each other that are read.
const DEPTH_MAX: usize = 128;

#[cfg(test)]
thread_local! {
    /// Values that this thread has read, those within others included.
    pub(super) static VALUES_READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The fault of a text, and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) why: JsonFault,
}

impl Fault {
    pub(super) fn new(at: usize, why: JsonFault) -> Fault {
        Fault { at, why }
    }
}

/// The end of a value, and whether it is blank: null, the empty text, or an object of blank values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) end: usize,
    pub(super) is_blank: bool,
}

/// The next place that is not white space.
pub(super) fn behind_blanks(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// The value that begins at `at`.
pub(super) fn value(text: &[u8], at: usize) -> Result<Extent, Fault> {
    nested(text, at, 0, &mut |_, _| {})
}

/// The same, and every object or array in it that is whole is given to `whole`, inner ones first: where it begins, and where it ends.
pub(super) fn value_with(text: &[u8], at: usize, whole: &mut impl FnMut(usize, usize)) -> Result<Extent, Fault> {
    nested(text, at, 0, whole)
}

fn nested(text: &[u8], at: usize, depth: usize, whole: &mut impl FnMut(usize, usize)) -> Result<Extent, Fault> {
    #[cfg(test)]
    VALUES_READ.with(|read| read.set(read.get() + 1));
    if depth > DEPTH_MAX {
        return Err(Fault::new(at, JsonFault::TooDeep { limit: DEPTH_MAX }));
    }
    let filled = |end| Extent { end, is_blank: false };
    match text.get(at) {
        Some(b'"') => {
            let end = string_end(text, at)?;
            Ok(Extent { end, is_blank: end == at + 2 })
        }
        Some(b'{') => object(text, at, depth, whole).inspect(|object| whole(at, object.end)),
        Some(b'[') => array(text, at, depth, whole).inspect(|array| whole(at, array.end)),
        Some(b'n') => word(text, at, b"null").map(|end| Extent { end, is_blank: true }),
        Some(b't') => word(text, at, b"true").map(filled),
        Some(b'f') => word(text, at, b"false").map(filled),
        Some(b'N') => word(text, at, b"NaN").map(filled),
        Some(b'I') => word(text, at, b"Infinity").map(filled),
        Some(b'-' | b'0'..=b'9') => number_end(text, at).map(filled),
        Some(_) => Err(Fault::new(at, JsonFault::ValueExpected {})),
        None => Err(Fault::new(at, JsonFault::TextEnds {})),
    }
}

fn object(text: &[u8], at: usize, depth: usize, whole: &mut impl FnMut(usize, usize)) -> Result<Extent, Fault> {
    let mut is_blank = true;
    let mut at = behind_blanks(text, at + 1);
    if text.get(at) == Some(&b'}') {
        return Ok(Extent { end: at + 1, is_blank });
    }
    loop {
        let member = nested(text, value_of_key(text, at)?.1, depth + 1, whole)?;
        is_blank &= member.is_blank;
        at = behind_blanks(text, member.end);
        match text.get(at) {
            Some(b',') => at = behind_blanks(text, at + 1),
            Some(b'}') => return Ok(Extent { end: at + 1, is_blank }),
            found => return Err(between(found, at)),
        }
    }
}

fn array(text: &[u8], at: usize, depth: usize, whole: &mut impl FnMut(usize, usize)) -> Result<Extent, Fault> {
    // As a row it is blank if its cells are; as a cell it is text.
    let mut is_blank = depth == 0;
    let mut at = behind_blanks(text, at + 1);
    if text.get(at) == Some(&b']') {
        return Ok(Extent { end: at + 1, is_blank });
    }
    loop {
        let item = nested(text, at, depth + 1, whole)?;
        is_blank &= item.is_blank;
        at = behind_blanks(text, item.end);
        match text.get(at) {
            Some(b',') => at = behind_blanks(text, at + 1),
            Some(b']') => return Ok(Extent { end: at + 1, is_blank }),
            found => return Err(between(found, at)),
        }
    }
}

fn between(found: Option<&u8>, at: usize) -> Fault {
    Fault::new(at, if found.is_some() { JsonFault::CommaExpected {} } else { JsonFault::TextEnds {} })
}

/// The key that begins at `at`: where it ends, and where its value begins.
pub(super) fn value_of_key(text: &[u8], at: usize) -> Result<(usize, usize), Fault> {
    match text.get(at) {
        Some(b'"') => {}
        Some(b'\'') => return Err(Fault::new(at, JsonFault::SingleQuotes {})),
        Some(_) => return Err(Fault::new(at, JsonFault::KeyExpected {})),
        None => return Err(Fault::new(at, JsonFault::TextEnds {})),
    }
    let end = string_end(text, at)?;
    let colon = behind_blanks(text, end);
    match text.get(colon) {
        Some(b':') => Ok((end, behind_blanks(text, colon + 1))),
        Some(_) => Err(Fault::new(colon, JsonFault::ColonExpected {})),
        None => Err(Fault::new(colon, JsonFault::TextEnds {})),
    }
}

/// Behind the closing quote of the string that begins at `at`.
pub(super) fn string_end(text: &[u8], at: usize) -> Result<usize, Fault> {
    let mut at = at + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape_end(text, at)?,
            Some(0..0x20) => return Err(Fault::new(at, JsonFault::ControlInString {})),
            Some(_) => at += 1,
            None => return Err(Fault::new(at, JsonFault::TextEnds {})),
        }
    }
}

/// Behind the bracket that closes the one at `at`, whatever is between them; `None` when it is not on the same line.
pub(super) fn end_of_brackets(text: &[u8], mut at: usize) -> Option<usize> {
    let mut open = Vec::new();
    loop {
        match text.get(at)? {
            b'\n' | b'\r' => return None,
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            close @ (b'}' | b']') => {
                if open.pop() != Some(*close) {
                    return None;
                }
                if open.is_empty() {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at += 1;
                while *text.get(at)? != b'"' {
                    match text[at] {
                        b'\n' | b'\r' => return None,
                        b'\\' => at += 2,
                        _ => at += 1,
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Behind the escape sequence at `at`; two of them where they are one character (UTF-16).
fn escape_end(text: &[u8], at: usize) -> Result<usize, Fault> {
    let unknown = || {
        // A text that was cut in the middle is not one that is wrong.
        let is_cut = text.len() - at < 12 && !text[at..].contains(&b'"');
        Fault::new(at, if is_cut { JsonFault::TextEnds {} } else { JsonFault::UnknownEscape {} })
    };
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match unit(text, at) {
            Some(0xD800..=0xDBFF) => match unit(text, at + 6) {
                Some(0xDC00..=0xDFFF) => Ok(at + 12),
                Some(_) | None => Err(unknown()),
            },
            Some(0xDC00..=0xDFFF) | None => Err(unknown()),
            Some(_) => Ok(at + 6),
        },
        Some(_) | None => Err(unknown()),
    }
}

/// The UTF-16 unit of the escape sequence at `at`, as `\u0041`.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Appends the text of a string, given without its quotes and known to be well-formed.
pub(super) fn unescape(mut inside: &[u8], into: &mut Vec<u8>) {
    while let Some(escape) = memchr::memchr(b'\\', inside) {
        into.extend_from_slice(&inside[..escape]);
        let length = match inside.get(escape + 1) {
            Some(b'u') => unescape_unicode(&inside[escape..], into),
            Some(letter) => {
                into.push(match letter {
                    b'b' => 0x08,
                    b'f' => 0x0C,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                2
            }
            None => 1,
        };
        inside = inside.get(escape + length..).unwrap_or_default();
    }
    into.extend_from_slice(inside);
}

/// Appends the character of one or two `\u0041`; returns their length.
fn unescape_unicode(escapes: &[u8], into: &mut Vec<u8>) -> usize {
    let units = [unit(escapes, 0), unit(escapes, 6)];
    let of_pair = units[1].and_then(|low| char::decode_utf16([units[0]?, low]).next()?.ok());
    let is_high = matches!(units[0], Some(0xD800..=0xDBFF));
    let (character, length) = match units[0] {
        Some(_) if is_high => (of_pair, 12),
        single => (single.and_then(|unit| char::from_u32(unit.into())), 6),
    };
    into.extend_from_slice(character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]).as_bytes());
    length
}

fn number_end(text: &[u8], at: usize) -> Result<usize, Fault> {
    let digits = |at: usize| at + text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let fault =
        |at: usize| Fault::new(at, if at < text.len() { JsonFault::NumberFormat {} } else { JsonFault::TextEnds {} });
    let first = if text[at] == b'-' { at + 1 } else { at };
    if text.get(first) == Some(&b'I') {
        return word(text, first, b"Infinity");
    }
    let mut end = digits(first);
    if end == first || (text[first] == b'0' && end > first + 1) {
        return Err(fault(end));
    }
    if text.get(end) == Some(&b'.') {
        let from = end + 1;
        end = digits(from);
        if end == from {
            return Err(fault(end));
        }
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let from = if let Some(b'+' | b'-') = text.get(end + 1) { end + 2 } else { end + 1 };
        end = digits(from.min(text.len()));
        if end <= from.min(text.len()) {
            return Err(fault(end));
        }
    }
    Ok(end)
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Fault> {
    let rest = &text[at..];
    if rest.starts_with(word) {
        return Ok(at + word.len());
    }
    let why = if word.starts_with(rest) { JsonFault::TextEnds {} } else { JsonFault::ValueExpected {} };
    Err(Fault::new(if word.starts_with(rest) { text.len() } else { at }, why))
}

/// Appends JSON text that is known to be well-formed without the white space between its parts.
pub(super) fn compact(value: &[u8], into: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => at += 1,
            b'"' => {
                let end = string_end(value, at).unwrap_or(value.len());
                into.extend_from_slice(&value[at..end]);
                at = end;
            }
            _ => {
                into.push(*byte);
                at += 1;
            }
        }
    }
}
