//! The member `crs` of GeoJSON as it was before RFC 7946: `{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::5179"}}`.

use serde_json::{Deserializer, Value};

use super::systems::system;

/// EPSG's code of the CRS that GeoJSON names; the text may be the beginning of a document. `None` where it names none that EPSG has.
pub fn named_code(text: &str) -> Option<u32> {
    const KEY: &str = "\"crs\"";
    let behind_key = &text[text.find(KEY)? + KEY.len()..];
    let value = behind_key.trim_start().strip_prefix(':')?;
    let value = Deserializer::from_str(value).into_iter::<Value>().next()?.ok()?;
    let properties = &value["properties"];
    let name = properties["name"].as_str().or(properties["href"].as_str()).or(value.as_str());
    let is_known = |code: &u32| system(*code).is_some();
    match name {
        Some(name) if name.contains("CRS84") => Some(4326),
        Some(name) => {
            let behind_authority = &name[name.to_ascii_uppercase().find("EPSG")?..];
            // The version of the registry may come before it: EPSG:6.9:5186.
            let numbers = behind_authority.split(|c: char| !c.is_ascii_digit());
            numbers.filter_map(|digits| digits.parse().ok()).find(is_known)
        }
        None => properties["code"].as_u64().and_then(|code| code.try_into().ok()).filter(is_known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_name_is_read() {
        for (crs, code) in [
            (r#"{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::5179"}}"#, Some(5179)),
            (r#"{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG:6.9:5186"}}"#, Some(5186)),
            (r#"{"type":"name","properties":{"name":"EPSG:5174"}}"#, Some(5174)),
            (r#"{"type":"name","properties":{"name":"http://www.opengis.net/def/crs/EPSG/0/5181"}}"#, Some(5181)),
            (r#"{"type":"name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}}"#, Some(4326)),
            (r#"{"type":"EPSG","properties":{"code":5179}}"#, Some(5179)),
            (r#""EPSG:5179""#, Some(5179)),
            (r#"{"type":"name","properties":{"name":"EPSG:1"}}"#, None),
            (r#"{"type":"link","properties":{"href":"crs.prj"}}"#, None),
            (
                r#"{"type":"link","properties":{"href":"http://spatialreference.org/ref/epsg/5186/proj4/","type":"proj4"}}"#,
                Some(5186),
            ),
            (r#"{"type":"link","properties":{"href":"https://epsg.io/5179.wkt"}}"#, Some(5179)),
            ("null", None),
            (r#"{"type":"#, None),
        ] {
            let document = format!(r#"{{"type":"FeatureCollection", "crs" : {crs},"features":[{{"#);
            assert_eq!(named_code(&document), code, "{crs}");
        }
        assert_eq!(named_code(r#"{"type":"Point"}"#), None);
    }
}
