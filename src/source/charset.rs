//! Charsets: their names, and bytes into UTF-8. Bytes that cannot be decoded become the byte FF, which no reader takes for text: the row is
//! rejected, and nothing is guessed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use encoding_rs::{Decoder, DecoderResult, EUC_KR, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

/// Takes the place of bytes that are not of the charset.
pub const BROKEN: u8 = 0xFF;

/// A charset that files and records come in: any of the WHATWG Encoding Standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// UTF-8.
    pub const UTF_8: Charset = Charset(UTF_8);
    /// EUC-KR as the web reads it: windows-949, which is CP949 (WHATWG Encoding Standard, index EUC-KR).
    pub const EUC_KR: Charset = Charset(EUC_KR);
    /// UTF-16, low byte first.
    pub const UTF_16LE: Charset = Charset(UTF_16LE);
    /// UTF-16, high byte first.
    pub const UTF_16BE: Charset = Charset(UTF_16BE);

    /// The charset of an encoding.
    pub fn of(encoding: &'static Encoding) -> Charset {
        Charset(encoding)
    }

    /// Its decoder.
    pub fn encoding(self) -> &'static Encoding {
        self.0
    }

    /// The charset of the byte order mark at the beginning, and the mark's length.
    pub fn of_bom(beginning: &[u8]) -> Option<(Charset, usize)> {
        Encoding::for_bom(beginning).map(|(encoding, length)| (Charset(encoding), length))
    }

    /// Decodes text that is there as a whole; a byte order mark is dropped.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        let bytes = match Charset::of_bom(bytes) {
            Some((charset, length)) if charset == self => &bytes[length..],
            Some(_) | None => bytes,
        };
        if self == Charset::UTF_8 {
            return Cow::Borrowed(bytes);
        }
        let mut text = Vec::with_capacity(bytes.len());
        TextDecoder::new(self).decode(bytes, true, &mut text);
        Cow::Owned(text)
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Charset::EUC_KR { "EUC-KR (windows-949)" } else { self.0.name() })
    }
}

impl FromStr for Charset {
    type Err = String;

    /// Any label of the WHATWG Encoding Standard, in any case, and the names that Windows, Java and Python use for the same charsets.
    fn from_str(name: &str) -> Result<Charset, String> {
        let written = name.trim().to_ascii_lowercase();
        let plain = written.replace(['_', ' '], "-");
        let squeezed = plain.replace('-', "");
        let alias = match squeezed.as_str() {
            "cp949" | "ms949" | "uhc" | "xwindows949" | "949" | "cp51949" => "windows-949",
            "utf16" | "utf16le" | "ucs2" | "unicode" | "cp1200" => "utf-16le",
            "utf16be" | "cp1201" => "utf-16be",
            "cp65001" | "65001" => "utf-8",
            "cp932" | "mskanji" => "shift_jis",
            "cp936" | "ms936" | "eucn" | "euccn" => "gbk",
            "cp950" | "ms950" => "big5",
            "cp54936" => "gb18030",
            "macroman" | "xmacroman" => "macintosh",
            "latin9" => "iso-8859-15",
            other => match other.strip_prefix("latin") {
                Some("1") => "windows-1252",
                Some("2") => "iso-8859-2",
                _ => "",
            },
        };
        let windows = squeezed.strip_prefix("cp").map(|page| format!("windows-{page}"));
        let labels = [written.as_str(), &plain, &squeezed, alias, windows.as_deref().unwrap_or_default()];
        let encoding = labels.iter().find_map(|label| Encoding::for_label(label.as_bytes()));
        let known = encoding.filter(|encoding| *encoding != REPLACEMENT && *encoding != X_USER_DEFINED);
        known.map(Charset).ok_or_else(|| {
            format!(
                "unknown charset '{}': every name of the WHATWG Encoding Standard is known, such as utf-8, cp949, utf-16le, \
                 windows-1252, shift_jis, gbk",
                name.escape_debug()
            )
        })
    }
}

/// Decodes bytes that come in pieces.
pub struct TextDecoder {
    charset: Charset,
    decoder: Decoder,
    /// Text at the end of a piece that may be a part of an eight-byte syllable.
    held: Vec<u8>,
}

impl TextDecoder {
    /// A decoder that takes no notice of byte order marks.
    pub fn new(charset: Charset) -> TextDecoder {
        TextDecoder { charset, decoder: charset.0.new_decoder_without_bom_handling(), held: Vec::new() }
    }

    /// Appends the text of the next piece; `last` when no other follows.
    pub fn decode(&mut self, mut bytes: &[u8], last: bool, text: &mut Vec<u8>) {
        let begin = text.len();
        text.append(&mut self.held);
        loop {
            let start = text.len();
            // Room for what comes of this many bytes at most; a text that is too large for memory is caught by the allocator.
            let room = self.decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(bytes.len());
            text.resize(start + room, 0);
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(bytes, &mut text[start..], last);
            text.truncate(start + written);
            bytes = &bytes[read..];
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => text.push(BROKEN),
            }
        }
        if self.charset == Charset::EUC_KR {
            self.held = compose_syllables(text, begin, last);
        }
    }
}

/// The filler that begins a syllable of four parts, in UTF-8.
const FILLER: &[u8] = "\u{3164}".as_bytes();
/// Bytes of such a syllable, in UTF-8.
const COMPOSED_BYTES: usize = 12;

