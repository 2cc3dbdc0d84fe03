//! The content of a topology file, key by key: types and choices are checked here, meaning in `compile.rs`. Every name and text keeps its
//! place in the file.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::column_types::{ColumnSpec, read_column_types};
use super::keys::NODES_MAX;
use super::maps::MapSpec;
use super::problem::nearest;
use super::reader::{Fields, Reader};
use super::table::Table;
use super::{keys, map_keys, words};
use crate::aggregate::SheetOrder;
use crate::sink::WorkbookConfig;
use crate::source::{Format, Incomplete, Markers, OnError, RejectedMax};
use crate::transport::Guarantee;

/// A topology file. A value that could not be read is `None`, and its problem is noted already.
pub(super) struct TopologySpec {
    /// Application id.
    pub name: Option<Spanned<String>>,
    /// How often an output may appear.
    pub guarantee: Option<Guarantee>,
    /// Processes behind each partition's owner.
    pub standby: Option<u32>,
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
    /// Its kind.
    pub kind: NodeKind,
}

/// The kind of a node.
pub(super) enum NodeKind {
    /// `[[source]]`
    Source(Box<SourceSpec>),
    /// `[[map]]`
    Map(MapSpec),
    /// `[[aggregate]]`
    Aggregate(AggregateSpec),
    /// `[[sink]]`
    Sink(SinkSpec),
}

/// `[[source]]`
pub(super) struct SourceSpec {
    pub topic: Option<Spanned<String>>,
    pub topics: Option<Spanned<Vec<Spanned<String>>>>,
    pub is_spread: bool,
    pub header: Option<HeaderSpec>,
    pub columns: Vec<ColumnSpec>,
    pub upload: Option<Spanned<String>>,
    pub markers: Markers,
    pub format: Format,
    pub ignores_unknown_keys: Option<bool>,
    pub encoding: Option<Spanned<String>>,
    pub delimiter: Option<Spanned<String>>,
    pub exact_names: bool,
    pub skip_lines: u32,
    pub backslash_escapes: Option<Spanned<bool>>,
    pub lenient_quotes: bool,
    pub pad_fields: bool,
    pub blank: Option<Vec<Spanned<String>>>,
    pub rejects_totals: bool,
    pub excel_text: bool,
    pub strip_control: bool,
    pub truncate_cells: bool,
    pub on_error: OnError,
    pub rejected_max: Option<RejectedMax>,
    pub idle_timeout: Option<Duration>,
    pub open_uploads_max: Option<u32>,
    pub incomplete: Incomplete,
    pub eof_settle: Option<Duration>,
    pub clock_tolerance: Option<Spanned<Duration>>,
}

/// `header = "first"` or `header = ["a", "b"]`
pub(super) enum HeaderSpec {
    First,
    Declared(Vec<Spanned<String>>),
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
    /// `summary_numbers` of it.
    pub summary_numbers: Vec<Spanned<String>>,
    pub status_topic: Option<Spanned<String>>,
    pub dead_letter_topic: Option<Spanned<String>>,
}

/// Reads a whole file.
pub(super) fn read<'t>(reader: &mut Reader<'_>, file: &'t DeTable<'t>) -> TopologySpec {
    reader.table(&keys::TOPOLOGY, 0..0, file, |reader, fields| {
        let name = fields.need_text(reader, "name");
        let guarantee = fields.choice_if_any(reader, "guarantee", &words::GUARANTEE);
        let standby = fields.integer(reader, "standby");
        let mut nodes = Vec::new();
        let mut read = |kind, keys, required, read: fn(&mut Reader<'_>, &mut Fields<'t>) -> NodeKind| {
            read_nodes(reader, fields, (kind, keys), required, &mut nodes, read);
        };
        read("source", &keys::SOURCE, Some("[[source]] says where rows come from"), |r, f| {
            NodeKind::Source(Box::new(read_source(r, f)))
        });
        read("map", &map_keys::MAP, None, |r, f| NodeKind::Map(MapSpec::read(r, f)));
        read("aggregate", &keys::AGGREGATE, Some("[[aggregate]] gathers rows in sheets"), |r, f| {
            NodeKind::Aggregate(read_aggregate(r, f))
        });
        read("sink", &keys::SINK, Some("[[sink]] says where workbooks go"), |r, f| NodeKind::Sink(read_sink(r, f)));
        nodes.sort_by_key(|node| node.span.start);
        if let Some(node) = nodes.get(NODES_MAX) {
            let what = format!("a topology of {} nodes", nodes.len());
            reader.findings.add(node.span.clone(), what, format!("it has {NODES_MAX} at most"));
        }
        nodes.truncate(NODES_MAX);
        TopologySpec { name, guarantee, standby, nodes }
    })
}

