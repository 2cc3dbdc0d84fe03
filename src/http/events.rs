//! The progress of an upload: `GET /uploads/{id}/events` sends its changes, `/preview` its first rows, `/rejects` its refused rows.

use std::convert::Infallible;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::problem::Problem;
use super::uploads::{UploadQuery, broker_problem, find, stopped, translate};
use super::{SharedState, workbooks};
use crate::client::rejects::{Refused, Rejects, rejects};
use crate::client::uploads::{UploadKey, UploadPhase};
use crate::record::Lang;
use crate::sink::preview::{errors_sheet, read_workbook};

/// Least time between two events of a stream.
const PACE: Duration = Duration::from_millis(200);
/// How often a stream without changes shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest search for rejected rows.
const SEARCH: Duration = Duration::from_secs(10);
/// Largest workbook that is read for a preview.
const PREVIEW_BYTES_MAX: u64 = 64 << 20;

pub(super) fn routes() -> Router<SharedState> {
    Router::new()
        .route("/uploads/{id}/events", get(events))
        .route("/uploads/{id}/preview", get(preview))
        .route("/uploads/{id}/rejects", get(refused))
}

/// A stream of events and its state.
struct EventStream {
    app: SharedState,
    key: UploadKey,
    lang: Option<String>,
    news: watch::Receiver<u64>,
    sent: String,
    has_ended: bool,
}

/// `upload` with the upload as it is now, and at each change; `end` with it in its final state, and then nothing more.
async fn events(
    State(app): State<SharedState>,
    Path(id): Path<String>,
    Query(of): Query<UploadQuery>,
) -> Result<Response, Problem> {
    let lang = of.lang.clone();
    let upload = find(&app, id, of).await?;
    let key = UploadKey { topology: upload.topology, id: upload.id };
    let news = app.uploads.watch();
    let stream = EventStream { app, key, lang, news, sent: String::new(), has_ended: false };
    let events = unfold(stream, async |mut stream| {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

impl EventStream {
    async fn next(&mut self) -> Option<Event> {
        if !self.sent.is_empty() {
            tokio::time::sleep(PACE).await;
        }
        let mut stopping = self.app.stopping.clone();
        while !self.has_ended {
            self.news.mark_unchanged();
            let upload = translate(self.app.uploads.get(&self.key)?, self.lang.as_deref());
            self.has_ended = upload.state.is_final();
            let json = serde_json::to_string(&upload).ok()?;
            if self.has_ended || json != self.sent {
                self.sent.clone_from(&json);
                return Some(Event::default().event(if self.has_ended { "end" } else { "upload" }).data(json));
            }
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                _ = stopping.wait_for(|stopping| *stopping) => return None,
            }
        }
        None
    }
}

/// The first rows of the first sheets: of the open upload as its task has them, or of its workbook.
async fn preview(
    State(app): State<SharedState>,
    Path(id): Path<String>,
    Query(of): Query<UploadQuery>,
) -> Result<Response, Problem> {
    let upload = find(&app, id, of).await?;
    if upload.state == UploadPhase::Published {
        let (cached, _, _) = workbooks::fetch(&app, &upload).await?;
        if cached.bytes > PREVIEW_BYTES_MAX {
            return Err(Problem::not_found("no-preview", "the workbook is too large to be shown; download it"));
        }
        let reading = spawn_blocking(move || {
            let mut bytes = vec![0; cached.bytes as usize];
            cached.file.read_exact_at(&mut bytes, 0).ok()?;
            read_workbook(&bytes)
        });
        let sheets = reading.await.map_err(stopped)?;
        let sheets = sheets.ok_or_else(|| Problem::not_found("no-preview", "the workbook cannot be read back"))?;
        let errors = errors_sheet(app.topology(&upload.topology)?.sink.workbook.lang);
        return Ok(Json(json!({ "state": upload.state, "sheets": sheets, "errors_sheet": errors })).into_response());
    }
    let (queries, state) = (app.queries.clone(), upload.state);
    let asking = spawn_blocking(move || queries.preview(&upload.topology, &upload.id));
    match asking.await.map_err(stopped)? {
        Ok(Some(preview)) => {
            Ok(Json(json!({ "state": state, "sheets": preview.sheets, "sheets_total": preview.sheets_total }))
                .into_response())
        }
        Ok(None) => {
            Err(Problem::not_found("no-preview", "there are no rows to show here yet; another instance may have them"))
        }
        Err(error) => Err(Problem::unavailable("busy", error.to_string()).retry_after(1)),
    }
}

/// The rows that were refused, the first thousand.
async fn refused(
    State(app): State<SharedState>,
    Path(id): Path<String>,
    Query(query): Query<UploadQuery>,
) -> Result<Json<Rejects>, Problem> {
    let lang = query.lang.clone();
    let upload = find(&app, id, query).await?;
    let topology = app.topology(&upload.topology)?;
    let Some(status) = &upload.status else {
        return Ok(Json(Rejects { rejects: vec![], is_complete: true }));
    };
    let wanted = Refused {
        topic: topology.sink.dead_letter_topic.to_string(),
        upload: upload.id.clone(),
        partition: status.partition,
        first: status.offsets.first,
        count: upload.accounting.rejected,
        begun_ms: upload.begun_at_ms,
    };
    let client = app.kafka.clone();
    let reading = spawn_blocking(move || rejects(&client, &wanted, SEARCH));
    let mut found = reading.await.map_err(stopped)?.map_err(|error| broker_problem(&error))?;
    if lang.as_deref() == Some("ko") {
        found.rejects.iter_mut().for_each(|reject| reject.translate(Lang::Ko));
    }
    Ok(Json(found))
}
