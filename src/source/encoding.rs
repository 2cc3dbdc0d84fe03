//! Which charset and delimiter a file has, on the publishing side. Records on the topic are UTF-8 (contract 3) and never guessed at.

use std::fmt;
use std::str::FromStr;

use encoding_rs::{DecoderResult, EUC_KR, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::source::csv::{Fields, Rows};

/// Bytes that decide the charset, from the first one that is not ASCII.
pub const CHARSET_SAMPLE_BYTES: usize = 64 << 10;
/// Rows that decide the delimiter.
const DELIMITER_ROWS: usize = 100;
/// Delimiters that are looked for, the likelier first.
pub const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A charset that files come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// EUC-KR as the web reads it: windows-949, which is CP949 (WHATWG Encoding Standard, index EUC-KR).
    EucKr,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
}

impl Charset {
    /// Every charset.
    pub const ALL: [Charset; 4] = [Charset::Utf8, Charset::EucKr, Charset::Utf16Le, Charset::Utf16Be];

    /// What decodes it.
    pub fn encoding(self) -> &'static Encoding {
        match self {
            Charset::Utf8 => UTF_8,
            Charset::EucKr => EUC_KR,
            Charset::Utf16Le => UTF_16LE,
            Charset::Utf16Be => UTF_16BE,
        }
    }

    /// The charset that a byte order mark at the beginning tells, and the mark's length.
    pub fn of_bom(beginning: &[u8]) -> Option<(Charset, usize)> {
        let (encoding, length) = Encoding::for_bom(beginning)?;
        Charset::ALL.into_iter().find(|charset| charset.encoding() == encoding).map(|charset| (charset, length))
    }

    /// The charset of text that begins with a byte that is not ASCII: UTF-8 if it is that without a fault, else EUC-KR. When it is
    /// neither, the one with fewer faults. `cut` says that the sample ends where it was cut, so that half a character there is no fault.
    pub fn of_sample(sample: &[u8], cut: bool) -> Charset {
        let utf8 = faults(UTF_8, sample, cut);
        if utf8 > 0 && faults(EUC_KR, sample, cut) < utf8 { Charset::EucKr } else { Charset::Utf8 }
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Charset::Utf8 => "UTF-8",
            Charset::EucKr => "EUC-KR (windows-949)",
            Charset::Utf16Le => "UTF-16LE",
            Charset::Utf16Be => "UTF-16BE",
        })
    }
}

impl FromStr for Charset {
    type Err = String;

    /// Any label of the WHATWG Encoding Standard for one of these, in any case, and the names that Korean software uses.
    fn from_str(name: &str) -> Result<Charset, String> {
        let name = name.trim().to_ascii_lowercase();
        let label = match name.as_str() {
            "cp949" | "ms949" | "uhc" | "x-windows-949" => "windows-949",
            "utf8" => "utf-8",
            "utf16" | "utf16le" => "utf-16le",
            "utf16be" => "utf-16be",
            label => label,
        };
        let encoding = Encoding::for_label(label.as_bytes());
        let known = Charset::ALL.into_iter().find(|charset| Some(charset.encoding()) == encoding);
        known.ok_or_else(|| format!("unknown charset '{name}': utf-8, cp949, utf-16le and utf-16be are known"))
    }
}

/// Byte sequences that are not of this encoding.
fn faults(encoding: &'static Encoding, mut sample: &[u8], cut: bool) -> usize {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = [0; 4096];
    let mut faults = 0;
    loop {
        let (result, read, _) = decoder.decode_to_utf8_without_replacement(sample, &mut text, !cut);
        sample = &sample[read..];
        match result {
            DecoderResult::InputEmpty => return faults,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => faults += 1,
        }
    }
}

