//! Decides the matches of rows. We write the markup, so we know where the same bytes were last; only text is searched for.
//!
//! A row number divides the markup between two values in two halves: `</v></c><c r="C` 17 `" s="4"><v>12.50`. The row before contains the
//! first half, with the first digits of the row number (*gap*). It contains the second half too, perhaps with the beginning of the value
//! (*far*). A cell of the same kind in this row contains the second half with the row number (*near*), which costs fewer bits. A match
//! costs about as much as three literals.

use super::deflate::Deflate;
use super::render::{Kind, Span};
use super::sequence::{DISTANCE_MAX, LENGTH_MIN};
use super::text::{Text, common};

/// Decides the matches of one segment after the other.
#[derive(Debug)]
pub(super) struct Matches {
    columns: Vec<Column>,
    /// By ending of the cell before: the last place of a row number behind such a cell, whatever its column.
    gaps: [u32; START + 1],
    /// By kind: the last place of the row number of such a cell, and the ending of the cell before it.
    kinds: [(u32, usize); Kind::COUNT],
    text: Text,
    /// First byte that is not decided.
    undecided: usize,
    /// Ending of the cell before.
    ending: usize,
}

/// The last cells of a column.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// Kind and opening of the last cell with a value.
    kind: Kind,
    opening: u32,
    /// Opening of the last cell without one.
    blank: u32,
    /// By ending of the cell before: the place of the row number.
    gaps: [u32; START + 1],
}

impl Column {
    const EMPTY: Column = Column { kind: Kind::ROW, opening: NOWHERE, blank: NOWHERE, gaps: [NOWHERE; START + 1] };

    /// The place behind the row number in the last cell of this kind.
    fn opening(&self, kind: Kind) -> u32 {
        match kind {
            Kind::BLANK => self.blank,
            kind if kind == self.kind => self.opening,
            _ => NOWHERE,
        }
    }
}

/// Ending of the markup before the first row.
const START: usize = Kind::ENDINGS;
/// No place.
const NOWHERE: u32 = u32::MAX;
/// Digits from which on a whole number is looked up like text: codes repeat.
const CODE_LENGTH_MIN: usize = 5;

/// The bytes `from..end` are the same as those at `source`.
#[derive(Clone, Copy, Debug)]
struct Match {
    from: usize,
    end: usize,
    source: usize,
}

impl Default for Matches {
    fn default() -> Matches {
        Matches {
            columns: Vec::new(),
            gaps: [NOWHERE; START + 1],
            kinds: [(NOWHERE, START); Kind::COUNT],
            text: Text::default(),
            undecided: 0,
            ending: START,
        }
    }
}

impl Matches {
    /// Ends a segment of this length.
    pub(super) fn finish(&mut self, length: usize) {
        self.columns.clear();
        self.gaps.fill(NOWHERE);
        self.kinds.fill((NOWHERE, START));
        self.text.finish(length);
        (self.undecided, self.ending) = (0, START);
    }

    /// Decides a row up to its last value. `xml` is the segment up to the row's end.
    pub(super) fn row(&mut self, xml: &[u8], cells: &[Span], deflate: &mut Deflate) {
        let row_start = cells.first().map_or(0, |row| row.number);
        for cell in cells {
            let (value, end) = (cell.value as usize, cell.end as usize);
            if self.undecided < value {
                self.tag(xml, cell, row_start, deflate);
            }
            if cell.kind.is_text() {
                self.text.remember(xml, value, self.undecided.min(end));
                self.undecided = self.text.matches(xml, self.undecided, end, deflate);
            } else if is_code(cell) {
                self.text.remember(xml, value, value + 1);
            }
            self.undecided = self.undecided.max(end);
            self.remember(cell);
        }
    }

    /// Decides XML without known places.
    pub(super) fn search(&mut self, xml: &[u8], deflate: &mut Deflate) {
        self.text.matches(xml, 0, xml.len(), deflate);
    }

    /// Decides what is between the values of two cells, and the beginning of the second value where that goes with it.
    #[inline]
    fn tag(&mut self, xml: &[u8], cell: &Span, row_start: u32, deflate: &mut Deflate) {
        let gap = self.gap(xml, cell, deflate.decided());
        let far = self.far(xml, cell);
        let near = self.near(cell, row_start);
        // With a far match these digits of the row number are literals; the value has to make up for them.
        let digits = (cell.opening as usize).saturating_sub(gap.map_or(self.undecided, |gap| gap.end));
        let second = match (near, far) {
            (Some(near), Some(far)) if cell.is_numbered() && far.end <= cell.value as usize + digits => Some(near),
            (near, far) => far.or(near),
        };
        self.undecided = cell.value as usize;
        if let Some(gap) = gap {
            gap.push(xml, second.map_or(gap.end, |second| second.from), deflate);
        }
        if let Some(second) = second {
            second.push(xml, second.end, deflate);
            self.undecided = second.end;
        }
    }

