//! `[[map]]` tables: what they say, and what that means for the columns behind them. `reproject` is here, maps over columns are in
//! `column_maps.rs`.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::column_maps::ColumnMapSpec;
use super::columns::{Columns, check_distinct};
use super::problem::Findings;
use super::reader::{Fields, Reader};
use super::{map_keys, words};
use crate::crs::{CrsKind, CrsPair, Side};
use crate::map::CoordinateInput;
use crate::map::{MapConfig, ReprojectConfig};
use crate::record::ColumnType;

const DEGREE_DECIMALS: u8 = 9;
const METRE_DECIMALS: u8 = 6;

/// One `[[map]]`.
pub(super) enum MapSpec {
    /// `reproject = { .. }`
    Reproject(ReprojectSpec),
    /// Any other.
    Columns(ColumnMapSpec),
    /// One that could not be read.
    Unknown,
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
    pub blank_missing: bool,
}

/// Where `reproject` finds its coordinates; each a list of candidates.
pub(super) enum CoordinateSpec {
    Columns { x: Vec<Spanned<String>>, y: Vec<Spanned<String>> },
    Geometry(Vec<Spanned<String>>),
}

impl MapSpec {
    /// Reads one table.
    pub fn read(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> MapSpec {
        let keys = map_keys::OPERATORS.map(|key| (key, fields.get(key)));
        let mut written = keys.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let Some((key, value)) = written.next() else {
            fields.need_because(
                "reproject",
                "a [[map]] does one thing: reproject, select, rename, drop, cast, filter or compute",
            );
            return MapSpec::Unknown;
        };
        if let Some((other, value)) = written.next() {
            let why = format!("give \"{other}\" a [[map]] of its own");
            reader.findings.add(value.span(), "a [[map]] does one thing", why);
            return MapSpec::Unknown;
        }
        let spec = match key {
            "reproject" => read_reproject(reader, value).map(MapSpec::Reproject),
            _ => ColumnMapSpec::read(reader, key, value).map(MapSpec::Columns),
        };
        spec.unwrap_or(MapSpec::Unknown)
    }

    /// The map, if it could be made; `columns` becomes what rows have behind it.
    pub fn compile(&self, node: Arc<str>, columns: &mut Columns, findings: &mut Findings) -> Option<MapConfig> {
        match self {
            MapSpec::Reproject(spec) => compile_reproject(node, spec, columns, findings),
            MapSpec::Columns(spec) => spec.compile(node, columns, findings),
            MapSpec::Unknown => {
                *columns = Columns::unknown();
                None
            }
        }
    }
}

fn read_reproject(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<ReprojectSpec> {
    let Some(table) = value.get_ref().as_table() else {
        reader.wrong_type("reproject", "a table, such as { from = \"EPSG:5181\", .. }", value);
        return None;
    };
    Some(reader.table(&map_keys::REPROJECT, value.span(), table, |reader, fields| ReprojectSpec {
        span: value.span(),
        from: fields.need_text(reader, "from"),
        to: fields.need_text(reader, "to"),
        input: read_coordinates(reader, fields),
        into: fields.need("into").and_then(|value| Some(Spanned::new(value.span(), reader.texts("into", value)?))),
        decimals: fields.integer(reader, "decimals"),
        allow_ballpark: fields.boolean(reader, "allow_ballpark"),
        check_area: fields.boolean(reader, "check_area"),
        blank_missing: fields.choice(reader, "missing", &words::MISSING),
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
    let Some(into) = into else {
        *columns = Columns::unknown();
        check_crs(spec, findings);
        return None;
    };
    // No check depends on the decimals.
    into.iter().for_each(|name| columns.add(name, ColumnType::Computed { decimals: 0 }));
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
    Some(MapConfig::Reproject(ReprojectConfig {
        node,
        crs,
        input,
        into,
        decimals,
        check_area: spec.check_area,
        allow_ballpark: spec.allow_ballpark,
        blank_missing: spec.blank_missing,
        from_upload: false,
    }))
}

/// An upload's own CRS takes the place of the one that its points are published in: what the first `reproject` starts from.
pub(super) fn mark_source_crs(maps: &mut [MapConfig]) {
    let mut published = None;
    for map in maps {
        if let MapConfig::Reproject(map) = map {
            let from = published.get_or_insert_with(|| map.crs.from.definition.clone());
            map.from_upload = map.crs.from.definition == *from;
        }
    }
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
        findings.add(into.span(), "\"into\" does not name two columns", "it names first x (east), then y (north)");
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
