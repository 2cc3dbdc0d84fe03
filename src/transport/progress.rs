//! How far a task has come, as it is committed to Kafka (contract 16).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::record::{LogId, Offset, UploadHash};

/// Bytes by which an open upload is recognised in a commit: two of a thousand are taken for each other once in two million times.
const LISTED_BYTES: usize = 5;
/// Open uploads that fit into a commit: brokers take 4,096 bytes (`offset.metadata.max.bytes`).
const LISTED_MAX: usize = 580;

/// How far a task has come: the Kafka commit (contract 16).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// First record that is not processed: the committed offset.
    pub next: Offset,
    /// First record of the oldest open upload.
    pub replay_from: Offset,
    /// The log that the offsets are of, if it has an id.
    pub log: Option<LogId>,
    /// Leader epoch of the record before `next`, if it is known.
    pub leader_epoch: Option<i32>,
    /// The rest depends on what the task does.
    pub work: Work,
}

/// What a task does with the records of its partition, and what it has to remember of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// It makes workbooks of them.
    Uploads {
        /// How many commits there were, this one with them: the local state that was made with it has the same number.
        commits: u64,
        /// First rows of an upload that begins below may have been gone from the log before it was read.
        whole_from: Offset,
        /// Open uploads: as many as a replay has to find again.
        open: OpenUploads,
    },
    /// It passes them on to the repartition topic.
    Repartition {
        /// The log of that topic, if it has an id.
        to: Option<LogId>,
        /// Its partitions.
        partitions: u32,
        /// Which reading of the source partition it is, see [`Cut`](crate::record::Cut).
        era: i64,
    },
}

/// Uploads that are open in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenUploads {
    /// How many.
    pub count: u32,
    /// The oldest of them, ascending. Other processes look for an upload here.
    listed: Vec<[u8; LISTED_BYTES]>,
}

impl Default for Work {
    fn default() -> Work {
        Work::Uploads { commits: 0, whole_from: Offset(0), open: OpenUploads::default() }
    }
}

impl OpenUploads {
    /// `count` uploads, of which these are to be found by others, the oldest first.
    pub fn new(count: u32, oldest: impl Iterator<Item = UploadHash>) -> OpenUploads {
        let mut listed: Vec<_> = oldest.take(LISTED_MAX).map(short).collect();
        listed.sort_unstable();
        OpenUploads { count, listed }
    }

    /// Whether an upload is among those that are listed.
    pub fn contains(&self, upload: UploadHash) -> bool {
        self.listed.binary_search(&short(upload)).is_ok()
    }

    /// Only their number.
    fn unlisted(&self) -> OpenUploads {
        OpenUploads { count: self.count, listed: Vec::new() }
    }

    fn parse(count: &str, listed: &str) -> Option<OpenUploads> {
        let bytes = URL_SAFE_NO_PAD.decode(listed).ok()?;
        let (listed, rest) = bytes.as_chunks::<LISTED_BYTES>();
        rest.is_empty().then(|| Some(OpenUploads { count: count.parse().ok()?, listed: listed.to_vec() }))?
    }
}

fn short(upload: UploadHash) -> [u8; LISTED_BYTES] {
    let [a, b, c, d, e, ..] = upload.0;
    [a, b, c, d, e]
}

impl Progress {
    /// Open uploads, of a task that makes workbooks.
    pub fn open(&self) -> Option<&OpenUploads> {
        match &self.work {
            Work::Uploads { open, .. } => Some(open),
            Work::Repartition { .. } => None,
        }
    }

    /// How many commits there were, of a task that makes workbooks.
    pub fn commits(&self) -> Option<u64> {
        match self.work {
            Work::Uploads { commits, .. } => Some(commits),
            Work::Repartition { .. } => None,
        }
    }

    /// As the commit of that number, of a task that makes workbooks.
    pub fn numbered(mut self, number: u64) -> Progress {
        if let Work::Uploads { commits, .. } = &mut self.work {
            *commits = number;
        }
        self
    }

    /// Without the list of open uploads, for brokers that take fewer bytes.
    pub fn unlisted(&self) -> Progress {
        let mut progress = self.clone();
        if let Work::Uploads { open, .. } = &mut progress.work {
            *open = open.unlisted();
        }
        progress
    }

    /// The metadata string of the commit, with `-` for what is not known: `ss6:<replay offset>:<topic id>:<leader epoch>:`, then
    /// `uploads:<commits>:<whole from>:<open uploads>:<list of them>` or `repartition:<topic id>:<partitions>:<era>`.
    pub fn metadata(&self) -> String {
        let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let log = |log: Option<LogId>| known(log.map(|log| log.to_string()));
        let epoch = known(self.leader_epoch.map(|epoch| epoch.to_string()));
        let work = match &self.work {
            Work::Uploads { commits, whole_from, open } => {
                let listed = URL_SAFE_NO_PAD.encode(open.listed.as_flattened());
                format!("uploads:{commits}:{whole_from}:{}:{listed}", open.count)
            }
            Work::Repartition { to, partitions, era } => format!("repartition:{}:{partitions}:{era}", log(*to)),
        };
        format!("ss6:{}:{}:{epoch}:{work}", self.replay_from, log(self.log))
    }

