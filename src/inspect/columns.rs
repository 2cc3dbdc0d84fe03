//! Columns that a person chooses for one file: which of them hold x, y and the name of the sheet, where the topology has other names for
//! them, and which are kept. The chosen ones are published under the topology's names, and what is not kept is not published. So the choice
//! is part of the content: it is in the log, in the workbook, and in the id of the upload.

use super::InspectError;
use super::one_cell::OneCell;
use super::table::Table;
use super::used_columns::UsedColumns;
use crate::aggregate::SheetKey;
use crate::crs::columns::{coordinate_columns, number};
use crate::file::reader::CsvFile;
use crate::file::upload::UploadRecords;
use crate::map::{CoordinateInput, MapConfig};
use crate::page::cells::parse_date;
use crate::record::{CoordinateForm, TemplatePart};
use crate::source::csv::{Fields, Rows};
use crate::topology::Topology;

/// Different values that a column has at most to be a sheet for each.
const SHEET_VALUES_MAX: usize = 40;

/// A person's choices, by the names of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenColumns {
    /// Column of x (east).
    pub x: Option<String>,
    /// Column of y (north); the same as that of x where one cell holds both.
    pub y: Option<String>,
    /// How coordinates are written; `None` leaves that to be found.
    pub coordinates: Option<CoordinateForm>,
    /// Column that names the sheet of a row.
    pub sheet: Option<String>,
    /// No column does: all rows go to one sheet.
    pub one_sheet: bool,
    /// Columns that are kept; `None` keeps all that are not blank.
    pub keep: Option<Vec<String>>,
    /// Columns with neither a name nor a value, see [`blank_columns`].
    pub blank: Vec<String>,
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
        if self.coordinates.is_none() {
            chosen.find_coordinates(topology, table, lacks(&x) || lacks(&y));
        }
        if lacks(&sheet) && !self.one_sheet {
            let taken = [&chosen.x, &chosen.y];
            let free = |column: &usize| !taken.contains(&&Some(table.header[*column].clone()));
            chosen.sheet = sheet_column(table, free).map(|column| table.header[column].clone());
        }
        chosen
    }

    /// Finds the coordinates that the topology `lacks`: in two columns, in one cell, or nowhere, where rows may be without.
    fn find_coordinates(&mut self, topology: &Topology, table: &Table, lacks: bool) {
        let is_one_cell = self.x.is_some() && self.x == self.y;
        if let Some(column) = self.x.clone().filter(|_| is_one_cell) {
            // Maps in browsers copy y first.
            let found = OneCell::in_column(table, &column).map_or(CoordinateForm::Yx, |found| found.form);
            self.coordinates = Some(found);
        } else if !lacks || self.x.is_some() || self.y.is_some() {
        } else if let Some(found) = coordinate_columns(&table.header, &table.rows) {
            self.x = Some(table.header[found.x].clone());
            self.y = Some(table.header[found.y].clone());
        } else if let Some(found) = OneCell::find(table) {
            (self.x, self.coordinates) = (Some(found.column), Some(found.form));
        } else if takes_none(topology) {
            self.coordinates = Some(CoordinateForm::None);
        }
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
        let form = self.coordinates.unwrap_or_default();
        let chosen = |(at, role): &(usize, &Role)| match at {
            0 => form != CoordinateForm::None,
            1 => form == CoordinateForm::Columns,
            _ => role.chosen.is_some(),
        };
        for (_, role) in roles.iter().enumerate().filter(chosen) {
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
        // A column that had the name gives way, as does one that would be taken where none shall.
        let unwanted = [form == CoordinateForm::None, form != CoordinateForm::Columns, self.one_sheet];
        let unwanted = roles.iter().zip(unwanted).filter(|(_, is_unwanted)| *is_unwanted);
        let unwanted: Vec<&String> = unwanted.flat_map(|(role, _)| &role.names).collect();
        for (place, column) in header.iter().enumerate() {
            let is_taken = places.iter().any(|(taken, name)| *taken != place && name == column);
            let gives_way = is_taken || unwanted.contains(&column);
            if gives_way && !places.iter().any(|(taken, _)| *taken == place) {
                let free = (2..).map(|n| format!("{column}_{n}")).find(|name| !published.contains(name));
                published[place] = free.unwrap_or_default();
            }
        }
        let renamed = header.iter().zip(&published).filter(|(old, new)| old != new);
        let renamed = renamed.map(|(old, new)| [old.clone(), new.clone()]).collect();
        let takes_x_y = !roles[0].names.is_empty();
        let mut used = roles.map(|role| role.in_use(&published));
        if form.is_one_cell() {
            used[1] = used[0];
        }
        let kept = self.kept(header, &used, place_of)?;
        let names = |places: &[usize]| places.iter().map(|place| published[*place].clone()).collect::<Vec<_>>();
        let left_out = |kept: &Vec<usize>| (0..header.len()).filter(|place| !kept.contains(place)).collect::<Vec<_>>();
        let left_out = kept.as_ref().map(left_out).unwrap_or_default();
        let left_out = left_out.into_iter().map(|place| header[place].clone()).collect();
        let header_kept = kept.as_ref().map_or_else(|| published.clone(), |kept| names(kept));
        let [x, y, sheet] = used.map(|place| place.map(|place| header[place].clone()));
        let sheet_is_optional = is_sheet_optional(&topology.aggregate.sheet);
        let blank = if self.keep.is_none() { self.blank.clone() } else { Vec::new() };
        let coordinates = form;
        let used = UsedColumns { x, y, coordinates, takes_x_y, sheet, sheet_is_optional, renamed, left_out, blank };
        Ok(Published { header: header_kept, kept, used })
    }

    /// The columns that are kept, in the order of the file.
    fn kept(
        &self,
        header: &[String],
        used: &[Option<usize>; 3],
        place_of: impl Fn(&String) -> Result<usize, InspectError>,
    ) -> Result<Option<Vec<usize>>, InspectError> {
        let mut kept = match &self.keep {
            Some(keep) => keep.iter().map(place_of).collect::<Result<Vec<_>, _>>()?,
            None => (0..header.len()).filter(|place| !self.blank.contains(&header[*place])).collect(),
        };
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

impl Published {
    /// The records of an upload with these columns.
    pub fn of(&self, upload: UploadRecords) -> UploadRecords {
        let upload = upload.with_coordinates(self.used.coordinates).with_titles(&self.used.titles());
        match (&self.kept, self.used.renamed.is_empty()) {
            (None, true) => upload,
            (kept, _) => upload.under_header(self.header.clone(), kept.clone()),
        }
    }

    /// A text of the choices that make the content another one; empty where every column is kept under its name.
    pub fn signature(&self) -> String {
        let renamed = self.used.renamed.iter().flatten().flat_map(|name| [name, "\0"]);
        let left_out = self.used.left_out.iter().flat_map(|name| ["\0", name, "\0"]);
        let form = Some(self.used.coordinates).filter(|form| *form != CoordinateForm::Columns);
        renamed.chain(left_out).chain(form.map(CoordinateForm::name)).collect()
    }
}

impl Role {
    /// Where the column is that the topology takes.
    fn in_use(&self, header: &[String]) -> Option<usize> {
        self.names.iter().find_map(|name| header.iter().position(|column| column == name))
    }
}

/// Whether rows of a topology that takes coordinates may do without.
fn takes_none(topology: &Topology) -> bool {
    topology.maps.iter().filter_map(MapConfig::as_reproject).all(|map| map.blank_missing)
}

/// Columns with neither a name nor a value in all of `file`, such as separators at the ends of its lines leave behind.
///
/// # Errors
/// The file cannot be read.
pub fn blank_columns(mut file: CsvFile) -> Result<Vec<String>, InspectError> {
    let names = file.columns();
    let nameless =
        (0..names.len()).filter(|place| file.header().get(*place).is_some_and(|name| name.trim().is_empty()));
    let mut blank: Vec<usize> = nameless.collect();
    let mut fields = Fields::default();
    while !blank.is_empty()
        && let Some(block) = file.next_block()?
    {
        let mut rows = Rows::new(&block.text, file.delimiter(), Some(names.len()));
        while rows.next_row(&mut fields).is_some() {
            blank.retain(|place| *place >= fields.len() || fields.get(*place, &block.text).trim_ascii().is_empty());
        }
    }
    Ok(blank.into_iter().map(|place| names[place].clone()).collect())
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
        let name = |name: &str| Some(name.to_owned());
        assert_eq!((found.used.x, found.used.y, found.used.sheet), (name("b"), name("c"), name("a")));
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
    fn columns_with_neither_a_name_nor_a_value_are_found_in_all_of_a_file() {
        let blank = |text: &str| {
            let options = crate::file::Options::for_source(&topology().source);
            let file =
                CsvFile::from_reader(Box::new(std::io::Cursor::new(text.to_owned())), options).expect("a header");
            blank_columns(file).expect("memory can be read")
        };
        assert_eq!(blank("시군,x,y,, \na,1,2,,\nb,3,4\n"), names(&["column_4", "column_5"]));
        assert_eq!(blank(&format!("시군,x,y,,\n{}a,1,2,,here\n", "a,1,2,,\n".repeat(50_000))), names(&["column_4"]));
        assert_eq!(blank("시군,x,y,비고\na,1,2,\n"), names(&[]), "it has a name");
        let without = ChosenColumns { blank: names(&["d"]), ..choose("b", "c", "a") };
        let found = without.apply(&topology(), &names(&["a", "b", "c", "d"])).expect("columns");
        assert_eq!((found.header, found.used.left_out), (names(&["시군", "X좌표", "Y좌표"]), names(&["d"])));
    }

    #[test]
    fn coordinates_are_in_one_cell_or_nowhere_where_the_file_says_so() {
        let row = |point: &str| names(&["마포구", "나무", point]);
        let table =
            |point: &str| Table {
                header: names(&["시군", "이름", "위치"]), rows: vec![row(point); 9], crs: None
            };
        let found = ChosenColumns::default().or_found(&topology(), &table("37.5, 127.1"));
        assert_eq!((found.x.as_deref(), found.coordinates), (Some("위치"), Some(CoordinateForm::Yx)));
        let applied = found.apply(&topology(), &table("").header).expect("columns");
        assert_eq!(
            (applied.header.clone(), applied.used.y.as_deref()),
            (names(&["시군", "이름", "X좌표"]), Some("위치"))
        );
        assert!(applied.used.titles().contains_key("X좌표") && !applied.signature().is_empty());

        let none = ChosenColumns::default().or_found(&topology(), &table("새길 1"));
        assert_eq!(none.coordinates, Some(CoordinateForm::None));
        let applied = none.apply(&topology(), &names(&["시군", "x", "위치"])).expect("columns");
        assert_eq!((applied.header, applied.used.x), (names(&["시군", "x_2", "위치"]), None), "x is no coordinate");
        let needed = TOPOLOGY.replace("into", "missing = \"reject\", into");
        let needed = Topology::parse(&needed, "t.toml", &|_| None).expect("a topology");
        assert_eq!(ChosenColumns::default().or_found(&needed, &table("새길 1")).coordinates, None);
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
        let table =
            Table { header: names(&["번호", "시도명", "엑스좌표_값", "와이좌표_값"]), rows, crs: None };
        let found = ChosenColumns::default().or_found(&topology(), &table);
        assert_eq!(found, choose("엑스좌표_값", "와이좌표_값", "시도명"));
        let dated: Vec<Vec<String>> = (0..20)
            .map(|n| names(&["2024-01-05", "영업", if n % 2 == 0 { "동" } else { "서" }, "192500.5", "450700.25"]))
            .collect();
        let table = Table {
            header: names(&["인허가일자", "상태", "구역", "좌표정보(X)", "좌표정보(Y)"]),
            rows: dated,
            crs: None,
        };
        let found = ChosenColumns::default().or_found(&topology(), &table);
        assert_eq!(found.sheet.as_deref(), Some("구역"), "neither days nor one value for all rows");
        let two_levels: Vec<Vec<String>> = (0..20)
            .map(|n| names(&["서울특별시", if n % 2 == 0 { "마포구" } else { "은평구" }, "192500.5", "450700.25"]))
            .collect();
        let table =
            Table {
                header: names(&["시도", "시군구", "엑스좌표_값", "와이좌표_값"]), rows: two_levels, crs: None
            };
        let found = ChosenColumns::default().or_found(&topology(), &table);
        assert_eq!(found.sheet.as_deref(), Some("시군구"), "one place for all rows sorts nothing");
        let known = Table { header: names(&["시군", "x", "y"]), ..Table::default() };
        assert_eq!(ChosenColumns::default().or_found(&topology(), &known), ChosenColumns::default());
    }
}
