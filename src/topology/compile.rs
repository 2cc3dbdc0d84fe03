//! From what a file says to a [`Topology`]: the small checks of meaning that `validate`, `describe` and `run` share. A check that fails is a
//! finding, not a stop; only a file without findings becomes a topology.

use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::chain::{self, NAME_LENGTH_MAX, check_name};
use super::columns::{Columns, check_distinct};
use super::problem::{Findings, list, nearest};
use super::spec::{
    AggregateSpec, CoordinateSpec, HeaderSpec, NodeKind, NodeSpec, ReprojectSpec, SelectedColumn, SinkSpec, SourceSpec,
    TopologySpec,
};
use super::{Topology, hash, sheet};
use crate::aggregate::{AggregateConfig, SheetKey, TemplatePart};
use crate::crs::{CrsKind, CrsPair, Side};
use crate::map::reproject::CoordinateInput;
use crate::map::{MapConfig, ReprojectConfig, SelectConfig};
use crate::sink::SinkConfig;
use crate::source::{HeaderFrom, SourceConfig, UploadFrom};

/// Longest topic name that Kafka takes.
const TOPIC_LENGTH_MAX: usize = 249;
/// Columns of an Excel sheet.
const COLUMNS_MAX: usize = 16_384;
const RECORD_BYTES_MAX_DEFAULT: usize = 921_600;
const SHEETS_MAX_DEFAULT: u32 = 2_048;
const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(24 * 3_600);
const DEGREE_DECIMALS: u8 = 9;
const METRE_DECIMALS: u8 = 6;

/// The topology, if all of it could be made; it counts only when `findings` is empty.
pub(super) fn compile(spec: &TopologySpec, findings: &mut Findings) -> Option<Topology> {
    chain::check(&spec.nodes, findings);
    if let Some(name) = &spec.name {
        check_name("the name of a topology", name, NAME_LENGTH_MAX, findings);
    }
    check_topics(spec, findings);

    let name = spec.name.as_ref().map_or("", |name| name.get_ref());
    let (mut source, mut maps, mut aggregate, mut sink) = (None, Vec::new(), None, None);
    let mut columns = Columns::Open(Vec::new());
    for node in &spec.nodes {
        let node_name: Arc<str> = node.name.as_ref().map_or("", |name| name.get_ref()).into();
        match &node.kind {
            NodeKind::Source(spec) => source = compile_source(node_name, name, spec, &mut columns, findings),
            NodeKind::Reproject(spec) => maps.push(compile_reproject(node_name, spec, &mut columns, findings)),
            NodeKind::Select(spec) => maps.push(Some(compile_select(node_name, spec, &mut columns, findings))),
            NodeKind::UnknownMap => columns = Columns::Open(Vec::new()),
            NodeKind::Aggregate(spec) => aggregate = compile_aggregate(node_name, spec, &columns, findings),
            NodeKind::Sink(spec) => sink = Some(compile_sink(node_name, name, spec)),
        }
    }
    let maps = maps.into_iter().collect::<Option<Vec<MapConfig>>>()?;
    let mut topology =
        Topology { name: name.into(), hash: "".into(), source: source?, maps, aggregate: aggregate?, sink: sink? };
    topology.hash = hash::hash(&topology);
    Some(topology)
}

/// Topics are legal names and four different ones: a topology that read what it writes would never end.
fn check_topics(spec: &TopologySpec, findings: &mut Findings) {
    let Some(app) = &spec.name else { return };
    let mut seen: Vec<(String, &'static str)> = Vec::new();
    let mut check = |node: &NodeSpec, key: &'static str, topic: &Option<Spanned<String>>, default: &str| {
        let (span, topic) = match topic {
            Some(topic) => {
                check_name("a topic", topic, TOPIC_LENGTH_MAX, findings);
                (topic.span(), topic.get_ref().clone())
            }
            None => (node.span.clone(), format!("{}.{default}", app.get_ref())),
        };
        if let Some((_, other)) = seen.iter().find(|(other, _)| *other == topic) {
            let why = "rows, workbooks, status and dead letters each need a topic of their own";
            findings.add(span, format!("{key} is the topic \"{topic}\", and so is {other}"), why);
        }
        seen.push((topic, key));
    };
    for node in &spec.nodes {
        match &node.kind {
            NodeKind::Source(source) => check(node, "\"topic\" of the source", &source.topic, "rows"),
            NodeKind::Sink(sink) => {
                check(node, "\"topic\" of the sink", &sink.topic, "workbooks");
                check(node, "\"status_topic\"", &sink.status_topic, "status");
                check(node, "\"dead_letter_topic\"", &sink.dead_letter_topic, "dead-letters");
            }
            NodeKind::Reproject(_) | NodeKind::Select(_) | NodeKind::UnknownMap | NodeKind::Aggregate(_) => {}
        }
    }
}

