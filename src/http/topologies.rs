//! `/topologies`: lists the topologies that files can be published to, and whether they are processed.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

use super::SharedState;
use super::app_state::AppState;
use super::problem::Problem;
use super::uploads::check_topology;
use crate::inspect::trial::ShownCrs;
use crate::map::MapConfig;
use crate::record::{TaskId, TopicPartition};
use crate::runtime::task_board::{AtWork, Role};
use crate::sink::Lang;
use crate::topology::Topology;

pub(super) fn routes() -> Router<SharedState> {
    Router::new()
        .route("/topologies", get(list))
        .route("/topologies/{name}/pause", post(async |app, name| set(app, name, true).await))
        .route("/topologies/{name}/resume", post(async |app, name| set(app, name, false).await))
}

#[derive(Serialize)]
struct Shown {
    name: String,
    hash: String,
    source: ShownSource,
    /// Of its first reproject map.
    crs: Option<ShownCrs>,
    /// Column or template that names the sheet of a row.
    sheet: String,
    lang: &'static str,
    /// Whether somebody has paused it in this process.
    paused: bool,
    /// Whether rows without coordinates stay in their sheets.
    keeps_blank: bool,
    /// Whether an upload may ask for a sheet *Summary*: not where every workbook has one.
    offers_summary: bool,
    /// The host that links of rows lead to, where an upload may ask for them.
    offers_map_link: Option<String>,
    /// Why it takes no files; null when it does.
    no_files: Option<String>,
    /// Tasks that this process has at work.
    tasks: Vec<ShownTask>,
    /// The problems of its file, which was saved since; the topology keeps running as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<String>,
}

#[derive(Serialize)]
struct ShownSource {
    topic: String,
}

#[derive(Serialize)]
struct ShownTask {
    /// Topic that it reads.
    topic: String,
    partition: i32,
    role: Role,
    /// First record that it has not processed.
    position: i64,
    /// Records between that and the end of the partition; null until it was read from.
    lag: Option<i64>,
}

impl ShownTask {
    fn new(topology: &Topology, id: &TaskId, task: AtWork) -> ShownTask {
        let TopicPartition { topic, partition } = topology.partition_of(id);
        ShownTask { topic: topic.to_string(), partition, role: task.role, position: task.position.0, lag: task.lag() }
    }
}

impl Shown {
    fn new(topology: &Topology, app: &AppState) -> Shown {
        let name: &str = &topology.name;
        let tasks = app.health.tasks.of(name);
        Shown {
            paused: app.health.pauses.paused().iter().any(|paused| paused == name),
            problems: app.problems_of(name),
            tasks: tasks.iter().map(|(id, task)| ShownTask::new(topology, id, *task)).collect(),
            keeps_blank: topology.maps.iter().all(|map| match map {
                MapConfig::Reproject(map) => map.blank_missing,
                MapConfig::Select(_)
                | MapConfig::Filter(_)
                | MapConfig::Compute(_)
                | MapConfig::Cast(_)
                | MapConfig::Link(_) => true,
            }),
            no_files: check_topology(topology).err().map(|problem| problem.detail),
            offers_summary: !topology.sink.workbook.summary,
            offers_map_link: topology.about().link_on_request,
            name: topology.name.to_string(),
            hash: topology.hash.to_string(),
            source: ShownSource { topic: topology.source.topic.to_string() },
            crs: topology.about().crs.first().map(|pair| ShownCrs::from(&**pair)),
            sheet: topology.aggregate.sheet.to_string(),
            lang: match topology.sink.workbook.lang {
                Lang::En => "en",
                Lang::Ko => "ko",
            },
        }
    }
}

async fn list(State(app): State<SharedState>) -> Json<Vec<Shown>> {
    Json(app.topologies().iter().map(|topology| Shown::new(topology, &app)).collect())
}

/// Pauses a topology in this process, or resumes it.
async fn set(State(app): State<SharedState>, Path(name): Path<String>, is_paused: bool) -> Result<StatusCode, Problem> {
    let topology = app.topology(&name)?;
    let noted = app.health.pauses.set(&topology.name, is_paused);
    noted.map_err(|error| Problem::unavailable("state", format!("the state directory does not take it: {error}")))?;
    Ok(StatusCode::NO_CONTENT)
}
