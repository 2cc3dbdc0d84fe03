//! Columns that a person chooses for one file: which of them hold x, y and the name of the sheet, where the topology has other names for
//! them, and which are kept. The chosen ones are published under the topology's names, and what is not kept is not published. So the choice
//! is part of the content: it is in the log, in the workbook, and in the id of the upload.

use serde::Serialize;

use super::InspectError;
use super::table::Table;
use crate::aggregate::SheetKey;
use crate::crs::columns::{coordinate_columns, number};
use crate::file::upload::UploadRecords;
use crate::map::{CoordinateInput, MapConfig};
use crate::page::cells::parse_date;
use crate::record::TemplatePart;
use crate::topology::Topology;

/// Different values that a column has at most to be a sheet for each.
const SHEET_VALUES_MAX: usize = 40;

/// A person's choices, by the names of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenColumns {
    /// Column of x (east).
    pub x: Option<String>,
    /// Column of y (north).
    pub y: Option<String>,
    /// Column that names the sheet of a row.
    pub sheet: Option<String>,
    /// No column does: all rows go to one sheet.
    pub one_sheet: bool,
    /// Columns that are kept; `None` keeps all.
    pub keep: Option<Vec<String>>,
}

/// The columns in use, by the names of the file; null where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UsedColumns {
    /// Column of x.
    pub x: Option<String>,
    /// Column of y.
    pub y: Option<String>,
    /// Whether the topology takes x and y from a column each.
    pub takes_x_y: bool,
    /// Column that names sheets.
    pub sheet: Option<String>,
    /// Whether rows may do without one.
    pub sheet_is_optional: bool,
    /// Columns that are published under another name: theirs, and the topology's.
    pub renamed: Vec<[String; 2]>,
    /// Columns that are left out.
    pub left_out: Vec<String>,
}

/// How the columns of a file are published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Their names, those that are kept.
    pub header: Vec<String>,
    /// Which columns of the file these are; `None`: all.
    kept: Option<Vec<usize>>,
    /// Columns in use.
    pub used: UsedColumns,
}

/// Names that a topology knows a column by, the first one first.
struct Role {
    names: Vec<String>,
    chosen: Option<String>,
}

impl ChosenColumns {
    /// Fills in what was not chosen and what the file has not: columns that look like coordinates, and one that could name sheets.
    pub fn or_found(&self, topology: &Topology, table: &Table) -> ChosenColumns {
        let [x, y, sheet] = self.roles(topology);
        let mut chosen = self.clone();
        let lacks =
            |role: &Role| role.chosen.is_none() && !role.names.is_empty() && role.in_use(&table.header).is_none();
        if lacks(&x)
            && lacks(&y)
            && let Some(found) = coordinate_columns(&table.header, &table.rows)
        {
            chosen.x = Some(table.header[found.x].clone());
            chosen.y = Some(table.header[found.y].clone());
        }
        if lacks(&sheet) && !self.one_sheet {
            let taken = [&chosen.x, &chosen.y];
            let free = |column: &usize| !taken.contains(&&Some(table.header[*column].clone()));
            chosen.sheet = sheet_column(table, free).map(|column| table.header[column].clone());
        }
        chosen
    }