/// The topic a file names, else `<app>.<suffix>`.
fn topic(written: &Option<Spanned<String>>, app: &str, suffix: &str) -> Arc<str> {
    written.as_ref().map_or_else(|| format!("{app}.{suffix}").into(), |topic| topic.get_ref().as_str().into())
}

fn compile_source(
    node: Arc<str>,
    app: &str,
    spec: &SourceSpec,
    columns: &mut Columns,
    findings: &mut Findings,
) -> Option<SourceConfig> {
    let header = match &spec.header {
        None | Some(HeaderSpec::First) => HeaderFrom::First,
        Some(HeaderSpec::Declared(names)) => {
            check_header(names, findings);
            let names: Vec<String> = names.iter().map(|name| name.get_ref().clone()).collect();
            *columns = Columns::Known(names.clone());
            HeaderFrom::Declared(names.into())
        }
    };
    for (name, _) in &spec.columns {
        columns.check("columns", std::slice::from_ref(name), findings);
    }
    Some(SourceConfig {
        node,
        topic: topic(&spec.topic, app, "rows"),
        header,
        columns: spec.columns.iter().map(|(name, kind)| (name.get_ref().clone(), *kind)).collect(),
        upload: spec.upload.as_ref().map_or(Some(UploadFrom::Auto), |upload| compile_upload(upload, findings))?,
        markers: spec.markers,
        delimiter: spec.delimiter.as_ref().map_or(Some(b','), |text| compile_delimiter(text, findings))?,
        lenient_quotes: spec.lenient_quotes,
        pad_fields: spec.pad_fields,
        strip_control: spec.strip_control,
        truncate_cells: spec.truncate_cells,
        on_error: spec.on_error,
        idle_timeout: spec.idle_timeout.unwrap_or(IDLE_TIMEOUT_DEFAULT),
        incomplete: spec.incomplete,
    })
}

fn check_header(names: &[Spanned<String>], findings: &mut Findings) {
    check_distinct("header", &names.iter().collect::<Vec<_>>(), findings);
    if let Some(name) = names.get(COLUMNS_MAX) {
        findings.add(
            name.span(),
            format!("\"header\" has {} columns", names.len()),
            "a sheet of Excel has 16384 at most",
        );
    }
}

fn compile_upload(text: &Spanned<String>, findings: &mut Findings) -> Option<UploadFrom> {
    const WORDS: [&str; 3] = ["auto", "key", "partition"];
    match (text.get_ref().as_str(), text.get_ref().strip_prefix("header:")) {
        ("auto", _) => Some(UploadFrom::Auto),
        ("key", _) => Some(UploadFrom::Key),
        ("partition", _) => Some(UploadFrom::Partition),
        (_, Some(name)) if !name.is_empty() => Some(UploadFrom::Header(name.into())),
        (other, _) => {
            let why = format!("it is one of {} and \"header:NAME\"", list(WORDS));
            let what = format!("\"upload\" cannot be \"{other}\"");
            findings.add_nearest(text.span(), what, why, nearest(other, WORDS));
            None
        }
    }
}

fn compile_delimiter(text: &Spanned<String>, findings: &mut Findings) -> Option<u8> {
    match text.get_ref().as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Some(*byte),
        _ => {
            let what = format!("\"delimiter\" cannot be {:?}", text.get_ref());
            let why =
                "it is one ASCII character, such as \",\" or \";\" or \"\\t\", and neither a quote nor a line end";
            findings.add(text.span(), what, why);
            None
        }
    }
}

fn compile_reproject(
    node: Arc<str>,
    spec: &ReprojectSpec,
    columns: &mut Columns,
    findings: &mut Findings,
) -> Option<MapConfig> {
    if let Some(input) = &spec.input {
        check_coordinates(input, columns, findings);
    }
    let into = check_into(spec, columns, findings);
    match &into {
        Some(into) => columns.add(into.iter().cloned()),
        None => *columns = Columns::Open(Vec::new()),
    }
    let crs = Arc::new(check_crs(spec, findings)?);
    let names = |candidates: &[Spanned<String>]| candidates.iter().map(|name| name.get_ref().clone()).collect();
    let input = match spec.input.as_ref()? {
        CoordinateSpec::Columns { x, y } => CoordinateInput::Columns { x: names(x), y: names(y) },
        CoordinateSpec::Geometry(candidates) => CoordinateInput::Geometry(names(candidates)),
    };
    let decimals = spec.decimals.unwrap_or(match crs.to.kind {
        CrsKind::Geographic => DEGREE_DECIMALS,
        CrsKind::Projected => METRE_DECIMALS,
    });
    Some(MapConfig::Reproject(ReprojectConfig { node, crs, input, into: into?, decimals, check_area: spec.check_area }))
}

