//! Compiles the content of a file to a [`Topology`]: the small checks of meaning that `validate`, `describe` and `run` share. A check that
//! fails is a finding, not a stop; only a file without findings becomes a topology.

use std::sync::Arc;

use toml::Spanned;

use super::chain::{self, NAME_LENGTH_MAX, check_name};
use super::column_types::ColumnSpec;
use super::columns::{Columns, check_distinct};
use super::map_link;
use super::maps::mark_source_crs;
use super::problem::{Findings, list, nearest};
use super::spec::{AggregateSpec, HeaderSpec, NodeKind, SinkSpec, SourceSpec, TopologySpec};
use super::{Topology, hash, needed, sheet};
use crate::aggregate::{AggregateConfig, SheetKey};
use crate::map::MapConfig;
use crate::record::{Lang, TemplatePart};
use crate::sink::SinkConfig;
use crate::source::charset::Charset;
use crate::source::delimiter::parse_delimiter;
use crate::source::{Format, HeaderFrom, Placement, SourceConfig, Spread, UploadFrom};

/// Longest topic name that Kafka takes.
const TOPIC_LENGTH_MAX: usize = 249;

/// The topology, if all of it could be made; it counts only when `findings` is empty.
pub(super) fn compile(spec: &TopologySpec, findings: &mut Findings) -> Option<Topology> {
    chain::check(&spec.nodes, findings);
    if let Some(name) = &spec.name {
        check_name("the name of a topology", name, NAME_LENGTH_MAX, findings);
    }
    check_topics(spec, findings);

    let name = spec.name.as_ref().map_or("", |name| name.get_ref());
    let (mut source, mut maps, mut aggregate, mut sink) = (None, Vec::new(), None, None);
    let mut columns = Columns::open();
    let mut has_topics = false;
    let lang = spec.nodes.iter().find_map(|node| match &node.kind {
        NodeKind::Sink(sink) => Some(sink.workbook.lang),
        _ => None,
    });
    let aggregate_name = spec.nodes.iter().find(|node| matches!(node.kind, NodeKind::Aggregate(_)));
    let aggregate_name =
        aggregate_name.and_then(|node| node.name.as_ref()).map_or("", |name| name.get_ref()).to_owned();
    for node in &spec.nodes {
        let node_name: Arc<str> = node.name.as_ref().map_or("", |name| name.get_ref()).into();
        match &node.kind {
            NodeKind::Source(spec) => {
                source = compile_source(node_name, (name, &aggregate_name), spec, &mut columns, findings);
                has_topics = spec.topics.is_some();
            }
            NodeKind::Map(spec) => maps.push(spec.compile(node_name, lang.unwrap_or(Lang::En), &mut columns, findings)),
            NodeKind::Aggregate(spec) => aggregate = compile_aggregate(node_name, spec, has_topics, &columns, findings),
            NodeKind::Sink(spec) => sink = compile_sink(node_name, name, spec, &columns, findings),
        }
    }
    let mut maps = maps.into_iter().collect::<Option<Vec<MapConfig>>>()?;
    mark_source_crs(&mut maps);
    let mut topology = Topology {
        name: name.into(),
        hash: "".into(),
        guarantee: spec.guarantee,
        standby: spec.standby.unwrap_or(0),
        source: source?,
        maps,
        aggregate: aggregate?,
        sink: sink?,
        link: None,
    };
    if !topology.maps.iter().any(|map| matches!(map, MapConfig::Link(_))) {
        topology.link = map_link::on_request(topology.sink.workbook.lang, &columns);
    }
    if !topology.source.exact_names {
        needed::clean_names(&mut topology);
    }
    topology.source.needed = needed::needed_columns(&topology.maps, &topology.aggregate).into();
    topology.hash = hash::hash(&topology);
    Some(topology)
}

