//! What a topology file says, key by key: types and choices are checked here, meaning in `compile.rs`. Every name and text keeps its place in
//! the file.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Fields, Reader};
use super::words;
use crate::aggregate::SheetOrder;
use crate::page::styles::DECIMALS_MAX;
use crate::record::ColumnType;
use crate::sink::{Lang, WorkbookConfig};
use crate::source::{Incomplete, Markers, OnError};

/// A topology file. What could not be read is `None` and has been found wrong already.
pub(super) struct TopologySpec {
    /// Application id.
    pub name: Option<Spanned<String>>,
    /// Nodes in the order of the file.
    pub nodes: Vec<NodeSpec>,
}

/// One node.
pub(super) struct NodeSpec {
    /// Where its table begins.
    pub span: Range<usize>,
    /// Its name.
    pub name: Option<Spanned<String>>,
    /// Its parent, if the file names one.
    pub input: Option<Spanned<String>>,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
pub(super) enum NodeKind {
    /// `[[source]]`
    Source(SourceSpec),
    /// `[[map]]` with `reproject`
    Reproject(ReprojectSpec),
    /// `[[map]]` with `select`
    Select(Vec<SelectedColumn>),
    /// A `[[map]]` that could not be read.
    UnknownMap,
    /// `[[aggregate]]`
    Aggregate(AggregateSpec),
    /// `[[sink]]`
    Sink(SinkSpec),
}

/// `[[source]]`
pub(super) struct SourceSpec {
    pub topic: Option<Spanned<String>>,
    pub header: Option<HeaderSpec>,
    pub columns: Vec<(Spanned<String>, ColumnType)>,
    pub upload: Option<Spanned<String>>,
    pub markers: Markers,
    pub delimiter: Option<Spanned<String>>,
    pub lenient_quotes: bool,
    pub pad_fields: bool,
    pub strip_control: bool,
    pub truncate_cells: bool,
    pub on_error: OnError,
    pub idle_timeout: Option<Duration>,
    pub incomplete: Incomplete,
}

/// `header = "first"` or `header = ["a", "b"]`
pub(super) enum HeaderSpec {
    First,
    Declared(Vec<Spanned<String>>),
}

/// `reproject = { .. }`
pub(super) struct ReprojectSpec {
    pub span: Range<usize>,
    pub from: Option<Spanned<String>>,
    pub to: Option<Spanned<String>>,
    pub input: Option<CoordinateSpec>,
    pub into: Option<Spanned<Vec<Spanned<String>>>>,
    pub decimals: Option<u8>,
    pub allow_ballpark: bool,
    pub check_area: bool,
}

/// Where `reproject` finds its coordinates; each a list of candidates.
pub(super) enum CoordinateSpec {
    Columns { x: Vec<Spanned<String>>, y: Vec<Spanned<String>> },
    Geometry(Vec<Spanned<String>>),
}

/// One column of `select = [..]`
pub(super) struct SelectedColumn {
    pub from: Spanned<String>,
    pub name: Spanned<String>,
}

/// `[[aggregate]]`
pub(super) struct AggregateSpec {
    pub sheet: Option<Spanned<String>>,
    pub sheet_order: SheetOrder,
    pub sheets_max: Option<u32>,
}

/// `[[sink]]`
pub(super) struct SinkSpec {
    pub topic: Option<Spanned<String>>,
    pub partitions: Option<i32>,
    pub record_bytes_max: Option<usize>,
    pub workbook: WorkbookConfig,
    pub status_topic: Option<Spanned<String>>,
    pub dead_letter_topic: Option<Spanned<String>>,
}

/// Reads a whole file.
pub(super) fn read<'t>(reader: &mut Reader<'_>, file: &'t DeTable<'t>) -> TopologySpec {
    reader.table("the topology", 0..0, file, |reader, fields| {
        let name = fields.need_text(reader, "name");
        let mut nodes = Vec::new();
        read_nodes(reader, fields, "source", &mut nodes, |r, f| NodeKind::Source(read_source(r, f)));
        read_nodes(reader, fields, "map", &mut nodes, read_map);
        read_nodes(reader, fields, "aggregate", &mut nodes, |r, f| NodeKind::Aggregate(read_aggregate(r, f)));
        read_nodes(reader, fields, "sink", &mut nodes, |r, f| NodeKind::Sink(read_sink(r, f)));
        nodes.sort_by_key(|node| node.span.start);
        TopologySpec { name, nodes }
    })
}

