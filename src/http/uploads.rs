//! Uploads: `POST /uploads` publishes one, the other routes show its status and results.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::{LOCATION, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use tracing::{info, warn};
use uuid::Uuid;

use super::form::{self, Fields, Form};
use super::problem::Problem;
use super::spool::Spooled;
use super::{AppState, SharedState};
use crate::client::publish::{PublishError, abort, check_takes_files, publish};
use crate::client::uploads::{Claim, Listed, Publishing, Upload, UploadKey};
use crate::file::reader::CsvFile;
use crate::file::upload::UploadRecords;
use crate::file::{FileError, Options};
use crate::inspect::columns::{ChosenColumns, Published, blank_columns};
use crate::inspect::reading::FileFacts;
use crate::inspect::{InspectError, own_crs, own_extras};
use crate::kafka::clock::now_ms;
use crate::record::{Extras, Lang};
use crate::sink::digest::Digest;
use crate::sink::status::StatusFailure;
use crate::source::Placement;
use crate::topology::Topology;
use crate::transport::TransportError;

/// Hex digits of an id that is made of content.
const ID_DIGITS: usize = 32;
/// Uploads that are listed unless the request says otherwise, and at most.
const LIST: usize = 50;
const LIST_MAX: usize = 1_000;
/// Longest wait for the index to know what is there.
const CATCH_UP: Duration = Duration::from_secs(10);
/// Bytes of a user agent that are passed on.
const USER_AGENT_BYTES_MAX: usize = 256;

pub(super) fn routes() -> Router<SharedState> {
    // axum ends a form after 2 MiB unless it is asked not to; `body` has limits of its own.
    Router::new()
        .route("/uploads", post(create).get(list).layer(DefaultBodyLimit::disable()))
        .route("/uploads/{id}", get(show).delete(give_up))
}

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    upload: Upload,
    file: FileFacts,
}

/// 1. Receive the whole file: what does not arrive whole leaves no trace.
/// 2. See that it is a CSV file, and that its CRS can be transformed.
/// 3. Its content is its id: what is there already is answered, not published again.
/// 4. Publish it, and answer when every record and the end are acknowledged.
async fn create(State(app): State<SharedState>, request: Request) -> Result<Response, Problem> {
    let user_agent = user_agent(request.headers());
    if let Some(name) = &Fields::of_query(&request)?.topology {
        app.topology(name)?;
    }
    let Form { fields, file } = form::receive(&app.spool_room, app.config.upload_bytes_max, request).await?;
    let topology = app.topology_or_only(fields.topology.as_deref())?;
    check_topology(&topology)?;
    let (asked, corrected) = (fields.choices.asked()?, fields.corrected()?);
    let worksheet = fields.choices.worksheet.clone();
    let skips_blank = fields.choices.skip_blank.as_deref() == Some("true");
    let cancel = Arc::new(AtomicBool::new(false));
    let opened = spawn_blocking({
        let (topology, cancel) = (topology.clone(), cancel.clone());
        move || {
            let crs = own_crs(&topology, asked.crs.as_deref())?;
            let extras = own_extras(&topology, asked.extras)?;
            let options = Options { worksheet: worksheet.clone(), ..asked.reading.options(&topology.source) };
            let blank = match skips_blank {
                true => blank_columns(open(&file, options.clone(), cancel.clone())?)?,
                false => Vec::new(),
            };
            let csv = open(&file, options, cancel)?;
            let published = ChosenColumns { blank, ..asked.columns }.apply(&topology, &csv.columns())?;
            let sheet = worksheet.map_or(String::new(), |name| format!("worksheet {name}\0"));
            let choice = sheet + &asked.reading.signature() + &published.signature() + &signature(extras);
            Ok::<_, Problem>((Content { csv, crs, extras, published, corrected }, choice, file))
        }
    });
    let (content, choice, file) = opened.await.map_err(stopped)??;
    let mut id = content_id(&topology.name, content.crs.as_deref(), &choice, &file.sha256);
    let understood = FileFacts::of(&content.csv, file.bytes);

    catch_up(&app).await?;
    if let Some(revises) = fields.revises {
        id = find(&app, revises, UploadQuery { topology: Some(topology.name.to_string()), lang: None }).await?.id;
    } else if !content.corrected.is_empty() {
        let detail = "corrected rows are a revision of an upload: name it by `revises`";
        return Err(Problem::bad_request("corrections", detail).in_field("revises"));
    }
    let name = fields.name.unwrap_or_else(|| "upload.csv".to_owned());
    let key = UploadKey { topology: topology.name.to_string(), id };
    let anew = !content.corrected.is_empty();
    let claim = app.uploads.claim(key.clone(), &name, content.crs.as_deref(), &topology.hash, anew, &cancel);
    let (status, upload) = match claim {
        Claim::Known(upload) => (StatusCode::OK, *upload),
        Claim::New(publishing) => {
            // The task continues when the client goes away now: all of the content is here.
            let job = Job { app: app.clone(), topology, key, name, content, user_agent, publishing, _file: file };
            let published = tokio::spawn(job.run());
            (StatusCode::CREATED, published.await.map_err(stopped)??)
        }
    };
    let location = format!("/uploads/{}", upload.id);
    Ok((status, [(LOCATION, location)], Json(Created { upload, file: understood })).into_response())
}

