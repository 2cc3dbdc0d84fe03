//! Reads points from WKT, hex WKB/EWKB and GeoJSON text, through geozero.

use geozero::error::{GeozeroError, Result as GeozeroResult};
use geozero::geojson::GeoJson;
use geozero::wkb::{process_ewkb_geom, process_wkb_geom};
use geozero::wkt::Wkt;
use geozero::{GeomProcessor, GeozeroGeometry};

use crate::crs::geojson;
use crate::record::{Message, Quoted, Rejection};

/// x and y of the point in `cell`: WKT or EWKT, hexadecimal WKB (OGC, ISO or EWKB), or a GeoJSON point or feature.
///
/// `epsg` is the code of the CRS that the topology names; an SRID that says otherwise is refused, 0 and none say nothing. Heights and
/// measures are left out. `None` for an empty cell or point. NaN or infinity is `number.not_finite`, the rest `geometry.format`.
pub fn point(cell: &str, epsg: Option<i32>) -> Result<Option<(f64, f64)>, Rejection> {
    let text = cell.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let mut found = Found::default();
    let value = || Quoted::new(text);
    read(text, &mut found).map_err(|why| Rejection::new(why.message(value())))?;
    if let (Some(srid), Some(epsg)) = (found.srid.filter(|&srid| srid != 0), epsg)
        && srid != epsg
    {
        return Err(Rejection::new(Message::OtherSrid { value: value(), srid: srid.into(), epsg: epsg.into() }));
    }
    match found.point {
        Some((x, y)) if x.is_finite() && y.is_finite() => Ok(Some((x, y))),
        Some(_) => Err(Rejection::new(Message::NotFinite { value: value(), hint: None })),
        None if found.empty => Ok(None),
        None => Err(Rejection::new(Message::NotAPoint { value: value() })),
    }
}

/// Whether a cell is a geometry of any kind, a point or not, whatever is wrong inside.
pub fn is_geometry(cell: &str) -> bool {
    const KINDS: [&str; 7] =
        ["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"];
    #[derive(serde::Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type")]
        kind: std::borrow::Cow<'a, str>,
    }
    let text = cell.trim();
    if text.starts_with('{') {
        let typed = serde_json::from_str::<Typed<'_>>(text);
        return typed.is_ok_and(|typed| typed.kind == "Feature" || KINDS.contains(&&*typed.kind));
    }
    let (_, wkt) = split_ewkt(text);
    let is_wkt = wkt.ends_with(')') || wkt.to_ascii_uppercase().ends_with(" EMPTY");
    let is_wkb =
        || from_hex(text).is_some() && matches!(read(text, &mut Found::default()), Ok(()) | Err(Unreadable::NotAPoint));
    is_wkt && KINDS.iter().any(|kind| starts_with(wkt, kind)) || is_wkb()
}

/// EPSG's code of the CRS that a geometry names: the SRID of EWKT or EWKB, or the member `crs` of old GeoJSON. `None` without one.
pub fn srid(cell: &str) -> Option<u32> {
    let mut found = Found::default();
    read(cell.trim(), &mut found).ok()?;
    found.srid.filter(|srid| *srid > 0).and_then(|srid| srid.try_into().ok())
}

/// The error that geozero returns for a geometry that is not a point.
const NOT_A_POINT: &str = "only points are read";

/// Why no point was read.
enum Unreadable {
    NotAPoint,
    Because(String),
}

impl Unreadable {
    fn message(self, value: Quoted) -> Message {
        match self {
            Unreadable::NotAPoint => Message::NotAPoint { value },
            Unreadable::Because(why) => Message::GeometryUnreadable { value, why },
        }
    }
}

impl From<GeozeroError> for Unreadable {
    fn from(error: GeozeroError) -> Unreadable {
        match error {
            GeozeroError::Geometry(why) if why == NOT_A_POINT => Unreadable::NotAPoint,
            GeozeroError::Geometry(why) => Unreadable::Because(why),
            other => Unreadable::Because(other.to_string()),
        }
    }
}

/// Distinguishes the three spellings by their first characters and reads the geometry.
fn read(text: &str, found: &mut Found) -> Result<(), Unreadable> {
    let because = |why: &str| Unreadable::Because(why.to_owned());
    if text.starts_with('{') {
        found.srid = geojson::named_code(text).and_then(|code| code.try_into().ok());
        return Ok(GeoJson(text).process_geom(found)?);
    }
    if let Some(bytes) = from_hex(text) {
        let mut rest = bytes.as_slice();
        match is_ewkb(&bytes) {
            true => process_ewkb_geom(&mut rest, found)?,
            false => process_wkb_geom(&mut rest, found)?,
        }
        return if rest.is_empty() { Ok(()) } else { Err(because("bytes behind the geometry")) };
    }
    let (srid, wkt) = split_ewkt(text);
    if let Some(srid) = srid {
        found.srid = Some(srid.trim().parse().map_err(|_| because("its SRID is not a number"))?);
    }
    // Looked at first, for nested collections would be parsed by recursion, however deep.
    if !starts_with(wkt, "POINT") {
        return Err(Unreadable::NotAPoint);
    }
    Ok(Wkt(wkt).process_geom(found)?)
}

