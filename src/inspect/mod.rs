//! Inspects a file: finds its format, and tries it under a topology. The page and the commands `inspect`, `new` and `plan` all use this
//! module, so that they give the same answer.
//!
//! Only the beginning of the file is read. The beginning ([`sample`]) and the way of reading it ([`reading`]) give rows ([`table`]). Their
//! columns are those of the topology, or chosen, or found ([`columns`], [`one_cell`], [`used_columns`]). The rows go through the same task as the rows of a
//! real upload ([`made`], [`trial`]), and the points of its workbook are put on a map ([`points`]). A topology file can record the findings
//! and choices ([`draft`]), with the types that cells show ([`types`]). A text can record the outcome of a whole file, and later versions are
//! compared with it ([`outcome`]).

pub mod columns;
pub mod draft;
pub mod fit;
pub mod made;
pub mod one_cell;
pub mod outcome;
pub mod points;
pub mod reading;
pub mod sample;
pub mod table;
pub mod trial;
pub mod types;
pub mod used_columns;

use crate::crs::with_authority;
use crate::file::FileError;
use crate::map::{MapConfig, OwnCrs};
use crate::record::{Extras, Lang, Rejection};
use crate::topology::Topology;

/// Why a question about a file has no answer.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A charset, a delimiter or a header row that does not exist; `field` names the setting.
    #[error("{message}")]
    Reading {
        /// Name of the setting.
        field: &'static str,
        /// The fault.
        message: String,
    },
    /// A column that cannot be chosen.
    #[error("{0}")]
    Column(String),
    /// A CRS that cannot be used.
    #[error("{}", .0.message)]
    Crs(Box<Rejection>),
    /// A part of a workbook that the topology cannot make; `field` names it.
    #[error("{message}")]
    Extra {
        /// Name of the part.
        field: &'static str,
        /// Why.
        message: String,
    },
    /// The trial itself did not work.
    #[error("the trial failed: {0}")]
    Trial(String),
}

/// The CRS of an upload, if it is another one than the topology's. A bare number is a code of EPSG.
///
/// # Errors
/// The CRS cannot be used with this topology.
pub fn own_crs(topology: &Topology, crs: Option<&str>) -> Result<Option<String>, InspectError> {
    let mut known = OwnCrs::new(&topology.maps);
    let crs = crs.filter(|crs| !crs.is_empty()).map(with_authority);
    let Some(crs) = crs.filter(|crs| !known.is_usual(crs)) else { return Ok(None) };
    known.pairs(&crs).map_err(|rejection| InspectError::Crs(Box::new(rejection)))?;
    Ok(Some(crs))
}

/// The parts of a workbook that are asked for, those that it has anyway left out.
///
/// # Errors
/// The topology cannot make one of them.
pub fn own_extras(topology: &Topology, asked: Extras) -> Result<Extras, InspectError> {
    let has_links = topology.maps.iter().any(|map| matches!(map, MapConfig::Link(_)));
    if asked.map_link && topology.link.is_none() && !has_links {
        let message = format!("rows of topology \"{}\" have no place in degrees to link to", topology.name);
        return Err(InspectError::Extra { field: "map_link", message });
    }
    Ok(topology.extras(asked))
}

/// The language of that tag; English for any but `ko`.
pub fn lang(tag: &str) -> Lang {
    if tag == "ko" { Lang::Ko } else { Lang::En }
}