/// The content of an upload.
struct Content {
    csv: CsvFile,
    /// CRS of its own.
    crs: Option<String>,
    extras: Extras,
    published: Published,
    corrected: BTreeMap<u64, Vec<String>>,
}

/// A publication from its claim to its end.
struct Job {
    app: SharedState,
    topology: Arc<Topology>,
    key: UploadKey,
    name: String,
    content: Content,
    user_agent: Option<String>,
    publishing: Publishing,
    _file: Spooled,
}

impl Job {
    async fn run(self) -> Result<Upload, Problem> {
        let Job { app, topology, key, name, content, user_agent, publishing, _file } = self;
        let _turn = app.publishers.acquire().await.map_err(stopped)?;
        let attempt = Uuid::new_v4().to_string();
        let failed = |error: FileError| file_problem(&error);
        let Content { csv, crs, extras, published, corrected } = content;
        let records = UploadRecords::new(vec![csv], &name, &attempt).map_err(failed)?.with_crs(crs.as_deref());
        let records = published.of(records.with_extras(extras)).corrected(corrected);
        let mut records = records.announce("ss-received-ms", now_ms().to_string());
        if let Some(user_agent) = user_agent {
            records = records.announce("ss-user-agent", user_agent);
        }
        let (client, topic, id) = (app.kafka.clone(), topology.source.topic.clone(), key.id.clone());
        let sending = spawn_blocking(move || {
            // Nothing is sent where there is nothing to send it to.
            let outcome = match client.partitions(&topic) {
                Ok(_) => publish(&client, &topic, &id, records, &mut |rows| publishing.rows(rows)),
                Err(error) => Err(error.into()),
            };
            (outcome, publishing)
        });
        let (outcome, publishing) = sending.await.map_err(stopped)?;
        match outcome {
            Ok(rows) => {
                info!(topology = %topology.name, upload = %key.id, rows, "published over HTTP");
                let upload = publishing.complete(rows);
                upload.ok_or_else(|| Problem::unavailable("forgotten", "too many uploads at once"))
            }
            Err(error) => {
                warn!(topology = %topology.name, upload = %key.id, %error, "not published");
                let problem = publish_problem(&error);
                publishing.fail(StatusFailure {
                    reason: "upload.not_published".into(),
                    message: problem.detail.clone(),
                    details: None,
                });
                let (client, topic) = (app.kafka.clone(), topology.source.topic.clone());
                // Best effort: what has no end makes no workbook, and expires.
                spawn_blocking(move || abort(&client, &topic, None, &key.id, Some(&attempt)));
                Err(problem)
            }
        }
    }
}

/// Refuses a topology that takes no files.
pub(super) fn check_topology(topology: &Topology) -> Result<(), Problem> {
    check_takes_files(topology).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "topology", error.to_string()).in_field("topology")
    })
}

/// Opens the file and reads its header.
fn open(file: &Spooled, options: Options, cancel: Arc<AtomicBool>) -> Result<CsvFile, Problem> {
    let reader = file.reader().map_err(|error| file_problem(&error.into()))?;
    let csv = CsvFile::from_reader(Box::new(Cancellable { reader, cancel }), options);
    csv.map_err(|error| file_problem(&error))
}

/// A file that ends with an error when its upload is given up.
struct Cancellable {
    reader: std::fs::File,
    cancel: Arc<AtomicBool>,
}

