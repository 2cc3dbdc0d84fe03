//! `map_link = ".."`: what it says, and what that means for the columns behind it.

use std::sync::Arc;

use percent_encoding::utf8_percent_encode;
use toml::Spanned;
use toml::de::DeValue;

use super::columns::Columns;
use super::map_keys;
use super::problem::Findings;
use super::reader::Reader;
use super::template::split;
use crate::map::{LinkConfig, MapConfig};
use crate::page::link::{LINK_LENGTH_MAX, link_label, map_address};
use crate::record::address::IN_ADDRESSES;
use crate::record::{ColumnType, Lang, TemplatePart};

/// Placeholders for the place of a row, which the last `reproject` to degrees computed: of `into`, the second and the first.
const LATITUDE: &str = "lat";
const LONGITUDE: &str = "lon";

/// `map_link = ".."` or `map_link = { url = "..", into = ".." }`
pub(super) struct LinkSpec {
    url: Spanned<String>,
    into: Option<Spanned<String>>,
}

impl LinkSpec {
    /// Reads the value of the key.
    pub(super) fn read(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<LinkSpec> {
        let Some(table) = value.get_ref().as_table() else {
            return reader.text("map_link", value).map(|url| LinkSpec { url, into: None });
        };
        let (url, into) = reader.table(&map_keys::MAP_LINK, value.span(), table, |reader, fields| {
            (fields.need_text(reader, "url"), fields.text(reader, "into"))
        });
        Some(LinkSpec { url: url?, into })
    }

    /// The map, if it could be made; `columns` gets the one that it adds. `lang` is the language of the workbook.
    pub(super) fn compile(
        &self,
        node: Arc<str>,
        lang: Lang,
        columns: &mut Columns,
        findings: &mut Findings,
    ) -> Option<MapConfig> {
        let into = self.into.as_ref().map_or(link_label(lang), |into| into.get_ref());
        if let Some(written) = self.into.as_ref().filter(|_| columns.has(into)) {
            let what = format!("\"into\" names \"{into}\", a column that rows have already");
            findings.add(written.span(), what, "columns are never overwritten; take another name");
        }
        let parts = split("map_link", self.url.get_ref()).and_then(|parts| check_address(&parts).map(|()| parts));
        let mut parts = parts.map_err(|(what, why)| findings.add(self.url.span(), what, why)).ok()?;
        for part in &mut parts {
            if let Some(name) = part.column_mut() {
                put_place(name, columns);
            }
            match part {
                TemplatePart::Literal(text) => *text = utf8_percent_encode(text, IN_ADDRESSES).to_string(),
                TemplatePart::Column(name) => self.check_column(name, columns, findings),
                TemplatePart::ColumnOr(..) => {}
            }
        }
        columns.add(into, ColumnType::Link { lang });
        Some(MapConfig::Link(LinkConfig { node, address: parts, into: into.to_owned(), lang }))
    }

    fn check_column(&self, name: &str, columns: &Columns, findings: &mut Findings) {
        if matches!(name, LATITUDE | LONGITUDE) && columns.lacks(name) {
            let what = format!("\"map_link\" has {{{name}}}, and rows have no place in degrees here");
            let why = "a map before this one has to reproject to a CRS in degrees, such as EPSG:4326";
            return findings.add(self.url.span(), what, why);
        }
        columns.check("map_link", &[Spanned::new(self.url.span(), name.to_owned())], findings);
    }
}

/// The column of links that an upload may ask for, where its rows have a place in degrees: to the map that readers of `lang` know.
pub(super) fn on_request(lang: Lang, columns: &Columns) -> Option<LinkConfig> {
    columns.degrees().filter(|place| place.iter().all(|name| columns.has(name)))?;
    let mut address = split("map_link", map_address(lang)).expect("our own address");
    address.iter_mut().filter_map(TemplatePart::column_mut).for_each(|name| put_place(name, columns));
    Some(LinkConfig { node: "map-link".into(), address, into: link_label(lang).to_owned(), lang })
}

/// Puts the column that was computed in the place of `{lat}` or `{lon}`.
fn put_place(name: &mut String, columns: &Columns) {
    match (name.as_str(), columns.degrees()) {
        (LONGITUDE, Some([lon, _])) => name.clone_from(lon),
        (LATITUDE, Some([_, lat])) => name.clone_from(lat),
        _ => {}
    }
}

/// The scheme and the host are fixed, and there is room for values.
fn check_address(parts: &[TemplatePart]) -> Result<(), (String, String)> {
    let start = match parts.first() {
        Some(TemplatePart::Literal(text)) => text.as_str(),
        _ => "",
    };
    let Some(host) = start.strip_prefix("https://").or_else(|| start.strip_prefix("http://")) else {
        let why = "it begins with https:// or http://, such as \"https://map.kakao.com/link/map/{name},{lat},{lon}\"";
        return Err(("\"map_link\" is no address of a web page".into(), why.into()));
    };
    let ends = host.find(['/', '?', '#']);
    if ends.unwrap_or(host.len()) == 0 || ends.is_none() && parts.len() > 1 {
        let what = "\"map_link\" does not name the host that it leads to";
        return Err((
            what.into(),
            "behind // comes the name of a host, then / and the rest; columns may be in the rest".into(),
        ));
    }
    let fixed: usize = parts
        .iter()
        .map(|part| match part {
            TemplatePart::Literal(text) => utf8_percent_encode(text, IN_ADDRESSES).map(str::len).sum(),
            TemplatePart::Column(_) | TemplatePart::ColumnOr(..) => 1,
        })
        .sum();
    if fixed > LINK_LENGTH_MAX {
        let what = format!("\"map_link\" has {fixed} characters without the values of its columns");
        return Err((what, format!("Excel takes {LINK_LENGTH_MAX} in a link")));
    }
    Ok(())
}
