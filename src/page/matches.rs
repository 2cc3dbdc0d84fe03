//! Decides the matches of rows. We write the markup, so we know where the same bytes stood last: nothing is searched but text.
//!
//! A row number parts a cell into the end of the cell before with the column's name, and the rest of the tag with the value:
//! `</v></c><c r="C` 17 `" s="4"><v>12.50`. The first part stood in the row before (*gap*), with the first digits of the row number. The
//! second stood there too (*far*), perhaps with the first digits of the value; or, with the row number, in a cell of the same kind of this
//! row (*near*), which costs fewer bits. The bits of a match are about those of three or four literals.

use super::deflate::{DISTANCE_MAX, Deflate, LENGTH_MIN};
use super::render::{Kind, Span};
use super::text::{Text, common};

/// What stood last in a column.
#[derive(Clone, Copy, Debug)]
struct Column {
    kind: Kind,
    opening: u32,
    /// By the ending of the cell before: where the row number stood.
    gaps: [u32; START + 1],
}

/// Where a kind stood last: row number, and the ending of the cell before.
#[derive(Clone, Copy, Debug)]
struct Near {
    number: u32,
    ending: usize,
}

/// Ending of what is before the first row.
const START: usize = Kind::ENDINGS;
/// No place.
const NOWHERE: u32 = u32::MAX;

/// Matches of one segment after the other.
#[derive(Debug)]
pub(super) struct Matches {
    columns: Vec<Column>,
    near: [Option<Near>; Kind::COUNT],
    /// Bytes that are in a match or known to be in none.
    covered: usize,
    /// Ending of the cell before.
    ending: usize,
    text: Text,
}

impl Default for Matches {
    fn default() -> Matches {
        Matches { columns: Vec::new(), near: [None; Kind::COUNT], covered: 0, ending: START, text: Text::default() }
    }
}

impl Matches {
    /// Begins a segment; the one before had this length.
    pub(super) fn start(&mut self, length: usize) {
        self.columns.clear();
        self.near = [None; Kind::COUNT];
        (self.covered, self.ending) = (0, START);
        self.text.start(length);
    }

    /// Decides a row up to its last value. `xml` is the segment up to the row's end.
    pub(super) fn row(&mut self, xml: &[u8], cells: &[Span], deflate: &mut Deflate) {
        let row_start = cells.first().map_or(0, |row| row.number);
        for cell in cells {
            if self.covered < cell.value as usize {
                self.tag(xml, cell, row_start, deflate);
            }
            let (value, end) = (cell.value as usize, cell.end as usize);
            if cell.kind.is_text() {
                self.text.remember(xml, value, self.covered.min(end));
                if self.covered < end {
                    self.covered = self.text.matches(xml, self.covered, end, deflate);
                }
            }
            self.covered = self.covered.max(end);
            self.remember(cell);
        }
    }

    /// Decides XML of which nothing is known.
    pub(super) fn search(&mut self, xml: &[u8], deflate: &mut Deflate) {
        self.text.matches(xml, 0, xml.len(), deflate);
    }

    /// Decides what is between the values of two cells, and the beginning of the second value if it goes with that.
    #[inline]
    fn tag(&mut self, xml: &[u8], cell: &Span, row_start: u32, deflate: &mut Deflate) {
        let (number, opening, value) = (cell.number as usize, cell.opening as usize, cell.value as usize);
        let from = self.covered;

        let column = self.columns.get(cell.column as usize);
        let gap = column.map(|column| column.gaps[self.ending]).filter(|gap| from <= number && is_near(*gap, number));
        let gap = gap.map(|gap| (gap as usize - (number - from), number + digits(xml, gap as usize, number, opening)));
        let gap_end = gap.map_or(from, |(_, end)| end);

        let far_from = from.max(opening);
        let far = column.filter(|column| column.kind == cell.kind && is_near(column.opening, opening));
        let far = far.map(|column| column.opening as usize + (far_from - opening));
        let mut far = far.map(|source| (source, value + common(xml, source + (value - far_from), value)));
        if cell.kind.is_text() && far.is_none_or(|(_, end)| end < cell.end as usize) {
            if let Some(found) = self.text.find(xml, value)
                && value + found.length > far.map_or(0, |(_, end)| end)
            {
                let source = found.source.checked_sub(value - far_from);
                if let Some(source) = source.filter(|source| xml[*source..found.source] == xml[far_from..value]) {
                    far = Some((source, value + found.length));
                }
            }
        }

        let is_reference = number < opening;
        let near = self.near[cell.kind.index()]
            .filter(|near| is_near(near.number, number) && (near.number >= row_start || !is_reference));
        let near = near.map(|near| {
            let near_from = if is_reference || near.ending != self.ending { from.max(number) } else { from };
            (near_from, near.number as usize + near_from - number)
        });

        let literals = opening.saturating_sub(gap_end);
        let (second_from, source, end) = match (near, far) {
            (Some((near_from, source)), far) if far.is_none_or(|(_, end)| end <= value + literals) => {
                (near_from, source, value)
            }
            (_, Some((source, end))) => (far_from, source, end),
            _ => (value, 0, value),
        };
        if let Some((source, end)) = gap {
            let end = end.min(second_from);
            if end >= from + LENGTH_MIN {
                deflate.push(xml, from, end - from, from - source);
            }
        }
        if end >= second_from + LENGTH_MIN {
            deflate.push(xml, second_from, end - second_from, second_from - source);
        }
        self.covered = end;
    }

    fn remember(&mut self, cell: &Span) {
        let index = cell.column as usize;
        if index >= self.columns.len() {
            self.columns.resize(index + 1, Column { kind: Kind::ROW, opening: NOWHERE, gaps: [NOWHERE; START + 1] });
        }
        let column = &mut self.columns[index];
        column.kind = cell.kind;
        column.opening = cell.opening;
        column.gaps[self.ending] = cell.number;
        self.near[cell.kind.index()] = Some(Near { number: cell.number, ending: self.ending });
        self.ending = cell.kind.ending();
    }
}

/// True for a place from which `at` can be copied.
#[inline]
fn is_near(source: u32, at: usize) -> bool {
    source != NOWHERE && at - source as usize <= DISTANCE_MAX
}

/// How many digits of the row number are those of another.
#[inline]
fn digits(xml: &[u8], source: usize, number: usize, opening: usize) -> usize {
    let here = &xml[number..opening];
    here.iter().zip(&xml[source..]).take_while(|(here, there)| here == there).count()
}