    /// The header under which the file is published, and the columns that are used.
    ///
    /// # Errors
    /// The file has no column of a name that was chosen, one column was chosen twice, or a chosen one is not kept.
    pub fn apply(&self, topology: &Topology, header: &[String]) -> Result<Published, InspectError> {
        let roles = self.roles(topology);
        let place_of = |chosen: &String| {
            let place = header.iter().position(|column| column == chosen);
            place.ok_or_else(|| InspectError::Column(format!("the file has no column \"{chosen}\"")))
        };
        let mut places: Vec<(usize, &str)> = Vec::new();
        for role in &roles {
            let (Some(chosen), Some(name)) = (&role.chosen, role.names.first()) else { continue };
            let place = place_of(chosen)?;
            if places.iter().any(|(taken, _)| *taken == place) {
                return Err(InspectError::Column(format!("the column \"{chosen}\" is chosen twice")));
            }
            if role.in_use(header) != Some(place) {
                places.push((place, name));
            }
        }
        let mut published = header.to_vec();
        for (place, name) in &places {
            published[*place] = (*name).to_owned();
        }
        // A column that had the name gives way, as does one that would name sheets where nothing shall.
        let sheet_names = if self.one_sheet { &roles[2].names[..] } else { &[] };
        for (place, column) in header.iter().enumerate() {
            let is_taken = places.iter().any(|(taken, name)| *taken != place && name == column);
            let gives_way = is_taken || sheet_names.contains(column);
            if gives_way && !places.iter().any(|(taken, _)| *taken == place) {
                let free = (2..).map(|n| format!("{column}_{n}")).find(|name| !published.contains(name));
                published[place] = free.unwrap_or_default();
            }
        }
        let renamed = header.iter().zip(&published).filter(|(old, new)| old != new);
        let renamed = renamed.map(|(old, new)| [old.clone(), new.clone()]).collect();
        let takes_x_y = !roles[0].names.is_empty();
        let used = roles.map(|role| role.in_use(&published));
        let kept = self.kept(header, &used, place_of)?;
        let names = |places: &[usize]| places.iter().map(|place| published[*place].clone()).collect::<Vec<_>>();
        let left_out = |kept: &Vec<usize>| (0..header.len()).filter(|place| !kept.contains(place)).collect::<Vec<_>>();
        let left_out = kept.as_ref().map(left_out).unwrap_or_default();
        let left_out = left_out.into_iter().map(|place| header[place].clone()).collect();
        let header_kept = kept.as_ref().map_or_else(|| published.clone(), |kept| names(kept));
        let [x, y, sheet] = used.map(|place| place.map(|place| header[place].clone()));
        let sheet_is_optional = is_sheet_optional(&topology.aggregate.sheet);
        let used = UsedColumns { x, y, takes_x_y, sheet, sheet_is_optional, renamed, left_out };
        Ok(Published { header: header_kept, kept, used })
    }

    /// The columns that are kept, in the order of the file.
    fn kept(
        &self,
        header: &[String],
        used: &[Option<usize>; 3],
        place_of: impl Fn(&String) -> Result<usize, InspectError>,
    ) -> Result<Option<Vec<usize>>, InspectError> {
        let Some(keep) = &self.keep else { return Ok(None) };
        let mut kept = keep.iter().map(place_of).collect::<Result<Vec<_>, _>>()?;
        kept.sort_unstable();
        kept.dedup();
        if let Some(needed) = used.iter().flatten().find(|place| !kept.contains(place)) {
            let detail = format!("the column \"{}\" is used, so it cannot be left out", header[*needed]);
            return Err(InspectError::Column(detail));
        }
        Ok(Some(kept).filter(|kept| kept.len() < header.len()))
    }

    fn roles(&self, topology: &Topology) -> [Role; 3] {
        let input = topology.maps.iter().find_map(MapConfig::as_reproject).map(|map| &map.input);
        let (x, y) = match input {
            Some(CoordinateInput::Columns { x, y }) => (x.clone(), y.clone()),
            Some(CoordinateInput::Geometry(_) | CoordinateInput::Xy(_) | CoordinateInput::Yx(_)) | None => {
                (vec![], vec![])
            }
        };
        let sheet = match &topology.aggregate.sheet {
            SheetKey::Topic => vec![],
            SheetKey::Column(column) => vec![column.clone()],
            SheetKey::Template(parts) => match &parts.iter().filter_map(TemplatePart::column).collect::<Vec<_>>()[..] {
                [only] => vec![(*only).to_owned()],
                _ => vec![],
            },
        };
        // Columns that a map makes are not looked for in the file.
        let made: Vec<_> = topology.maps.iter().flat_map(MapConfig::makes).collect();
        let role = |mut names: Vec<String>, chosen: &Option<String>| {
            names.retain(|name| !made.contains(&name));
            Role { names, chosen: chosen.clone() }
        };
        let sheet_chosen = self.sheet.clone().filter(|_| !self.one_sheet);
        [role(x, &self.x), role(y, &self.y), role(sheet, &sheet_chosen)]
    }
}

impl UsedColumns {
    /// The columns of x and y, as far as there are any.
    pub fn coordinates(&self) -> Vec<String> {
        self.x.iter().chain(&self.y).cloned().collect()
    }
}