    /// Reads a commit back; `None` for a metadata string that is not ours (somebody reset the offset).
    pub fn parse(next: Offset, metadata: &str) -> Option<Progress> {
        let parts: Vec<&str> = metadata.strip_prefix("ss6:")?.split(':').collect();
        let [replay_from, log, epoch, work @ ..] = &parts[..] else { return None };
        let log_of = |log| if log == "-" { Some(None) } else { LogId::parse(log).map(Some) };
        let replay_from = Offset(replay_from.parse().ok()?);
        let leader_epoch = if *epoch == "-" { None } else { Some(epoch.parse().ok()?) };
        let work = match work {
            ["uploads", commits, whole_from, count, listed] => Work::Uploads {
                commits: commits.parse().ok()?,
                whole_from: Offset(whole_from.parse().ok()?),
                open: OpenUploads::parse(count, listed)?,
            },
            ["repartition", to, partitions, era] => {
                Work::Repartition { to: log_of(to)?, partitions: partitions.parse().ok()?, era: era.parse().ok()? }
            }
            _ => return None,
        };
        let is_ours = 0 <= replay_from.0 && replay_from <= next;
        is_ours.then_some(Progress { next, replay_from, log: log_of(log)?, leader_epoch, work })
    }
}

/// The commit of a partition, from the group's coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Committed {
    /// Nothing: a new group, or the offset expired.
    #[default]
    None,
    /// An offset with our metadata.
    Ours(Progress),
    /// An offset without our metadata: somebody reset it.
    Reset(Offset),
}

impl Committed {
    /// What counts for a log that ends at `end`: a reset to an offset behind it was meant for another log, and says nothing.
    pub fn within(self, end: Offset) -> Committed {
        match self {
            Committed::Reset(offset) if offset > end => Committed::None,
            Committed::None | Committed::Ours(_) | Committed::Reset(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::UploadId;

    fn hash(id: &str) -> UploadHash {
        UploadId::new(id).hash()
    }

    #[test]
    fn a_commit_is_read_back_and_no_other_string_is_one() {
        let log = Some(LogId(*b"sixteen bytes id"));
        let open = OpenUploads::new(3, [UploadHash([7; 16]), UploadHash([1; 16])].into_iter());
        let uploads = Work::Uploads { commits: 6, whole_from: Offset(5), open };
        let progress = Progress { next: Offset(7), replay_from: Offset(3), log, leader_epoch: Some(4), work: uploads };
        let id = "73697874-6565-6e20-6279-746573206964";
        assert_eq!(progress.metadata(), format!("ss6:3:{id}:4:uploads:6:5:3:AQEBAQEHBwcHBw"));
        let repartition = Work::Repartition { to: log, partitions: 12, era: 9 };
        let passes_on = Progress { work: repartition, ..progress.clone() };
        assert_eq!(passes_on.metadata(), format!("ss6:3:{id}:4:repartition:{id}:12:9"));
        let unknown = Progress { log: None, leader_epoch: None, work: Work::default(), ..progress.clone() };
        for progress in [progress.unlisted(), progress, passes_on, unknown] {
            assert_eq!(Progress::parse(Offset(7), &progress.metadata()), Some(progress));
        }
        for other in [
            "",
            "ss5:3:-:-:uploads:0:0:",
            "ss6:3",
            "ss6:8:-:-:uploads:0:0:0:",
            "ss6:-1:-:-:uploads:0:0:0:",
            "ss6:3:nil:-:uploads:0:0:0:",
            "ss6:3:-:-:uploads:0:0:0",
            "ss6:3:-:-:uploads:0:0:0::0",
            "ss6:3:-:x:uploads:0:0:0:",
            "ss6:3:-:-:uploads:x:0:0:",
            "ss6:3:-:-:uploads:0:x:0:",
            "ss6:3:-:-:uploads:0:0:0:AQEB",
            "ss6:3:-:-:other:0:0:0",
            "ss6:3:-:-:repartition:-:x:0",
        ] {
            assert_eq!(Progress::parse(Offset(7), other), None, "{other:?}");
        }
    }

    #[test]
    fn an_open_upload_is_found_in_a_commit_of_as_many_bytes_as_brokers_take() {
        let open = OpenUploads::new(10_000, (0..10_000).map(|n| hash(&format!("{n}.csv"))));
        let progress = Progress {
            next: Offset(i64::MAX),
            replay_from: Offset(i64::MAX),
            log: Some(LogId([255; 16])),
            leader_epoch: Some(i32::MAX),
            work: Work::Uploads { commits: u64::MAX, whole_from: Offset(i64::MAX), open },
        };
        assert!(progress.metadata().len() <= 4_096);
        let read = Progress::parse(Offset(i64::MAX), &progress.metadata()).expect("ours");
        let open = read.open().expect("it makes workbooks");
        assert!(open.contains(hash("0.csv")) && open.contains(hash("579.csv")) && !open.contains(hash("other.csv")));
        assert_eq!(
            progress.unlisted().open().map(|open| (open.count, open.contains(hash("0.csv")))),
            Some((10_000, false))
        );
    }
}
