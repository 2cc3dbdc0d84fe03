//! Writes a topology file from the findings about a file and the choices for it: a file to begin with, with comments that give the reasons.

use super::reading::{FileFacts, Reading};
use super::table::{Suggestion, Table};
use super::used_columns::UsedColumns;
use crate::crs::ranking::{Certainty, Ranking};
use crate::page::link::map_address;
use crate::record::{ColumnType, Extras, Lang, TemplatePart};

/// Longest name of a topology.
const NAME_CHARS_MAX: usize = 40;
/// The CRS of the workbook: longitude and latitude.
const TARGET: &str = "EPSG:4326";
/// What people's files need, whatever is in their first rows; as `topology/any-file.toml` has it.
const SOURCE: &str = r#"totals = "reject"   # rows that sum up others are no rows of their own
quotes = "lenient"  # 24" Pizza
excel_text = true   # ="0012" is the text 0012
control = "strip"
long_cells = "truncate"
"#;
/// The only sheet of rows that no column sorts, in English and Korean.
const SHEET: [&str; 2] = ["rows", "자료"];

/// The facts that a topology is written from.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Name of the file.
    pub file_name: &'a str,
    /// The facts about it.
    pub file: &'a FileFacts,
    /// A person's settings for reading it.
    pub reading: Reading,
    /// Its first rows.
    pub table: &'a Table,
    /// The types of its columns.
    pub types: &'a [Option<ColumnType>],
    /// Its columns in use, by the names of the file.
    pub used: &'a UsedColumns,
    /// CRS of its coordinates, if that is known.
    pub crs: Option<&'a str>,
    /// Parts that its workbook is to have too.
    pub extras: Extras,
    /// The findings about it.
    pub suggestion: &'a Suggestion,
}

