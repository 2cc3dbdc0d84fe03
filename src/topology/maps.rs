//! `[[map]]` tables: what they say, and what that means for the columns behind them. `reproject` is here, maps over columns are in
//! `column_maps.rs`.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::column_maps::ColumnMapSpec;
use super::columns::{Columns, check_distinct};
use super::map_link::LinkSpec;
use super::problem::Findings;
use super::reader::{Fields, Reader};
use super::{map_keys, words};
use crate::crs::{CrsKind, CrsPair, Side};
use crate::map::CoordinateInput;
use crate::map::{MapConfig, ReprojectConfig};
use crate::record::{ColumnType, Lang};

const DEGREE_DECIMALS: u8 = 9;
const METRE_DECIMALS: u8 = 6;

/// One `[[map]]`.
pub(super) enum MapSpec {
    /// `reproject = { .. }`
    Reproject(ReprojectSpec),
    /// `map_link = ".."`
    Link(LinkSpec),
    /// Any other.
    Columns(ColumnMapSpec),
    /// One that could not be read.
    Unknown,
}

/// `reproject = { .. }`
pub(super) struct ReprojectSpec {
    pub span: Range<usize>,
    pub from: Option<FromSpec>,
    pub to: Option<Spanned<String>>,
    pub input: Option<CoordinateSpec>,
    pub into: Option<Spanned<Vec<Spanned<String>>>>,
    pub decimals: Option<u8>,
    pub allow_ballpark: bool,
    pub check_area: bool,
    pub blank_missing: bool,
    pub any_notation: bool,
}

/// `from = "EPSG:5181"` or `from = { column = "epsg" }`
pub(super) enum FromSpec {
    Crs(Spanned<String>),
    Column(Vec<Spanned<String>>),
}

/// Where `reproject` finds its coordinates; each a list of candidates.
pub(super) enum CoordinateSpec {
    Columns { x: Vec<Spanned<String>>, y: Vec<Spanned<String>> },
    Geometry(Vec<Spanned<String>>),
    Xy(Vec<Spanned<String>>),
    Yx(Vec<Spanned<String>>),
}