impl Read for Cancellable {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(io::Error::other(GIVEN_UP));
        }
        self.reader.read(into)
    }
}

const GIVEN_UP: &str = "the upload was given up";

pub(super) fn file_problem(error: &FileError) -> Problem {
    match error {
        FileError::NotText(kind) => {
            let detail = format!("the file is {kind}");
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-text", detail).in_field("file")
        }
        FileError::Charset(_) => Problem::bad_request("charset", error.to_string()).in_field("file"),
        FileError::Header(_) => Problem::bad_request("header", error.to_string()).in_field("file"),
        FileError::Packed(_) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "packed", format!("the file: {error}")).in_field("file")
        }
        FileError::Io(error) if error.to_string() == GIVEN_UP => {
            Problem::new(StatusCode::CONFLICT, "given-up", GIVEN_UP)
        }
        FileError::Io(error) => Problem::unavailable("spool", format!("the temporary file cannot be read: {error}")),
    }
}

impl From<InspectError> for Problem {
    fn from(error: InspectError) -> Problem {
        let detail = error.to_string();
        match error {
            InspectError::File(error) => file_problem(&error),
            InspectError::Reading { field, .. } => Problem::bad_request("reading", detail).in_field(field),
            InspectError::Column(_) => Problem::bad_request("column", detail).in_field("columns"),
            InspectError::Crs(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "crs", detail).in_field("crs"),
            InspectError::Extra { field, .. } => Problem::bad_request("extra", detail).in_field(field),
            InspectError::Trial(_) => Problem::unavailable("trial", detail),
        }
    }
}

fn publish_problem(error: &PublishError) -> Problem {
    match error {
        PublishError::File(error) => file_problem(error),
        PublishError::Transport(error) => broker_problem(error),
    }
}

