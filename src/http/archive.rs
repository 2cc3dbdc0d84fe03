//! `GET /workbooks.zip?ids=a,b`: several finished workbooks as one ZIP file. They are compressed already, so they are stored in it as they
//! are.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::SharedState;
use super::problem::Problem;
use super::uploads::{UploadQuery, find, stopped};
use super::workbook_cache::Cached;
use super::workbooks::{fetch, finish, read};
use crate::sink::zip::{Method, PartFacts, ZipWriter};

/// Workbooks in one archive: each is an open file while it is sent.
const WORKBOOKS_MAX: usize = 40;
/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Name of the archive.
const FILENAME: &str = "workbooks.zip";

pub(super) fn routes() -> Router<SharedState> {
    Router::new().route("/workbooks.zip", get(archive))
}

#[derive(Deserialize)]
struct ArchiveQuery {
    /// Ids of uploads, commas between.
    ids: String,
    /// Distinguishes uploads of the same id.
    topology: Option<String>,
}

async fn archive(State(app): State<SharedState>, Query(query): Query<ArchiveQuery>) -> Result<Response, Problem> {
    let ids: Vec<&str> = query.ids.split(',').filter(|id| !id.is_empty()).collect();
    if ids.is_empty() || ids.len() > WORKBOOKS_MAX {
        let detail = format!("`ids` names 1 to {WORKBOOKS_MAX} uploads, with commas between");
        return Err(Problem::bad_request("ids", detail).in_field("ids"));
    }
    let mut names = BTreeSet::new();
    let mut zip = ZipWriter::default();
    let mut pieces: Vec<Body> = Vec::new();
    let mut length = 0;
    for id in ids {
        let of = UploadQuery { topology: query.topology.clone(), lang: None };
        let upload = find(&app, id.to_owned(), of).await?;
        let (cached, filename, _) = fetch(&app, &upload).await?;
        let crc = spawn_blocking({
            let cached = cached.clone();
            move || crc(&cached)
        });
        let crc = crc.await.map_err(stopped)?;
        let crc = crc.map_err(|error| Problem::unavailable("spool", format!("a workbook cannot be read: {error}")))?;
        let bytes = cached.bytes;
        let facts = PartFacts { method: Method::Stored, crc, compressed: bytes, size: bytes };
        let mut head = Vec::new();
        zip.part(&free(&mut names, &filename), &facts, &mut head);
        length += head.len() as u64 + bytes;
        pieces.push(Body::from(head));
        pieces.push(read(cached, 0..bytes));
    }
    let mut directory = Vec::new();
    zip.finish(&mut directory);
    length += directory.len() as u64;
    pieces.push(Body::from(directory));
    let body = stream::iter(pieces).flat_map(Body::into_data_stream);
    let response = Response::builder()
        .header(CONTENT_TYPE, "application/zip")
        .header(CONTENT_LENGTH, length)
        .header(CACHE_CONTROL, "private, no-store")
        .header(CONTENT_DISPOSITION, format!("attachment; filename=\"{FILENAME}\""));
    finish(response.body(Body::from_stream(body)))
}

/// CRC-32 of a workbook.
fn crc(cached: &Arc<Cached>) -> std::io::Result<u32> {
    let (mut crc, mut at) = (crc32fast::Hasher::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    while at < cached.bytes {
        let read = cached.file.read_at(&mut piece, at)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        crc.update(&piece[..read]);
        at += read as u64;
    }
    Ok(crc.finalize())
}

/// A name that no other file in the archive has: `places (2).xlsx` for the second one. A name cannot lead out of the folder that it is
/// unpacked into.
fn free(names: &mut BTreeSet<String>, filename: &str) -> String {
    let safe = crate::client::folder::safe_file_name(filename);
    let (stem, extension) = safe.rsplit_once('.').map_or((safe.as_str(), ""), |(stem, extension)| (stem, extension));
    let mut name = safe.clone();
    let mut number = 2;
    while !names.insert(name.clone()) {
        name = format!("{stem} ({number}).{extension}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_an_archive_differ_and_stay_inside() {
        let mut names = BTreeSet::new();
        let found = ["a.xlsx", "a.xlsx", "../a.xlsx", "a.xlsx"].map(|name| free(&mut names, name));
        assert_eq!(found, ["a.xlsx", "a (2).xlsx", "_a.xlsx", "a (3).xlsx"]);
    }
}