impl MapSpec {
    /// Reads one table.
    pub(super) fn read(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> MapSpec {
        let keys = map_keys::OPERATORS.map(|key| (key, fields.get(key)));
        let mut written = keys.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let Some((key, value)) = written.next() else {
            fields.need_because(
                "reproject",
                "a [[map]] does one thing: reproject, select, rename, drop, cast, filter, compute or map_link",
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
            "map_link" => LinkSpec::read(reader, value).map(MapSpec::Link),
            _ => ColumnMapSpec::read(reader, key, value).map(MapSpec::Columns),
        };
        spec.unwrap_or(MapSpec::Unknown)
    }

    /// The map, if it could be made; `columns` becomes what rows have behind it. `lang` is the language of the workbook.
    pub(super) fn compile(
        &self,
        node: Arc<str>,
        lang: Lang,
        columns: &mut Columns,
        findings: &mut Findings,
    ) -> Option<MapConfig> {
        match self {
            MapSpec::Link(spec) => spec.compile(node, lang, columns, findings),
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
        from: fields.need("from").and_then(|value| read_from(reader, value)),
        to: fields.need_text(reader, "to"),
        input: read_coordinates(reader, fields),
        into: fields.need("into").and_then(|value| Some(Spanned::new(value.span(), reader.texts("into", value)?))),
        decimals: fields.integer(reader, "decimals"),
        allow_ballpark: fields.boolean(reader, "allow_ballpark"),
        check_area: fields.boolean(reader, "check_area"),
        blank_missing: fields.choice(reader, "missing", &words::MISSING),
        any_notation: fields.choice(reader, "notation", &words::ANY_NOTATION),
    }))
}

fn read_from(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<FromSpec> {
    let Some(table) = value.get_ref().as_table() else {
        return reader.text("from", value).map(FromSpec::Crs);
    };
    let column = reader.table(&map_keys::ROW_CRS, value.span(), table, |reader, fields| {
        fields.need("column").and_then(|value| reader.texts("column", value))
    });
    column.map(FromSpec::Column)
}

fn read_coordinates(reader: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<CoordinateSpec> {
    const FORMS: &str =
        "coordinates are in the columns \"x\" and \"y\", or in one column: \"geometry\", \"xy\" or \"yx\"";
    let one_column = ["geometry", "xy", "yx"].map(|key| (key, fields.get(key)));
    let mut one_column = one_column.into_iter().filter_map(|(key, value)| Some((key, value?)));
    match (fields.get("x"), fields.get("y"), one_column.next()) {
        (Some(x), Some(y), None) => {
            let (x, y) = (reader.texts("x", x), reader.texts("y", y));
            Some(CoordinateSpec::Columns { x: x?, y: y? })
        }
        (None, None, Some((key, value))) => {
            if let Some((other, value)) = one_column.next() {
                reader.findings.add(value.span(), format!("\"{other}\" is beside \"{key}\""), FORMS);
                return None;
            }
            let names = reader.texts(key, value)?;
            Some(match key {
                "geometry" => CoordinateSpec::Geometry(names),
                "xy" => CoordinateSpec::Xy(names),
                _ => CoordinateSpec::Yx(names),
            })
        }
        (_, _, Some((key, value))) => {
            reader.findings.add(value.span(), format!("\"{key}\" is beside \"x\" or \"y\""), FORMS);
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
    let crs_column = match &spec.from {
        Some(FromSpec::Column(names)) => {
            columns.check("column", names, findings);
            Some(names.iter().map(|name| name.get_ref().clone()).collect())
        }
        Some(FromSpec::Crs(_)) | None => None,
    };
    let into = check_into(spec, columns, findings);
    let Some(into) = into else {
        *columns = Columns::unknown();
        check_crs(spec, findings);
        return None;
    };
    // No check depends on the decimals.
    into.iter().for_each(|name| columns.add(name, ColumnType::Computed { decimals: 0 }));
    let crs = Arc::new(check_crs(spec, findings)?);
    if crs.to.kind == CrsKind::Geographic {
        columns.set_degrees(&into);
    }
    let names = |candidates: &[Spanned<String>]| candidates.iter().map(|name| name.get_ref().clone()).collect();
    let input = match spec.input.as_ref()? {
        CoordinateSpec::Columns { x, y } => CoordinateInput::Columns { x: names(x), y: names(y) },
        CoordinateSpec::Geometry(candidates) => CoordinateInput::Geometry(names(candidates)),
        CoordinateSpec::Xy(candidates) => CoordinateInput::Xy(names(candidates)),
        CoordinateSpec::Yx(candidates) => CoordinateInput::Yx(names(candidates)),
    };
    let decimals = spec.decimals.unwrap_or(match crs.to.kind {
        CrsKind::Geographic => DEGREE_DECIMALS,
        CrsKind::Projected => METRE_DECIMALS,
    });
    Some(MapConfig::Reproject(ReprojectConfig {
        node,
        crs,
        crs_column,
        input,
        into,
        decimals,
        check_area: spec.check_area,
        allow_ballpark: spec.allow_ballpark,
        blank_missing: spec.blank_missing,
        any_notation: spec.any_notation,
        from_upload: false,
    }))
}

/// An upload's own CRS takes the place of the one that its points are published in: what the first `reproject` starts from.
pub(super) fn mark_source_crs(maps: &mut [MapConfig]) {
    let mut published = None;
    for map in maps {
        if let MapConfig::Reproject(map) = map
            && map.crs_column.is_none()
        {
            let from = published.get_or_insert_with(|| map.crs.from.definition.clone());
            map.from_upload = map.crs.from.definition == *from;
        }
    }
}

impl CoordinateSpec {
    /// Its columns, each with its key.
    fn columns(&self) -> Vec<(&'static str, &Vec<Spanned<String>>)> {
        match self {
            CoordinateSpec::Columns { x, y } => vec![("x", x), ("y", y)],
            CoordinateSpec::Geometry(names) => vec![("geometry", names)],
            CoordinateSpec::Xy(names) => vec![("xy", names)],
            CoordinateSpec::Yx(names) => vec![("yx", names)],
        }
    }
}

fn check_coordinates(input: &CoordinateSpec, columns: &Columns, findings: &mut Findings) {
    let read = input.columns();
    read.iter().for_each(|(key, names)| columns.check(key, names, findings));
    let keys: Vec<_> = read.iter().map(|(key, _)| *key).collect();
    check_distinct(&keys.join("\" and \""), &read.iter().flat_map(|(_, names)| *names).collect::<Vec<_>>(), findings);
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
        let read = spec.input.iter().flat_map(CoordinateSpec::columns);
        let candidate = read.flat_map(|(_, names)| names).any(|candidate| candidate == name);
        if columns.has(name.get_ref()) || candidate && !columns.lacks(name.get_ref()) {
            let what = format!("\"into\" names \"{}\", a column that rows have already", name.get_ref());
            findings.add(name.span(), what, "published columns are never overwritten; take another name");
        }
    }
    Some([x.get_ref().clone(), y.get_ref().clone()])
}

/// Both CRSs exist and an acceptable operation leads from one to the other.
fn check_crs(spec: &ReprojectSpec, findings: &mut Findings) -> Option<CrsPair> {
    let to = spec.to.as_ref()?;
    let from = match spec.from.as_ref()? {
        FromSpec::Crs(from) => from,
        FromSpec::Column(names) => {
            let names: Vec<_> = names.iter().map(|name| name.get_ref().as_str()).collect();
            let pair = CrsPair::by_row(&names.join(" or "), to.get_ref());
            return pair.map_err(|error| findings.add(to.span(), error.to_string(), "")).ok();
        }
    };
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