impl Draft<'_> {
    /// The text of a topology file.
    pub fn to_toml(&self) -> String {
        let lang = if self.is_korean() { Lang::Ko } else { Lang::En };
        let mut text = String::new();
        text.push_str(&format!(
            "# Written from {}: {}, {} columns.\n",
            comment(self.file_name),
            self.file.charset,
            self.file.columns.len()
        ));
        text.push_str("# What else may be said here: sheetstream schema --markdown\n");
        text.push_str(&format!("\nname = {}\n\n[[source]]\nname = \"rows\"\n", quoted(&self.name())));
        self.write_reading(&mut text);
        self.write_types(&mut text);
        text.push_str(SOURCE);
        if self.table.has_delimiters_behind() {
            text.push_str("field_count = \"pad\" # its rows end with delimiters that its header does not have\n");
        }
        self.write_coordinates(lang, &mut text);
        self.write_kept(lang, &mut text);
        if self.extras.map_link && self.has_coordinates() {
            let address = quoted(map_address(lang));
            text.push_str(&format!("\n[[map]]\nname = \"map-link\"\nmap_link = {address}\n"));
        }
        let (sheet, why) = match self.used.sheet.as_ref().zip(self.used.sheet.as_deref().and_then(sheet_of)) {
            Some((column, sheet)) => (sheet, format!("a sheet for each value of {}", comment(column))),
            None => (self.only_sheet(lang), "no column names sheets: one for all rows".to_owned()),
        };
        text.push_str(&format!("\n# {why}\n[[aggregate]]\nname = \"sheets\"\nsheet = {}\n", quoted(&sheet)));
        let lang = if lang == Lang::Ko { "ko" } else { "en" };
        let summary = if self.extras.summary { ", summary = true" } else { "" };
        text.push_str(&format!("\n[[sink]]\nname = \"workbooks\"\nworkbook = {{ lang = \"{lang}\"{summary} }}\n"));
        text
    }

    fn is_korean(&self) -> bool {
        self.file.columns.iter().any(|name| name.chars().any(|c| ('가'..='힣').contains(&c)))
    }

    /// The name of the file as a topology may be called: letters, digits and hyphens.
    fn name(&self) -> String {
        let stem = self.file_name.rsplit_once('.').map_or(self.file_name, |(stem, _)| stem);
        let plain: String =
            stem.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
        let name: String = words.join("-").chars().take(NAME_CHARS_MAX).collect();
        let name = name.trim_end_matches('-');
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            name.to_owned()
        } else {
            format!("file-{name}").trim_end_matches('-').to_owned()
        }
    }

    fn write_reading(&self, text: &mut String) {
        if let Some(charset) = self.reading.charset {
            text.push_str(&format!("encoding = {}\n", quoted(charset.encoding().name())));
        }
        if self.reading.delimiter.is_some() || self.file.delimiter != "," {
            text.push_str(&format!("delimiter = {}\n", quoted(&self.file.delimiter)));
        }
        match self.file.header_line {
            0 => {
                let names: Vec<String> = self.file.columns.iter().map(|name| quoted(name)).collect();
                text.push_str(&format!(
                    "header = [{}]   # the file has no header: name its columns here\n",
                    names.join(", ")
                ));
                if self.file.is_json() {
                    text.push_str("unknown_keys = \"reject\"   # a row with another key is an error, and not cut\n");
                }
            }
            1 => {}
            line => {
                text.push_str(&format!("skip_lines = {}   # lines above the header\n", line - 1));
            }
        }
    }

    /// Columns whose cells must not be taken for numbers, and days.
    fn write_types(&self, text: &mut String) {
        let typed = self.table.header.iter().zip(self.types).filter_map(|(name, kind)| {
            let kind = match kind.as_ref()? {
                ColumnType::Date => "date",
                ColumnType::DateTime => "datetime",
                _ => "text",
            };
            Some(format!("{} = \"{kind}\"", key(name)))
        });
        let typed: Vec<String> = typed.collect();
        if !typed.is_empty() {
            text.push_str(&format!("columns = {{ {} }}\n", typed.join(", ")));
        }
    }

    fn write_coordinates(&self, lang: Lang, text: &mut String) {
        let (Some(x), Some(y)) = (&self.used.x, &self.used.y) else { return };
        let is_one_cell = self.used.coordinates.is_one_cell();
        let ranking = self.suggestion.ranking.as_ref();
        let is_sure = ranking.is_some_and(|ranking| ranking.certainty >= Certainty::Land);
        let may_be_swapped = is_sure && !is_one_cell;
        let found = ranking.and_then(|ranking| ranking.families.first());
        let found = found.filter(|family| may_be_swapped || !family.is_swapped);
        let is_right =
            |ranking: &&Ranking| ranking.certainty == Certainty::Declared || ranking.contradicted_by.is_none();
        let named = ranking.filter(is_right).and_then(|ranking| ranking.header.clone());
        let first =
            named.or_else(|| found.and_then(|family| family.systems.first()).map(|system| system.definition.clone()));
        let from = self.crs.map(str::to_owned).or(first).unwrap_or_else(|| TARGET.to_owned());
        let into = self.into(lang);
        let by_row = self.suggestion.crs_column.as_ref().filter(|_| self.crs.is_none());
        let why = by_row.map_or_else(|| self.why(&from, ranking), |_| "a column names the CRS of each row".to_owned());
        let from = by_row.map_or_else(|| quoted(&from), |column| format!("{{ column = {} }}", quoted(&column.name)));
        let input = if is_one_cell {
            format!("{} = {}", self.used.coordinates.name(), quoted(x))
        } else {
            let is_swapped = found.is_some_and(|family| family.is_swapped);
            let (x, y) = if is_swapped { (y, x) } else { (x, y) };
            format!("x = {}, y = {}", quoted(x), quoted(y))
        };
        text.push_str(&format!(
            "\n# {why}\n[[map]]\nname = \"wgs84\"\nreproject = {{ from = {from}, to = \"{TARGET}\", {input}, notation = \"any\", into = [{into}] }}\n"
        ));
    }

    /// The names of the columns that are added.
    fn into(&self, lang: Lang) -> String {
        let wanted = if lang == Lang::Ko { ["경도", "위도"] } else { ["lon", "lat"] };
        let free = |name: &str| match self.file.columns.iter().any(|column| column == name) {
            true => format!("{name}_wgs84"),
            false => name.to_owned(),
        };
        wanted.map(|name| quoted(&free(name))).join(", ")
    }

    fn has_coordinates(&self) -> bool {
        self.used.x.is_some() && self.used.y.is_some()
    }

    /// Why this CRS.
    fn why(&self, from: &str, ranking: Option<&Ranking>) -> String {
        let Some(ranking) = ranking.filter(|ranking| ranking.points > 0) else {
            return format!(
                "{from}: nothing in the file shows the CRS of its coordinates; look at the points of a first workbook"
            );
        };
        let evidence = match ranking.certainty {
            Certainty::Declared => "its geometries or a column say so",
            Certainty::Places => "in it the points are where their rows say",
            Certainty::Header => "the names of the columns say so, and its points are on land",
            Certainty::Land => "no other system puts the points on land",
            Certainty::Ambiguous => "others fit as well: look at the points of a first workbook",
            Certainty::None => "no system puts the points on land: are these the coordinate columns?",
        };
        let alike: Vec<&str> = ranking
            .families
            .iter()
            .take(1)
            .flat_map(|family| &family.systems)
            .map(|system| system.definition.as_str())
            .filter(|other| *other != from && !other.starts_with('+'))
            .take(3)
            .collect();
        let alike = if alike.is_empty() {
            String::new()
        } else {
            format!("; {} differ by less than the evidence can show", alike.join(", "))
        };
        let contradiction = ranking.contradiction().map(|said| format!("; {said}")).unwrap_or_default();
        comment(&format!("{from}: {evidence}{alike}{contradiction}"))
    }

    /// The only sheet, by a column that the file has not.
    fn only_sheet(&self, lang: Lang) -> String {
        let sheet = SHEET[usize::from(lang == Lang::Ko)];
        let mut column = sheet.to_owned();
        while self.file.columns.contains(&column) {
            column.push('_');
        }
        format!("{{{column}|{sheet}}}")
    }

    fn write_kept(&self, lang: Lang, text: &mut String) {
        if self.used.left_out.is_empty() {
            return;
        }
        let kept = self.file.columns.iter().filter(|name| !self.used.left_out.contains(name)).map(|name| quoted(name));
        let mut kept: Vec<String> = kept.collect();
        if self.has_coordinates() {
            kept.push(self.into(lang));
        }
        text.push_str(&format!("\n[[map]]\nname = \"columns\"\nselect = [{}]\n", kept.join(", ")));
    }
}

