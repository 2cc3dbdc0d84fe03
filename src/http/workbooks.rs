//! `GET /workbooks/{id}`: the finished file, whole or in ranges. Workbooks are kept in temporary files without names, until there are too
//! many bytes or files, or nobody has asked for one for a while. Each is an open file, and a process may have few of them.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::unfold;
use percent_encoding::utf8_percent_encode;
use tokio::task::spawn_blocking;

use super::SharedState;
use super::app_state::AppState;
use super::problem::Problem;
use super::uploads::{UploadQuery, broker_problem, find, stopped};
use super::workbook_cache::{CACHE_BYTES_MAX, Cached};
use crate::client::download::{DownloadError, Wanted, download, newest};
use crate::client::uploads::{Upload, UploadPhase};
use crate::record::address::IN_VALUES;
use crate::sink::chunk::CONTENT_TYPE as XLSX;
use crate::sink::digest::Digest;

/// Bytes that are read from a file at a time.
const PIECE_BYTES: u64 = 256 << 10;

pub(super) fn routes() -> Router<SharedState> {
    Router::new().route("/workbooks/{id}", get(workbook))
}

/// The workbook of an upload, its name and its checksum; fetched from its topic if it is not at hand.
pub(super) async fn fetch(app: &AppState, upload: &Upload) -> Result<(Arc<Cached>, String, Digest), Problem> {
    if upload.state != UploadPhase::Published {
        let why = match (&upload.failure, upload.state.is_final()) {
            (Some(failure), _) => format!("{}: {}", failure.reason, failure.message),
            (None, true) => "its upload was given up".to_owned(),
            (None, false) => "its upload is not complete yet".to_owned(),
        };
        return Err(Problem::not_found("no-workbook", format!("there is no workbook: {why}")));
    }
    let (topic, filename, sha256) = match &upload.workbook {
        Some(workbook) => (workbook.topic.clone(), workbook.filename.clone(), workbook.sha256),
        None => {
            let topic = app.topology(&upload.topology)?.sink.topic.to_string();
            let (client, id) = (app.kafka.clone(), upload.id.clone());
            let looking = spawn_blocking(move || newest(&client, &topic, &id).map(|found| (topic, found)));
            let (topic, found) = looking.await.map_err(stopped)?.map_err(|error| broker_problem(&error))?;
            let (label, sha256) = found.ok_or_else(|| download_problem(&DownloadError::Gone))?;
            (topic, label.filename, sha256)
        }
    };
    let wanted = Wanted { topic, upload: upload.id.clone(), sha256, published_ms: upload.updated_at_ms };
    let (client, folder) = (app.kafka.clone(), app.config.spool_dir.clone());
    let fetching = async || {
        let fetching = spawn_blocking(move || {
            let mut file = tempfile::tempfile_in(folder)?;
            let bytes = download(&client, &wanted, &mut file)?;
            Ok(Arc::new(Cached { file, bytes }))
        });
        fetching.await.map_err(stopped)?.map_err(|error| download_problem(&error))
    };
    let cached = app.workbooks.cell(sha256, Instant::now()).get_or_try_init(fetching).await?.clone();
    app.workbooks.shrink(CACHE_BYTES_MAX, Instant::now());
    Ok((cached, filename, sha256))
}

fn download_problem(error: &DownloadError) -> Problem {
    match error {
        DownloadError::Gone => Problem::new(StatusCode::GONE, "gone", error.to_string()),
        DownloadError::Transport(error) => broker_problem(error),
        DownloadError::File(_) => Problem::unavailable("spool", error.to_string()),
    }
}

