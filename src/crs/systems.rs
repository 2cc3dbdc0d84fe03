//! The CRSs that EPSG lists, as PROJ's database has them: names, areas of use, and a search for people who know a code or a name.

use std::ptr;
use std::sync::OnceLock;

use proj_sys::*;

use super::{Context, CrsError, CrsKind, text};

/// A horizontal CRS of the EPSG registry.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ListedCrs {
    /// Its EPSG code.
    pub code: u32,
    /// Its name, "KGD2002 / Central Belt 2010".
    pub name: String,
    /// Where it is used, in words.
    pub area_name: String,
    /// Area of use: west, south, east, north in degrees; west is greater than east across the antimeridian.
    pub area: Option<[f64; 4]>,
    /// Degrees or metres (or another length).
    #[serde(skip)]
    pub kind: CrsKind,
    /// Whether EPSG advises against it.
    pub is_deprecated: bool,
}

impl ListedCrs {
    /// As topologies and requests name it: `EPSG:5186`.
    pub fn definition(&self) -> String {
        format!("EPSG:{}", self.code)
    }
}

/// All horizontal CRSs of EPSG, by code. Read once, which takes some 50 ms.
pub fn systems() -> Result<&'static [ListedCrs], CrsError> {
    static SYSTEMS: OnceLock<Result<Vec<ListedCrs>, CrsError>> = OnceLock::new();
    SYSTEMS.get_or_init(read).as_deref().map_err(Clone::clone)
}

/// The CRS of that code.
pub fn system(code: u32) -> Option<&'static ListedCrs> {
    let systems = systems().ok()?;
    systems.binary_search_by_key(&code, |system| system.code).ok().map(|at| &systems[at])
}

/// CRSs whose code begins with `query`, or whose name and area hold all of its words; codes first, then those in use.
pub fn search(query: &str, limit: usize) -> Result<Vec<&'static ListedCrs>, CrsError> {
    let query = query.trim().to_lowercase();
    let code = query.strip_prefix("epsg:").unwrap_or(&query);
    let words: Vec<&str> = query.split_whitespace().collect();
    let mut found: Vec<(bool, bool, &ListedCrs)> = Vec::new();
    for system in systems()? {
        let by_code = !code.is_empty() && system.code.to_string().starts_with(code);
        let text = format!("{} {}", system.name, system.area_name).to_lowercase();
        if by_code || words.iter().all(|word| text.contains(word)) {
            found.push((!by_code, system.is_deprecated, system));
        }
    }
    found.sort_by_key(|(by_name, is_deprecated, system)| (*by_name, *is_deprecated, system.code));
    Ok(found.into_iter().map(|(.., system)| system).take(limit).collect())
}

fn read() -> Result<Vec<ListedCrs>, CrsError> {
    let context = Context::new()?;
    let mut systems = Vec::new();
    // SAFETY: context and authority are alive; the list has `count` elements, is used here only and destroyed here, and each text is
    // copied at once.
    unsafe {
        let mut count = 0;
        let list = proj_get_crs_info_list_from_database(context.ptr, c"EPSG".as_ptr(), ptr::null(), &mut count);
        if list.is_null() {
            let reason = context.complaint().unwrap_or_else(|| "its database lists no CRS".into());
            return Err(CrsError::Library(reason));
        }
        for at in 0..usize::try_from(count).unwrap_or(0) {
            let info = &**list.add(at);
            let kind = match info.type_ {
                PJ_TYPE_PJ_TYPE_GEOGRAPHIC_2D_CRS => CrsKind::Geographic,
                PJ_TYPE_PJ_TYPE_PROJECTED_CRS => CrsKind::Projected,
                _ => continue,
            };
            let area = [info.west_lon_degree, info.south_lat_degree, info.east_lon_degree, info.north_lat_degree];
            systems.push(ListedCrs {
                code: text(info.code).and_then(|code| code.parse().ok()).unwrap_or_default(),
                name: text(info.name).unwrap_or_default(),
                area_name: text(info.area_name).unwrap_or_default(),
                area: (info.bbox_valid != 0).then_some(area),
                kind,
                is_deprecated: info.deprecated != 0,
            });
        }
        proj_crs_info_list_destroy(list);
    }
    systems.sort_by_key(|system| system.code);
    Ok(systems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_epsg() {
        for (code, name) in [(5178, "Korean 1985 / Unified CS"), (5179, "KGD2002 / Unified CS"), (4326, "WGS 84")] {
            assert_eq!(system(code).map(|system| system.name.as_str()), Some(name));
        }
        assert_eq!(system(1), None);
        assert!(systems().unwrap().iter().all(|system| system.code > 0 && !system.name.is_empty()));
    }

    #[test]
    fn a_code_or_words_find_a_system() {
        let codes = |query| search(query, 3).unwrap().iter().map(|system| system.code).collect::<Vec<_>>();
        assert_eq!(codes("5186"), [5186]);
        assert_eq!(codes("epsg:2154"), [2154]);
        assert_eq!(codes("lambert-93")[0], 2154);
        assert_eq!(codes("korea unified"), [5178, 5179]);
        assert_eq!(search("no such thing", 9).unwrap().len(), 0);
    }
}
