//! The hash of a topology: SHA-256 over a canonical text of everything that shapes a workbook. Each structure is taken apart field by field,
//! so that a new field does not compile until somebody decides whether it counts.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Topology, words};
use crate::aggregate::{AggregateConfig, SheetKey};
use crate::map::CoordinateInput;
use crate::map::expression::Expression;
use crate::map::{
    CastColumn, CastConfig, ComputeConfig, FilterConfig, LinkConfig, MapConfig, ReprojectConfig, SelectConfig,
    Selection,
};
use crate::page::PAGE_FORMAT;
use crate::page::forms::CellForm;
use crate::record::TemplatePart;
use crate::sink::{SinkConfig, WorkbookConfig};
use crate::source::{HeaderFrom, Placement, SourceConfig};
use crate::state::keys::STATE_FORMAT;

/// The first 16 hex digits.
pub(super) fn hash(topology: &Topology) -> Arc<str> {
    let digest = Sha256::digest(canonical(topology).to_string());
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// Arrays throughout: their order is fixed, whatever the JSON library does with keys.
fn canonical(topology: &Topology) -> Value {
    // Guarantee and standbys decide how often a workbook is there, and how soon, and not what it is.
    let Topology { name, hash: _, guarantee: _, standby: _, source, maps, aggregate, sink, link: _ } = topology;
    let formats = json!([env!("CARGO_PKG_VERSION"), PAGE_FORMAT, STATE_FORMAT]);
    let maps: Vec<Value> = maps.iter().map(map).collect();
    json!([formats, name.as_ref(), self::source(source), maps, self::aggregate(aggregate), self::sink(sink)])
}

fn source(config: &SourceConfig) -> Value {
    let SourceConfig {
        node: _,
        topic: _,
        placement,
        header,
        columns,
        forms,
        upload,
        markers,
        format,
        ignores_unknown_keys,
        encoding,
        delimiter,
        exact_names,
        skip_lines,
        backslash_escapes,
        lenient_quotes,
        pad_fields,
        blank,
        rejects_totals,
        excel_text,
        strip_control,
        truncate_cells,
        on_error,
        rejected_max,
        idle_timeout: _,     // it decides whether there is a workbook, never its content
        open_uploads_max: _, // as well
        incomplete,
        eof_settle: _,      // it decides when an end is one
        clock_tolerance: _, // it decides whether there is a workbook
        needed: _,          // follows from the other nodes
    } = config;
    let header = match header {
        HeaderFrom::First => json!("first"),
        HeaderFrom::Declared(names) => json!(names.as_ref()),
    };
    let forms: Vec<_> = forms.iter().map(form).collect();
    let columns: Vec<_> = columns.iter().map(|(name, kind)| json!([name, (words::COLUMN_TYPE.word)(kind)])).collect();
    // Names of topics are those of sheets.
    let placement = match placement {
        Placement::Keyed => json!("keyed"),
        Placement::Spread(spread) => json!(["spread", spread.topics.iter().map(AsRef::as_ref).collect::<Vec<&str>>()]),
    };
    json!([
        placement,
        header,
        columns,
        forms,
        words::upload(upload),
        (words::MARKERS.word)(markers),
        (words::FORMAT.word)(format),
        ignores_unknown_keys,
        encoding.map(|charset| charset.encoding().name()),
        delimiter,
        exact_names,
        skip_lines,
        backslash_escapes,
        lenient_quotes,
        pad_fields,
        blank.as_ref(),
        rejects_totals,
        excel_text,
        strip_control,
        truncate_cells,
        (words::ON_ERROR.word)(on_error),
        rejected_max.map(|limit| limit.to_string()),
        (words::INCOMPLETE.word)(incomplete),
    ])
}

fn form((name, form): (&String, &CellForm)) -> Value {
    let CellForm { decimal_comma, thousands, angle, zone_minutes, excel_text } = form;
    json!([
        name,
        decimal_comma,
        (words::THOUSANDS.word)(thousands),
        (words::ANGLE.word)(angle),
        zone_minutes,
        excel_text
    ])
}

fn map(config: &MapConfig) -> Value {
    match config {
        MapConfig::Reproject(ReprojectConfig {
            node: _,
            crs,
            crs_column,
            input,
            into,
            decimals,
            check_area,
            allow_ballpark,
            blank_missing,
            any_notation,
            from_upload,
        }) => {
            let input = match input {
                CoordinateInput::Columns { x, y } => json!(["columns", x, y]),
                CoordinateInput::Geometry(candidates) => json!(["geometry", candidates]),
                CoordinateInput::Xy(candidates) => json!(["xy", candidates]),
                CoordinateInput::Yx(candidates) => json!(["yx", candidates]),
            };
            // The operations as well: another PROJ database may know other ones.
            let operations = crs.operations.iter().map(|operation| json!([operation.name, operation.pipeline]));
            let crs = json!([crs.from.definition, crs.to.definition, operations.collect::<Vec<_>>()]);
            json!([
                "reproject",
                crs,
                crs_column,
                input,
                into,
                decimals,
                check_area,
                allow_ballpark,
                blank_missing,
                any_notation,
                from_upload
            ])
        }
        MapConfig::Select(SelectConfig { node: _, selection }) => match selection {
            Selection::Keep(columns) => json!(["select", columns]),
            Selection::Rename(columns) => json!(["rename", columns]),
            Selection::Drop(names) => json!(["drop", names]),
        },
        MapConfig::Filter(FilterConfig { node: _, condition }) => json!(["filter", expression(condition)]),
        MapConfig::Compute(ComputeConfig { node: _, columns }) => {
            let columns = columns.iter().map(|(name, computed)| json!([name, expression(computed)]));
            json!(["compute", columns.collect::<Vec<_>>()])
        }
        MapConfig::Cast(CastConfig { node: _, columns }) => {
            let column = |CastColumn { name, kind, form }: &CastColumn| {
                json!([name, (words::COLUMN_TYPE.word)(kind), form.as_ref().map(|form| self::form((name, form)))])
            };
            json!(["cast", columns.iter().map(column).collect::<Vec<_>>()])
        }
        MapConfig::Link(LinkConfig { node: _, address, into, lang }) => {
            json!(["map_link", address.iter().map(template_part).collect::<Vec<_>>(), into, (words::LANG.word)(lang)])
        }
    }
}

/// Its text, and the columns as they are looked for; their types are those of the nodes before it.
fn expression(expression: &Expression) -> Value {
    json!([expression.text(), expression.columns().collect::<Vec<_>>()])
}

fn aggregate(config: &AggregateConfig) -> Value {
    let AggregateConfig { node: _, sheet, sheet_order, sheets_max } = config;
    let sheet = match sheet {
        SheetKey::Topic => json!([["topic"]]),
        SheetKey::Column(column) => json!([["column", column]]),
        SheetKey::Template(parts) => parts.iter().map(template_part).collect(),
    };
    json!([sheet, (words::SHEET_ORDER.word)(sheet_order), sheets_max])
}

fn template_part(part: &TemplatePart) -> Value {
    match part {
        TemplatePart::Literal(text) => json!(["literal", text]),
        TemplatePart::Column(column) => json!(["column", column]),
        TemplatePart::ColumnOr(column, text) => json!(["column_or", column, text]),
    }
}

fn sink(config: &SinkConfig) -> Value {
    let SinkConfig {
        node: _,
        topic: _,
        partitions: _,
        record_bytes_max: _,
        status_topic: _,
        dead_letter_topic: _,
        workbook,
    } = config;
    let WorkbookConfig { freeze_header, autofilter, cell_refs, about, summary, summary_numbers, lang } = workbook;
    let summary = summary.then_some(summary_numbers);
    json!([freeze_header, autofilter, cell_refs, about, summary, (words::LANG.word)(lang)])
}
