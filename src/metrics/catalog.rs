//! The metrics that are bumped where something happens. A new one is an entry here and a row of `docs/metrics.md`. Series are counted before
//! they are added: a histogram with the label `topology` is 8 lines of every scrape for each of them (`script/bench metrics`).

use std::sync::LazyLock;

use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
};

use super::Description;

/// Nodes take milliseconds for a batch.
const BATCH_SECONDS: &[f64] = &[0.005, 0.05, 0.5];
/// A commit is a sync of the disk and an answer of the broker.
const COMMIT_SECONDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
/// From a marker to its workbook.
const DELIVERY_SECONDS: &[f64] = &[0.05, 0.25, 1.0, 5.0, 30.0];
/// Uploads take from the blink of a console producer to a day of a sensor.
const UPLOAD_SECONDS: &[f64] = &[10.0, 60.0, 600.0, 3_600.0, 86_400.0];
/// Answers over HTTP, until their first byte.
const ANSWER_SECONDS: &[f64] = &[0.01, 0.1, 1.0, 5.0];
/// Workbooks, from a page to what Excel still opens.
const WORKBOOK_BYTES: &[f64] = &[65_536.0, 1_048_576.0, 16_777_216.0, 67_108_864.0, 268_435_456.0];

macro_rules! catalog {
    ($($kind:ident $function:ident($($label:ident),*) $(in $buckets:ident)? = $name:literal, $help:literal;)*) => {
        struct Catalog { $($function: catalog!(@vec $kind),)* }

        static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog {
            $($function: catalog!(@new $kind, $name, $help, &[$(stringify!($label)),*] $(, $buckets)?),)*
        });

        $(
            #[doc = concat!("`", $name, "`: ", $help)]
            pub fn $function($($label: &str),*) -> catalog!(@one $kind) {
                CATALOG.$function.with_label_values::<&str>(&[$($label),*])
            }
        )*

        pub(super) const DESCRIPTIONS: &[Description] = &[$(Description {
            name: $name,
            kind: catalog!(@name $kind),
            labels: &[$(stringify!($label)),*],
            help: $help,
        },)*];

        pub(super) fn collectors() -> Vec<Box<dyn Collector>> {
            vec![$(Box::new(CATALOG.$function.clone()),)*]
        }
    };
    (@vec counter) => { IntCounterVec };
    (@vec seconds) => { CounterVec };
    (@vec gauge) => { GaugeVec };
    (@vec histogram) => { HistogramVec };
    (@one counter) => { IntCounter };
    (@one seconds) => { Counter };
    (@one gauge) => { Gauge };
    (@one histogram) => { Histogram };
    (@name seconds) => { "counter" };
    (@name $kind:ident) => { stringify!($kind) };
    (@new counter, $name:literal, $help:literal, $labels:expr) => {
        IntCounterVec::new(Opts::new($name, $help), $labels).expect("a metric's name and labels are in order")
    };
    (@new seconds, $name:literal, $help:literal, $labels:expr) => {
        CounterVec::new(Opts::new($name, $help), $labels).expect("a metric's name and labels are in order")
    };
    (@new gauge, $name:literal, $help:literal, $labels:expr) => {
        GaugeVec::new(Opts::new($name, $help), $labels).expect("a metric's name and labels are in order")
    };
    (@new histogram, $name:literal, $help:literal, $labels:expr, $buckets:ident) => {
        HistogramVec::new(HistogramOpts::new($name, $help).buckets($buckets.to_vec()), $labels)
            .expect("a metric's name and labels are in order")
    };
}

/// A thread has ended: it has no heartbeat any more.
pub fn forget_thread(thread: &str) {
    CATALOG.stream_thread_heartbeat.remove_label_values(&[thread]).ok(); // one that never beat has no series
}

/// A standby of this process has ended: it is behind nothing any more.
pub fn forget_standby(topology: &str, partition: i32) {
    CATALOG.standby_lag.remove_label_values(&[topology, &partition.to_string()]).ok(); // one that never ran has no series
}

