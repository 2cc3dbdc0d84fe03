//! The page: plain HTML, CSS and modules, held in the binary. It asks no other host for anything, and everything that it shows it asks this
//! server's API for.

use std::collections::BTreeMap;
use std::io::Write as _;

use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::SharedState;
use super::problem::Problem;
use crate::crs::places::{KOREA, WORLD};
use crate::record::Reason;
use crate::sink::digest::Digest;

const INDEX: &str = include_str!("page/index.html");
/// The description of the API, for programs.
const OPENAPI: &str = include_str!("../../docs/openapi.json");
/// The text in [`INDEX`] that names the language; [`INDEX`] is in English.
const LANGUAGE: &str = "<html lang=\"en\">";

/// The files that the page loads: name, media type, content.
const ASSETS: [(&str, &str, &str); 15] = [
    ("page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("card.js", "text/javascript; charset=utf-8", include_str!("page/card.js")),
    ("plan.js", "text/javascript; charset=utf-8", include_str!("page/plan.js")),
    ("progress.js", "text/javascript; charset=utf-8", include_str!("page/progress.js")),
    ("corrections.js", "text/javascript; charset=utf-8", include_str!("page/corrections.js")),
    ("choices.js", "text/javascript; charset=utf-8", include_str!("page/choices.js")),
    ("tables.js", "text/javascript; charset=utf-8", include_str!("page/tables.js")),
    ("api.js", "text/javascript; charset=utf-8", include_str!("page/api.js")),
    ("text.js", "text/javascript; charset=utf-8", include_str!("page/text.js")),
    ("map.js", "text/javascript; charset=utf-8", include_str!("page/map.js")),
    ("advice.js", "text/javascript; charset=utf-8", include_str!("page/advice.js")),
    ("korea.json", "application/json", KOREA),
    ("world.json", "application/json", WORLD),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

pub(super) fn routes() -> Router<SharedState> {
    Router::new()
        .route("/", get(index))
        .route("/favicon.ico", get(async |headers: HeaderMap| asset(Path("icon.svg".to_owned()), headers).await))
        .route("/assets/{name}", get(asset))
        .route("/reasons", get(reasons))
        .route("/openapi.json", get(async |headers: HeaderMap| content("application/json", OPENAPI, &headers)))
}

/// The meaning of each reason code, for people.
async fn reasons() -> Json<BTreeMap<&'static str, BTreeMap<&'static str, String>>> {
    Json(Reason::ALL.iter().map(|reason| (reason.code(), reason.facts())).collect())
}

/// In Korean for whoever asks for it first, else in English; the page keeps what its reader chooses.
async fn index(State(_): State<SharedState>, headers: HeaderMap) -> Response {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let language = preferred(accepted);
    let page = INDEX.replacen(LANGUAGE, &format!("<html lang=\"{language}\">"), 1);
    let about = [(CONTENT_LANGUAGE, language)];
    (about, content("text/html; charset=utf-8", &page, &headers)).into_response()
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, media_type, text)) => content(media_type, text, &headers),
        None => Problem::not_found("not-found", "the page has no such part").into_response(),
    }
}

/// A part of the page, or 304 where the browser has it: it asks each time, so that a new release shows at once.
fn content(media_type: &'static str, text: &str, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", Digest(Sha256::digest(text).into()));
    let known = headers.get(IF_NONE_MATCH).is_some_and(|tags| tags.as_bytes() == tag.as_bytes());
    let about = [(CACHE_CONTROL, "no-cache".to_owned()), (ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let about = (about, [(CONTENT_TYPE, media_type)], [(VARY, "Accept-Encoding, Accept-Language")]);
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match compressed(text).filter(|_| accepted.split(',').any(|coding| coding.trim() == "gzip")) {
        Some(bytes) => (about, [(CONTENT_ENCODING, "gzip")], bytes).into_response(),
        None => (about, text.to_owned()).into_response(),
    }
}

/// In a third of the bytes.
fn compressed(text: &str) -> Option<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).ok()?;
    gzip.finish().ok()
}

/// The language of ours with the largest weight in `Accept-Language` (RFC 9110, 12.5.4); of equal ones the first.
fn preferred(accepted: &str) -> &'static str {
    let mut best = ("en", 0.0);
    for range in accepted.split(',') {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
        let language = match tag.trim().split('-').next().unwrap_or_default() {
            ko if ko.eq_ignore_ascii_case("ko") => "ko",
            en if en.eq_ignore_ascii_case("en") => "en",
            _ => continue,
        };
        if let Some(weight) = weight.filter(|weight| *weight > best.1) {
            best = (language, weight);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_asked_for_most() {
        for (accepted, language) in [
            ("", "en"),
            ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
            ("en-US,en;q=0.9,ko;q=0.8", "en"),
            ("de,ko;q=0.5,en;q=0.4", "ko"),
            ("fr, *;q=0.1", "en"),
            ("ko;q=0, en;q=0.1", "en"),
            ("ko;q=nonsense", "en"),
        ] {
            assert_eq!(preferred(accepted), language, "{accepted:?}");
        }
    }

    #[test]
    fn the_page_needs_no_secure_context() {
        // Browsers keep these for HTTPS and loopback; offices open the page over HTTP by a server's name.
        for api in ["crypto.randomUUID", "crypto.subtle", "navigator.clipboard", "showOpenFilePicker", "serviceWorker"]
        {
            for (name, _, text) in ASSETS {
                assert!(!text.contains(api), "{name} needs {api}");
            }
        }
    }

    #[test]
    fn the_page_stays_light() {
        let texts = ASSETS.iter().map(|(.., text)| *text).chain([INDEX]);
        let bytes = texts.map(|text| compressed(text).map_or(text.len(), |bytes| bytes.len())).sum::<usize>();
        assert!(bytes < 66_000, "{bytes} bytes on their way to a browser");
    }

    #[test]
    fn the_page_loads_nothing_that_is_not_here() {
        let names: Vec<&str> = ASSETS.iter().map(|(name, ..)| *name).collect();
        let texts = ASSETS.iter().map(|(.., text)| *text).chain([INDEX]);
        let quoted = texts.flat_map(|text| text.split(['"', '\''])).collect::<Vec<_>>();
        for part in quoted.iter().filter_map(|part| part.strip_prefix("/assets/").or(part.strip_prefix("./"))) {
            assert!(names.contains(&part), "{part} is loaded, and not held");
        }
        assert!(INDEX.contains(LANGUAGE));
        let foreign = quoted.iter().filter(|part| part.contains("://") && !part.starts_with("http://www.w3.org/"));
        assert_eq!(foreign.count(), 0, "no other host is asked for anything");
    }
}
