//! `GET /topologies`: what uploads can become.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::SharedState;
use super::uploads::check_topology;
use crate::inspect::trial::ShownCrs;
use crate::sink::Lang;
use crate::topology::Topology;

pub(super) fn routes() -> Router<SharedState> {
    Router::new().route("/topologies", get(list))
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
    /// Why it takes no files; null when it does.
    no_files: Option<String>,
    /// What is wrong with its file, which was saved since; it goes on running as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<String>,
}

#[derive(Serialize)]
struct ShownSource {
    topic: String,
}

impl Shown {
    fn new(topology: &Topology, problems: Option<String>) -> Shown {
        Shown {
            problems,
            no_files: check_topology(topology).err().map(|problem| problem.detail),
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
    Json(app.topologies().iter().map(|topology| Shown::new(topology, app.problems_of(&topology.name))).collect())
}
