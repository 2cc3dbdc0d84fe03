//! The ZIP container (APPNOTE 6.3.10) around parts whose compressed bytes, CRC and sizes are known beforehand: no data descriptors, one
//! fixed date, zip64 only where a number needs it. Compresses nothing and holds no part.

use std::ops::Range;

/// Compression method of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Stored = 0,
    /// Raw deflate (RFC 1951).
    Deflated = 8,
}

/// The facts about a part in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartFacts {
    /// How its bytes are compressed.
    pub method: Method,
    /// CRC-32 of the uncompressed bytes.
    pub crc: u32,
    /// Bytes in the container.
    pub compressed: u64,
    /// Bytes uncompressed.
    pub size: u64,
}

/// Writes the headers of a container. Each part is [`ZipWriter::part`] and then, from the caller, exactly `compressed` bytes.
#[derive(Debug, Default)]
pub struct ZipWriter {
    offset: u64,
    parts: u64,
    directory: Vec<u8>,
}

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DIRECTORY_HEADER: u32 = 0x0201_4b50;
const DIRECTORY_END: u32 = 0x0605_4b50;
const ZIP64_DIRECTORY_END: u32 = 0x0606_4b50;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;
const ZIP64_EXTRA: u16 = 1;
/// Version needed to extract: deflate (2.0) or zip64 (4.5).
const VERSION: [u16; 2] = [20, 45];
/// Marks a number that is in a zip64 field instead.
const ELSEWHERE_16: u16 = u16::MAX;
const ELSEWHERE_32: u32 = u32::MAX;
/// 1980-01-01 00:00 in DOS form: time, date.
const DOS_TIME: [u16; 2] = [0, 0x21];
/// General purpose flag 11: the name is UTF-8.
const UTF8_NAME: u16 = 1 << 11;

/// The 32-bit field of a number, which is "elsewhere" when the number does not fit.
fn field_32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(ELSEWHERE_32)
}

/// True when a number has to be in a zip64 field.
fn is_large(number: u64) -> bool {
    field_32(number) == ELSEWHERE_32
}

/// A zip64 extra field of these numbers; nothing when there are none.
fn zip64_extra(numbers: &[u64], into: &mut Vec<u8>) {
    if !numbers.is_empty() {
        put_16(into, &[ZIP64_EXTRA, 8 * numbers.len() as u16]);
        put_64(into, numbers);
    }
}

fn put_16(into: &mut Vec<u8>, numbers: &[u16]) {
    numbers.iter().for_each(|number| into.extend_from_slice(&number.to_le_bytes()));
}

fn put_32(into: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| into.extend_from_slice(&number.to_le_bytes()));
}

fn put_64(into: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| into.extend_from_slice(&number.to_le_bytes()));
}

impl ZipWriter {
    /// Appends the local header of the next part. A part name is at most 65,535 bytes.
    pub fn part(&mut self, name: &str, facts: &PartFacts, into: &mut Vec<u8>) {
        let sizes = [facts.size, facts.compressed];
        let large_sizes = sizes.iter().any(|size| is_large(*size));
        // In a local header the zip64 field contains both sizes when it contains one; in the directory only those that do not fit
        // (APPNOTE 4.5.3).
        let local: &[u64] = if large_sizes { &sizes } else { &[] };
        let listed: Vec<u64> =
            [facts.size, facts.compressed, self.offset].into_iter().filter(|n| is_large(*n)).collect();
        let start = into.len();

        put_32(into, &[LOCAL_HEADER]);
        put_16(into, &[VERSION[usize::from(large_sizes)]]);
        let shown = sizes.map(|size| if large_sizes { ELSEWHERE_32 } else { size as u32 });
        Self::common(name, facts, shown, local.len(), into);
        into.extend_from_slice(name.as_bytes());
        zip64_extra(local, into);
        let header = (into.len() - start) as u64;

        let directory = &mut self.directory;
        let version = VERSION[usize::from(!listed.is_empty())];
        put_32(directory, &[DIRECTORY_HEADER]);
        put_16(directory, &[version, version]);
        Self::common(name, facts, sizes.map(field_32), listed.len(), directory);
        put_16(directory, &[0; 3]); // comment length, disk, internal attributes
        put_32(directory, &[0, field_32(self.offset)]); // external attributes, offset
        directory.extend_from_slice(name.as_bytes());
        zip64_extra(&listed, directory);

        self.offset += header + facts.compressed;
        self.parts += 1;
    }

