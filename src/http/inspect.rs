//! `POST /inspect`: inspects the beginning of a file, and tries it under a topology. Nothing is published.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::form::Choices;
use super::problem::Problem;
use super::uploads::{check_topology, file_problem, stopped};
use super::{SharedState, body, form};
use crate::file::book::{Several, WORKBOOK_BYTES_MAX};
use crate::inspect::columns::ChosenColumns;
use crate::inspect::draft::Draft;
use crate::inspect::lang;
use crate::inspect::reading::FileFacts;
use crate::inspect::sample::Sample;
use crate::inspect::table::{Suggestion, Table};
use crate::inspect::trial::{Asked, Trial, Tried, try_file};
use crate::inspect::types::{may_reject, shown_types};
use crate::topology::Topology;

/// Bytes of a file that are looked at, at most.
const SAMPLE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a file that is sent whole: a workbook and an archive cannot be read by their beginning.
const WHOLE_BYTES_MAX: u64 = WORKBOOK_BYTES_MAX;
/// Topologies that a file is tried on to find the one that fits.
const TRIED_MAX: usize = 20;

pub(super) fn routes() -> Router<SharedState> {
    Router::new().route("/inspect", post(inspect)).route("/draft", post(draft))
}

#[derive(Deserialize)]
struct InspectQuery {
    /// Which topology to try; without it the one that fits best.
    topology: Option<String>,
    /// How the file is read, and its columns and CRS; what is left out is found.
    #[serde(flatten)]
    choices: Choices,
    /// True when the body is all of the file.
    #[serde(default)]
    whole: Option<String>,
    /// Name of the file, which may name a place.
    #[serde(default)]
    name: String,
    /// Language of messages; without it the topology's.
    lang: Option<String>,
}

#[derive(Serialize)]
struct Inspection {
    file: FileFacts,
    /// The topology that was asked for, or fits best.
    topology: String,
    /// Whether the trial saw all of the file.
    is_whole: bool,
    /// All topologies, the one that fits best first.
    fits: Vec<Fit>,
    trial: Trial,
    /// The findings about the file, whatever the topology.
    suggestion: Suggestion,
}

/// How well a topology fits.
#[derive(Serialize)]
struct Fit {
    topology: String,
    /// Part of the rows that fit, below 0 for a failure; null where it was not tried.
    share: Option<f64>,
}

async fn inspect(
    State(app): State<SharedState>,
    Query(query): Query<InspectQuery>,
    request: Request,
) -> Result<Json<Inspection>, Problem> {
    let (inspection, ..) = look_at(&app, query, request).await?;
    Ok(Json(inspection))
}

/// The findings and choices, as a topology file.
async fn draft(
    State(app): State<SharedState>,
    Query(query): Query<InspectQuery>,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let name = query.name.clone();
    let (Inspection { file, mut trial, suggestion, is_whole, .. }, table, asked) =
        look_at(&app, query, request).await?;
    if !is_whole {
        trial.columns.keep_blank_but(&[]);
    }
    let mut types = shown_types(&table);
    if !is_whole || table.is_full() {
        types.iter_mut().for_each(|kind| *kind = kind.filter(|kind| !may_reject(*kind)));
    }
    // The topology's CRS speaks for itself only where rows fit it.
    let fitting = trial.crs.as_ref().filter(|_| trial.share() > 0.0 && suggestion.crs_column.is_none());
    let fitting = fitting.map(|crs| crs.from.as_str());
    let draft = Draft {
        file_name: &name,
        file: &file,
        reading: asked.reading,
        table: &table,
        types: &types,
        used: &trial.columns,
        crs: asked.crs.as_deref().or(fitting),
        extras: asked.extras,
        suggestion: &suggestion,
    };
    Ok(([(CONTENT_TYPE, "application/toml; charset=utf-8")], draft.to_toml()))
}

