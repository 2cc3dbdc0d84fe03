//! The points of a batch, row by row, from any kind of coordinate columns.

use arrow_array::{Array, Float64Array, RecordBatch, StringArray};

use super::{geometry, notation, number};
use crate::crs::CrsKind;
use crate::record::{Message, Rejection, is_no_value};

/// x (east) and y (north) of a point.
pub(super) type Point = (f64, f64);

/// Columns that hold the coordinates.
#[derive(Clone, Copy)]
pub(super) enum Input {
    Columns {
        x: usize,
        y: usize,
    },
    Geometry(usize),
    /// Both in one cell.
    Pair {
        column: usize,
        y_first: bool,
    },
}

/// The points of a batch.
pub(super) enum Points<'a> {
    Columns { x: Column<'a>, y: Column<'a> },
    Geometry { column: Column<'a>, epsg: Option<i32> },
    Pair { column: Column<'a>, y_first: bool },
}

/// How coordinates may be written.
#[derive(Clone, Copy)]
pub(super) enum Notation {
    /// As numbers with a decimal point.
    Plain,
    /// As people write them; of the CRS that is known, its kind.
    Any(Option<CrsKind>),
}

impl Notation {
    /// A point that is no pair of plain numbers: it may be written in another notation, or say that there is none.
    fn read(self, plain: Result<Point, Rejection>, x: &str, y: &str) -> Result<Option<Point>, Rejection> {
        let (rejection, kind) = match (plain, self) {
            (Ok(point), _) => return Ok(Some(point)),
            (Err(rejection), Notation::Plain) => return Err(rejection),
            (Err(rejection), Notation::Any(kind)) => (rejection, kind),
        };
        match (is_no_value(x), is_no_value(y)) {
            (true, true) => Ok(None),
            (false, false) => {
                let noted = kind.and_then(|kind| notation::point(x, y, kind == CrsKind::Geographic));
                noted.ok_or(rejection).map(Some)
            }
            _ => Err(Rejection { column: rejection.column, ..Rejection::new(Message::CoordinateEmpty {}) }),
        }
    }

    fn is_none(self, text: &str) -> bool {
        matches!(self, Notation::Any(_)) && is_no_value(text)
    }
}

/// A column and its name.
pub(super) struct Column<'a> {
    name: &'a str,
    values: Values<'a>,
}

/// Source columns are text; those that another map computed are numbers.
pub(super) enum Values<'a> {
    Text(&'a StringArray),
    Number(&'a Float64Array),
}

impl<'a> Points<'a> {
    /// `None` if a column is of a type that no node makes.
    pub(super) fn of(batch: &'a RecordBatch, input: Input, epsg: Option<i32>) -> Option<Points<'a>> {
        Some(match input {
            Input::Columns { x, y } => Points::Columns { x: Column::of(batch, x)?, y: Column::of(batch, y)? },
            Input::Geometry(index) => Points::Geometry { column: Column::of(batch, index)?, epsg },
            Input::Pair { column, y_first } => Points::Pair { column: Column::of(batch, column)?, y_first },
        })
    }

    /// Numbers as they are: finite, and not yet known to be a place. `None` for a row that has no coordinates at all; one of two
    /// coordinates is an error.
    pub(super) fn point(&self, row: usize, notation: Notation) -> Result<Option<Point>, Rejection> {
        match self {
            Points::Columns { x, y } if x.is_empty(row) && y.is_empty(row) => Ok(None),
            Points::Columns { x, y } => {
                let plain = x.number(row).and_then(|x| Ok((x, y.number(row)?)));
                notation.read(plain, x.text(row), y.text(row))
            }
            Points::Pair { column, .. } if column.is_empty(row) => Ok(None),
            Points::Pair { column, y_first } => {
                let text = column.text(row);
                let read = match number::pair(text) {
                    Err(_) if notation.is_none(text) => Ok(None),
                    Err(rejection) => Err(rejection),
                    Ok((first, second)) => {
                        let (x, y) = if *y_first { (second, first) } else { (first, second) };
                        let plain = number::coordinate(x).and_then(|x| Ok((x, number::coordinate(y)?)));
                        notation.read(plain, x, y)
                    }
                };
                read.map_err(|rejection| rejection.in_column(column.name))
            }
            Points::Geometry { column, epsg } => {
                let text = column.text(row);
                match geometry::point(text, *epsg) {
                    Err(_) if notation.is_none(text) => Ok(None),
                    read => read.map_err(|rejection| rejection.in_column(column.name)),
                }
            }
        }
    }

    /// Why a row without coordinates is rejected.
    pub(super) fn missing(&self, row: usize) -> Rejection {
        match self {
            Points::Columns { x: column, .. } | Points::Pair { column, .. } => {
                Rejection::new(Message::CoordinateEmpty {}).in_column(column.name)
            }
            Points::Geometry { column, .. } if column.is_empty(row) => {
                Rejection::new(Message::GeometryEmpty {}).in_column(column.name)
            }
            Points::Geometry { column, .. } => Rejection::new(Message::PointEmpty {}).in_column(column.name),
        }
    }
}

impl<'a> Column<'a> {
    pub(super) fn of(batch: &'a RecordBatch, index: usize) -> Option<Column<'a>> {
        let values = batch.column(index).as_any();
        let values = values.downcast_ref().map(Values::Text).or_else(|| values.downcast_ref().map(Values::Number))?;
        Some(Column { name: batch.schema_ref().field(index).name(), values })
    }

    /// Its name.
    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    pub(super) fn text(&self, row: usize) -> &'a str {
        match self.values {
            Values::Text(values) if values.is_valid(row) => values.value(row),
            Values::Text(_) | Values::Number(_) => "",
        }
    }

    /// True without a value. A number that another map could not compute is NaN.
    fn is_empty(&self, row: usize) -> bool {
        match self.values {
            Values::Text(_) => self.text(row).trim().is_empty(),
            Values::Number(values) => values.value(row).is_nan(),
        }
    }

    fn number(&self, row: usize) -> Result<f64, Rejection> {
        match self.values {
            Values::Text(_) => number::coordinate(self.text(row)).map_err(|rejection| rejection.in_column(self.name)),
            Values::Number(values) => Ok(values.value(row)),
        }
    }
}
