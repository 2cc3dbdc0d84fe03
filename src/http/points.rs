//! `GET /uploads/{id}/points`: the points of a workbook, or of the first rows of an upload that is open, for a map.

use std::os::unix::fs::FileExt;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use tokio::task::spawn_blocking;

use super::problem::Problem;
use super::uploads::{UploadQuery, find, stopped};
use super::{SharedState, workbooks};
use crate::inspect::points::PointMap;

/// Largest workbook that is read.
const WORKBOOK_BYTES_MAX: u64 = 256 << 20;

pub(super) fn routes() -> Router<SharedState> {
    Router::new().route("/uploads/{id}/points", get(points))
}

async fn points(
    State(app): State<SharedState>,
    Path(id): Path<String>,
    Query(of): Query<UploadQuery>,
) -> Result<Json<PointMap>, Problem> {
    let upload = find(&app, id, of).await?;
    let topology = app.topology(&upload.topology)?;
    if !upload.state.is_final() {
        let (queries, id) = (app.queries.clone(), upload.id.clone());
        let asking = spawn_blocking(move || {
            let preview = queries.preview(&topology.name, &id).ok().flatten()?;
            PointMap::of_preview(&preview.sheets, &topology)
        });
        let none = || Problem::not_found("no-points", "there are no points to show here yet");
        return asking.await.map_err(stopped)?.map(Json).ok_or_else(none);
    }
    let (cached, _, _) = workbooks::fetch(&app, &upload).await?;
    if cached.bytes > WORKBOOK_BYTES_MAX {
        return Err(Problem::not_found("no-points", "the workbook is too large for a map; download it"));
    }
    let reading = spawn_blocking(move || {
        let mut bytes = vec![0; cached.bytes as usize];
        cached.file.read_exact_at(&mut bytes, 0).ok()?;
        PointMap::of_workbook(&bytes, &topology)
    });
    let none = || Problem::not_found("no-points", "the workbook has no coordinates that a map could show");
    reading.await.map_err(stopped)?.map(Json).ok_or_else(none)
}