/// Reads the tables `[[kind]]`; `required` says why there must be one.
fn read_nodes<'t>(
    reader: &mut Reader<'_>,
    fields: &mut Fields<'t>,
    (kind, keys): (&'static str, &'static Table),
    required: Option<&'static str>,
    nodes: &mut Vec<NodeSpec>,
    read: fn(&mut Reader<'_>, &mut Fields<'t>) -> NodeKind,
) {
    let Some(value) = fields.get(kind) else {
        if let Some(why) = required {
            fields.need_because(kind, why);
        }
        return;
    };
    let Some(items) = value.get_ref().as_array() else {
        return reader.wrong_type(kind, &format!("an array of tables; write [[{kind}]]"), value);
    };
    if items.is_empty() {
        reader.wrong_type(kind, &format!("at least one table; write [[{kind}]]"), value);
    }
    for item in items.iter() {
        let Some(table) = item.get_ref().as_table() else {
            reader.wrong_type(kind, &format!("an array of tables; write [[{kind}]]"), item);
            continue;
        };
        nodes.push(reader.table(keys, item.span(), table, |reader, fields| NodeSpec {
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
        topics: fields
            .get("topics")
            .and_then(|value| reader.texts("topics", value).map(|topics| Spanned::new(value.span(), topics))),
        is_spread: fields.choice(reader, "placement", &words::SPREAD),
        header: fields.get("header").and_then(|value| read_header(reader, value)),
        columns: fields.get("columns").map_or_else(Vec::new, |value| read_column_types(reader, "columns", value)),
        upload: fields.text(reader, "upload"),
        markers: fields.choice(reader, "markers", &words::MARKERS),
        format: fields.choice(reader, "format", &words::FORMAT),
        ignores_unknown_keys: fields.choice_if_any(reader, "unknown_keys", &words::UNKNOWN_KEYS),
        encoding: fields.text(reader, "encoding"),
        delimiter: fields.text(reader, "delimiter"),
        exact_names: fields.choice(reader, "names", &words::EXACT_NAMES),
        skip_lines: fields.integer(reader, "skip_lines").unwrap_or_default(),
        backslash_escapes: fields
            .get("escape")
            .map(Spanned::span)
            .zip(fields.choice_if_any(reader, "escape", &words::ESCAPES))
            .map(|(span, escapes)| Spanned::new(span, escapes)),
        lenient_quotes: fields.choice(reader, "quotes", &words::LENIENT_QUOTES),
        pad_fields: fields.choice(reader, "field_count", &words::PAD_FIELDS),
        blank: fields.get("blank").and_then(|value| reader.texts("blank", value)),
        rejects_totals: fields.choice(reader, "totals", &words::TOTALS),
        excel_text: fields.boolean(reader, "excel_text"),
        strip_control: fields.choice(reader, "control", &words::STRIP_CONTROL),
        truncate_cells: fields.choice(reader, "long_cells", &words::TRUNCATE_CELLS),
        on_error: fields.choice(reader, "on_error", &words::ON_ERROR),
        rejected_max: fields.get("rejected_max").and_then(|value| read_rejected_max(reader, value)),
        idle_timeout: fields.duration(reader, "idle_timeout"),
        open_uploads_max: fields.integer(reader, "open_uploads_max"),
        incomplete: fields.choice(reader, "incomplete", &words::INCOMPLETE),
        eof_settle: fields.duration(reader, "eof_settle"),
        clock_tolerance: fields
            .get("clock_tolerance")
            .map(Spanned::span)
            .zip(fields.duration(reader, "clock_tolerance"))
            .map(|(span, length)| Spanned::new(span, length)),
    }
}

/// `rejected_max = 100` or `rejected_max = "1%"`
fn read_rejected_max(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<RejectedMax> {
    const FORMS: &str = "a whole number of rows, or a percentage such as \"1%\" or \"0.5%\"";
    let text = match value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::String(_) => reader.text("rejected_max", value)?.into_inner(),
        _ => {
            reader.wrong_type("rejected_max", FORMS, value);
            return None;
        }
    };
    let limit = text.parse();
    limit
        .map_err(|()| {
            reader.findings.add(value.span(), format!("\"rejected_max\" cannot be {text}"), format!("it is {FORMS}"))
        })
        .ok()
}

fn read_header(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<HeaderSpec> {
    if value.get_ref().is_array() {
        return reader.texts("header", value).map(HeaderSpec::Declared);
    }
    if !value.get_ref().is_str() {
        reader.wrong_type("header", "\"first\" or a list of column names", value);
        return None;
    }
    let text = reader.text("header", value)?;
    if text.get_ref() != "first" {
        let what = format!("\"header\" cannot be \"{}\"", text.get_ref());
        let near = nearest(text.get_ref(), ["first"]);
        reader.findings.add_nearest(text.span(), what, "it is \"first\" or a list of column names", near);
        return None;
    }
    Some(HeaderSpec::First)
}

fn read_aggregate(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> AggregateSpec {
    AggregateSpec {
        sheet: fields.need_text(reader, "sheet"),
        sheet_order: fields.choice(reader, "sheet_order", &words::SHEET_ORDER),
        sheets_max: fields.integer(reader, "sheets_max"),
    }
}

fn read_sink(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> SinkSpec {
    let (workbook, summary_numbers) = read_workbook(reader, fields.get("workbook"));
    SinkSpec {
        topic: fields.text(reader, "topic"),
        partitions: fields.integer(reader, "partitions"),
        record_bytes_max: fields.integer(reader, "record_bytes_max"),
        workbook,
        summary_numbers,
        status_topic: fields.text(reader, "status_topic"),
        dead_letter_topic: fields.text(reader, "dead_letter_topic"),
    }
}

/// The look of workbooks, and the columns of `summary_numbers`.
fn read_workbook(
    reader: &mut Reader<'_>,
    value: Option<&Spanned<DeValue<'_>>>,
) -> (WorkbookConfig, Vec<Spanned<String>>) {
    let none = DeTable::new();
    let span = value.map_or(0..0, Spanned::span);
    let table = value.and_then(|value| {
        let table = value.get_ref().as_table();
        if table.is_none() {
            reader.wrong_type("workbook", "a table, such as { autofilter = false }", value);
        }
        table
    });
    reader.table(&keys::WORKBOOK, span, table.unwrap_or(&none), |reader, fields| {
        let numbers = fields.get("summary_numbers").and_then(|value| reader.texts("summary_numbers", value));
        let numbers = numbers.unwrap_or_default();
        let config = WorkbookConfig {
            freeze_header: fields.boolean(reader, "freeze_header"),
            autofilter: fields.boolean(reader, "autofilter"),
            cell_refs: fields.boolean(reader, "cell_refs"),
            about: fields.boolean(reader, "about"),
            summary: fields.boolean(reader, "summary"),
            summary_numbers: numbers.iter().map(|name| name.get_ref().clone()).collect(),
            lang: fields.choice(reader, "lang", &words::LANG),
        };
        (config, numbers)
    })
}
