//! The routes of operators and their machines: `/metrics`, `/healthz`, `/readyz`. They are open without a token, so nothing here names an
//! upload or an address.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::SharedState;
use crate::metrics;
use crate::runtime::health::{Condition, Health, TopologyFailure};

pub(super) fn routes() -> Router<SharedState> {
    Router::new()
        .route("/metrics", get(async || ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render())))
        .route("/healthz", get(async |State(app): State<SharedState>| healthz(&app.health)))
        .route("/readyz", get(async |State(app): State<SharedState>| readyz(&app.health)))
}

/// 200 while every thread goes round, 503 when one hangs: then the process is to be restarted.
fn healthz(health: &Health) -> Response {
    let hanging = health.hanging();
    let thread = |(name, silence): &(String, std::time::Duration)| json!({ "thread": name, "silent_seconds": silence.as_secs() });
    let (degraded, failed) = (degraded(health), failed(health));
    let status = match (&hanging[..], degraded.is_empty() && failed.is_empty()) {
        ([], true) => "ok",
        ([], false) => "degraded",
        _ => "failing",
    };
    let code = if hanging.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let hanging: Vec<Value> = hanging.iter().map(thread).collect();
    let body = json!({ "status": status, "degraded": degraded, "failed": failed, "hanging": hanging });
    (code, Json(body)).into_response()
}

/// 200 when everything is there to process rows, 503 and what is missing before, and while no broker answers. Topologies that have failed
/// are named; while another one is processed, that is no reason to take the process out of service.
fn readyz(health: &Health) -> Response {
    let missing = health.missing();
    let advice = |condition: &Condition| json!({ "condition": condition.code(), "advice": condition.advice() });
    let code = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let missing: Vec<Value> = missing.iter().map(advice).collect();
    let ready = missing.is_empty();
    let (degraded, failed, paused) = (degraded(health), failed(health), health.pauses.paused());
    let body = json!({ "ready": ready, "missing": missing, "degraded": degraded, "failed": failed, "paused": paused });
    (code, Json(body)).into_response()
}

/// Topologies with a partition that cannot be read or written.
fn failed(health: &Health) -> Vec<Value> {
    let failed = |(topology, failure): &(Arc<str>, TopologyFailure)| json!({ "topology": **topology, "state": "FAILED", "reason": failure.reason, "since": rfc3339(failure.since), "why": failure.advice() });
    health.failures().iter().map(failed).collect()
}

fn degraded(health: &Health) -> Vec<Value> {
    let degradations = health.degradations().into_iter();
    degradations
        .map(|(what, since)| json!({ "what": what.code(), "since": rfc3339(since), "why": what.advice() }))
        .collect()
}

/// `2026-11-26T00:15:07Z`.
fn rfc3339(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil_from_days (https://howardhinnant.github.io/date_algorithms.html), for days from 1970 on.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), written);
        }
    }
}
