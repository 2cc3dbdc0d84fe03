//! Finds the charset of a file from its bytes. Only strong evidence counts: a wrong guess makes a workbook full of wrong letters that
//! nobody notices. Where two charsets fit, the person decides.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    BIG5, DecoderResult, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252,
};

use crate::source::charset::Charset;

/// Bytes that decide the charset, from the first one that is not ASCII.
pub const CHARSET_SAMPLE_BYTES: usize = 64 << 10;

/// Charsets whose characters have the bytes of other characters in EUC-KR.
const EAST_ASIAN: [&Encoding; 5] = [EUC_JP, SHIFT_JIS, GBK, GB18030, BIG5];
/// Signs of Korean that one fault has beside it where the text is Korean with a broken byte, and no other text.
const FAULT_RARITY: usize = 100;

/// The charset that the bytes show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detected {
    /// It can hardly be another one.
    Sure(Charset),
    /// It could be any of these, the likeliest first.
    Unclear(Vec<Charset>),
}

/// The charset of text that begins with a byte that is not ASCII. `cut` says that the sample ends where it was cut, so that half a
/// character there is no fault.
pub fn detect(sample: &[u8], cut: bool) -> Detected {
    let utf8_faults = faults(UTF_8, sample, cut);
    if utf8_faults == 0 {
        return Detected::Sure(Charset::UTF_8);
    }
    let korean_faults = faults(EUC_KR, sample, cut);
    let korean = Korean::of(sample);
    // Three bytes that are one character in UTF-8 hardly ever come about by chance.
    if 2 * three_byte_characters(sample) >= utf8_faults {
        return Detected::Sure(Charset::UTF_8);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, true);
    let likeliest = detector.guess(None, Utf8Detection::Deny);
    let may_be_korean = korean.speaks_for > 2 * korean.speaks_against && korean.speaks_for >= 4 * korean_faults;
    // The detector knows how often Korean, Japanese and Chinese characters come, but nothing of a text with a fault in it.
    let is_broken_korean = korean_faults > 0 && korean.speaks_for >= FAULT_RARITY * korean_faults;
    if may_be_korean && (!EAST_ASIAN.contains(&likeliest) || is_broken_korean) {
        return Detected::Sure(Charset::EUC_KR);
    }
    if likeliest == WINDOWS_1252 && korean_faults > 0 && korean.speaks_for == 0 && is_western(sample) {
        return Detected::Sure(Charset::of(WINDOWS_1252));
    }
    let mut fitting: Vec<Charset> = Vec::new();
    let next = if may_be_korean { EUC_KR } else { WINDOWS_1252 };
    for encoding in [likeliest, next, WINDOWS_1252, EUC_KR] {
        if faults(encoding, sample, cut) == 0 && !fitting.contains(&Charset::of(encoding)) {
            fitting.push(Charset::of(encoding));
        }
    }
    if fitting.is_empty() {
        fitting.push(Charset::of(likeliest));
    }
    Detected::Unclear(fitting)
}

/// UTF-16 without a byte order mark: of the characters that both halves of a file use, line ends, delimiters and digits, one half is zero.
pub fn detect_utf16(beginning: &[u8]) -> Option<Charset> {
    let pairs = beginning.chunks_exact(2);
    let (mut low_first, mut high_first, mut neither) = (0, 0, 0);
    for pair in pairs.clone() {
        let is_text = |byte: u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match *pair {
            [0, high] if is_text(high) => high_first += 1,
            [low, 0] if is_text(low) => low_first += 1,
            [0, 0] => return None,
            [first, second] if is_text(first) && is_text(second) => neither += 1,
            _ => {}
        }
    }
    let (charset, encoding, seen) = match (low_first, high_first) {
        (seen, 0) => (Charset::UTF_16LE, UTF_16LE, seen),
        (0, seen) => (Charset::UTF_16BE, UTF_16BE, seen),
        _ => return None,
    };
    let is_strong = seen >= 2 && seen > neither && 8 * seen >= pairs.len();
    (is_strong && faults(encoding, beginning, true) == 0).then_some(charset)
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

/// Characters of three bytes or more that are valid UTF-8.
fn three_byte_characters(sample: &[u8]) -> usize {
    sample.utf8_chunks().map(|chunk| chunk.valid().chars().filter(|c| c.len_utf8() >= 3).count()).sum()
}

/// The evidence of the double bytes of a text for and against Korean.
#[derive(Default)]
struct Korean {
    speaks_for: usize,
    speaks_against: usize,
}

/// The meaning of two bytes in windows-949.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DoubleByte {
    /// One of the 2,350 syllables of KS X 1001, which Korean text is made of.
    Common,
    /// One of the 8,822 other syllables, hardly ever used; their second byte can be an ASCII letter.
    Rare,
    /// A Chinese character, rare in Korean text.
    Chinese,
    /// A sign.
    Other,
}

