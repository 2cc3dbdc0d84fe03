//! The settings of a `reproject` map, and the operation for an upload that brings a CRS of its own.

use std::sync::Arc;

use crate::crs::{CrsError, CrsPair};
use crate::record::{Message, Rejection};

/// CRSs that are remembered; finding the operations of one takes some 5 ms.
pub(super) const REMEMBERED_MAX: usize = 16;

/// A `reproject` map, proven: both CRSs exist and an acceptable operation leads from one to the other.
#[derive(Clone, Debug, PartialEq)]
pub struct ReprojectConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// The CRSs and the operation between them.
    pub crs: Arc<CrsPair>,
    /// Column that names the CRS of each row, in the place of a CRS of all rows; candidates as for the coordinates.
    pub crs_column: Option<Vec<String>>,
    /// The columns that contain the coordinates.
    pub input: CoordinateInput,
    /// Names of the two columns that are added: x (east) and y (north) in the target CRS.
    pub into: [String; 2],
    /// Decimals that are kept: by default 9 for degrees, 6 for metres.
    pub decimals: u8,
    /// Whether a point outside the source CRS's area of use rejects its row.
    pub check_area: bool,
    /// Whether an operation that ignores an unknown datum shift is taken.
    pub allow_ballpark: bool,
    /// Whether a row without any coordinates stays, with the added columns blank, instead of being rejected.
    pub blank_missing: bool,
    /// Whether coordinates are read in any notation that has one meaning only, instead of plain numbers (`notation = "any"`).
    pub any_notation: bool,
    /// Whether an upload's own CRS takes the place of the source CRS.
    pub from_upload: bool,
}

/// The columns that contain the coordinates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinateInput {
    /// Two columns; of each list the first name that exists is taken.
    Columns {
        /// Candidates for x (east).
        x: Vec<String>,
        /// Candidates for y (north).
        y: Vec<String>,
    },
    /// A column of WKT, hex WKB or EWKB, or GeoJSON points; candidates as above.
    Geometry(Vec<String>),
    /// A column with both coordinates in one cell, x first; candidates as above.
    Xy(Vec<String>),
    /// The same, y first: `(37.57, 126.98)`.
    Yx(Vec<String>),
}

impl CoordinateInput {
    /// Its columns, each by all names it may have.
    pub fn columns(&self) -> Vec<&Vec<String>> {
        match self {
            CoordinateInput::Columns { x, y } => vec![x, y],
            CoordinateInput::Geometry(names) | CoordinateInput::Xy(names) | CoordinateInput::Yx(names) => vec![names],
        }
    }

    /// The same, to be changed.
    pub(super) fn columns_mut(&mut self) -> Vec<&mut Vec<String>> {
        match self {
            CoordinateInput::Columns { x, y } => vec![x, y],
            CoordinateInput::Geometry(names) | CoordinateInput::Xy(names) | CoordinateInput::Yx(names) => vec![names],
        }
    }
}

impl ReprojectConfig {
    /// Whether this is the CRS that it starts from.
    pub(super) fn starts_from(&self, crs: &str) -> bool {
        self.crs.from.definition.eq_ignore_ascii_case(crs)
    }

    /// The operation for an upload with this CRS.
    pub(super) fn under(&self, crs: &str) -> Result<Arc<CrsPair>, Rejection> {
        let found = CrsPair::resolve(crs, &self.crs.to.definition, self.allow_ballpark);
        found.map(Arc::new).map_err(|error| refusal(&error))
    }
}

/// Why an upload with such a CRS cannot be served.
pub(super) fn refusal(error: &CrsError) -> Rejection {
    Rejection::new(Message::CrsUnusable { why: error.to_string() })
}