    /// Appends the directory, which ends the container.
    pub fn finish(self, into: &mut Vec<u8>) {
        let size = self.directory.len() as u64;
        into.extend_from_slice(&self.directory);
        let count = u16::try_from(self.parts).unwrap_or(ELSEWHERE_16);
        if count == ELSEWHERE_16 || is_large(size) || is_large(self.offset) {
            let version = VERSION[1];
            put_32(into, &[ZIP64_DIRECTORY_END]);
            put_64(into, &[44]); // what follows of this record
            put_16(into, &[version, version]);
            put_32(into, &[0, 0]); // this disk, disk of the directory
            put_64(into, &[self.parts, self.parts, size, self.offset]);
            put_32(into, &[ZIP64_LOCATOR, 0]);
            put_64(into, &[self.offset + size]);
            put_32(into, &[1]); // disks
        }
        put_32(into, &[DIRECTORY_END]);
        put_16(into, &[0, 0, count, count]);
        put_32(into, &[field_32(size), field_32(self.offset)]);
        put_16(into, &[0]); // comment length
    }

    /// Writes the fields that local header and directory have in common, flags to extra length; `sizes` are uncompressed, compressed.
    fn common(name: &str, facts: &PartFacts, sizes: [u32; 2], zip64_numbers: usize, into: &mut Vec<u8>) {
        let flags = if name.is_ascii() { 0 } else { UTF8_NAME };
        put_16(into, &[flags, facts.method as u16, DOS_TIME[0], DOS_TIME[1]]);
        put_32(into, &[facts.crc, sizes[1], sizes[0]]);
        let extra = if zip64_numbers == 0 { 0 } else { 4 + 8 * zip64_numbers };
        put_16(into, &[name.len() as u16, extra as u16]);
    }
}

/// A part of a small container that is held in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// Its name.
    pub name: String,
    /// Its facts in the directory.
    pub facts: PartFacts,
    /// The place of its compressed bytes in the container.
    pub bytes: Range<usize>,
}

