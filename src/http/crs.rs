//! `GET /crs?q=`: search over the CRSs of the EPSG registry, with the names that PROJ has for them; without `q` those that Korean files use.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::SharedState;
use super::problem::Problem;
use super::uploads::stopped;
use crate::crs::ranking::USUAL;
use crate::crs::systems::{ListedCrs, search, system};

/// CRSs in an answer.
const FOUND_MAX: usize = 20;

pub(super) fn routes() -> Router<SharedState> {
    Router::new().route("/crs", get(find))
}

#[derive(Deserialize)]
struct CrsQuery {
    q: Option<String>,
}

#[derive(Serialize)]
struct Found {
    systems: Vec<&'static ListedCrs>,
}

async fn find(State(_): State<SharedState>, Query(query): Query<CrsQuery>) -> Result<Json<Found>, Problem> {
    let searching = spawn_blocking(move || match query.q.as_deref().filter(|query| !query.trim().is_empty()) {
        Some(query) => search(query, FOUND_MAX),
        None => Ok(USUAL.iter().filter_map(|code| system(*code)).collect()),
    });
    let systems = searching.await.map_err(stopped)?;
    let systems = systems.map_err(|error| Problem::unavailable("proj", error.to_string()))?;
    Ok(Json(Found { systems }))
}