/// The answer to a request for which the cluster failed.
pub(super) fn broker_problem(error: &TransportError) -> Problem {
    match error {
        TransportError::TooLarge(_) => {
            let detail = format!("{error}; a row is larger than the topic takes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "row-too-large", detail).in_field("file")
        }
        TransportError::Unavailable(_) | TransportError::Clock(_) => Problem::unavailable("broker", error.to_string()),
        TransportError::Topic(_) => Problem::unavailable("topic", error.to_string()).retry_after(30),
        TransportError::Fenced(_)
        | TransportError::Replaced(_)
        | TransportError::AnotherLog(_)
        | TransportError::Truncated { .. }
        | TransportError::Unauthorised(_)
        | TransportError::OutOfRange { .. }
        | TransportError::Failed(_) => Problem::new(StatusCode::BAD_GATEWAY, "broker", error.to_string()),
    }
}

/// The task behind an answer was ended: the server stops.
pub(super) fn stopped(_: impl std::error::Error) -> Problem {
    Problem::unavailable("stopping", "the server is stopping")
}

/// A text of the parts of the workbook that make it another one; empty where none is asked for.
fn signature(extras: Extras) -> String {
    extras.asked().map(|(name, _)| format!("{name}\0")).collect()
}

/// The same topology, CRS, columns and content have the same id.
fn content_id(topology: &str, crs: Option<&str>, columns: &str, content: &[u8; 32]) -> String {
    let mut hash = Sha256::new();
    for text in [topology, crs.unwrap_or_default()] {
        hash.update(text);
        hash.update([0]);
    }
    hash.update(columns);
    hash.update(content);
    let mut id = Digest(hash.finalize().into()).to_string();
    id.truncate(ID_DIGITS);
    id
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(text[..text.floor_char_boundary(USER_AGENT_BYTES_MAX)].to_owned())
}

/// Waits until the index knows what the status topics hold, or content that is there would be published again.
async fn catch_up(app: &AppState) -> Result<(), Problem> {
    let mut news = app.uploads.watch();
    let known = async {
        while !app.uploads.has_caught_up() {
            tokio::time::timeout(Duration::from_millis(50), news.changed()).await.ok();
        }
    };
    tokio::time::timeout(CATCH_UP, known).await.map_err(|_| {
        let detail = "the status topics cannot be read: is the broker up, and do the topics exist?";
        Problem::unavailable("broker", detail)
    })
}

#[derive(Deserialize)]
struct ListQuery {
    limit: Option<usize>,
    topology: Option<String>,
    lang: Option<String>,
}

#[derive(Serialize)]
struct UploadList {
    uploads: Vec<Upload>,
    /// How many more are known.
    more: usize,
}

async fn list(State(app): State<SharedState>, Query(query): Query<ListQuery>) -> Json<UploadList> {
    let limit = query.limit.unwrap_or(LIST).min(LIST_MAX);
    let is_of = |name: &str| query.topology.as_deref().is_none_or(|wanted| wanted == name);
    let Listed { uploads, more, .. } = app.uploads.latest(is_of, limit);
    let uploads = uploads.into_iter().map(|upload| translate(upload, query.lang.as_deref())).collect();
    Json(UploadList { uploads, more })
}

/// `?topology=` distinguishes uploads of the same id; `lang=ko` gives messages in Korean.
#[derive(Default, Deserialize)]
pub(super) struct UploadQuery {
    pub topology: Option<String>,
    pub lang: Option<String>,
}

/// The upload with its messages in a language.
pub(super) fn translate(upload: Upload, lang: Option<&str>) -> Upload {
    let lang = if lang == Some("ko") { Lang::Ko } else { Lang::En };
    Upload { failure: upload.failure.map(|failure| failure.translate(lang)), ..upload }
}

/// The upload of that id.
pub(super) async fn find(app: &AppState, id: String, of: UploadQuery) -> Result<Upload, Problem> {
    let look = || match &of.topology {
        Some(topology) => app.uploads.get(&UploadKey { topology: topology.clone(), id: id.clone() }),
        None => app.uploads.find(&id),
    };
    if let Some(upload) = look() {
        return Ok(upload);
    }
    catch_up(app).await?;
    look().ok_or_else(|| {
        Problem::not_found(
            "unknown-upload",
            "no upload of this id is known here; those with the latest news are, 10,000 at most",
        )
    })
}

async fn show(
    State(app): State<SharedState>,
    Path(id): Path<String>,
    Query(of): Query<UploadQuery>,
) -> Result<Json<Upload>, Problem> {
    let lang = of.lang.clone();
    find(&app, id, of).await.map(|upload| Json(translate(upload, lang.as_deref())))
}

/// The upload of that id that is to be given up: where no topology is named, the only open one.
async fn find_open(app: &AppState, id: String, of: UploadQuery) -> Result<Upload, Problem> {
    if of.topology.is_some() {
        return find(app, id, of).await;
    }
    catch_up(app).await?;
    let mut open = app.uploads.open(|_| true, usize::MAX).uploads;
    open.retain(|upload| upload.id == id);
    match &open[..] {
        [] => find(app, id, of).await,
        [_] => Ok(open.remove(0)),
        [first, second, ..] => {
            let (first, second) = (&first.topology, &second.topology);
            let detail = format!("{first} and {second} have an open upload of this id: name one by `topology`");
            Err(Problem::new(StatusCode::CONFLICT, "ambiguous", detail).in_field("topology"))
        }
    }
}

/// Stops publishing, and publishes the marker that ends the upload without a workbook.
async fn give_up(
    State(app): State<SharedState>,
    Path(id): Path<String>,
    Query(of): Query<UploadQuery>,
) -> Result<Response, Problem> {
    let upload = find_open(&app, id, of).await?;
    if upload.state.is_final() {
        let detail = "the upload has ended already; there is nothing to give up";
        return Err(Problem::new(StatusCode::CONFLICT, "ended", detail));
    }
    let topology = app.topology(&upload.topology)?;
    check_takes_files(&topology).map_err(|error| {
        let detail = format!("{error}; its publisher gives the upload up, with #ABORT");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "topology", detail).in_field("topology")
    })?;
    let key = UploadKey { topology: upload.topology.clone(), id: upload.id.clone() };
    // Rows that lie in any partition have a marker that lies in any.
    let status = upload.status.as_ref().filter(|_| topology.source.placement == Placement::Keyed);
    let partition = status.map(|status| status.partition);
    // One that is under way here stops, and sends its marker behind what is on the way.
    if !app.uploads.cancel(&key) {
        let client = app.kafka.clone();
        let aborting = spawn_blocking(move || abort(&client, &topology.source.topic, partition, &key.id, None));
        aborting.await.map_err(stopped)?.map_err(|error| broker_problem(&error))?;
    }
    let upload = find(&app, upload.id, UploadQuery { topology: Some(upload.topology), lang: None }).await?;
    Ok((StatusCode::ACCEPTED, Json(upload)).into_response())
}
