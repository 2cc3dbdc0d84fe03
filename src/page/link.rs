//! A cell that links to a web page, as the formula `HYPERLINK`. A formula lies in its row, so that a page holds it like any other cell. The
//! element `<hyperlink>` would lie behind the rows with a relationship for each, and Excel takes 65,530 of them in a sheet.

use crate::record::Lang;

/// Longest address of a link, in characters. Excel takes no longer text in a formula (Excel specifications and limits), and says of a file
/// that has one that it is damaged.
pub const LINK_LENGTH_MAX: usize = 255;

/// The text that a link shows.
pub fn link_label(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Map",
        Lang::Ko => "지도",
    }
}

/// The address of a place in degrees on a map, as `map_link` has it: on the one that readers of that language know.
pub fn map_address(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "https://www.openstreetmap.org/?mlat={lat}&mlon={lon}#map=17/{lat}/{lon}",
        Lang::Ko => "https://map.kakao.com/link/map/{lat},{lon}",
    }
}

/// The XML from the address to the shown text; `None` for what is no address, or too long for a formula.
pub(super) fn formula(address: &str, lang: Lang) -> Option<String> {
    let is_address = address.len() <= LINK_LENGTH_MAX && address.bytes().all(is_of_address);
    let label = link_label(lang);
    is_address.then(|| format!("{}\",\"{label}\")</f><v>{label}", address.replace('&', "&amp;")))
}

/// The shown text of what [`formula`] made.
pub(super) fn shown(formula: &str) -> &str {
    formula.rsplit_once("<v>").map_or("", |(_, label)| label)
}

/// What an address is made of (RFC 3986, section 2). A quote is not among it, so that nothing ends the text in the formula.
fn is_of_address(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_an_address_becomes_a_formula() {
        let made = formula("https://map.example/?q=a&z='x'", Lang::Ko).expect("an address");
        assert_eq!(made, "https://map.example/?q=a&amp;z='x'\",\"지도\")</f><v>지도");
        assert_eq!(shown(&made), "지도");
        for text in ["\")+cmd|'/c calc'!A1", "a b", "가", "<f>", "a\nb", &"x".repeat(256)] {
            assert_eq!(formula(text, Lang::En), None, "{text}");
        }
        assert!(formula(&"x".repeat(255), Lang::En).is_some());
    }
}