async fn workbook(
    State(app): State<SharedState>,
    Path(id): Path<String>,
    Query(of): Query<UploadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let upload = find(&app, id, of).await?;
    let (cached, filename, sha256) = fetch(&app, &upload).await?;
    let etag = format!("\"{sha256}\"");
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let mut response = Response::builder()
        .header(ETAG, &etag)
        .header(ACCEPT_RANGES, "bytes")
        .header(CACHE_CONTROL, "private, no-cache"); // kept, but asked for each time: a new revision has another tag
    let is_known =
        |tags: &str| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*");
    if text(IF_NONE_MATCH).is_some_and(is_known) {
        return finish(response.status(StatusCode::NOT_MODIFIED).body(Body::empty()));
    }
    let is_current = text(IF_RANGE).is_none_or(|tag| tag == etag);
    let range = text(RANGE).filter(|_| is_current).map_or(Wanting::All, |range| wanting(range, cached.bytes));
    let range = match range {
        Wanting::All => 0..cached.bytes,
        Wanting::Part(range) => {
            let (first, last) = (range.start, range.end - 1);
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_RANGE, format!("bytes {first}-{last}/{}", cached.bytes));
            range
        }
        Wanting::Nothing => {
            let detail = format!("the workbook has {} bytes", cached.bytes);
            let mut refused = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", detail).into_response();
            let whole = HeaderValue::try_from(format!("bytes */{}", cached.bytes));
            refused.headers_mut().insert(CONTENT_RANGE, whole.map_err(io::Error::other).map_err(|e| no_answer(&e))?);
            return Ok(refused);
        }
    };
    response = response
        .header(CONTENT_TYPE, XLSX)
        .header(CONTENT_LENGTH, range.end - range.start)
        .header(CONTENT_DISPOSITION, disposition(&filename));
    finish(response.body(read(cached, range)))
}

pub(super) fn finish(response: Result<Response, axum::http::Error>) -> Result<Response, Problem> {
    response.map_err(|error| no_answer(&error))
}

fn no_answer(error: &dyn std::error::Error) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
}

/// The part of a workbook that a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanting {
    /// Everything: no range, several, or something that is none.
    All,
    Part(Range<u64>),
    /// A range that the file does not have.
    Nothing,
}

/// Reads `bytes=a-b`, `bytes=a-` and `bytes=-n` (RFC 9110, 14.1.2).
fn wanting(header: &str, length: u64) -> Wanting {
    let range = header.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'));
    let Some((first, last)) = range.filter(|(_, last)| !last.contains(',')) else { return Wanting::All };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let range = match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(count)) if first.is_empty() => length.saturating_sub(count)..length,
        (Some(first), Some(last)) if first <= last => first..length.min(last.saturating_add(1)),
        _ => return Wanting::All,
    };
    if range.start < range.end { Wanting::Part(range) } else { Wanting::Nothing }
}

/// A file to be saved under this name (RFC 6266): in ASCII for the old, in UTF-8 for all others.
fn disposition(filename: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' };
    let ascii: String = filename.chars().map(plain).collect();
    let encoded = utf8_percent_encode(filename, IN_VALUES);
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

/// A part of a file as a body, a piece at a time.
pub(super) fn read(cached: Arc<Cached>, range: Range<u64>) -> Body {
    let pieces = unfold((cached, range), async |(cached, range)| {
        if range.is_empty() {
            return None;
        }
        let reading = spawn_blocking(move || {
            let mut piece = vec![0; PIECE_BYTES.min(range.end - range.start) as usize];
            let outcome = cached.file.read_exact_at(&mut piece, range.start);
            let rest = range.start + piece.len() as u64..range.end;
            (outcome.map(|()| Bytes::from(piece)), (cached, rest))
        });
        reading.await.ok()
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let cases = [
            ("bytes=0-99", Wanting::Part(0..100)),
            ("bytes=100-", Wanting::Part(100..1_000)),
            ("bytes=-100", Wanting::Part(900..1_000)),
            ("bytes=-5000", Wanting::Part(0..1_000)),
            ("bytes=999-5000", Wanting::Part(999..1_000)),
            ("bytes=1000-", Wanting::Nothing),
            ("bytes=-0", Wanting::Nothing),
            ("bytes=5-4", Wanting::All),
            ("bytes=0-1,5-6", Wanting::All),
            ("bytes=a-b", Wanting::All),
            ("bytes=+1-2", Wanting::All),
            ("bytes=-", Wanting::All),
            ("rows=1-2", Wanting::All),
        ];
        for (header, wanted) in cases {
            assert_eq!(wanting(header, 1_000), wanted, "{header}");
        }
        assert_eq!(wanting("bytes=0-", 0), Wanting::Nothing);
    }

    #[test]
    fn file_names_are_sent_as_rfc_6266_says() {
        assert_eq!(disposition("a b.xlsx"), "attachment; filename=\"a b.xlsx\"; filename*=UTF-8''a%20b.xlsx");
        assert_eq!(
            disposition("서울.xlsx"),
            "attachment; filename=\"__.xlsx\"; filename*=UTF-8''%EC%84%9C%EC%9A%B8.xlsx"
        );
        assert!(disposition("a\"\r\nb\\.xlsx").starts_with("attachment; filename=\"a___b_.xlsx\";"));
    }
}
