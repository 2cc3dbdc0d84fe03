//! Traces: one for each upload, sent to a collector by OTLP over HTTP, as JSON (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>). A
//! task notes when its stages worked on an upload, batch by batch; when the upload has ended its trace is sent from a thread of its own.
//! Without a collector a batch costs one look at an `Option`. What is in the workbook does not depend on any of it.

mod context;
mod exporter;
mod otlp;
mod settings;
mod tls;
mod trace;
mod upload;

pub use exporter::{Export, start};
pub use settings::TraceSettings;
pub use trace::Stage;
pub use upload::{Ended, UploadTraces};