fn check_coordinates(input: &CoordinateSpec, columns: &Columns, findings: &mut Findings) {
    match input {
        CoordinateSpec::Columns { x, y } => {
            columns.check("x", x, findings);
            columns.check("y", y, findings);
            check_distinct("x\" and \"y", &x.iter().chain(y).collect::<Vec<_>>(), findings);
        }
        CoordinateSpec::Geometry(candidates) => {
            columns.check("geometry", candidates, findings);
            check_distinct("geometry", &candidates.iter().collect::<Vec<_>>(), findings);
        }
    }
}

/// `into` names two columns that are not there yet.
fn check_into(spec: &ReprojectSpec, columns: &Columns, findings: &mut Findings) -> Option<[String; 2]> {
    let into = spec.into.as_ref()?;
    let [x, y] = into.get_ref().as_slice() else {
        let what = format!("\"into\" names {} column(s)", into.get_ref().len());
        findings.add(into.span(), what, "it names two: first x (east), then y (north)");
        return None;
    };
    check_distinct("into", &[x, y], findings);
    for name in [x, y] {
        let candidate = match &spec.input {
            Some(CoordinateSpec::Columns { x, y }) => x.iter().chain(y).any(|candidate| candidate == name),
            Some(CoordinateSpec::Geometry(candidates)) => candidates.contains(name),
            None => false,
        };
        if columns.has(name.get_ref()) || candidate && !columns.lacks(name.get_ref()) {
            let what = format!("\"into\" names \"{}\", a column that rows have already", name.get_ref());
            findings.add(name.span(), what, "published columns are never overwritten; take another name");
        }
    }
    Some([x.get_ref().clone(), y.get_ref().clone()])
}

/// Both CRSs exist and an acceptable operation leads from one to the other.
fn check_crs(spec: &ReprojectSpec, findings: &mut Findings) -> Option<CrsPair> {
    let (from, to) = (spec.from.as_ref()?, spec.to.as_ref()?);
    let resolved = CrsPair::resolve(from.get_ref(), to.get_ref(), spec.allow_ballpark);
    let error = match resolved {
        Ok(pair) => return Some(pair),
        Err(error) => error,
    };
    let side = error.side();
    let span = match side {
        Side::From => from.span(),
        Side::To => to.span(),
        Side::Pair => spec.span.clone(),
    };
    findings.add(span, error.to_string(), "");
    // The other side may be wrong as well: a CRS leads to itself.
    if side == Side::From
        && let Err(error) = CrsPair::resolve(to.get_ref(), to.get_ref(), true)
    {
        findings.add(to.span(), error.to_string(), "");
    }
    None
}

fn compile_select(
    node: Arc<str>,
    spec: &[SelectedColumn],
    columns: &mut Columns,
    findings: &mut Findings,
) -> MapConfig {
    for column in spec {
        columns.check("select", std::slice::from_ref(&column.from), findings);
    }
    check_distinct("select", &spec.iter().map(|column| &column.name).collect::<Vec<_>>(), findings);
    *columns = Columns::Known(spec.iter().map(|column| column.name.get_ref().clone()).collect());
    let pair = |column: &SelectedColumn| (column.from.get_ref().clone(), column.name.get_ref().clone());
    MapConfig::Select(SelectConfig { node, columns: spec.iter().map(pair).collect() })
}

fn compile_aggregate(
    node: Arc<str>,
    spec: &AggregateSpec,
    columns: &Columns,
    findings: &mut Findings,
) -> Option<AggregateConfig> {
    let written = spec.sheet.as_ref()?;
    let sheet = match sheet::parse(written.get_ref()) {
        Ok(sheet) => sheet,
        Err((what, why)) => {
            findings.add(written.span(), what, why);
            return None;
        }
    };
    let column = |name: &String| Spanned::new(written.span(), name.clone());
    let named: Vec<Spanned<String>> = match &sheet {
        SheetKey::Column(name) => vec![column(name)],
        SheetKey::Template(parts) => parts
            .iter()
            .filter_map(|part| match part {
                TemplatePart::Literal(_) => None,
                TemplatePart::Column(name) => Some(column(name)),
            })
            .collect(),
    };
    for name in &named {
        columns.check("sheet", std::slice::from_ref(name), findings);
    }
    let sheets_max = spec.sheets_max.unwrap_or(SHEETS_MAX_DEFAULT);
    Some(AggregateConfig { node, sheet, sheet_order: spec.sheet_order, sheets_max })
}

fn compile_sink(node: Arc<str>, app: &str, spec: &SinkSpec) -> SinkConfig {
    SinkConfig {
        node,
        topic: topic(&spec.topic, app, "workbooks"),
        partitions: spec.partitions,
        record_bytes_max: spec.record_bytes_max.unwrap_or(RECORD_BYTES_MAX_DEFAULT),
        status_topic: topic(&spec.status_topic, app, "status"),
        dead_letter_topic: topic(&spec.dead_letter_topic, app, "dead-letters"),
        workbook: spec.workbook.clone(),
    }
}
