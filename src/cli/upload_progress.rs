//! Shows on stderr the progress of uploads, from the status topic: a line that moves on a terminal, a line now and then elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget};
use sheetstream::kafka::KafkaClient;
use sheetstream::kafka::topic_reader::TopicReader;
use sheetstream::record::TopicPartition;
use sheetstream::sink::status::{StatusRecord, UploadState};
use sheetstream::transport::{Fetcher, TransportError};

use super::colours;
use super::out::say;
use super::shown::shown;

/// How long one look at a partition may take.
const LOOK: Duration = Duration::from_millis(10);
/// Between two lines of one upload where nothing can move.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Reads the status topic from its present end on.
pub(super) struct UploadProgress {
    partitions: Vec<TopicReader>,
    bar: Option<ProgressBar>,
    shown_at: BTreeMap<String, Instant>,
}

impl UploadProgress {
    pub(super) fn open(client: &KafkaClient, topic: &str) -> Result<UploadProgress, TransportError> {
        let partitions = (0..client.partitions(topic)?).map(|partition| {
            let partition = TopicPartition { topic: topic.into(), partition };
            let end = client.bounds(&partition)?.end;
            Ok(client.reader(partition, end))
        });
        let partitions = partitions.collect::<Result<_, TransportError>>()?;
        let bar = colours(&io::stderr()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(indicatif::ProgressStyle::with_template("{spinner} {msg}").expect("a template"));
            bar
        });
        Ok(UploadProgress { partitions, bar, shown_at: BTreeMap::new() })
    }

    /// Shows what is new of the uploads that are `wanted`.
    pub(super) fn look(&mut self, wanted: impl Fn(&str) -> bool) -> Result<(), TransportError> {
        for partition in &mut self.partitions {
            for record in partition.fetch(LOOK)?.records {
                let status = record.value.as_deref().and_then(StatusRecord::parse);
                if let Some(status) = status.filter(|status| wanted(&status.upload)) {
                    show(self.bar.as_ref(), &mut self.shown_at, &status);
                }
            }
        }
        Ok(())
    }

    /// Makes room for a line of its own.
    pub(super) fn pause<T>(&self, line: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(line),
            None => line(),
        }
    }
}

impl Drop for UploadProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn show(bar: Option<&ProgressBar>, shown_at: &mut BTreeMap<String, Instant>, status: &StatusRecord) {
    let name = shown(status.name.as_deref().unwrap_or(&status.upload));
    let rows = HumanCount(status.accounting.rows_in);
    let of = status.rows_announced.map_or(String::new(), |rows| format!(" of {}", HumanCount(rows)));
    let rejected = status.accounting.rejected;
    let is_receiving = status.state == UploadState::Receiving;
    let state = if is_receiving { String::new() } else { format!(", {:?}", status.state).to_lowercase() };
    let line = format!("{name}: {rows}{of} rows, {rejected} rejected{state}");
    match bar {
        Some(bar) => {
            bar.set_message(line);
            bar.tick();
        }
        None if !is_receiving => say!("{line}"),
        None => {
            let last = shown_at.get(&status.upload);
            if last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
                say!("{line}");
                shown_at.insert(status.upload.clone(), Instant::now());
            }
        }
    }
}
