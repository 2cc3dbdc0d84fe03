//! Columns that a person chooses for one file: which of them hold x, y and the name of the sheet, where the topology has other names for them.
//! The chosen ones are published under the topology's names. So the choice is part of the content: it is in the log, in the workbook, and in
//! the id of the upload.

use serde::Serialize;

use super::problem::Problem;
use super::suggest::Table;
use crate::aggregate::{SheetKey, TemplatePart};
use crate::crs::columns::coordinate_columns;
use crate::map::CoordinateInput;
use crate::map::MapConfig;
use crate::topology::Topology;

/// Different values that a column has at most to be a sheet for each.
const SHEET_VALUES_MAX: usize = 40;

/// What a request says, by the names of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChosenColumns {
    /// Column of x (east).
    pub x: Option<String>,
    /// Column of y (north).
    pub y: Option<String>,
    /// Column that names the sheet of a row.
    pub sheet: Option<String>,
}

/// The columns in use, by the names of the file; null where there is none.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct UsedColumns {
    x: Option<String>,
    y: Option<String>,
    sheet: Option<String>,
    /// Columns that are published under another name: theirs, and the topology's.
    renamed: Vec<[String; 2]>,
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
        if lacks(&sheet) {
            let taken = [&chosen.x, &chosen.y];
            let free = |column: &usize| !taken.contains(&&Some(table.header[*column].clone()));
            chosen.sheet = sheet_column(table, free).map(|column| table.header[column].clone());
        }
        chosen
    }

    /// The header under which the file is published, and the columns that are used.
    ///
    /// # Errors
    /// The file has no column of a name that was chosen, or one column was chosen twice.
    pub fn apply(&self, topology: &Topology, header: &[String]) -> Result<(Vec<String>, UsedColumns), Problem> {
        let roles = self.roles(topology);
        let mut places: Vec<(usize, &str)> = Vec::new();
        for role in &roles {
            let (Some(chosen), Some(name)) = (&role.chosen, role.names.first()) else { continue };
            let place = header.iter().position(|column| column == chosen).ok_or_else(|| {
                Problem::bad_request("column", format!("the file has no column \"{chosen}\"")).in_field("columns")
            })?;
            if places.iter().any(|(taken, _)| *taken == place) {
                let detail = format!("the column \"{chosen}\" is chosen twice");
                return Err(Problem::bad_request("column", detail).in_field("columns"));
            }
            if role.in_use(header) != Some(place) {
                places.push((place, name));
            }
        }
        let mut published = header.to_vec();
        for (place, name) in &places {
            published[*place] = (*name).to_owned();
        }
        // A column that had the name gives way.
        for (place, column) in header.iter().enumerate() {
            let gives_way = places.iter().any(|(taken, name)| *taken != place && name == column);
            if gives_way && !places.iter().any(|(taken, _)| *taken == place) {
                let free = (2..).map(|n| format!("{column}_{n}")).find(|name| !published.contains(name));
                published[place] = free.unwrap_or_default();
            }
        }
        let renamed = header.iter().zip(&published).filter(|(old, new)| old != new);
        let renamed = renamed.map(|(old, new)| [old.clone(), new.clone()]).collect();
        let [x, y, sheet] = roles.map(|role| role.in_use(&published).map(|place| header[place].clone()));
        Ok((published, UsedColumns { x, y, sheet, renamed }))
    }

    fn roles(&self, topology: &Topology) -> [Role; 3] {
        let input = topology.maps.iter().find_map(|map| match map {
            MapConfig::Reproject(map) => Some(&map.input),
            MapConfig::Select(_) => None,
        });
        let (x, y) = match input {
            Some(CoordinateInput::Columns { x, y }) => (x.clone(), y.clone()),
            Some(CoordinateInput::Geometry(_)) | None => (vec![], vec![]),
        };
        let sheet = match &topology.aggregate.sheet {
            SheetKey::Column(column) => vec![column.clone()],
            SheetKey::Template(parts) => match &parts.iter().filter_map(column_of).collect::<Vec<_>>()[..] {
                [only] => vec![(*only).clone()],
                _ => vec![],
            },
        };
        let role = |names, chosen: &Option<String>| Role { names, chosen: chosen.clone() };
        [role(x, &self.x), role(y, &self.y), role(sheet, &self.sheet)]
    }
}

impl UsedColumns {
    /// The columns of x and y, as far as there are any.
    pub fn coordinates(&self) -> Vec<String> {
        self.x.iter().chain(&self.y).cloned().collect()
    }

    /// What makes the content another one: nothing where every column keeps its name.
    pub fn signature(&self) -> String {
        self.renamed.iter().flatten().flat_map(|name| [name, "\0"]).collect()
    }
}

impl Role {
    /// Where the column is that the topology takes.
    fn in_use(&self, header: &[String]) -> Option<usize> {
        self.names.iter().find_map(|name| header.iter().position(|column| column == name))
    }
}

fn column_of(part: &TemplatePart) -> Option<&String> {
    match part {
        TemplatePart::Column(column) => Some(column),
        TemplatePart::Literal(_) => None,
    }
}

/// A column that could name sheets: one that names places, else the first one with few values that repeat.
fn sheet_column(table: &Table, free: impl Fn(&usize) -> bool) -> Option<usize> {
    let few = |column: &usize| {
        let mut values: Vec<&str> = table.rows.iter().filter_map(|row| row.get(*column)).map(String::as_str).collect();
        let rows = values.len();
        values.sort_unstable();
        values.dedup();
        let is_text = values.iter().all(|value| crate::crs::columns::number(value).is_none());
        is_text && values.len() <= SHEET_VALUES_MAX && 2 * values.len() <= rows.max(2)
    };
    let naming = table.naming_columns().into_iter().find(|column| free(column) && few(column));
    naming.or_else(|| (0..table.header.len()).find(|column| free(column) && few(column)))
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
        ChosenColumns { x: chosen(x), y: chosen(y), sheet: chosen(sheet) }
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
            let (found, used) = chosen.apply(&topology(), &names(&header)).expect("columns of the file");
            assert_eq!(found, published, "{chosen:?}");
            assert_eq!(used.renamed.is_empty(), header == published, "{used:?}");
            assert_eq!(used.signature().is_empty(), header == published);
        }
        let (_, used) = choose("b", "c", "a").apply(&topology(), &names(&["a", "b", "c"])).expect("columns");
        assert_eq!((used.coordinates(), used.sheet), (names(&["b", "c"]), Some("a".to_owned())));
    }

    #[test]
    fn a_column_that_is_not_there_or_chosen_twice_is_refused() {
        for chosen in [choose("b", "z", ""), choose("b", "b", ""), choose("b", "c", "b")] {
            let problem = chosen.apply(&topology(), &names(&["a", "b", "c"])).expect_err("no such choice");
            assert_eq!((problem.kind, problem.field), ("column", Some("columns")));
        }
    }

    #[test]
    fn what_the_file_calls_otherwise_is_found() {
        let rows: Vec<Vec<String>> =
            (0..20).map(|n| names(&[&n.to_string(), "서울", "192500.5", "450700.25"])).collect();
        let table = Table { header: names(&["번호", "시도명", "엑스좌표_값", "와이좌표_값"]), rows };
        let found = ChosenColumns::default().or_found(&topology(), &table);
        assert_eq!(found, choose("엑스좌표_값", "와이좌표_값", "시도명"));
        let known = Table { header: names(&["시군", "x", "y"]), rows: vec![] };
        assert_eq!(ChosenColumns::default().or_found(&topology(), &known), ChosenColumns::default());
    }
}