/// Reads the directory of a container without zip64 or comment; `None` if it is not one.
pub fn read_directory(zip: &[u8]) -> Option<Vec<StoredPart>> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(zip.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(zip.get(at..at + 4)?.try_into().ok()?));
    let end = zip.len().checked_sub(22)?;
    if u32_at(end)? != DIRECTORY_END {
        return None;
    }
    let mut at = u32_at(end + 16)? as usize;
    let mut parts = Vec::with_capacity(usize::from(u16_at(end + 10)?));
    for _ in 0..u16_at(end + 10)? {
        let local = u32_at(at + 42)? as usize;
        if u32_at(at)? != DIRECTORY_HEADER || u32_at(local)? != LOCAL_HEADER {
            return None;
        }
        let method = match u16_at(at + 10)? {
            0 => Method::Stored,
            8 => Method::Deflated,
            _ => return None,
        };
        let facts = PartFacts {
            method,
            crc: u32_at(at + 16)?,
            compressed: u64::from(u32_at(at + 20)?),
            size: u64::from(u32_at(at + 24)?),
        };
        let name = usize::from(u16_at(at + 28)?);
        let start = local + 30 + usize::from(u16_at(local + 26)?) + usize::from(u16_at(local + 28)?);
        let bytes = start..start + facts.compressed as usize;
        zip.get(bytes.clone())?;
        let text = std::str::from_utf8(zip.get(at + 46..at + 46 + name)?).ok()?;
        parts.push(StoredPart { name: text.to_owned(), facts, bytes });
        at += 46 + name + usize::from(u16_at(at + 30)?) + usize::from(u16_at(at + 32)?);
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR_GIB: u64 = 1 << 32;

    fn facts(compressed: u64, size: u64) -> PartFacts {
        PartFacts { method: Method::Deflated, crc: 0x0102_0304, compressed, size }
    }

    fn u16s(bytes: &[u8], at: usize) -> u16 {
        u16::from_le_bytes([bytes[at], bytes[at + 1]])
    }

    fn u64s(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    }

    /// Header of one part at this offset, and the whole directory with its end.
    fn layout(offset: u64, facts: PartFacts) -> (Vec<u8>, Vec<u8>) {
        let mut zip = ZipWriter { offset, ..ZipWriter::default() };
        let (mut header, mut end) = (Vec::new(), Vec::new());
        zip.part("a.xml", &facts, &mut header);
        zip.finish(&mut end);
        (header, end)
    }

    #[test]
    fn small_parts_need_no_zip64() {
        let (header, end) = layout(0, facts(FOUR_GIB - 2, FOUR_GIB - 2));
        assert_eq!(header.len(), 30 + 5);
        assert_eq!(u16s(&header, 4), 20);
        assert_eq!(u16s(&header, 28), 0);
        assert_eq!(u16s(&end, 30), 0, "no extra field in the directory");
    }

    #[test]
    fn a_large_sheet_moves_both_sizes_of_its_local_header() {
        let (header, end) = layout(0, facts(1_000, FOUR_GIB - 1));
        assert_eq!(header.len(), 30 + 5 + 4 + 16);
        assert_eq!(u16s(&header, 4), 45);
        assert_eq!(header[18..26], [0xff; 8]);
        assert_eq!((u16s(&header, 35), u16s(&header, 37)), (1, 16));
        assert_eq!((u64s(&header, 39), u64s(&header, 47)), (FOUR_GIB - 1, 1_000));
        // In the directory the compressed size fits and stays where it is.
        assert_eq!(u16s(&end, 30), 4 + 8);
        assert_eq!((u16s(&end, 51), u16s(&end, 53)), (1, 8));
        assert_eq!(u64s(&end, 55), FOUR_GIB - 1);
        assert_eq!(end.len(), 46 + 5 + 12 + 22, "offset and count fit: no zip64 end of directory");
    }

    #[test]
    fn a_part_beyond_four_gib_has_its_offset_in_the_directory_only() {
        let (header, end) = layout(FOUR_GIB, facts(10, 10));
        assert_eq!(header.len(), 30 + 5);
        assert_eq!(u16s(&end, 30), 4 + 8);
        assert_eq!(u64s(&end, 55), FOUR_GIB);
        let zip64 = 46 + 5 + 12;
        assert_eq!(end[zip64..zip64 + 4], ZIP64_DIRECTORY_END.to_le_bytes());
        assert_eq!(u64s(&end, zip64 + 48), FOUR_GIB + 35 + 10, "offset of the directory");
        let locator = zip64 + 56;
        assert_eq!(end[locator..locator + 4], ZIP64_LOCATOR.to_le_bytes());
        assert_eq!(u64s(&end, locator + 8), FOUR_GIB + 35 + 10 + zip64 as u64, "offset of the zip64 end");
        assert_eq!(end.len(), locator + 20 + 22);
    }

    #[test]
    fn all_three_numbers_are_in_the_order_of_the_format() {
        let (_, end) = layout(3 * FOUR_GIB, facts(FOUR_GIB, 2 * FOUR_GIB));
        assert_eq!(u16s(&end, 53), 24);
        assert_eq!([u64s(&end, 55), u64s(&end, 63), u64s(&end, 71)], [2 * FOUR_GIB, FOUR_GIB, 3 * FOUR_GIB]);
    }

    #[test]
    fn many_parts_need_the_zip64_end() {
        for (parts, needs) in [(65_534, false), (65_535, true), (65_600, true)] {
            let mut zip = ZipWriter::default();
            let mut headers = Vec::new();
            for _ in 0..parts {
                zip.part("p", &facts(0, 0), &mut headers);
            }
            let directory = zip.directory.len();
            let mut end = Vec::new();
            zip.finish(&mut end);
            assert_eq!(end.len(), directory + 22 + if needs { 76 } else { 0 }, "{parts} parts");
            if needs {
                assert_eq!(u64s(&end, directory + 24), parts);
            }
        }
    }

    #[test]
    fn small_containers_read_back() {
        let mut zip = ZipWriter::default();
        let mut out = Vec::new();
        let parts = [("a.xml", "hello"), ("서울/b.xml", ""), ("c", "x")];
        for (name, text) in parts {
            let length = text.len() as u64;
            let facts = PartFacts {
                method: Method::Stored,
                crc: crc32fast::hash(text.as_bytes()),
                compressed: length,
                size: length,
            };
            zip.part(name, &facts, &mut out);
            out.extend_from_slice(text.as_bytes());
        }
        zip.finish(&mut out);
        let read = read_directory(&out).expect("a container");
        let found: Vec<_> = read.iter().map(|p| (p.name.as_str(), &out[p.bytes.clone()])).collect();
        assert_eq!(found, parts.map(|(name, text)| (name, text.as_bytes())));
        assert!(read.iter().all(|p| p.facts.crc == crc32fast::hash(&out[p.bytes.clone()])));
        for cut in [0, 21, out.len() - 1] {
            assert_eq!(read_directory(&out[..cut]), None);
        }
    }
}