    /// From the value before to the row number and the first digits of it.
    #[inline]
    fn gap(&self, xml: &[u8], cell: &Span, literals_from: usize) -> Option<Match> {
        let number = cell.number as usize;
        let mut from = self.undecided;
        let before = number.checked_sub(from)?;
        let same_column = self.columns.get(cell.column as usize).map_or(NOWHERE, |column| column.gaps[self.ending]);
        if !reaches(same_column, number) {
            let source = (self.gaps[self.ending] as usize).checked_sub(before)?;
            let end = from + if reaches(self.gaps[self.ending], number) { common(xml, source, from) } else { 0 };
            return Some(Match { from, end, source });
        }
        let digits = xml[number..cell.opening as usize].iter().zip(&xml[same_column as usize..]);
        let end = number + digits.take_while(|(here, there)| here == there).count();
        // The last digits of the value before may be the same, too.
        let mut source = same_column as usize - before;
        while from > literals_from && source > 0 && xml[from - 1] == xml[source - 1] {
            (from, source) = (from - 1, source - 1);
        }
        Some(Match { from, end, source })
    }

    /// From behind the row number into the value: in the row before, or at the last place of this value.
    #[inline]
    fn far(&self, xml: &[u8], cell: &Span) -> Option<Match> {
        let (opening, value) = (cell.opening as usize, cell.value as usize);
        let from = self.undecided.max(opening);
        let above = self.columns.get(cell.column as usize).map_or(NOWHERE, |column| column.opening(cell.kind));
        let above = reaches(above, opening).then(|| {
            let distance = opening - above as usize;
            Match { from, end: value + common(xml, value - distance, value), source: from - distance }
        });
        let above_end = above.map_or(0, |above| above.end);
        if above_end >= cell.end as usize || !(cell.kind.is_text() || is_code(cell)) {
            return above;
        }
        let found = self.text.find(xml, value).filter(|found| {
            let end = value + found.length;
            end > above_end && (cell.kind.is_text() || end >= cell.end as usize)
        });
        let elsewhere = found.and_then(|found| {
            let source = found.source.checked_sub(value - from)?;
            let end = value + found.length;
            (xml[source..found.source] == xml[from..value]).then_some(Match { from, end, source })
        });
        elsewhere.or(above)
    }

    /// From the row number to the value; without row numbers, from the value before if that ends alike.
    #[inline]
    fn near(&self, cell: &Span, row_start: u32) -> Option<Match> {
        let ((source, ending), number) = (self.kinds[cell.kind.index()], cell.number as usize);
        if !reaches(source, number) || (cell.is_numbered() && source < row_start) {
            return None;
        }
        let is_whole = !cell.is_numbered() && ending == self.ending;
        let from = if is_whole { self.undecided } else { self.undecided.max(number) };
        Some(Match { from, end: cell.value as usize, source: source as usize + from - number })
    }

    #[inline]
    fn remember(&mut self, cell: &Span) {
        let index = cell.column as usize;
        if index >= self.columns.len() {
            self.columns.resize(index + 1, Column::EMPTY);
        }
        let column = &mut self.columns[index];
        if cell.kind == Kind::BLANK {
            column.blank = cell.opening;
        } else {
            (column.kind, column.opening) = (cell.kind, cell.opening);
        }
        column.gaps[self.ending] = cell.number;
        self.gaps[self.ending] = cell.number;
        self.kinds[cell.kind.index()] = (cell.number, self.ending);
        self.ending = cell.kind.ending();
    }
}

impl Match {
    /// Adds the match, shortened to end at `end_max`, unless it becomes too short for one.
    #[inline]
    fn push(self, xml: &[u8], end_max: usize, deflate: &mut Deflate) {
        let end = self.end.min(end_max);
        if end >= self.from + LENGTH_MIN {
            deflate.push(xml, self.from, end - self.from, self.from - self.source);
        }
    }
}

/// True for a place from which `at` can be copied.
#[inline]
fn reaches(source: u32, at: usize) -> bool {
    source != NOWHERE && at - source as usize <= DISTANCE_MAX
}

/// True for a cell whose value is looked up as a whole.
#[inline]
fn is_code(cell: &Span) -> bool {
    cell.kind == Kind::INTEGER && (cell.end - cell.value) as usize >= CODE_LENGTH_MIN
}