impl DoubleByte {
    fn of(pair: [u8; 2]) -> Option<DoubleByte> {
        match pair {
            [0xB0..=0xC8, 0xA1..=0xFE] => Some(DoubleByte::Common),
            [0xCA..=0xFD, 0xA1..=0xFE] => Some(DoubleByte::Chinese),
            [0xA1..=0xAF | 0xC9 | 0xFE, 0xA1..=0xFE] => Some(DoubleByte::Other),
            [0x81..=0xC6, 0x41..=0x5A | 0x61..=0x7A | 0x81..=0xFE] => Some(DoubleByte::Rare),
            _ => None,
        }
    }
}

impl Korean {
    /// Looks at runs of double bytes. In Korean, words are runs with common syllables in them. In Western text a double byte is an accent
    /// and the letter behind it: a rare syllable by itself, or a common one in the middle of a word of ASCII letters.
    fn of(sample: &[u8]) -> Korean {
        let mut found = Korean::default();
        let mut at = 0;
        while at < sample.len() {
            if sample[at].is_ascii() {
                at += 1;
                continue;
            }
            let start = at;
            let mut run = Vec::new();
            while let Some(kind) = sample.get(at..at + 2).and_then(|pair| DoubleByte::of([pair[0], pair[1]])) {
                run.push(kind);
                at += 2;
            }
            found.count(&run, start.checked_sub(1).map(|before| sample[before]), sample.get(at).copied());
            at = at.max(start + 1);
        }
        found
    }

    fn count(&mut self, run: &[DoubleByte], before: Option<u8>, behind: Option<u8>) {
        let count = |kind| run.iter().filter(|found| **found == kind).count();
        let (common, rare, chinese) = (count(DoubleByte::Common), count(DoubleByte::Rare), count(DoubleByte::Chinese));
        let is_letter = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphabetic());
        let in_a_word = is_letter(before) && is_letter(behind);
        match run.len() {
            0 => {}
            // Chinese characters and syllables in one word are Chinese, which uses all of them alike.
            length if chinese > 0 => self.speaks_against += length,
            1 if common == 1 && !in_a_word && !is_letter(behind) => self.speaks_for += 1,
            1 => self.speaks_against += common + rare,
            // No Western text has four such bytes in a row.
            _ if common > rare => self.speaks_for += 2 * (common + rare),
            _ => self.speaks_against += rare,
        }
    }
}

