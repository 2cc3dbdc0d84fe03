//! The facts that `describe` lists of a source.

use std::fmt;

use super::describe::{Fact, fact};
use super::words;
use crate::page::forms::{Angle, CellForm, Thousands};
use crate::source::{Format, HeaderFrom, Markers, OnError, Placement, SourceConfig, UploadFrom, list_names};

impl SourceConfig {
    pub(super) fn order(&self) -> &'static str {
        match self.placement {
            Placement::Keyed => "the rows of a sheet follow ss-row, else their place in the log",
            Placement::Spread(_) => {
                "the rows of a sheet follow ss-row; else rows of one partition follow its order, and others their timestamp, then the partition"
            }
        }
    }

    pub(super) fn parallel(&self) -> &'static str {
        match self.placement {
            Placement::Keyed => "one task for each partition of the source topic; an upload lives in one partition",
            Placement::Spread(_) => {
                "one task for each partition of the source topics, which passes records on, and one for each of the repartition topic, in one of which an upload lives"
            }
        }
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let header = match &self.header {
            HeaderFrom::First => "the first row of each upload".to_owned(),
            HeaderFrom::Declared(names) => names.join(", "),
        };
        let written = |name: &String| self.forms.get(name).map_or_else(String::new, CellForm::to_string);
        let typed = self
            .columns
            .iter()
            .map(|(name, kind)| format!("{name} {}{}", (words::COLUMN_TYPE.word)(kind), written(name)));
        let typed = typed.chain(["auto for all others".to_owned()]).collect::<Vec<_>>().join(", ");
        let upload = match &self.upload {
            UploadFrom::Auto => "header ss-upload, else the key, else the partition".to_owned(),
            UploadFrom::Key => "the key".to_owned(),
            UploadFrom::Header(name) => format!("header {name}"),
            UploadFrom::Partition => "the partition".to_owned(),
        };
        let markers = match self.markers {
            Markers::All => "headers and text",
            Markers::Headers => "headers only",
        };
        let delimiter = match self.delimiter {
            Some(delimiter) => format!("delimiter {:?}", char::from(delimiter)),
            None => "delimiter \",\" on the topic and as found in files".to_owned(),
        };
        let encoding = self.encoding.map_or(String::new(), |charset| format!("charset {charset}, "));
        let skipped = match self.skip_lines {
            0 => String::new(),
            lines => format!(", {lines} lines skipped above the header"),
        };
        let blank = if self.blank.is_empty() {
            String::new()
        } else {
            format!(", {} for no value", list_names(self.blank.iter()))
        };
        let totals = if self.rejects_totals { ", totals rejected" } else { "" };
        let excel = if self.excel_text { ", =\"text\" is text" } else { "" };
        let escapes = if self.backslash_escapes { ", backslash escapes" } else { "" };
        let form = format!(
            "{encoding}{delimiter}{escapes}, names {}, quotes {}, field count {}, control characters {}, long cells {}{excel}{blank}{totals}{skipped}",
            (words::EXACT_NAMES.word)(&self.exact_names),
            (words::LENIENT_QUOTES.word)(&self.lenient_quotes),
            (words::PAD_FIELDS.word)(&self.pad_fields),
            (words::STRIP_CONTROL.word)(&self.strip_control),
            (words::TRUNCATE_CELLS.word)(&self.truncate_cells),
        );
        let unknown = (words::UNKNOWN_KEYS.word)(&self.ignores_unknown_keys);
        let written = match self.format {
            Format::Auto => format!("JSON where a value is JSON, else CSV; unknown keys of JSON: {unknown}"),
            Format::Csv => "CSV".to_owned(),
            Format::Json => format!("JSON; unknown keys: {unknown}"),
        };
        let on_error = match self.on_error {
            OnError::Continue => "goes to the dead letters, the upload continues",
            OnError::Fail => "fails its upload",
        };
        let mut facts = match &self.placement {
            Placement::Keyed => vec![],
            Placement::Spread(spread) => {
                let through = format!("rows anywhere; through the topic {}, by upload id", spread.repartition_topic);
                vec![fact("placement", through)]
            }
        };
        facts.extend([
            fact("header", header),
            fact("column types", typed),
            fact("upload id", upload),
            fact("markers", markers),
            fact("format", written),
            fact("csv", form),
            fact("a bad row", on_error),
            fact(
                "rejected rows",
                self.rejected_max.map_or("any number of them".to_owned(), |limit| {
                    format!("{limit} at most; more fail their upload")
                }),
            ),
        ]);
        facts
    }
}

impl fmt::Display for CellForm {
    /// The text behind the type of a column: ` (decimal comma, zone +09:00)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = |minutes: i32| {
            format!("zone {}{:02}:{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60)
        };
        let said = [
            self.decimal_comma.then(|| "decimal comma".to_owned()),
            (self.thousands != Thousands::None)
                .then(|| format!("thousands {}", (words::THOUSANDS.word)(&self.thousands))),
            (self.angle == Angle::Dms).then(|| "degrees, minutes and seconds".to_owned()),
            (self.angle == Angle::Packed).then(|| "degrees, minutes and seconds without separators".to_owned()),
            self.zone_minutes.map(zone),
            self.excel_text.then(|| "=\"text\" is text".to_owned()),
        ];
        write!(f, " ({})", said.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}
