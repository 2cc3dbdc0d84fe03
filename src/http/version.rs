//! `GET /version`: names the product and its version.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::SharedState;

pub(super) fn routes() -> Router<SharedState> {
    Router::new().route("/version", get(version))
}

async fn version() -> Json<Value> {
    Json(json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") }))
}
