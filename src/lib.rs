//! sheetstream: CSV rows on a Kafka topic in, finished Excel workbooks out. A library of what the command `sheetstream` does.
//!
//! # The way of one row
//! The way goes down and never turns back.
//! 1. [`kafka::ingest`] fetches from the task's offset into a bounded buffer; a full buffer stops that partition and no other.
//! 2. [`runtime::stream_thread`] has a thread for each partition, and [`runtime::running_task`] the step that it repeats: it hands the
//!    records to the partition's [`runtime::task::StreamTask`].
//!    With `placement = "spread"` they have come a longer way: `runtime::pass_on` sent them from the source's partitions to the
//!    repartition topic, and [`source::spread`] holds those of an upload until its end has come.
//! 3. [`source`] makes elements of them, rows grouped by upload: a [`record::RowBatch`] or a [`record::Marker`]. A row that fails keeps its
//!    place; its fate travels with it.
//! 4. [`map`] works on whole columns. A row that a filter takes out keeps its place, too.
//! 5. [`aggregate`] puts rows in order, counts them, and writes them to the page of their sheet.
//! 6. [`page`] renders and compresses a page after 1,024 rows of its sheet, on whatever thread is free. A cut page never changes again.
//! 7. When an upload is complete, the aggregate forwards it through its only way out, [`sink::output::Output`]: the workbook is put together
//!    from the pages and published in chunks, then its status. The ledger remembers what became of it.
//! 8. The task commits: outputs acknowledged, then [`state`], then the Kafka offset.
//!
//! # The layers
//! A module imports from lower layers only, and never from a sibling in its layer; `tests/layers.rs` checks it.
//! ```text
//!  6  main  cli/  http/  test_driver                  the ways in
//!  5  inspect/                                        asks what would become of a file
//!  4  runtime/   client/   broker/                    start threads, read the clock
//!  3  topology/   kafka/   file/                      name and validate, build the nodes of layer 2; implement the transport
//!  2  source/    map/    aggregate/    sink/          do the work; synchronous
//!  1  transport page/ crs state/ metrics/ traces/     what the nodes share
//!  0  record                                          the nouns
//! ```
//! Each library is used in one place: rskafka in `kafka/ingest.rs`, kafka-protocol in `kafka/` and `broker/`, proj in `crs` and
//! `map/area.rs`, geozero in `map/`, sled in `state/sled.rs`, rust_xlsxwriter in `sink/`, calamine, quick-xml and cfb in `file/`,
//! prometheus in `metrics/`, axum in `http/`.
//!
//! Below layer 4 only `state/`, `page/`, `file/` and `traces/` have threads. Their callers do not see them.
//!
//! # What is not here
//! Below layer 4 the clock decides nothing: `kafka/` reads it for waits and for the timestamps of records, `state/` for waits, `metrics/` and
//! `traces/` for what they measure. A workbook depends on the log alone. There are no changelog topics: the input is the changelog. There is
//! no second copy of anything that matters: state is a cache, and may be deleted while nothing runs.

#![warn(unreachable_pub)]

pub mod aggregate;
pub mod broker;
pub mod client;
pub mod crs;
pub mod file;
pub mod http;
pub mod inspect;
pub mod kafka;
pub mod map;
pub mod metrics;
pub mod page;
pub mod record;
pub mod runtime;
pub mod sink;
pub mod source;
pub mod state;
pub mod test_driver;
pub mod topology;
pub mod traces;
pub mod transport;
