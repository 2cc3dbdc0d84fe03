//! Escaping as ECMA-376 wants it, and column names.

/// The kinds of bytes in a text.
#[derive(Clone, Copy, Debug)]
pub struct Classes(u8);

const ESCAPED: u8 = 1;
const LINE: u8 = 2;

impl Classes {
    /// Looks at every byte once.
    #[inline]
    pub fn of(text: &[u8]) -> Classes {
        Classes(text.iter().fold(0, |classes, byte| classes | CLASSES[usize::from(*byte)]))
    }
    /// True when nothing has to be escaped.
    pub fn is_plain(self) -> bool {
        self.0 & ESCAPED == 0
    }
    /// True when a reader may drop white space of this text unless an attribute says to keep it.
    pub fn must_preserve(self, text: &[u8]) -> bool {
        let is_blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
        self.0 & LINE != 0 || is_blank(text.first()) || is_blank(text.last())
    }
}

/// Hands on cell text: markup escaped, a carriage return and what XML 1.0 forbids as `_xHHHH_`, and text that already looks like that with
/// its underscore escaped (ECMA-376 part 1, 22.9.2.19 `ST_Xstring`).
pub fn escape(text: &[u8], mut put: impl FnMut(&[u8])) {
    let mut from = 0;
    for (at, &byte) in text.iter().enumerate() {
        if CLASSES[usize::from(byte)] & ESCAPED == 0 {
            continue;
        }
        let (entity, length): (&[u8], usize) = match byte {
            b'&' => (b"&amp;", 1),
            b'<' => (b"&lt;", 1),
            b'>' => (b"&gt;", 1),
            b'_' if looks_escaped(&text[at..]) => (b"_x005F_", 1),
            0xef if text[at..].starts_with(NON_CHARACTERS[0]) => (b"_xFFFE_", 3),
            0xef if text[at..].starts_with(NON_CHARACTERS[1]) => (b"_xFFFF_", 3),
            0..0x20 => (&control(byte), 1),
            _ => continue,
        };
        put(&text[from..at]);
        put(entity);
        from = at + length;
    }
    put(&text[from..]);
}

/// Appends the name of a column, `A` for 0, `XFD` for 16,383.
pub fn column_name(column: u32, out: &mut Vec<u8>) {
    if column >= 26 {
        column_name(column / 26 - 1, out);
    }
    out.push(b'A' + (column % 26) as u8);
}

/// U+FFFE and U+FFFF.
const NON_CHARACTERS: [&[u8]; 2] = [b"\xef\xbf\xbe", b"\xef\xbf\xbf"];

/// Bytes that may begin something to be escaped, and those that make white space matter.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = ESCAPED;
        byte += 1;
    }
    classes[b'\t' as usize] = LINE;
    classes[b'\n' as usize] = LINE;
    classes[b'&' as usize] = ESCAPED;
    classes[b'<' as usize] = ESCAPED;
    classes[b'>' as usize] = ESCAPED;
    classes[b'_' as usize] = ESCAPED;
    classes[0xef] = ESCAPED;
    classes
};

/// `_xHHHH_`, or `_xHHHH` before something whose escape begins with an underscore.
fn looks_escaped(bytes: &[u8]) -> bool {
    let [b'_', b'x', hex @ ..] = bytes else { return false };
    let Some((digits, rest)) = hex.split_first_chunk::<4>() else { return false };
    let closes = match rest.first() {
        Some(b'_') => true,
        Some(&control @ 0..0x20) => CLASSES[usize::from(control)] & ESCAPED != 0,
        Some(0xef) => NON_CHARACTERS.iter().any(|character| rest.starts_with(character)),
        _ => false,
    };
    closes && digits.iter().all(u8::is_ascii_hexdigit)
}

/// `_x000D_` for a carriage return.
fn control(byte: u8) -> [u8; 7] {
    let hex = b"0123456789ABCDEF";
    [b'_', b'x', b'0', b'0', hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)], b'_']
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        escape(text.as_bytes(), |bytes| out.extend_from_slice(bytes));
        String::from_utf8(out).expect("escaping keeps UTF-8")
    }

    #[test]
    fn markup_is_escaped_and_the_rest_kept() {
        assert_eq!(escaped("a<b>&\"'\t\n한글 =1+1"), "a&lt;b&gt;&amp;\"'\t\n한글 =1+1");
    }

    #[test]
    fn forbidden_characters_become_escapes() {
        assert_eq!(
            escaped("a\r\nb\0\u{1b}\u{fffe}\u{ffff}\u{ff21}"),
            "a_x000D_\nb_x0000__x001B__xFFFE__xFFFF_\u{ff21}"
        );
    }

    #[test]
    fn text_that_looks_like_an_escape_is_literal() {
        assert_eq!(escaped("_x0041_"), "_x005F_x0041_");
        assert_eq!(escaped("_x0041_x00e9_"), "_x005F_x0041_x005F_x00e9_");
        assert_eq!(escaped("_x0041\r"), "_x005F_x0041_x000D_");
        for text in ["_x004_", "_x0041", "_xGGGG_", "_X0041_", "x0041_", "_"] {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn outer_blanks_and_line_breaks_are_preserved() {
        for text in [" a", "a ", "a\nb", "\ta", " "] {
            assert!(Classes::of(text.as_bytes()).must_preserve(text.as_bytes()), "{text:?}");
        }
        for text in ["", "a", "a b", "한 글"] {
            assert!(!Classes::of(text.as_bytes()).must_preserve(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn columns_are_named_as_in_excel() {
        for (column, name) in [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")] {
            let mut out = Vec::new();
            column_name(column, &mut out);
            assert_eq!(out, name.as_bytes());
        }
    }
}