/// Topics are legal names and four different ones: a topology that read what it writes would never end.
fn check_topics(spec: &TopologySpec, findings: &mut Findings) {
    let app = spec.name.as_ref().map_or("", |name| name.get_ref());
    let source = spec.nodes.iter().find_map(|node| match &node.kind {
        NodeKind::Source(source) => Some((node, source)),
        _ => None,
    });
    let sink = spec.nodes.iter().find_map(|node| match &node.kind {
        NodeKind::Sink(sink) => Some((node, sink)),
        _ => None,
    });
    let mut topics = Vec::new();
    let several: Vec<Option<Spanned<String>>> = source
        .and_then(|(_, source)| source.topics.as_ref())
        .map_or_else(Vec::new, |topics| topics.get_ref().iter().cloned().map(Some).collect());
    if let Some((node, source)) = source {
        if several.is_empty() {
            topics.push(("\"topic\" of the source", node, &source.topic, "rows"));
        }
        topics.extend(several.iter().map(|topic| ("\"topics\" of the source", node, topic, "rows")));
    }
    if let Some((node, sink)) = sink {
        topics.push(("\"topic\" of the sink", node, &sink.topic, "workbooks"));
        topics.push(("\"status_topic\"", node, &sink.status_topic, "status"));
        topics.push(("\"dead_letter_topic\"", node, &sink.dead_letter_topic, "dead-letters"));
    }
    for (n, (key, node, written, suffix)) in topics.iter().enumerate() {
        if let Some(written) = written {
            check_name("a topic", written, TOPIC_LENGTH_MAX, findings);
        }
        let name = topic(written, app, suffix);
        let same = topics[..n].iter().find(|(_, _, written, suffix)| topic(written, app, suffix) == name);
        if let Some((other, ..)) = same {
            let span = written.as_ref().map_or(node.span.clone(), Spanned::span);
            let why = "rows, workbooks, status and dead letters each need a topic of their own";
            findings.add(span, format!("{key} is the topic \"{name}\", and so is {other}"), why);
        }
    }
}

/// The topic a file names, else `<app>.<suffix>`.
fn topic(written: &Option<Spanned<String>>, app: &str, suffix: &str) -> Arc<str> {
    written.as_ref().map_or_else(|| format!("{app}.{suffix}").into(), |topic| topic.get_ref().as_str().into())
}

/// The topic of the rows, and the partitions that they may lie in.
fn compile_placement(app: &str, aggregate: &str, spec: &SourceSpec, findings: &mut Findings) -> (Arc<str>, Placement) {
    let first = topic(&spec.topic, app, "rows");
    let topics: Vec<Arc<str>> = match &spec.topics {
        None => vec![first],
        Some(topics) => {
            let span = topics.span();
            if spec.topic.is_some() {
                findings.add(span.clone(), "\"topic\" and \"topics\" are both there", "leave one of them out");
            }
            if !spec.is_spread {
                let why = "the rows of an upload are in several of them; set placement = \"spread\" beside it";
                findings.add(span, "\"topics\" needs another placement", why);
            }
            topics.get_ref().iter().map(|topic| topic.get_ref().as_str().into()).collect()
        }
    };
    let Some(first) = topics.first().cloned() else { return ("".into(), Placement::Keyed) };
    if !spec.is_spread {
        if let Some(tolerance) = &spec.clock_tolerance {
            let why =
                "in one partition the order of the log decides; leave it out, or set placement = \"spread\" beside it";
            findings.add(tolerance.span(), "\"clock_tolerance\" needs another placement", why);
        }
        return (first, Placement::Keyed);
    }
    let repartition_topic = format!("{app}-{aggregate}-repartition").into();
    (first, Placement::Spread(Spread { topics: topics.into(), repartition_topic }))
}