/// The delimiter of UTF-8 text: the one that gives most of the first rows as many fields as the first row has, and then the one with most
/// fields; a comma when none separates anything. `cut` says that the last row may be incomplete.
pub fn find_delimiter(text: &[u8], cut: bool) -> u8 {
    let mut best = (b',', (0, 0));
    for delimiter in DELIMITERS {
        let mut rows = Rows::new(text, delimiter, None);
        let mut fields = Fields::default();
        let (mut columns, mut alike, mut seen) = (0, 0, 0);
        while let Some(row) = rows.next_row(&mut fields) {
            if row.blank || (cut && !row.ended && seen > 0) {
                continue;
            }
            if seen == 0 {
                columns = fields.len();
            }
            alike += usize::from(row.defect.is_none() && fields.len() == columns);
            seen += 1;
            if seen == DELIMITER_ROWS {
                break;
            }
        }
        if columns > 1 && (alike, columns) > best.1 {
            best = (delimiter, (alike, columns));
        }
    }
    best.0
}

/// A delimiter as messages name it.
pub fn delimiter_name(delimiter: u8) -> String {
    match delimiter {
        b',' => "comma".to_owned(),
        b';' => "semicolon".to_owned(),
        b'\t' => "tab".to_owned(),
        b'|' => "pipe".to_owned(),
        other => format!("'{}'", other.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn korean(text: &str) -> Vec<u8> {
        EUC_KR.encode(text).0.into_owned()
    }

    #[test]
    fn charset_by_the_bytes() {
        for (sample, cut, charset) in [
            ("서울".as_bytes().to_vec(), false, Charset::Utf8),
            (korean("서울"), false, Charset::EucKr),
            (korean("똠방각하 펲시콜라"), false, Charset::EucKr),
            // Half a character where the sample was cut is no fault, at the end of a file it is.
            ("서울".as_bytes()[..5].to_vec(), true, Charset::Utf8),
            (korean("서울시")[..5].to_vec(), true, Charset::EucKr),
            ("서울".as_bytes()[..5].to_vec(), false, Charset::Utf8),
            // One broken byte does not make a UTF-8 file Korean.
            ([&b"\xff"[..], "서울특별시 중구 세종대로 110".as_bytes()].concat(), false, Charset::Utf8),
            // Syllables whose EUC-KR bytes are valid UTF-8, after one that is clear.
            (korean("가\n청\n청\n"), false, Charset::EucKr),
            (vec![], false, Charset::Utf8),
        ] {
            assert_eq!(Charset::of_sample(&sample, cut), charset, "{}", sample.escape_ascii());
        }
    }

    #[test]
    fn charset_by_a_byte_order_mark() {
        for (beginning, found) in [
            (&b"\xef\xbb\xbfa"[..], Some((Charset::Utf8, 3))),
            (b"\xff\xfea\0", Some((Charset::Utf16Le, 2))),
            (b"\xfe\xff\0a", Some((Charset::Utf16Be, 2))),
            (b"a,b", None),
        ] {
            assert_eq!(Charset::of_bom(beginning), found);
        }
    }

    #[test]
    fn charset_by_name() {
        for name in ["CP949", "euc-kr", "ms949", "windows-949", "ks_c_5601-1987"] {
            assert_eq!(name.parse(), Ok(Charset::EucKr), "{name}");
        }
        assert_eq!("UTF-16BE".parse(), Ok(Charset::Utf16Be));
        assert!("latin-9".parse::<Charset>().is_err());
    }

    #[test]
    fn delimiter_by_consistency() {
        for (text, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("a;b;c\n1,5;2,5;x\n2,5;3,5;y\n", b';'),
            ("a\tb\n1,2\t3\n", b'\t'),
            ("a|b\n\"x|y\n,\"|2\n", b'|'),
            ("a, the first;b\n1;2\n3;4\n", b';'),
            ("name\nx;y\n", b','),
            ("", b','),
        ] {
            assert_eq!(find_delimiter(text.as_bytes(), false), delimiter, "{text:?}");
        }
    }
}