catalog! {
    // Records and rows
    counter records_consumed(topology) = "sheetstream_records_consumed_total",
        "Records taken from the input topic, those read again included. Zero while the lag grows: look at sheetstream_ready_condition and sheetstream_tasks_paused.";
    counter records_unusable(topology, result) = "sheetstream_records_unusable_total",
        "Records that gave no row: refused (no upload can be found or no text), unreadable (damaged batch), missing (deleted by retention or compaction before they were read). Read the dead letters; for missing, raise retention.ms or retention.bytes.";
    counter fetched_bytes(topic) = "sheetstream_fetched_bytes_total",
        "Bytes of keys, values and headers fetched. Flat while the lag grows and buffers are empty: the broker or the network is slow.";
    counter rows(topology, result) = "sheetstream_rows_total",
        "Rows by their final fate, counted when their upload ends, as its status says: written, rejected, duplicate, late, filtered, voided. Many rejected: read the dead letters by reason; many voided: uploads fail or are begun again.";
    counter rows_replayed(topology) = "sheetstream_rows_replayed_total",
        "Rows read again after a start to rebuild state; they count nowhere else. Growing without end: state is lost again and again, see sheetstream_rebuilds_total.";
    counter node_rows(topology, node) = "sheetstream_node_rows_total",
        "Rows that went into a node, as they come. Zero behind a node that has some: look at the rejected rows of that node.";
    counter node_rows_rejected(topology, node) = "sheetstream_node_rows_rejected_total",
        "Rows that a node rejected, as they come. A share that is not usual: somebody publishes other columns or coordinates than the topology expects; read the dead letters.";
    histogram node_duration(topology, node) in BATCH_SECONDS = "sheetstream_node_duration_seconds",
        "Time a node took for one batch of rows; a batch holds at most one fetch of one upload. The node with the largest sum per second is the one to give more threads or fewer columns.";
    counter dead_letters(topology, node, reason) = "sheetstream_dead_letters_total",
        "Records written to the dead-letter topic, by the node and the reason code in ss-reason. Look the reason up in the documentation, mend the source, and publish the rows again.";

    counter outputs_refused(topology, topic) = "sheetstream_outputs_refused_total",
        "Dead letters and statuses that their topic did not take even when they were clipped; the log has dead_letter.refused for each. Growing: raise max.message.bytes of the topic.";

    // Uploads and workbooks
    counter uploads(topology, outcome) = "sheetstream_uploads_total",
        "Uploads that ended: published, incomplete (published although count or checksum differ), republished (same content again), failed, aborted, expired. For failed and expired the status topic says why and what to do.";
    histogram upload_duration(topology) in UPLOAD_SECONDS = "sheetstream_upload_duration_seconds",
        "From the first record of an upload, as this process saw it, to its end. Longer than usual: the publisher is slow, or we lag; compare sheetstream_consumer_lag_seconds.";
    histogram eof_to_workbook(topology) in DELIVERY_SECONDS = "sheetstream_eof_to_workbook_seconds",
        "From taking up the fetch with the record that completes an upload to the broker's acknowledgement of its workbook. Slow: the broker is slow to acknowledge large records, or workbooks have very many sheets.";
    histogram workbook_size() in WORKBOOK_BYTES = "sheetstream_workbook_size_bytes",
        "Size of published workbooks. Beyond 64 MiB Excel opens them slowly: drop columns with a select, or publish smaller uploads.";
    counter chunks_published(topology) = "sheetstream_chunks_published_total",
        "Records that published workbooks were sent in. Far more than workbooks: raise record_bytes_max together with max.message.bytes, so that plain consumers get a workbook in one record.";
    counter pages_cut(topology) = "sheetstream_pages_cut_total",
        "Pages of rows that were finished and written to the state. Zero while rows come in: every upload is smaller than a page, or rows wait for one that is missing, see sheetstream_rows_waiting.";

    // State and commits
    histogram commit_duration() in COMMIT_SECONDS = "sheetstream_commit_duration_seconds",
        "Time of one commit of a task: outputs acknowledged, state, offset; failed ones too. Above a second: the state's disk or the broker is slow.";
    counter commit_failures(reason) = "sheetstream_commit_failures_total",
        "Commits that failed; the task starts again from the one before. fenced: another member owns the partition, which passes; disk_full: make room; unavailable: look at the broker.";
    counter rebuilds(topology, reason) = "sheetstream_rebuilds_total",
        "Times a task rebuilt its state by reading the log again: lost, topology (the file or the version changed), overtaken, reset, recreated (the topic), truncated (the log). More than one for each restart: the state directory does not last, keep it on a volume.";
    counter state_discarded(reason) = "sheetstream_state_discarded_total",
        "Times local state was thrown away because it cannot be trusted: power_loss, format, topology, damaged, hung. damaged or hung: check the disk; power_loss: see --power-safe.";
    counter pauses(reason) = "sheetstream_pauses_total",
        "Times a task stopped for something that passes and was to start again: disk_full, unavailable, fenced, out_of_range, damaged. Growing: mend the disk or the broker that the reason names.";
    gauge standby_lag(topology, partition) = "sheetstream_standby_lag",
        "Records between a standby of this process and the end of its partition: what taking over has to read. No series although standby is 1: there is no other instance, or the owner has committed nothing yet. Growing: the standby is slower than the owner; give it more threads.";
    gauge tasks_paused(reason) = "sheetstream_tasks_paused",
        "Tasks that wait to be started again, by why they stopped. Above zero for minutes: for disk_full make room on the state's disk, for unavailable look at the broker.";
    gauge state_disk_free() = "sheetstream_state_disk_free_bytes",
        "Free space on the state's file system. Near the reserve of 256 MiB: make room, or tasks pause until there is some.";
    gauge state_disk_size() = "sheetstream_state_disk_size_bytes",
        "Size of the state's file system. Compare sheetstream_state_disk_free_bytes: below a fifth and falling, enlarge it.";

    // Kafka
    counter kafka_requests(api) = "sheetstream_kafka_requests_total",
        "Requests sent to brokers. Compare sheetstream_kafka_request_errors_total of the same api.";
    counter kafka_request_errors(api, code) = "sheetstream_kafka_request_errors_total",
        "Requests that failed, by the broker's error code, or connection, timeout, malformed, version. Codes of authorisation: grant the right that the log names; connection or timeout for minutes: look at the broker; others pass by themselves.";

    seconds kafka_throttle(api) = "sheetstream_kafka_throttle_seconds_total",
        "Time for which brokers told us to be silent because of a quota, by the request that was answered so: Fetch, Produce. Fetches under read_uncommitted are not in it. Growing while the lag does: raise consumer_byte_rate or producer_byte_rate of our client id.";

    gauge group_foreign_members(topology) = "sheetstream_group_foreign_members",
        "Members of the topology's consumer group that are not sheetstream. Above 0: the rows of the partitions they hold reach no workbook; stop that consumer, or give it a group of its own.";
    counter log_changes(topology, change) = "sheetstream_log_changes_total",
        "Times the input topic turned out to be another log than before: recreated (deleted and created again) or truncated (an unclean election cut its end). Growing: rows of the old log are gone; publish unfinished uploads again.";

    // HTTP
    counter http_requests(method, route, code) = "sheetstream_http_requests_total",
        "Requests to the page and the API, by route and status; probes and metrics are not counted. Many 5xx: the answer's problem document names the cause; 503 is the broker or the room for uploads, 507 the spool's disk.";
    histogram http_request_duration(method, route) in ANSWER_SECONDS = "sheetstream_http_request_duration_seconds",
        "Time until an answer begins; of POST /uploads until the file is published. Slow reads: the broker is slow, or every thread publishes.";
    counter http_received_bytes() = "sheetstream_http_received_bytes_total",
        "Bytes that came in over HTTP. Flat while people upload: the network before us is slow.";
    counter http_sent_bytes() = "sheetstream_http_sent_bytes_total",
        "Bytes that went out over HTTP. Most are downloads of workbooks; far more than usual: somebody fetches everything again.";
    gauge http_connections() = "sheetstream_http_connections",
        "Open connections, of 4,096 at most. Near that limit: clients hold connections open; put a proxy with limits in front.";
    counter http_connections_refused(limit) = "sheetstream_http_connections_refused_total",
        "Connections that found no place, by the limit they met: all (4,096) or address (512 of one address). Growing: for address, one client opens too many; for all, many do. Probes have places of their own.";
    gauge http_spool_bytes() = "sheetstream_http_spool_bytes",
        "Bytes of uploads in temporary files, on their way to Kafka. Near four times --upload-bytes-max: new uploads are refused with 503; brokers are slow, or clients are.";
    gauge http_spool_disk_free() = "sheetstream_http_spool_disk_free_bytes",
        "Free space on the file system of the spool directory. Near 0: uploads are refused with 507; make room, or give --spool-dir another disk.";
    gauge http_spool_disk_size() = "sheetstream_http_spool_disk_size_bytes",
        "Size of the file system of the spool directory. Compare sheetstream_http_spool_disk_free_bytes: below a fifth and falling, enlarge it.";

    // The process
    gauge build_info(version, proj_version) = "sheetstream_build_info",
        "Always 1; says which version runs with which PROJ. Instances that differ: finish the roll-out, for workbooks of different versions may differ in bytes.";
    gauge stream_thread_heartbeat(thread) = "sheetstream_stream_thread_heartbeat_timestamp_seconds",
        "When the thread of a task last went through its loop; now, while it waits for records, its turn or a broker. More than a minute old: the thread hangs in a disk call; /healthz fails, restart the process.";
    gauge ready() = "sheetstream_ready",
        "1 when everything is there to process rows, else 0. At 0 for minutes: see which sheetstream_ready_condition is 0.";
    gauge ready_condition(condition) = "sheetstream_ready_condition",
        "1 when met: broker (it answers), state (directory open), assignment (the group said what is ours), first_fetch (every task has read). At 0: broker, check addresses with sheetstream doctor; assignment, look at the group; first_fetch, look at the partition's leader.";
    gauge degraded(reason) = "sheetstream_degraded",
        "1 while the process lives with something missing: broker (it does not answer) or disk (the state's disk is short). Nothing is lost, and nothing is processed: mend what the reason names.";
    gauge topology_failed(topology, reason) = "sheetstream_topology_failed",
        "1 while a topology has stopped alone, by reason; the others of the process run. At 1: the log and /readyz name the cause; mend its topics, rights or file, and it starts again.";
    gauge topology_paused(topology) = "sheetstream_topology_paused",
        "1 while somebody has paused a topology in this process. At 1 for longer than was meant: sheetstream resume.";
    counter log_events_suppressed() = "sheetstream_log_events_suppressed_total",
        "Log lines left out because the same line had just been written many times. Growing: read the line that says how many more there were.";
}