/// Reads the tables `[[kind]]`.
fn read_nodes<'t>(
    reader: &mut Reader<'_>,
    fields: &mut Fields<'t>,
    kind: &'static str,
    nodes: &mut Vec<NodeSpec>,
    read: impl Fn(&mut Reader<'_>, &mut Fields<'t>) -> NodeKind,
) {
    let Some(value) = fields.get(kind) else { return };
    let Some(items) = value.get_ref().as_array() else {
        return reader.wrong_type(kind, &format!("an array of tables; write [[{kind}]]"), value);
    };
    for item in items.iter() {
        let Some(table) = item.get_ref().as_table() else {
            reader.wrong_type(kind, &format!("an array of tables; write [[{kind}]]"), item);
            continue;
        };
        nodes.push(reader.table(&format!("[[{kind}]]"), item.span(), table, |reader, fields| NodeSpec {
            span: item.span(),
            name: fields.need_text(reader, "name"),
            input: fields.text(reader, "input"),
            kind: read(reader, fields),
        }));
    }
}

fn read_source(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> SourceSpec {
    SourceSpec {
        topic: fields.text(reader, "topic"),
        header: fields.get("header").and_then(|value| read_header(reader, value)),
        columns: fields.get("columns").map_or_else(Vec::new, |value| read_column_types(reader, value)),
        upload: fields.text(reader, "upload"),
        markers: fields.choice(reader, "markers", &words::MARKERS, Markers::All),
        delimiter: fields.text(reader, "delimiter"),
        lenient_quotes: fields.choice(reader, "quotes", &words::LENIENT_QUOTES, false),
        pad_fields: fields.choice(reader, "field_count", &words::PAD_FIELDS, false),
        strip_control: fields.choice(reader, "control", &words::STRIP_CONTROL, false),
        truncate_cells: fields.choice(reader, "long_cells", &words::TRUNCATE_CELLS, false),
        on_error: fields.choice(reader, "on_error", &words::ON_ERROR, OnError::Continue),
        idle_timeout: fields.text(reader, "idle_timeout").and_then(|text| read_duration(reader, &text)),
        incomplete: fields.choice(reader, "incomplete", &words::INCOMPLETE, Incomplete::Hold),
    }
}

fn read_header(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<HeaderSpec> {
    if value.get_ref().is_array() {
        return reader.texts("header", value).map(HeaderSpec::Declared);
    }
    if value.get_ref().is_str() {
        return reader.choice("header", value, &words::HEADER).map(|()| HeaderSpec::First);
    }
    reader.wrong_type("header", "\"first\" or a list of column names", value);
    None
}

fn read_column_types(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Vec<(Spanned<String>, ColumnType)> {
    let Some(table) = value.get_ref().as_table() else {
        reader.wrong_type("columns", "a table, such as { zip = \"text\" }", value);
        return Vec::new();
    };
    let read = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name = Spanned::new(key.span(), AsRef::<str>::as_ref(key.get_ref()).to_owned());
        let column_type = reader.choice(name.get_ref(), value, &words::COLUMN_TYPE)?;
        Some((name, column_type))
    };
    table.iter().filter_map(read).collect()
}

/// `"24h"`: a whole number and its unit, `ms`, `s`, `m`, `h` or `d`; above zero, a year at most.
fn read_duration(reader: &mut Reader<'_>, text: &Spanned<String>) -> Option<Duration> {
    const LONGEST_MS: u64 = 365 * 86_400_000;
    let written = text.get_ref();
    let (number, unit) = written.split_at(written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len()));
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let length_ms = number.parse::<u64>().ok().zip(unit_ms).and_then(|(number, unit)| number.checked_mul(unit));
    let length_ms = length_ms.filter(|length| (1..=LONGEST_MS).contains(length));
    if length_ms.is_none() {
        let why = "it is a whole number above 0 and its unit ms, s, m, h or d, such as \"24h\"; a year at most";
        reader.findings.add(text.span(), format!("\"{written}\" is not a length of time"), why);
    }
    length_ms.map(Duration::from_millis)
}

fn read_map(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> NodeKind {
    match (fields.get("reproject"), fields.get("select")) {
        (Some(_), Some(select)) => {
            reader.findings.add(select.span(), "a [[map]] does one thing", "give \"select\" a [[map]] of its own");
            NodeKind::UnknownMap
        }
        (Some(reproject), None) => read_reproject(reader, reproject).map_or(NodeKind::UnknownMap, NodeKind::Reproject),
        (None, Some(select)) => read_select(reader, select).map_or(NodeKind::UnknownMap, NodeKind::Select),
        (None, None) => {
            fields.need_because("reproject", "a [[map]] does one of \"reproject\" and \"select\"");
            NodeKind::UnknownMap
        }
    }
}

fn read_reproject(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<ReprojectSpec> {
    let Some(table) = value.get_ref().as_table() else {
        reader.wrong_type("reproject", "a table, such as { from = \"EPSG:5181\", .. }", value);
        return None;
    };
    Some(reader.table("reproject", value.span(), table, |reader, fields| ReprojectSpec {
        span: value.span(),
        from: fields.need_text(reader, "from"),
        to: fields.need_text(reader, "to"),
        input: read_coordinates(reader, fields),
        into: fields.need("into").and_then(|value| Some(Spanned::new(value.span(), reader.texts("into", value)?))),
        decimals: fields.integer(reader, "decimals", 0..=DECIMALS_MAX),
        allow_ballpark: fields.boolean(reader, "allow_ballpark", false),
        check_area: fields.boolean(reader, "check_area", true),
    }))
}

fn read_coordinates(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<CoordinateSpec> {
    const FORMS: &str = "coordinates stand in the columns \"x\" and \"y\" or in the column \"geometry\"";
    match (fields.get("x"), fields.get("y"), fields.get("geometry")) {
        (Some(x), Some(y), None) => {
            let (x, y) = (reader.texts("x", x), reader.texts("y", y));
            Some(CoordinateSpec::Columns { x: x?, y: y? })
        }
        (None, None, Some(geometry)) => reader.texts("geometry", geometry).map(CoordinateSpec::Geometry),
        (_, _, Some(geometry)) => {
            reader.findings.add(geometry.span(), "\"geometry\" stands beside \"x\" or \"y\"", FORMS);
            None
        }
        (x, y, None) => {
            let missing = [("x", x), ("y", y)].into_iter().filter(|(_, value)| value.is_none());
            missing.for_each(|(key, _)| fields.need_because(key, FORMS));
            None
        }
    }
}

fn read_select(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Vec<SelectedColumn>> {
    let Some(items) = value.get_ref().as_array() else {
        reader.wrong_type("select", "a list of columns, such as [\"name\", { from = \"x\", as = \"east\" }]", value);
        return None;
    };
    if items.is_empty() {
        reader.findings.add(value.span(), "\"select\" is an empty list", "a workbook needs at least one column");
    }
    let columns: Vec<_> = items.iter().map(|item| read_selected(reader, item)).collect();
    columns.into_iter().collect::<Option<Vec<_>>>().filter(|columns| !columns.is_empty())
}

fn read_selected(reader: &mut Reader<'_>, item: &Spanned<DeValue<'_>>) -> Option<SelectedColumn> {
    if let Some(table) = item.get_ref().as_table() {
        let (from, name) = reader.table("select", item.span(), table, |reader, fields| {
            (fields.need_text(reader, "from"), fields.need_text(reader, "as"))
        });
        return Some(SelectedColumn { from: from?, name: name? });
    }
    if item.get_ref().is_str() {
        let from = reader.text("select", item)?;
        return Some(SelectedColumn { name: from.clone(), from });
    }
    reader.wrong_type("select", "a list of names and of { from = .., as = .. }", item);
    None
}

fn read_aggregate(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> AggregateSpec {
    AggregateSpec {
        sheet: fields.need_text(reader, "sheet"),
        sheet_order: fields.choice(reader, "sheet_order", &words::SHEET_ORDER, SheetOrder::First),
        sheets_max: fields.integer(reader, "sheets_max", 1..=10_000),
    }
}

fn read_sink(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> SinkSpec {
    // A larger record than 100 MiB (socket.request.max.bytes) no broker takes.
    const RECORD_BYTES: RangeInclusive<usize> = 1_024..=104_857_600;
    SinkSpec {
        topic: fields.text(reader, "topic"),
        partitions: fields.integer(reader, "partitions", 1..=10_000),
        record_bytes_max: fields.integer(reader, "record_bytes_max", RECORD_BYTES),
        workbook: read_workbook(reader, fields.get("workbook")),
        status_topic: fields.text(reader, "status_topic"),
        dead_letter_topic: fields.text(reader, "dead_letter_topic"),
    }
}

fn read_workbook(reader: &mut Reader<'_>, value: Option<&Spanned<DeValue<'_>>>) -> WorkbookConfig {
    let none = DeTable::new();
    let span = value.map_or(0..0, Spanned::span);
    let table = value.and_then(|value| {
        let table = value.get_ref().as_table();
        if table.is_none() {
            reader.wrong_type("workbook", "a table, such as { autofilter = false }", value);
        }
        table
    });
    reader.table("workbook", span, table.unwrap_or(&none), |reader, fields| WorkbookConfig {
        freeze_header: fields.boolean(reader, "freeze_header", true),
        autofilter: fields.boolean(reader, "autofilter", true),
        cell_refs: fields.boolean(reader, "cell_refs", true),
        about: fields.boolean(reader, "about", true),
        lang: fields.choice(reader, "lang", &words::LANG, Lang::En),
    })
}
