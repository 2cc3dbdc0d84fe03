//! Errors as problem documents (RFC 9457): a sentence for a person and a type for a program.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Beginning of every type. A word follows that programs and the page may rely on.
const TYPE_PREFIX: &str = "urn:sheetstream:problem:";
/// Media type of a problem document.
pub const CONTENT_TYPE_PROBLEM: &str = "application/problem+json";

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Status code of the answer.
    pub status: StatusCode,
    /// Kind of the problem: `too-large`, `unknown-topology`. Stable; the wording of `detail` is not.
    pub kind: &'static str,
    /// The fault and the remedy, in one sentence.
    pub detail: String,
    /// Which field of the request is at fault.
    pub field: Option<&'static str>,
    /// Seconds after which another try makes sense.
    pub retry_after_s: Option<u32>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    /// A problem of a kind; its title is the reason phrase of the status code.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, kind, detail: detail.into(), field: None, retry_after_s: None }
    }

    /// 400: the request itself is wrong.
    pub fn bad_request(kind: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, kind, detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(kind: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, kind, detail)
    }

    /// 503 with `Retry-After`: the broker cannot be reached, or there is too much to do.
    pub fn unavailable(kind: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail).retry_after(5)
    }

    /// Names the field of the request that is at fault, so that a form can show the error beside it.
    pub fn in_field(self, field: &'static str) -> Problem {
        Problem { field: Some(field), ..self }
    }

    /// Says when another try makes sense.
    pub fn retry_after(self, seconds: u32) -> Problem {
        Problem { retry_after_s: Some(seconds), ..self }
    }

    /// A problem for an answer that came without a document of its own.
    pub(super) fn of_status(status: StatusCode, detail: String) -> Problem {
        let kind = match status {
            StatusCode::NOT_FOUND => "not-found",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            status if status.is_client_error() => "bad-request",
            _ => "internal",
        };
        let detail = match detail.strip_prefix("Failed to deserialize query string: ") {
            Some(why) => format!("the query cannot be read: {why}"),
            None if detail.is_empty() => status.canonical_reason().unwrap_or("error").to_owned(),
            None => detail,
        };
        Problem::new(status, kind, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: format!("{TYPE_PREFIX}{}", self.kind),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field,
        };
        let mut response = (self.status, Json(document)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_PROBLEM));
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
