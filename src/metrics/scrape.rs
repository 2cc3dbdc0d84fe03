//! The metrics that are worked out when somebody looks: gauges over the tasks that run here. A partition that moved away has no series.

use std::collections::{BTreeMap, HashMap};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::Description;
use super::task::{OPEN_STATES, TaskStanding, now_ms, standings};
use crate::record::TaskId;

const PARTITION: &[&str] = &["topic", "partition"];
const GROUP_PARTITION: &[&str] = &["consumergroup", "topic", "partition"];
const TOPOLOGY: &[&str] = &["topology"];
const TOPOLOGY_STATE: &[&str] = &["topology", "state"];

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Description {
    Description { name, kind: "gauge", labels, help }
}

const LOG_END: Description = gauge(
    "kafka_topic_partition_current_offset",
    PARTITION,
    "End of a partition, under kafka_exporter's name. Flat while publishers say that they send: they write to another topic, or their transactions stay open.",
);
const COMMITTED: Description = gauge(
    "kafka_consumergroup_current_offset",
    GROUP_PARTITION,
    "Offset that the group has committed, under kafka_exporter's name. Flat while the lag grows: commits fail, see sheetstream_commit_failures_total, or the task is paused.",
);
const LAG: Description = gauge(
    "kafka_consumergroup_lag",
    GROUP_PARTITION,
    "Records between the committed offset and the end of the partition, under kafka_exporter's name and as kafka-consumer-groups --describe says. Growing: add threads or instances, up to one a partition.",
);
const LAG_SECONDS: Description = gauge(
    "sheetstream_consumer_lag_seconds",
    TOPOLOGY,
    "How long ago the record processed last was written, while there are more: the worst partition. Above what your readers accept: add threads or instances, up to one a partition.",
);
const REPLAY_DISTANCE: Description = gauge(
    "sheetstream_replay_distance_records",
    TOPOLOGY,
    "Records that a start without state would read again: back to the oldest open upload. Large: an upload is left open; find it on the status topic, end it, or lower idle_timeout.",
);
const HEADROOM: Description = gauge(
    "sheetstream_retention_headroom_records",
    TOPOLOGY,
    "Records that retention may still delete before it reaches the first row of an open upload: the worst partition; +Inf while it has deleted nothing. Shrinking towards 0: raise retention.ms or retention.bytes now, or end the upload, else it fails with log.gap.",
);
const UPLOADS_OPEN: Description = gauge(
    "sheetstream_uploads_open",
    TOPOLOGY_STATE,
    "Open uploads: receiving, incomplete (count or checksum not met yet), stalled (nothing came for a tenth of idle_timeout), failed (rows still come, and are void). For stalled or incomplete: the publisher stopped half-way; publish the rest and the marker, or #ABORT.",
);
const OLDEST_UPLOAD: Description = gauge(
    "sheetstream_oldest_open_upload_timestamp_seconds",
    TOPOLOGY,
    "When the oldest open upload began, as this process saw it; absent while none is open. Hours old for a file that takes minutes: its marker never came; publish #EOF or #ABORT for it.",
);
const ROWS_WAITING: Description = gauge(
    "sheetstream_rows_waiting",
    TOPOLOGY,
    "Rows that wait for one with a lower ss-row. Growing: a row was never sent; the status INCOMPLETE names what is missing.",
);
const STATE_BYTES: Description = gauge(
    "sheetstream_state_size_bytes",
    TOPOLOGY,
    "Bytes of pages that the local state holds for open uploads. Growing without end: uploads are left open, see sheetstream_uploads_open.",
);
const BUFFERED_BYTES: Description = gauge(
    "sheetstream_buffered_bytes",
    TOPOLOGY,
    "Bytes fetched that wait for a thread, at most about 8 MiB a partition. At that limit the processor is what limits: add threads or instances. Near 0 while the lag grows, the broker or the network is.",
);
const LAST_PROCESSED: Description = gauge(
    "sheetstream_last_record_processed_timestamp_seconds",
    TOPOLOGY,
    "When a record was processed last; absent before the first. Old while the lag is not 0: nothing is processed, see sheetstream_ready_condition and sheetstream_tasks_paused.",
);
const TASKS: Description = gauge(
    "sheetstream_tasks",
    TOPOLOGY,
    "Partitions that are ours here. Less than the topic's partitions over all instances: the group has not settled, or an instance is missing.",
);

pub(super) const DESCRIPTIONS: &[Description] = &[
    LOG_END,
    COMMITTED,
    LAG,
    LAG_SECONDS,
    REPLAY_DISTANCE,
    HEADROOM,
    UPLOADS_OPEN,
    OLDEST_UPLOAD,
    ROWS_WAITING,
    STATE_BYTES,
    BUFFERED_BYTES,
    LAST_PROCESSED,
    TASKS,
];

pub(super) fn collector() -> Box<dyn Collector> {
    let desc = |d: &Description| {
        let labels = d.labels.iter().map(ToString::to_string).collect();
        Desc::new(d.name.to_owned(), d.help.to_owned(), labels, HashMap::new())
            .expect("a metric's name and labels are in order")
    };
    Box::new(Tasks { descs: DESCRIPTIONS.iter().map(desc).collect() })
}

struct Tasks {
    descs: Vec<Desc>,
}