async fn look_at(
    app: &SharedState,
    query: InspectQuery,
    request: Request,
) -> Result<(Inspection, Table, Asked), Problem> {
    let is_cut = query.whole.as_deref() != Some("true");
    let (request, watch) = body::limit(request, if is_cut { SAMPLE_BYTES_MAX } else { WHOLE_BYTES_MAX })?;
    let received = form::receive_file(&app.spool_room, request).await;
    let file = received.map_err(|problem| watch.problem_or(|| problem))?;
    let named = query.topology.as_deref().filter(|name| !name.is_empty());
    let named = named.map(|name| app.topology(name)).transpose()?;
    let mut takes_files = app.topologies();
    takes_files.retain(|topology| check_topology(topology).is_ok());
    let asked = Asked { lang: query.lang.as_deref().map(lang), ..query.choices.asked()? };
    let looking = spawn_blocking(move || {
        let worksheet = query.choices.worksheet.as_deref();
        let reader = file.reader().map_err(|error| file_problem(&error.into()))?;
        let sample = Sample::read(Box::new(reader), is_cut, (worksheet, Several::First), SAMPLE_BYTES_MAX)?;
        let asked = Asked { reading: sample.reading(asked.reading), ..asked };
        let (inspection, table) = look(&sample.bytes, &asked, named.as_ref(), &takes_files, &query.name)?;
        let file = FileFacts { book: sample.book, archive: sample.archive, ..inspection.file };
        Ok((Inspection { is_whole: sample.is_whole, file, ..inspection }, table, asked))
    });
    looking.await.map_err(stopped)?
}

/// Tries the topology that was asked for, or all of them.
fn look(
    sample: &Bytes,
    asked: &Asked,
    named: Option<&Arc<Topology>>,
    takes_files: &[Arc<Topology>],
    name: &str,
) -> Result<(Inspection, Table), Problem> {
    let candidates = named.map_or(takes_files, std::slice::from_ref);
    let mut tried = Vec::new();
    for topology in candidates.iter().take(TRIED_MAX) {
        check_topology(topology)?;
        tried.push((topology, try_file(sample, asked, topology)?));
    }
    // Of topologies that fit alike, the one that knows the columns of the file, then the one in the reader's language.
    let renamed = |tried: &Tried| tried.trial.columns.renamed.len();
    let is_foreign = |topology: &Topology| asked.lang.is_some_and(|lang| lang != topology.sink.workbook.lang);
    let best = tried.iter().map(|(_, tried)| tried.trial.share()).fold(-1.0, f64::max);
    let share = |topology: &Arc<Topology>, tried: &Tried| match tried.trial.share() {
        0.0 if best == 0.0 => share_in_found_crs(sample, asked, topology, tried, name).unwrap_or(0.0),
        share => share,
    };
    let shares: BTreeMap<Arc<str>, f64> =
        tried.iter().map(|(topology, tried)| (topology.name.clone(), share(topology, tried))).collect();
    tried.sort_by(|(one, a), (other, b)| {
        let by_share = shares[&other.name].total_cmp(&shares[&one.name]);
        by_share.then_with(|| (renamed(a), is_foreign(one)).cmp(&(renamed(b), is_foreign(other))))
    });
    let mut fits: Vec<Fit> = tried.iter().map(|(topology, tried)| Fit::of(topology, Some(&tried.trial))).collect();
    let untried = takes_files.iter().filter(|other| tried.iter().all(|(topology, _)| topology.name != other.name));
    fits.extend(untried.map(|topology| Fit::of(topology, None)));
    let none = || Problem::not_found("unknown-topology", "no topology here takes files").in_field("topology");
    let (best, Tried { file, table, trial }) = tried.into_iter().next().ok_or_else(none)?;
    let suggestion = Suggestion::of(&table, &trial.columns, name);
    let topology = best.name.to_string();
    Ok((Inspection { file, topology, is_whole: false, fits, trial, suggestion }, table))
}

/// The share of rows that fit in the CRS that the evidence speaks for; `None` where there is none.
fn share_in_found_crs(
    sample: &Bytes,
    asked: &Asked,
    topology: &Arc<Topology>,
    tried: &Tried,
    name: &str,
) -> Option<f64> {
    let used = &tried.trial.columns;
    let ranking = Suggestion::of(&tried.table, used, name).ranking.filter(|_| asked.crs.is_none())?;
    let family = ranking.families.first()?;
    let (x, y) = if family.is_swapped { (&used.y, &used.x) } else { (&used.x, &used.y) };
    let columns = ChosenColumns { x: x.clone(), y: y.clone(), ..asked.columns.clone() };
    let crs = family.systems.first().map(|system| system.definition.clone());
    let anew = try_file(sample, &Asked { crs, columns, ..asked.clone() }, topology).ok()?;
    Some(anew.trial.share())
}

impl Fit {
    fn of(topology: &Topology, trial: Option<&Trial>) -> Fit {
        Fit { topology: topology.name.to_string(), share: trial.map(Trial::share) }
    }
}