/// A column as `sheet` names it; `None` where it cannot.
fn sheet_of(column: &str) -> Option<String> {
    match (column.contains(['{', '}']), column.contains('|')) {
        (false, _) => Some(column.to_owned()),
        (true, false) => Some(TemplatePart::Column(column.into()).to_string()),
        (true, true) => None,
    }
}

/// A text as a value of the file, in which `${` begins a variable.
fn quoted(text: &str) -> String {
    key(&text.replace("${", "$${"))
}

/// A TOML basic string: JSON's escapes are among its own.
fn key(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Text fit for a comment.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::types::shown_types;
    use crate::source::HeaderFrom;
    use crate::topology::Topology;

    fn facts(charset: &str, delimiter: &str, header_line: u32, columns: &[String]) -> FileFacts {
        FileFacts {
            charset: charset.to_owned(),
            delimiter: delimiter.to_owned(),
            header_line,
            columns: columns.to_vec(),
            book: None,
            archive: None,
            bytes: 1,
            lines: vec![],
            notes: vec![],
        }
    }

    fn table() -> Table {
        let header = ["관리번호", "구", "개방일자", "x", "경도"].map(str::to_owned).to_vec();
        let rows = (0..9).map(|n| {
            vec![format!("00{n}"), "마포구".to_owned(), "2024-01-05".to_owned(), "1".to_owned(), "2".to_owned()]
        });
        Table { rows: rows.collect(), header, crs: None }
    }

    #[test]
    fn a_draft_is_a_topology() {
        let table = table();
        let file = facts("EUC-KR", ";", 3, &table.header);
        let used = UsedColumns {
            x: Some("x".to_owned()),
            y: Some("경도".to_owned()),
            sheet: Some("구".to_owned()),
            ..UsedColumns::default()
        };
        let suggestion = Suggestion { columns: None, ranking: None, crs_column: None };
        let draft = Draft {
            file_name: "서울 Parks (2024).csv",
            file: &file,
            reading: Reading::default(),
            table: &table,
            types: &shown_types(&table),
            used: &used,
            crs: Some("EPSG:5181"),
            extras: Extras::default(),
            suggestion: &suggestion,
        };
        let text = draft.to_toml();
        let topology =
            Topology::parse(&text, "draft.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert_eq!(
            (&*topology.name, topology.source.delimiter, topology.source.skip_lines),
            ("parks-2024", Some(b';'), 2)
        );
        assert!(text.contains("\"관리번호\" = \"text\", \"개방일자\" = \"date\""), "{text}");
        assert!(text.contains("into = [\"경도_wgs84\", \"위도\"]"), "{text}");
        assert_eq!(topology.aggregate.sheet.to_string(), "구");
        assert!(topology.source.lenient_quotes && topology.source.excel_text && topology.source.strip_control);

        let used_x_y = used.clone();
        let used = UsedColumns { left_out: vec!["개방일자".to_owned()], ..UsedColumns::default() };
        let file = FileFacts { header_line: 0, ..file.clone() };
        let asked = Extras { summary: true, map_link: true };
        let text = Draft { used: &used, file: &file, file_name: "2024.csv", extras: asked, ..draft }.to_toml();
        let topology =
            Topology::parse(&text, "draft.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert_eq!((&*topology.name, topology.aggregate.sheet.to_string().as_str()), ("file-2024", "{자료|자료}"));
        assert!(topology.sink.workbook.summary && !text.contains("map_link"), "there is no place to link to: {text}");

        let used = UsedColumns { left_out: vec!["개방일자".to_owned()], ..used_x_y };
        let text = Draft { used: &used, extras: asked, ..draft }.to_toml();
        let topology =
            Topology::parse(&text, "draft.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert!(text.contains("\"경도_wgs84\", \"위도\"]\n"), "what is added is kept: {text}");
        assert_eq!(topology.about().links, ["map.kakao.com"]);
    }

    #[test]
    fn names_of_columns_mean_nothing_but_themselves() {
        let header = ["자료", "자료_", "시도{b}", "a|{c}", "x${A}", "$${A}"].map(str::to_owned).to_vec();
        let row = ["1", "2", "3", "4", "001", "2024-01-05"].map(str::to_owned).to_vec();
        let table = Table { header: header.clone(), rows: vec![row], crs: None };
        let file = facts("UTF-8", ",", 0, &header);
        for (column, expected) in [
            (None, "{자료__|자료}"),
            (Some("시도{b}"), "시도{b}"),
            (Some("a|{c}"), "{자료__|자료}"),
            (Some("x${A}"), "x${A}"),
        ] {
            let used = UsedColumns {
                sheet: column.map(str::to_owned),
                left_out: vec!["자료".to_owned()],
                ..UsedColumns::default()
            };
            let draft = Draft {
                file_name: "a.json",
                file: &file,
                reading: Reading::default(),
                table: &table,
                types: &shown_types(&table),
                used: &used,
                crs: None,
                extras: Extras::default(),
                suggestion: &Suggestion { columns: None, ranking: None, crs_column: None },
            };
            let text = draft.to_toml();
            let topology =
                Topology::parse(&text, "draft.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            assert_eq!(topology.aggregate.sheet.to_string(), expected);
            assert_eq!(topology.source.header, HeaderFrom::Declared(header.clone().into()));
            assert!(topology.source.columns.contains_key("x${A}") && topology.source.columns.contains_key("$${A}"));
            assert!(!topology.source.ignores_unknown_keys, "a key that comes late is an error");
        }
    }
}