/// Puts syllables together that EUC-KR writes in eight bytes (KS X 1001 annex 3, what Python writes for syllables beyond its 2,350): a
/// filler and three letters, the last of which is a filler where the syllable ends with a vowel. Returns what may be the beginning of one.
fn compose_syllables(text: &mut Vec<u8>, begin: usize, last: bool) -> Vec<u8> {
    if memchr::memmem::find(&text[begin..], FILLER).is_none() {
        return Vec::new();
    }
    let decoded = text.split_off(begin);
    let mut rest = &decoded[..];
    while let Some(filler) = memchr::memmem::find(rest, FILLER) {
        text.extend_from_slice(&rest[..filler]);
        rest = &rest[filler..];
        if rest.len() < COMPOSED_BYTES && !last {
            return rest.to_vec();
        }
        match rest.get(..COMPOSED_BYTES).and_then(compose) {
            Some(syllable) => {
                text.extend_from_slice(syllable.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[COMPOSED_BYTES..];
            }
            None => {
                text.extend_from_slice(FILLER);
                rest = &rest[FILLER.len()..];
            }
        }
    }
    text.extend_from_slice(rest);
    Vec::new()
}

/// The syllable of a filler and three compatibility letters (Unicode 3.12, Hangul syllable composition).
fn compose(parts: &[u8]) -> Option<char> {
    const INITIALS: &str = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";
    const VOWELS: &str = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ";
    const FINALS: &str = "\u{3164}ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ";

    let mut letters = std::str::from_utf8(parts).ok()?.chars().skip(1);
    let mut place = |of: &str| {
        let letter = letters.next()?;
        of.chars().position(|known| known == letter).and_then(|place| u32::try_from(place).ok())
    };
    let (initial, vowel, last) = (place(INITIALS)?, place(VOWELS)?, place(FINALS)?);
    char::from_u32(0xAC00 + (initial * 21 + vowel) * 28 + last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charset_by_a_byte_order_mark() {
        for (beginning, found) in [
            (&b"\xef\xbb\xbfa"[..], Some((Charset::UTF_8, 3))),
            (b"\xff\xfea\0", Some((Charset::UTF_16LE, 2))),
            (b"\xfe\xff\0a", Some((Charset::UTF_16BE, 2))),
            (b"a,b", None),
        ] {
            assert_eq!(Charset::of_bom(beginning), found);
        }
    }

    #[test]
    fn charset_by_name() {
        for (names, charset) in [
            (
                &["CP949", "euc-kr", "ms949", "windows-949", "ks_c_5601-1987", "UHC", "euc_kr"][..],
                "EUC-KR (windows-949)",
            ),
            (&["UTF-16BE"], "UTF-16BE"),
            (&["utf-16", "UTF-16LE", "utf_16_le"], "UTF-16LE"),
            (&["latin1", "Latin-1", "ISO-8859-1", "cp1252", "windows-1252", "ascii"], "windows-1252"),
            (&["shift_jis", "Shift-JIS", "sjis", "cp932", "windows-31j", "ms_kanji"], "Shift_JIS"),
            (&["gbk", "GB2312", "cp936", "chinese"], "GBK"),
            (&["big5", "cp950", "big5-hkscs"], "Big5"),
            (&["cp1250"], "windows-1250"),
            (&["koi8-r"], "KOI8-R"),
            (&["utf8", "UTF-8", "cp65001"], "UTF-8"),
            (&["latin-9", "iso-8859-15"], "ISO-8859-15"),
        ] {
            for name in names {
                assert_eq!(
                    name.parse::<Charset>().map(|charset| charset.to_string()),
                    Ok(charset.to_owned()),
                    "{name}"
                );
            }
        }
        for name in ["", "latin-99", "johab?", "utf-7", "replacement", "x-user-defined"] {
            assert!(name.parse::<Charset>().is_err(), "{name}");
        }
    }

    #[test]
    fn syllables_of_eight_bytes_are_put_together() {
        // What Python writes for '뷁': '뷁'.encode('euc_kr').
        let korean = |parts: &str| EUC_KR.encode(parts).0.into_owned();
        let bytes = [korean("가,\u{3164}ㅂㅞㄺ,\u{3164}ㄸㅗ\u{3164}ㅁ"), korean("\u{3164},")].concat();
        let whole = Charset::EUC_KR.decode(&bytes).into_owned();
        assert_eq!(String::from_utf8_lossy(&whole), "가,뷁,또ㅁ\u{3164},");
        for cut in 0..bytes.len() {
            let mut decoder = TextDecoder::new(Charset::EUC_KR);
            let mut text = Vec::new();
            decoder.decode(&bytes[..cut], false, &mut text);
            decoder.decode(&bytes[cut..], true, &mut text);
            assert_eq!(text, whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_not_of_the_charset_stays_broken() {
        assert_eq!(&*Charset::EUC_KR.decode(b"a\xc7"), b"a\xff");
        assert_eq!(&*Charset::UTF_16LE.decode(b"\xff\xfea\0b"), b"a\xff");
        assert_eq!(&*"windows-1252".parse::<Charset>().expect("known").decode(b"25\xb0C"), "25°C".as_bytes());
    }
}