/// The SRID in front of WKT, and the WKT: geozero writes EWKT but does not read it.
fn split_ewkt(text: &str) -> (Option<&str>, &str) {
    match text.split_once(';') {
        Some((srid, wkt)) if starts_with(srid, "SRID=") => (Some(&srid[5..]), wkt.trim_start()),
        _ => (None, text),
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The bytes of a text of hexadecimal digits, which PostgreSQL writes with `\x` in front.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x").unwrap_or(text).as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// PostGIS marks SRID, Z and M in the three high bits of the geometry type; ISO adds thousands to it.
fn is_ewkb(bytes: &[u8]) -> bool {
    let high = if bytes.first() == Some(&0) { bytes.get(1) } else { bytes.get(4) };
    high.is_some_and(|byte| byte & 0xE0 != 0)
}

/// The geometry that geozero found: one point, or something else.
#[derive(Default)]
struct Found {
    srid: Option<i32>,
    point: Option<(f64, f64)>,
    empty: bool,
    in_point: bool,
}

impl GeomProcessor for Found {
    fn srid(&mut self, srid: Option<i32>) -> GeozeroResult<()> {
        self.srid = srid;
        Ok(())
    }
    fn point_begin(&mut self, _: usize) -> GeozeroResult<()> {
        self.in_point = true;
        Ok(())
    }
    fn point_end(&mut self, _: usize) -> GeozeroResult<()> {
        self.in_point = false;
        Ok(())
    }
    fn xy(&mut self, x: f64, y: f64, _: usize) -> GeozeroResult<()> {
        if !self.in_point || self.point.is_some() {
            return Err(GeozeroError::Geometry(NOT_A_POINT.into()));
        }
        self.point = Some((x, y));
        Ok(())
    }
    fn empty_point(&mut self, _: usize) -> GeozeroResult<()> {
        self.empty = true;
        Ok(())
    }
    fn geometrycollection_begin(&mut self, _: usize, _: usize) -> GeozeroResult<()> {
        Err(GeozeroError::Geometry(NOT_A_POINT.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Reason;

    const WKB: &str = "01010000000000000000C05F400000000000C04240"; // POINT(127 37.5)
    const EWKB_4326: &str = "0101000020E61000000000000000C05F400000000000C04240";

    #[test]
    fn points_in_every_spelling_are_read() {
        for cell in [
            "POINT(127 37.5)",
            "  point ( 127   37.5 ) ",
            "POINT Z (127 37.5 12)",
            "POINT M (127 37.5 12)",
            "SRID=4326;POINT(127 37.5)",
            "srid=4326; Point(1.27e2 37.5)",
            "SRID=0;POINT(127 37.5)",
            WKB,
            &WKB.to_lowercase(),
            "0000000001405FC000000000004042C00000000000", // big endian
            "01E90300000000000000C05F400000000000C042400000000000000000", // ISO POINT Z
            "0101000080 0000000000C05F400000000000C042400000000000000000".replace(' ', "").as_str(), // EWKB POINT Z
            EWKB_4326,
            "\\x01010000000000000000C05F400000000000C04240",
            r#"{"type":"Point","coordinates":[127,37.5]}"#,
            r#"{"type":"Point","coordinates":[127,37.5,12.0]}"#,
            r#"{"type":"Feature","properties":{"a":1},"geometry":{"type":"Point","coordinates":[127.0,37.5]}}"#,
        ] {
            assert_eq!(point(cell, Some(4326)), Ok(Some((127.0, 37.5))), "{cell}");
        }
    }

    #[test]
    fn no_point_is_none() {
        let as_wkb = "0101000000000000000000F87F000000000000F87F"; // how WKB says EMPTY
        for cell in ["", " ", "POINT EMPTY", "SRID=4326;POINT EMPTY", as_wkb] {
            assert_eq!(point(cell, Some(4326)), Ok(None), "{cell}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        use Reason::{GeometryFormat, NumberNotFinite};
        let nested = "GEOMETRYCOLLECTION(".repeat(20_000);
        let nested_json = r#"{"type":"GeometryCollection","geometries":["#.repeat(20_000);
        let nested_wkb = "01070000000100000000".trim_end_matches("00").repeat(5_000);
        for (cell, reason) in [
            ("POINT(nan nan)", GeometryFormat),
            ("0101000000000000000000F07F0000000000C04240", NumberNotFinite),
            ("0101000000000000000000F87F0000000000C04240", NumberNotFinite),
            ("POINT(127,37.5)", GeometryFormat),
            ("POINT(127)", GeometryFormat),
            ("POINT(127 37.5 1)", GeometryFormat),
            ("POINT(127 37.5", GeometryFormat),
            ("POINT", GeometryFormat),
            ("127 37.5", GeometryFormat),
            ("SRID=x;POINT(127 37.5)", GeometryFormat),
            ("SRID=5179;POINT(127 37.5)", GeometryFormat),
            (r#"{"type":"Point","crs":{"properties":{"name":"EPSG:5179"}},"coordinates":[127,37.5]}"#, GeometryFormat),
            ("01010000203B1400000000000000C05F400000000000C04240", GeometryFormat),
            ("LINESTRING(127 37.5,128 38)", GeometryFormat),
            ("MULTIPOINT((127 37.5))", GeometryFormat),
            ("GEOMETRYCOLLECTION(POINT(127 37.5))", GeometryFormat),
            ("0101000000000000", GeometryFormat),
            ("01010000000000000000C05F400000000000C0424000", GeometryFormat),
            ("0199000000", GeometryFormat),
            ("FF", GeometryFormat),
            ("0104000000FFFFFFFF", GeometryFormat),
            ("010700000001000000010100000000000000", GeometryFormat),
            (r#"{"type":"Point","coordinates":[]}"#, GeometryFormat),
            (r#"{"type":"Point","coordinates":[127]}"#, GeometryFormat),
            (r#"{"type":"Point","coordinates":["127","37.5"]}"#, GeometryFormat),
            (r#"{"type":"Point","coordinates":[1e999,37.5]}"#, GeometryFormat),
            (r#"{"type":"Point"}"#, GeometryFormat),
            (r#"{"type":"Feature","properties":null,"geometry":null}"#, GeometryFormat),
            (r#"{"type":"MultiPoint","coordinates":[[127,37.5]]}"#, GeometryFormat),
            (r#"{"type":"Polygon","coordinates":[]}"#, GeometryFormat),
            ("{", GeometryFormat),
            ("한글", GeometryFormat),
            (nested.as_str(), GeometryFormat),
            (nested_json.as_str(), GeometryFormat),
            (nested_wkb.as_str(), GeometryFormat),
        ] {
            let short: String = cell.chars().take(60).collect();
            assert_eq!(point(cell, Some(4326)).map_err(|rejection| rejection.reason), Err(reason), "{short}");
        }
    }

    #[test]
    fn geometries_of_any_kind_are_known() {
        for cell in [
            "POINT(127 37.5)",
            "point empty",
            "SRID=5179; MULTIPOINT((127 37.5))",
            "POLYGON Z ((0 0 0,1 0 0,1 1 0,0 0 0))",
            "GEOMETRYCOLLECTION(POINT(127 37.5))",
            WKB,
            "010200000002000000000000000000F03F000000000000F03F00000000000000400000000000000040",
            r#"{"type":"Point","coordinates":[]}"#,
            r#"{"coordinates":[[127,37.5]],"type":"MultiPoint"}"#,
            r#"{"type":"GeometryCollection","geometries":[]}"#,
        ] {
            assert!(is_geometry(cell), "{cell}");
        }
        for cell in ["", "127 37.5", "Point of interest", "{}", r#"{"type":"park"}"#, "00", "cafe", "마포구 (서교동)"]
        {
            assert!(!is_geometry(cell), "{cell}");
        }
    }

    #[test]
    fn a_geometry_may_name_its_crs() {
        let json =
            r#"{"type":"Point","crs":{"properties":{"name":"urn:ogc:def:crs:EPSG::5179"}},"coordinates":[127,37.5]}"#;
        for (cell, code) in [
            ("SRID=5179;POINT(127 37.5)", Some(5179)),
            (EWKB_4326, Some(4326)),
            (json, Some(5179)),
            ("SRID=0;POINT(127 37.5)", None),
            ("POINT(127 37.5)", None),
            (WKB, None),
            ("SRID=5179;", None),
        ] {
            assert_eq!(srid(cell), code, "{cell}");
        }
    }

    #[test]
    fn an_srid_is_not_compared_where_the_crs_has_no_code() {
        assert_eq!(point(EWKB_4326, None), Ok(Some((127.0, 37.5))));
        assert_eq!(point("SRID=5179;POINT(127 37.5)", None), Ok(Some((127.0, 37.5))));
        let message = point(EWKB_4326, Some(5181)).unwrap_err().message.to_string();
        assert!(message.ends_with("its SRID is 4326, the topology reads EPSG:5181"), "{message}");
    }
}
