//! Transforms coordinates from one CRS to another, a column at a time. x is always east (longitude, easting), whatever the authority says.

use std::sync::Arc;

use crate::crs::CrsPair;

/// A `reproject` map, proven: both CRSs exist and an acceptable operation leads from one to the other.
#[derive(Clone, Debug, PartialEq)]
pub struct ReprojectConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// The CRSs and the operation between them.
    pub crs: Arc<CrsPair>,
    /// Where the coordinates stand.
    pub input: CoordinateInput,
    /// Names of the two columns that are added: x (east) and y (north) in the target CRS.
    pub into: [String; 2],
    /// Decimals that are kept: by default 9 for degrees, 6 for metres.
    pub decimals: u8,
    /// Whether a point outside the source CRS's area of use rejects its row.
    pub check_area: bool,
}

/// Where the coordinates stand.
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
}