impl Collector for Tasks {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        families(&standings(), now_ms())
    }
}

/// Series of one metric, by label values.
struct Series {
    of: Description,
    values: BTreeMap<Vec<String>, f64>,
}

impl Series {
    fn new(of: Description) -> Series {
        Series { of, values: BTreeMap::new() }
    }
    /// Takes a task's value in; where several tasks share a series, `join` makes one of two.
    fn put(&mut self, labels: Vec<String>, value: f64, join: fn(f64, f64) -> f64) {
        self.values.entry(labels).and_modify(|present| *present = join(*present, value)).or_insert(value);
    }
    fn family(self) -> MetricFamily {
        let metric = |(values, value): (Vec<String>, f64)| {
            let pairs = self.of.labels.iter().zip(values).map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name((*name).to_owned());
                pair.set_value(value);
                pair
            });
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            let mut metric = Metric::default();
            metric.set_label(pairs.collect());
            metric.set_gauge(gauge);
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(self.of.name.to_owned());
        family.set_help(self.of.help.to_owned());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(self.values.into_iter().map(metric).collect());
        family
    }
}

fn sum(a: f64, b: f64) -> f64 {
    a + b
}

fn families(tasks: &BTreeMap<TaskId, TaskStanding>, now_ms: i64) -> Vec<MetricFamily> {
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    let mut all = DESCRIPTIONS.iter().map(|of| (of.name, Series::new(*of))).collect::<BTreeMap<_, _>>();
    let mut put = |of: Description, labels: &[&str], value: f64, join: fn(f64, f64) -> f64| {
        let series = all.get_mut(of.name).expect("every metric here is described");
        series.put(labels.iter().map(ToString::to_string).collect(), value, join);
    };
    for (id, task) in tasks {
        let topology = &*id.topology;
        let (topic, partition) = (&*task.partition.topic, task.partition.partition.to_string());
        let moment = &task.moment;
        if let Some(committed) = task.committed {
            put(COMMITTED, &[topology, topic, &partition], committed.0 as f64, f64::max);
        }
        if let Some(end) = moment.end {
            put(LOG_END, &[topic, &partition], end.0 as f64, f64::max);
        }
        if let Some(lag) = task.lag() {
            put(LAG, &[topology, topic, &partition], lag as f64, f64::max);
        }
        put(LAG_SECONDS, &[topology], task.lag_seconds(now_ms), f64::max);
        put(REPLAY_DISTANCE, &[topology], (moment.position.0 - moment.replay_from.0) as f64, sum);
        put(HEADROOM, &[topology], task.retention_headroom(), f64::min);
        for (state, uploads) in OPEN_STATES.iter().zip(moment.uploads) {
            put(UPLOADS_OPEN, &[topology, state], uploads as f64, sum);
        }
        if let Some(oldest) = task.oldest_upload_ms {
            put(OLDEST_UPLOAD, &[topology], seconds(oldest), f64::min);
        }
        put(ROWS_WAITING, &[topology], moment.rows_waiting as f64, sum);
        put(STATE_BYTES, &[topology], moment.state_bytes as f64, sum);
        put(BUFFERED_BYTES, &[topology], moment.buffered_bytes as f64, sum);
        if task.processed_ms > 0 {
            put(LAST_PROCESSED, &[topology], seconds(task.processed_ms), f64::max);
        }
        put(TASKS, &[topology], 1.0, sum);
    }
    all.into_values().filter(|series| !series.values.is_empty()).map(Series::family).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{TaskMetrics, TaskMoment, TaskNames, forget_task};
    use crate::record::{Offset, TopicPartition};

    fn task(topology: &str, partition: i32) -> (TaskId, TaskMetrics) {
        let id = TaskId { topology: topology.into(), source: None, partition };
        let at = TopicPartition { topic: "rows".into(), partition };
        let names = TaskNames { source: "rows", maps: vec!["wgs84"], aggregate: "sheets", sink: "workbooks" };
        let metrics = TaskMetrics::counted(&id, &at, &names, Some(Offset(10)));
        (id, metrics)
    }

    #[test]
    fn a_partition_that_moved_away_has_no_series() {
        let (first, mut metrics) = task("moved-away", 0);
        let (_second, _metrics) = task("moved-away", 1);
        metrics.report(TaskMoment {
            committed: Some(Offset(12)),
            position: Offset(12),
            end: Some(Offset(20)),
            ..TaskMoment::default()
        });
        let series = |partition: i32| {
            format!(
                r#"kafka_consumergroup_current_offset{{consumergroup="moved-away",topic="rows",partition="{partition}"}}"#
            )
        };
        let here = crate::metrics::render();
        assert!(here.contains(&format!("{} 12\n", series(0))), "{here}");
        assert!(here.contains(&format!("{} 10\n", series(1))), "{here}");
        assert!(here.contains("sheetstream_tasks{topology=\"moved-away\"} 2\n"), "{here}");

        forget_task(&first);
        metrics.report(TaskMoment::default()); // a thread that has not heard of it yet
        let here = crate::metrics::render();
        assert!(!here.contains(&series(0)), "{here}");
        assert!(here.contains("sheetstream_tasks{topology=\"moved-away\"} 1\n"), "{here}");
    }
}
