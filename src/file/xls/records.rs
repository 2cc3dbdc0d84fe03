//! The records of a workbook of Excel 97: where they are, what continues them, their numbers and texts.

/// Kinds of records ([MS-XLS] 2.3.2).
pub(super) mod kind {
    pub(in crate::file::xls) const FORMULA: u16 = 0x0006;
    pub(in crate::file::xls) const EOF: u16 = 0x000A;
    pub(in crate::file::xls) const DATE_1904: u16 = 0x0022;
    pub(in crate::file::xls) const FILE_PASS: u16 = 0x002F;
    pub(in crate::file::xls) const CONTINUE: u16 = 0x003C;
    pub(in crate::file::xls) const CODE_PAGE: u16 = 0x0042;
    pub(in crate::file::xls) const COLUMNS: u16 = 0x007D;
    pub(in crate::file::xls) const BOUND_SHEET: u16 = 0x0085;
    pub(in crate::file::xls) const MUL_RK: u16 = 0x00BD;
    pub(in crate::file::xls) const MERGED_CELLS: u16 = 0x00E5;
    pub(in crate::file::xls) const RSTRING: u16 = 0x00D6;
    pub(in crate::file::xls) const XF: u16 = 0x00E0;
    pub(in crate::file::xls) const SST: u16 = 0x00FC;
    pub(in crate::file::xls) const LABEL_SST: u16 = 0x00FD;
    pub(in crate::file::xls) const NUMBER: u16 = 0x0203;
    pub(in crate::file::xls) const LABEL: u16 = 0x0204;
    pub(in crate::file::xls) const BOOL_ERR: u16 = 0x0205;
    pub(in crate::file::xls) const STRING: u16 = 0x0207;
    pub(in crate::file::xls) const ROW: u16 = 0x0208;
    pub(in crate::file::xls) const ARRAY: u16 = 0x0221;
    pub(in crate::file::xls) const TABLE: u16 = 0x0236;
    pub(in crate::file::xls) const RK: u16 = 0x027E;
    pub(in crate::file::xls) const FORMAT: u16 = 0x041E;
    pub(in crate::file::xls) const SHARED_FORMULA: u16 = 0x04BC;
    pub(in crate::file::xls) const BOF: u16 = 0x0809;
}

/// A record: its kind, and its bytes without its head. Those of a longer one continue in the records behind it.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) kind: u16,
    pub(super) data: &'a [u8],
    /// Where the next one begins.
    pub(super) next: usize,
}

/// The record that begins at `at`; `None` behind the last whole one.
pub(super) fn record_at(stream: &[u8], at: usize) -> Option<Record<'_>> {
    let head = stream.get(at..at + 4)?;
    let next = at + 4 + usize::from(u16::from_le_bytes([head[2], head[3]]));
    Some(Record { kind: u16::from_le_bytes([head[0], head[1]]), data: stream.get(at + 4..next)?, next })
}

pub(super) fn word(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn double_word(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn number(data: &[u8], at: usize) -> Option<f64> {
    Some(f64::from_le_bytes(data.get(at..at + 8)?.try_into().ok()?))
}

/// The bytes of a record and of those that continue it.
pub(super) struct Body<'a> {
    stream: &'a [u8],
    pub(super) data: &'a [u8],
    next: usize,
}

impl<'a> Body<'a> {
    pub(super) fn of(stream: &'a [u8], record: Record<'a>) -> Body<'a> {
        Body { stream, data: record.data, next: record.next }
    }

    /// Continues with the next record, if it belongs to this one.
    pub(super) fn continues(&mut self) -> bool {
        let next = record_at(self.stream, self.next).filter(|next| next.kind == kind::CONTINUE);
        next.inspect(|next| (self.data, self.next) = (next.data, next.next)).is_some()
    }

    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.data.split_at_checked(bytes)?;
        self.data = rest;
        Some(taken)
    }

    fn skip(&mut self, mut bytes: usize) -> Option<()> {
        while bytes > self.data.len() {
            bytes -= self.data.len();
            self.continues().then_some(())?;
        }
        self.take(bytes).map(|_| ())
    }

    /// Characters of Excel 97, each of one byte or of two; where they continue in another record, it says which.
    pub(super) fn characters(&mut self, mut count: usize, mut wide: bool, into: &mut String) -> Option<()> {
        let mut units = Vec::with_capacity(count);
        while count > 0 {
            let size = if wide { 2 } else { 1 };
            let here = count.min(self.data.len() / size);
            let bytes = self.take(here * size)?;
            match wide {
                true => units.extend(bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]))),
                false => units.extend(bytes.iter().map(|byte| u16::from(*byte))),
            }
            count -= here;
            if count > 0 {
                self.continues().then_some(())?;
                wide = self.take(1)?[0] & 1 != 0;
            }
        }
        into.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        Some(())
    }

    /// A text of the table of texts, with what says how it looks behind it ([MS-XLS] 2.5.293).
    pub(super) fn rich_text(&mut self, into: &mut String) -> Option<()> {
        if self.data.is_empty() {
            self.continues().then_some(())?;
        }
        let head = self.take(3)?;
        let (count, flags) = (usize::from(u16::from_le_bytes([head[0], head[1]])), head[2]);
        let runs = if flags & 8 == 0 { 0 } else { usize::from(word(self.take(2)?, 0)?) };
        let more = if flags & 4 == 0 { 0 } else { double_word(self.take(4)?, 0)? as usize };
        self.characters(count, flags & 1 != 0, into)?;
        self.skip(4 * runs + more)
    }
}

/// A number of 30 bits: whole, or the upper part of a floating one; either may be of hundredths ([MS-XLS] 2.5.217).
pub(super) fn rk_number(rk: u32) -> f64 {
    let value = match rk & 2 {
        0 => f64::from_bits(u64::from(rk & !3) << 32),
        _ => f64::from(rk.cast_signed() >> 2),
    };
    if rk & 1 == 0 { value } else { value / 100.0 }
}
