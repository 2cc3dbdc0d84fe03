//! Uploads with a CRS of their own (`ss-crs`): it takes the place of the one that the topology's first `reproject` starts from, in every map
//! that starts from that.

use std::collections::VecDeque;
use std::sync::Arc;

use super::MapConfig;
use super::reproject_config::{REMEMBERED_MAX, ReprojectConfig};
use crate::crs::{CrsPair, is_definition};
use crate::record::{Message, Rejection};

/// Longest definition, in bytes: the status of the upload contains it.
const DEFINITION_BYTES_MAX: usize = 16 << 10;

/// The CRS pairs of one topology, for any CRS that an upload brings.
pub struct OwnCrs {
    maps: Vec<ReprojectConfig>,
    remembered: VecDeque<(Arc<str>, Pairs)>,
}

/// Of each `reproject` map in order, or why an upload with this CRS cannot be served.
type Pairs = Result<Vec<Arc<CrsPair>>, Rejection>;

impl OwnCrs {
    /// For these maps.
    pub fn new(maps: &[MapConfig]) -> OwnCrs {
        OwnCrs { maps: maps.iter().filter_map(MapConfig::as_reproject).cloned().collect(), remembered: VecDeque::new() }
    }

    /// Whether it is the topology's CRS after all, so that nothing is different.
    pub fn is_usual(&self, crs: &str) -> bool {
        self.maps.iter().find(|map| map.from_upload).is_some_and(|map| map.starts_from(crs))
    }

    /// The pairs for an upload with this CRS.
    ///
    /// # Errors
    /// `upload.crs`, with what to do.
    pub fn pairs(&mut self, crs: &str) -> Result<Vec<Arc<CrsPair>>, Rejection> {
        // Refusals are remembered as well: a publisher that repeats a wrong one costs nothing.
        if let Some((_, known)) = self.remembered.iter().find(|(known, _)| **known == *crs) {
            return known.clone();
        }
        let found = self.find(crs);
        if self.remembered.len() == REMEMBERED_MAX {
            self.remembered.pop_front();
        }
        self.remembered.push_back((crs.into(), found.clone()));
        found
    }

    fn find(&self, crs: &str) -> Pairs {
        if crs.len() > DEFINITION_BYTES_MAX {
            return Err(Rejection::new(Message::CrsTooLong { bytes: crs.len(), limit: DEFINITION_BYTES_MAX }));
        }
        if !self.maps.iter().any(|map| map.from_upload) {
            return Err(Rejection::new(Message::NothingToReproject {}));
        }
        if !is_definition(crs) {
            return Err(Rejection::new(Message::CrsForm {}));
        }
        self.maps.iter().map(|map| if map.from_upload { map.under(crs) } else { Ok(map.crs.clone()) }).collect()
    }
}