impl Published {
    /// The records of an upload with these columns.
    pub fn of(&self, upload: UploadRecords) -> UploadRecords {
        match (&self.kept, self.used.renamed.is_empty()) {
            (None, true) => upload,
            (kept, _) => upload.under_header(self.header.clone(), kept.clone()),
        }
    }

    /// A text of the choices that make the content another one; empty where every column is kept under its name.
    pub fn signature(&self) -> String {
        let renamed = self.used.renamed.iter().flatten().flat_map(|name| [name, "\0"]);
        let left_out = self.used.left_out.iter().flat_map(|name| ["\0", name, "\0"]);
        renamed.chain(left_out).collect()
    }
}

impl Role {
    /// Where the column is that the topology takes.
    fn in_use(&self, header: &[String]) -> Option<usize> {
        self.names.iter().find_map(|name| header.iter().position(|column| column == name))
    }
}

fn is_sheet_optional(sheet: &SheetKey) -> bool {
    let SheetKey::Template(parts) = sheet else { return false };
    parts.iter().all(|part| matches!(part, TemplatePart::Literal(_) | TemplatePart::ColumnOr(..)))
}

/// A column that could name sheets: one that names places, else the first one with few values that repeat.
fn sheet_column(table: &Table, free: impl Fn(&usize) -> bool) -> Option<usize> {
    let few = |column: &usize| {
        let mut values: Vec<&str> = table.rows.iter().filter_map(|row| row.get(*column)).map(String::as_str).collect();
        let rows = values.len();
        values.sort_unstable();
        values.dedup();
        let is_name = |value: &&str| number(value).is_none() && parse_date(value).is_none();
        let is_text = values.iter().filter(|value| !value.is_empty()).all(is_name);
        (is_text && values.len() <= SHEET_VALUES_MAX && 2 * values.len() <= rows.max(2)).then_some(values.len())
    };
    // One value for all rows sorts nothing.
    let sorts = |column: &usize| free(column) && few(column).is_some_and(|values| values > 1);
    let naming = table.naming_columns();
    let one_place = || naming.iter().copied().find(|column| free(column) && few(column).is_some());
    naming.iter().copied().find(sorts).or_else(one_place).or_else(|| (0..table.header.len()).find(sorts))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPOLOGY: &str = r#"
name = "t"
[[source]]
name = "rows"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5181", to = "EPSG:4326", x = ["X좌표", "x"], y = ["Y좌표", "y"], into = ["lon", "lat"] }
[[aggregate]]
name = "by-city"
sheet = "시군"
[[sink]]
name = "workbooks"
"#;

    fn topology() -> Topology {
        Topology::parse(TOPOLOGY, "t.toml", &|_| None).expect("a topology")
    }
    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }
    fn choose(x: &str, y: &str, sheet: &str) -> ChosenColumns {
        let chosen = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        ChosenColumns { x: chosen(x), y: chosen(y), sheet: chosen(sheet), ..ChosenColumns::default() }
    }

    #[test]
    fn chosen_columns_are_published_under_the_names_of_the_topology() {
        for (header, chosen, published) in [
            (
                ["시도", "좌표정보(X)", "좌표정보(Y)"],
                choose("좌표정보(X)", "좌표정보(Y)", "시도"),
                ["시군", "X좌표", "Y좌표"],
            ),
            (["시군", "X좌표", "Y좌표"], choose("Y좌표", "X좌표", ""), ["시군", "Y좌표", "X좌표"]),
            (["시군", "x", "y"], choose("x", "y", ""), ["시군", "x", "y"]),
            (["시군", "X좌표", "x"], choose("x", "", ""), ["시군", "X좌표_2", "X좌표"]),
            (["a", "b", "c"], ChosenColumns::default(), ["a", "b", "c"]),
        ] {
            let found = chosen.apply(&topology(), &names(&header)).expect("columns of the file");
            assert_eq!(found.header, published, "{chosen:?}");
            assert_eq!(found.used.renamed.is_empty(), header == published, "{found:?}");
            assert_eq!(found.signature().is_empty(), header == published);
        }
        let found = choose("b", "c", "a").apply(&topology(), &names(&["a", "b", "c"])).expect("columns");
        assert_eq!((found.used.coordinates(), found.used.sheet), (names(&["b", "c"]), Some("a".to_owned())));
    }

    #[test]
    fn columns_may_be_left_out_unless_they_are_used() {
        let keep = |kept: &[&str]| ChosenColumns { keep: Some(names(kept)), ..choose("b", "c", "a") };
        let header = names(&["d", "a", "b", "c"]);
        let found = keep(&["c", "b", "a"]).apply(&topology(), &header).expect("columns");
        assert_eq!(found.header, ["시군", "X좌표", "Y좌표"]);
        assert_eq!((found.used.left_out.clone(), found.kept.clone()), (names(&["d"]), Some(vec![1, 2, 3])));
        assert_ne!(found.signature(), choose("b", "c", "a").apply(&topology(), &header).expect("columns").signature());
        assert_eq!(keep(&["a", "b", "c", "d"]).apply(&topology(), &header).expect("columns").kept, None);
        let refused = keep(&["a", "b"]).apply(&topology(), &header).expect_err("c is used").to_string();
        assert!(refused.contains("\"c\" is used"), "{refused}");
    }

    #[test]
    fn no_column_names_sheets_where_that_is_chosen_and_possible() {
        let text = TOPOLOGY.replace("\"시군\"", "\"{시군|전체}\"");
        let topology = Topology::parse(&text, "t.toml", &|_| None).expect("a topology");
        let header = names(&["시군", "x", "y"]);
        let with = ChosenColumns::default().apply(&topology, &header).expect("columns");
        assert_eq!((with.used.sheet.as_deref(), with.used.sheet_is_optional), (Some("시군"), true));
        let without = ChosenColumns { one_sheet: true, ..ChosenColumns::default() };
        let without = without.apply(&topology, &header).expect("columns");
        assert_eq!((without.header, without.used.sheet), (names(&["시군_2", "x", "y"]), None));
    }

    #[test]
    fn a_column_that_is_not_there_or_chosen_twice_is_refused() {
        for chosen in [choose("b", "z", ""), choose("b", "b", ""), choose("b", "c", "b")] {
            let refused = chosen.apply(&topology(), &names(&["a", "b", "c"]));
            assert!(matches!(refused, Err(InspectError::Column(_))), "{refused:?}");
        }
    }

    #[test]
    fn what_the_file_calls_otherwise_is_found() {
        let rows: Vec<Vec<String>> =
            (0..20).map(|n| names(&[&n.to_string(), "서울", "192500.5", "450700.25"])).collect();
        let table = Table { header: names(&["번호", "시도명", "엑스좌표_값", "와이좌표_값"]), rows };
        let found = ChosenColumns::default().or_found(&topology(), &table);
        assert_eq!(found, choose("엑스좌표_값", "와이좌표_값", "시도명"));
        let dated: Vec<Vec<String>> = (0..20)
            .map(|n| names(&["2024-01-05", "영업", if n % 2 == 0 { "동" } else { "서" }, "192500.5", "450700.25"]))
            .collect();
        let table = Table {
            header: names(&["인허가일자", "상태", "구역", "좌표정보(X)", "좌표정보(Y)"]), rows: dated
        };
        let found = ChosenColumns::default().or_found(&topology(), &table);
        assert_eq!(found.sheet.as_deref(), Some("구역"), "neither days nor one value for all rows");
        let two_levels: Vec<Vec<String>> = (0..20)
            .map(|n| names(&["서울특별시", if n % 2 == 0 { "마포구" } else { "은평구" }, "192500.5", "450700.25"]))
            .collect();
        let table =
            Table { header: names(&["시도", "시군구", "엑스좌표_값", "와이좌표_값"]), rows: two_levels };
        let found = ChosenColumns::default().or_found(&topology(), &table);
        assert_eq!(found.sheet.as_deref(), Some("시군구"), "one place for all rows sorts nothing");
        let known = Table { header: names(&["시군", "x", "y"]), rows: vec![] };
        assert_eq!(ChosenColumns::default().or_found(&topology(), &known), ChosenColumns::default());
    }
}
