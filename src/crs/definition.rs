//! The forms in which a stranger may name a CRS. PROJ takes any text and searches its names for whatever has no form it knows, which costs a
//! fifth of a second: enough that a few thousand short markers stop a partition.

/// Authorities of PROJ's database.
const AUTHORITIES: [&str; 8] = ["EPSG", "ESRI", "IAU_2015", "IGNF", "NKG", "NRCAN", "OGC", "PROJ"];
/// Longest code of an authority, `IGNF:AMANU49.GEO` among them; a compound CRS is written `EPSG:7406+5773`.
const CODE_BYTES_MAX: usize = 64;
/// How WKT of a CRS begins: OGC 01-009 (WKT 1) and ISO 19162 (WKT 2) with their synonyms.
const WKT_KEYWORDS: [&str; 16] = [
    "BOUNDCRS",
    "COMPD_CS",
    "COMPOUNDCRS",
    "DERIVEDPROJCRS",
    "ENGCRS",
    "GEOCCS",
    "GEODCRS",
    "GEODETICCRS",
    "GEOGCRS",
    "GEOGCS",
    "GEOGRAPHICCRS",
    "LOCAL_CS",
    "PROJCRS",
    "PROJCS",
    "PROJECTEDCRS",
    "VERTCRS",
];

/// Whether `text` is written as AUTHORITY:CODE, WKT, PROJJSON or a PROJ string. Whether there is such a CRS is for PROJ to say.
pub fn is_definition(text: &str) -> bool {
    let text = text.trim();
    is_code(text) || is_wkt(text) || text.starts_with('{') || is_proj_string(text)
}

/// The definition that a person means: a bare number is a code of EPSG.
pub fn with_authority(text: &str) -> String {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { format!("EPSG:{text}") } else { text.to_owned() }
}

fn is_code(text: &str) -> bool {
    let Some((authority, code)) = text.split_once(':') else { return false };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
    AUTHORITIES.iter().any(|known| known.eq_ignore_ascii_case(authority))
        && (1..=CODE_BYTES_MAX).contains(&code.len())
        && code.chars().all(is_part)
}

fn is_wkt(text: &str) -> bool {
    let keyword = text.find(['[', '(']).map(|end| text[..end].trim_end());
    keyword.is_some_and(|keyword| WKT_KEYWORDS.iter().any(|known| known.eq_ignore_ascii_case(keyword)))
}

fn is_proj_string(text: &str) -> bool {
    let mut words = text.split_whitespace().map(|word| word.strip_prefix('+').unwrap_or(word));
    words.next().is_some_and(|first| ["proj=", "type=crs", "title="].iter().any(|known| first.starts_with(known)))
        && text.contains("proj=")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crs::CrsPair;

    #[test]
    fn four_forms_are_definitions() {
        for text in [
            "EPSG:5186",
            " epsg:5186 ",
            "OGC:CRS84",
            "IGNF:AMANU49.GEO",
            "EPSG:7406+5773",
            "+proj=utm +zone=52 +datum=WGS84",
            "proj=longlat",
            "+type=crs +proj=longlat",
            "{\"type\": \"GeographicCRS\"}",
            "GEOGCS[\"WGS 84\"]",
            "ProjectedCRS[\"x\"]",
            "PROJCS (\"x\")",
        ] {
            assert!(is_definition(text), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_a_code_of_epsg() {
        for (text, definition) in [("5186", "EPSG:5186"), ("EPSG:5186", "EPSG:5186"), ("", ""), ("52N", "52N")] {
            assert_eq!(with_authority(text), definition);
        }
    }

    #[test]
    fn names_and_paths_are_none() {
        let long = "a".repeat(16_000);
        for text in
            ["", "a12", "/etc/passwd", "%s%s%s%n", "WGS 84", "Korea 2000 / Unified CS", "x:1", "EPSG:", "EPSG:/etc/1"]
        {
            assert!(!is_definition(text), "{text}");
        }
        for text in [&*long, &format!("EPSG:{long}"), "+init=/etc/passwd:1", "PARAMETRICCRS[", "SELECT(1)"] {
            assert!(!is_definition(text), "{}", &text[..8]);
        }
    }

    #[test]
    fn what_has_a_form_and_is_unknown_is_refused_by_proj() {
        for text in
            ["EPSG:99999999", "ESRI:1", "OGC:nothing", "{\"a\": 1}", "GEOGCS[", "+proj=nothing", "PROJCRS[\"x\"]"]
        {
            assert!(is_definition(text) && CrsPair::resolve(text, "EPSG:4326", false).is_err(), "{text}");
        }
    }
}