fn compile_source(
    node: Arc<str>,
    (app, aggregate): (&str, &str),
    spec: &SourceSpec,
    columns: &mut Columns,
    findings: &mut Findings,
) -> Option<SourceConfig> {
    let header = match &spec.header {
        None | Some(HeaderSpec::First) => HeaderFrom::First,
        Some(HeaderSpec::Declared(names)) => {
            check_distinct("header", &names.iter().collect::<Vec<_>>(), findings);
            let names: Vec<String> = names.iter().map(|name| name.get_ref().clone()).collect();
            *columns = Columns::known(names.clone());
            HeaderFrom::Declared(names.into())
        }
    };
    for column in &spec.columns {
        columns.check("columns", std::slice::from_ref(&column.name), findings);
        columns.set_type(column.name.get_ref(), column.kind);
    }
    let name_of = |column: &ColumnSpec| column.name.get_ref().clone();
    let (topic, placement) = compile_placement(app, aggregate, spec, findings);
    Some(SourceConfig {
        node,
        topic,
        placement,
        columns: spec.columns.iter().map(|column| (name_of(column), column.kind)).collect(),
        forms: spec.columns.iter().filter_map(|column| Some((name_of(column), column.form.clone()?))).collect(),
        upload: compile_upload(spec.upload.as_ref()?, findings)?,
        markers: spec.markers,
        format: spec.format,
        // A topology that lists its columns has chosen among the keys.
        ignores_unknown_keys: spec.ignores_unknown_keys.unwrap_or(header != HeaderFrom::First),
        header,
        encoding: match &spec.encoding {
            Some(text) => Some(compile_encoding(text, findings)?),
            None => None,
        },
        delimiter: match &spec.delimiter {
            Some(text) => Some(compile_delimiter(text, findings)?),
            None => None,
        },
        backslash_escapes: has_escapes(spec, findings),
        exact_names: spec.exact_names,
        skip_lines: spec.skip_lines,
        lenient_quotes: spec.lenient_quotes,
        pad_fields: spec.pad_fields,
        blank: spec.blank.iter().flatten().map(|text| text.get_ref().clone()).collect(),
        rejects_totals: spec.rejects_totals,
        excel_text: spec.excel_text,
        strip_control: spec.strip_control,
        truncate_cells: spec.truncate_cells,
        on_error: spec.on_error,
        rejected_max: spec.rejected_max,
        idle_timeout: spec.idle_timeout?,
        open_uploads_max: spec.open_uploads_max?,
        incomplete: spec.incomplete,
        eof_settle: spec.eof_settle?,
        clock_tolerance: spec.clock_tolerance.as_ref().map(|tolerance| *tolerance.get_ref()),
        needed: Arc::new([]), // follows from the nodes behind it
    })
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

/// Escaped rows are rewritten before anything is found in them, so that their delimiter has to be known.
fn has_escapes(spec: &SourceSpec, findings: &mut Findings) -> bool {
    let Some(escapes) = spec.backslash_escapes.as_ref().filter(|escapes| *escapes.get_ref()) else { return false };
    if spec.delimiter.is_none() {
        let why = "the delimiter of escaped rows is not guessed; MySQL's own is delimiter = \"\\t\"";
        findings.add(escapes.span(), "\"escape\" needs \"delimiter\" beside it", why);
    }
    if spec.format == Format::Json {
        findings.add(escapes.span(), "\"escape\" is about rows of CSV", "format = \"json\" has escapes of its own");
    }
    true
}

fn compile_encoding(text: &Spanned<String>, findings: &mut Findings) -> Option<Charset> {
    let charset = text.get_ref().parse::<Charset>();
    charset.map_err(|why| findings.add(text.span(), "\"encoding\" names no charset", why)).ok()
}

fn compile_delimiter(text: &Spanned<String>, findings: &mut Findings) -> Option<u8> {
    let delimiter = parse_delimiter(text.get_ref());
    if delimiter.is_none() {
        let what = format!("\"delimiter\" cannot be {:?}", text.get_ref());
        let why = "it is one ASCII character, such as \",\" or \";\", or \"tab\", and neither a quote nor a line end";
        findings.add(text.span(), what, why);
    }
    delimiter
}

fn compile_aggregate(
    node: Arc<str>,
    spec: &AggregateSpec,
    has_topics: bool,
    columns: &Columns,
    findings: &mut Findings,
) -> Option<AggregateConfig> {
    let written = spec.sheet.as_ref()?;
    let sheet = match sheet::parse(written.get_ref()) {
        Ok(SheetKey::Column(word)) if has_topics && word == "topic" && written.get_ref() == "topic" => SheetKey::Topic,
        Ok(sheet) => sheet,
        Err((what, why)) => {
            findings.add(written.span(), what, why);
            return None;
        }
    };
    let column = |name: &String| Spanned::new(written.span(), name.clone());
    let named: Vec<Spanned<String>> = match &sheet {
        SheetKey::Topic => vec![],
        SheetKey::Column(name) => vec![column(name)],
        SheetKey::Template(parts) => parts
            .iter()
            .filter_map(|part| match part {
                TemplatePart::Literal(_) | TemplatePart::ColumnOr(..) => None,
                TemplatePart::Column(name) => Some(column(name)),
            })
            .collect(),
    };
    for name in &named {
        columns.check("sheet", std::slice::from_ref(name), findings);
    }
    Some(AggregateConfig { node, sheet, sheet_order: spec.sheet_order, sheets_max: spec.sheets_max? })
}

fn compile_sink(
    node: Arc<str>,
    app: &str,
    spec: &SinkSpec,
    columns: &Columns,
    findings: &mut Findings,
) -> Option<SinkConfig> {
    for name in &spec.summary_numbers {
        columns.check("summary_numbers", std::slice::from_ref(name), findings);
    }
    if let Some(first) = spec.summary_numbers.first().filter(|_| !spec.workbook.summary) {
        findings.add(first.span(), "\"summary_numbers\" needs \"summary\"", "set summary = true beside it");
    }
    Some(SinkConfig {
        node,
        topic: topic(&spec.topic, app, "workbooks"),
        partitions: spec.partitions,
        record_bytes_max: spec.record_bytes_max?,
        status_topic: topic(&spec.status_topic, app, "status"),
        dead_letter_topic: topic(&spec.dead_letter_topic, app, "dead-letters"),
        workbook: spec.workbook.clone(),
    })
}