/// True when the bytes that are not ASCII are what Western text has: accented letters, one or two at a time, and signs outside of words.
fn is_western(sample: &[u8]) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || (byte >= 0xC0 && !matches!(byte, 0xD7 | 0xF7));
    let (mut letters, mut odd) = (0, 0);
    for (at, byte) in sample.iter().enumerate().filter(|(_, byte)| !byte.is_ascii()) {
        let neighbour = |at: Option<usize>| at.and_then(|at| sample.get(at)).copied();
        let (before, behind) = (neighbour(at.checked_sub(1)), neighbour(Some(at + 1)));
        let inside = before.is_some_and(is_letter) && behind.is_some_and(is_letter);
        let crowded = before.is_some_and(|byte| byte >= 0x80) && behind.is_some_and(|byte| byte >= 0x80);
        match byte {
            0xC0..=0xFF if !crowded => letters += 1,
            // Apostrophes, and the letters of Latin-1 among the signs.
            0x8A | 0x8C | 0x8E | 0x92 | 0x9A | 0x9C | 0x9E | 0x9F | 0xAA | 0xBA => letters += 1,
            0x81 | 0x8D | 0x8F | 0x90 | 0x9D => odd += 1,
            _ if inside || crowded => odd += 1,
            _ => letters += 1,
        }
    }
    odd * 20 <= letters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn korean(text: &str) -> Vec<u8> {
        EUC_KR.encode(text).0.into_owned()
    }

    fn western(text: &str) -> Vec<u8> {
        WINDOWS_1252.encode(text).0.into_owned()
    }

    #[test]
    fn charset_by_the_bytes() {
        let (utf8, euc_kr) = (Charset::UTF_8, Charset::EUC_KR);
        for (sample, cut, charset) in [
            ("서울".as_bytes().to_vec(), false, utf8),
            ("café".as_bytes().to_vec(), false, utf8),
            (korean("서울"), false, euc_kr),
            (korean("똠방각하 펲시콜라"), false, euc_kr),
            (korean("가게이름,주소\n명동칼국수,서울특별시 중구 명동10길\n"), false, euc_kr),
            (korean("25℃, 100㎡\n서울"), false, euc_kr),
            (korean("뷁\n똠방각하 펲시콜라 믜 챱 쓔 쨰 슈\n"), false, euc_kr),
            (korean("GS25편의점,SK주유소,A동"), false, euc_kr),
            (korean("강"), false, euc_kr),
            (korean("벚꽃"), false, euc_kr),
            (korean("쭈꾸미,떡볶이,닭갈비"), false, euc_kr),
            ([korean("서울특별시 중구 세종대로\n").repeat(20), b"\xfe\xa1\n".to_vec()].concat(), false, euc_kr),
            // Half a character where the sample was cut is no fault, at the end of a file it is.
            ("서울".as_bytes()[..5].to_vec(), true, utf8),
            (korean("서울시")[..5].to_vec(), true, euc_kr),
            ("서울".as_bytes()[..5].to_vec(), false, utf8),
            // One broken byte does not make a UTF-8 file Korean, nor a Korean one Western.
            ([&b"\xff"[..], "서울특별시 중구 세종대로 110".as_bytes()].concat(), false, utf8),
            ([korean("서울특별시 중구"), b"\xff,".to_vec(), korean("세종대로")].concat(), false, euc_kr),
            // Syllables whose EUC-KR bytes are valid UTF-8, after one that is clear.
            (korean("가\n청\n청\n"), false, euc_kr),
            // A file that changes its charset: most characters decide, and the rest is for the rows to be refused.
            ([b"".to_vec(), "서울,1\n부산,2\n".as_bytes().to_vec(), korean("대구,3\n광주,4\n")].concat(), false, utf8),
            (vec![], false, utf8),
        ] {
            assert_eq!(detect(&sample, cut), Detected::Sure(charset), "{}", sample.escape_ascii());
        }
    }

    #[test]
    fn western_text_is_never_korean() {
        for text in [
            "25°C\nIt’s\n50 µm\n",
            "25°C\nIt’s\n50 µm\n“Hello”\nÀ bientôt\n",
            "Pmax (bar);Tmax (°C)\n1;2\n",
            "O’Brien’s\nSÃO JOÃO\n",
            "EDUCAÇÃO\nINFORMAÇÕES\nSEÇÃO\n",
            "Conceição\nJosé\nMüller\nStraße\n",
            "Õakman\n",
            "£100\n±5\n",
            "Bogotá\nPeñón\n",
        ] {
            let sample = western(text);
            let start = sample.iter().position(|byte| !byte.is_ascii()).unwrap_or(0);
            assert_ne!(detect(&sample[start..], false), Detected::Sure(Charset::EUC_KR), "{text}");
        }
        let french = western("é\nÀ bientôt, cher élève : déjà là, ça coûte 5 €\nhôtel,forêt,naïve,garçon\n");
        assert_eq!(detect(&french, false), Detected::Sure(Charset::of(WINDOWS_1252)));
    }

    #[test]
    fn text_of_other_countries_is_never_korean() {
        for (name, text) in [
            ("euc-jp", "東京"),
            ("euc-jp", "東京都"),
            ("euc-jp", "山田太郎\n田中\n"),
            ("euc-jp", "東京都,新宿区西新宿\n大阪府,大阪市北区\n"),
            ("gbk", "北京"),
            ("gbk", "深圳市"),
            ("shift_jis", "東京都,千代田区\n大阪府,大阪市\nカタカナ,ひらがな\n"),
            ("gbk", "北京市,海淀区\n上海市,浦东新区\n深圳,广东省\n"),
            ("big5", "台北市,信義區\n高雄市,左營區\n"),
            ("windows-1251", "Москва,улица Ленина\nКазань,проспект Победы\n"),
            ("windows-1250", "Łódź,ulica Żółta\nKraków,Święty Krzyż\n"),
        ] {
            let charset: Charset = name.parse().expect("known");
            let sample = charset.encoding().encode(text).0;
            let detected = detect(&sample, false);
            assert_ne!(detected, Detected::Sure(Charset::EUC_KR), "{name}");
            let Detected::Unclear(fitting) = detected else { panic!("{name}: {detected:?}") };
            assert_eq!(fitting.first(), Some(&charset), "{name}");
            assert!(fitting.len() > 1, "another one is shown beside it: {text}");
        }
    }

    #[test]
    fn utf_16_without_a_mark() {
        let le = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let be = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        // U+AC00 has a zero byte in the place of the other order's.
        for text in [
            "k,v\r\n서울,1\r\n부산,2\r\n",
            "이름,x\n가,1\n나,2\n가,3\n",
            "a\tb\n1\t2\n",
            "이름,주소,좌표\n명동칼국수,서울 중구,12\n",
        ] {
            assert_eq!(detect_utf16(&le(text)), Some(Charset::UTF_16LE), "{text}");
            assert_eq!(detect_utf16(&be(text)), Some(Charset::UTF_16BE), "{text}");
        }
        for bytes in [&b"a,b\n1,2\n"[..], b"k,na\0me\na,1\n", b"", b"\0\0\0\0\x07abc", b"a\0", b"k,v\n\0,1\n\0,2\n"] {
            assert_eq!(detect_utf16(bytes), None, "{}", bytes.escape_ascii());
        }
    }
}
