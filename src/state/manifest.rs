//! The owner of a state directory, and whether its state can be trusted. Only directories with our manifest are ever removed.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::StateError;
use super::keys::STATE_FORMAT;
use super::lock::LOCK;
use super::member::INCARNATION;

/// Name of the index's directory.
pub(super) const INDEX: &str = "index";
/// Name of the directory of page segments, one directory a task.
pub(super) const PAGES: &str = "pages";
/// A broken index is kept as `bad-<n>`, the last one only, for whoever wants to know.
const BAD: &str = "bad-";
const MANIFEST: &str = "MANIFEST";
const MANIFEST_NEW: &str = "MANIFEST.new";
/// Names the topologies that somebody has paused. It outlives state that is thrown away.
pub const PAUSED: &str = "PAUSED";
const PRODUCT: &str = "sheetstream";
/// Starts that may end before the index is open; the next one begins with an empty index.
const FAILED_OPENS_MAX: u32 = 2;

/// Why state was thrown away. It is rebuilt from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RebuildReason {
    /// It contradicted itself, or the storage engine failed.
    Damaged,
    /// The machine went down before everything had reached the disk.
    PowerLoss,
    /// An older version made it.
    Format,
    /// Another topology made it.
    Topology,
    /// It could not be opened in time.
    Hung,
}

impl RebuildReason {
    /// Every reason.
    pub const ALL: [RebuildReason; 5] = [
        RebuildReason::Damaged,
        RebuildReason::PowerLoss,
        RebuildReason::Format,
        RebuildReason::Topology,
        RebuildReason::Hung,
    ];

    /// A word for logs and metric labels.
    pub fn code(self) -> &'static str {
        match self {
            RebuildReason::Damaged => "damaged",
            RebuildReason::PowerLoss => "power_loss",
            RebuildReason::Format => "format",
            RebuildReason::Topology => "topology",
            RebuildReason::Hung => "hung",
        }
    }
}

/// The content of a state directory.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing, or the files of a first start that did not get far.
    Nothing,
    /// State that can be trusted.
    Sound(Manifest),
    /// State of ours to be thrown away, and why.
    Doubtful(RebuildReason, String),
}

/// Contents of the file `MANIFEST`: one line of JSON and one with its CRC-32.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    product: String,
    format: u32,
    /// Run of the kernel in which the state was last open: what a killed process wrote is lost only with it.
    boot_id: String,
    /// Whether every commit since has reached the disk.
    pub(super) power_safe: bool,
    /// Whether it was closed, and so has reached the disk.
    pub(super) clean: bool,
    /// Starts since the last one that got the index open.
    pub(super) failed_opens: u32,
}

/// The fields that every version of the manifest has.
#[derive(Deserialize)]
struct Owner {
    product: String,
    format: u32,
}

impl Manifest {
    /// The manifest of an empty directory.
    pub(super) fn new() -> Manifest {
        let (product, boot_id) = (PRODUCT.to_owned(), boot_id());
        Manifest { product, format: STATE_FORMAT, boot_id, power_safe: false, clean: true, failed_opens: 0 }
    }

    /// The manifest of a trusted directory for this run of the machine.
    pub(super) fn reopened(self) -> Manifest {
        Manifest { boot_id: boot_id(), ..self }
    }

    /// Reads the manifest in `dir` and judges it. A directory that is not ours, or that a newer version made, is an error.
    pub(super) fn load(dir: &Path) -> Result<Found, StateError> {
        let bytes = match std::fs::read(dir.join(MANIFEST)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let begun = [LOCK, MANIFEST_NEW, INCARNATION, PAUSED, "lost+found"];
                return match stranger(dir, |name| begun.iter().any(|ours| name == *ours))? {
                    Some(name) => {
                        let ours = |name: &OsString| {
                            begun.iter().chain(&[INDEX, PAGES]).any(|ours| name == *ours) || is_bad(name)
                        };
                        let advice = match stranger(dir, ours)? {
                            Some(_) => "give another --state-dir",
                            None => {
                                "it was deleted; delete the rest of the directory too, and the state is rebuilt from the log"
                            }
                        };
                        Err(StateError::unusable(
                            dir,
                            format!("is not ours: it holds {name:?} and no {MANIFEST}: {advice}"),
                        ))
                    }
                    None => Ok(Found::Nothing),
                };
            }
            Err(error) => return Err(StateError::unusable(dir, format!("{MANIFEST} cannot be read: {error}"))),
        };
        let Some(json) = intact(&bytes) else {
            let ours = [LOCK, MANIFEST, MANIFEST_NEW, INCARNATION, PAUSED, INDEX, PAGES, "lost+found"];
            let known = |name: &OsString| ours.iter().any(|ours| name == *ours) || is_bad(name);
            return match stranger(dir, known)? {
                Some(name) => Err(StateError::unusable(
                    dir,
                    format!("is not ours: its {MANIFEST} is unreadable and it holds {name:?}"),
                )),
                None => Ok(Found::Doubtful(RebuildReason::Damaged, format!("{MANIFEST} is unreadable"))),
            };
        };
        match serde_json::from_slice::<Owner>(json) {
            Ok(Owner { product, .. }) if product != PRODUCT => {
                Err(StateError::unusable(dir, format!("belongs to {product:?}")))
            }
            Ok(Owner { format, .. }) if format > STATE_FORMAT => {
                let message =
                    format!("has format {format}, made by a newer version; this one reads up to {STATE_FORMAT}");
                Err(StateError::unusable(dir, message))
            }
            Ok(Owner { format, .. }) if format < STATE_FORMAT => {
                Ok(Found::Doubtful(RebuildReason::Format, format!("format {format}, not {STATE_FORMAT}")))
            }
            _ => Ok(match serde_json::from_slice::<Manifest>(json) {
                Ok(manifest) => manifest.judged(),
                Err(error) => Found::Doubtful(RebuildReason::Damaged, format!("{MANIFEST}: {error}")),
            }),
        }
    }

    /// Replaces the manifest in `dir`, atomically and durably.
    pub(super) fn save(&self, dir: &Path) -> Result<(), StateError> {
        let json = serde_json::to_string(self).map_err(std::io::Error::from)?;
        let write = || {
            let mut file = File::create(dir.join(MANIFEST_NEW))?;
            write!(file, "{json}\n{:08x}\n", crc32fast::hash(json.as_bytes()))?;
            file.sync_all()?;
            std::fs::rename(dir.join(MANIFEST_NEW), dir.join(MANIFEST))?;
            File::open(dir)?.sync_all()
        };
        write().map_err(StateError::from_io)
    }

    fn judged(self) -> Found {
        let failed = self.failed_opens;
        if !self.clean && !self.power_safe && (self.boot_id.is_empty() || self.boot_id != boot_id()) {
            return Found::Doubtful(RebuildReason::PowerLoss, "it was open when the machine went down".to_owned());
        }
        if failed >= FAILED_OPENS_MAX {
            return Found::Doubtful(RebuildReason::Damaged, format!("{failed} starts did not get it open"));
        }
        Found::Sound(self)
    }
}

/// Makes `dir` if it is not there, readable for nobody else, and sees that it can be used at all.
pub(super) fn prepare(dir: &Path) -> Result<(), StateError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| StateError::unusable(dir, format!("cannot be made: {error}; give another --state-dir")))?;
    for name in [INDEX, PAGES] {
        if std::fs::symlink_metadata(dir.join(name)).is_ok_and(|member| !member.is_dir()) {
            return Err(StateError::unusable(dir, format!("{name:?} in it is not a directory")));
        }
    }
    Ok(())
}

/// Makes room for an empty index: the present one becomes `bad-<n>`, and an older `bad-<n>` is removed.
pub(super) fn set_index_aside(dir: &Path) -> Result<(), StateError> {
    let mut last = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if is_bad(&entry.file_name()) {
            last = last.max(bad_number(&entry.file_name()).unwrap_or(0));
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    match std::fs::rename(dir.join(INDEX), dir.join(format!("{BAD}{}", last + 1))) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Removes a directory of ours, whether it is there or not.
pub(super) fn remove(dir: &Path) -> Result<(), StateError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Brings everything on the file system of `dir` to the disk.
pub(super) fn sync_filesystem(dir: &File) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    return Ok(rustix::fs::syncfs(dir)?);
    #[cfg(not(target_os = "linux"))]
    {
        rustix::fs::sync();
        dir.sync_all()
    }
}

fn intact(bytes: &[u8]) -> Option<&[u8]> {
    let (json, crc) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_once('\n')?;
    (format!("{:08x}", crc32fast::hash(json.as_bytes())) == crc).then_some(json.as_bytes())
}

/// The first name in `dir` that `known` does not know.
fn stranger(dir: &Path, known: impl Fn(&OsString) -> bool) -> Result<Option<OsString>, StateError> {
    for entry in
        std::fs::read_dir(dir).map_err(|error| StateError::unusable(dir, format!("cannot be read: {error}")))?
    {
        let name = entry?.file_name();
        if !known(&name) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn bad_number(name: &OsString) -> Option<u32> {
    name.to_str()?.strip_prefix(BAD)?.parse().ok()
}

fn is_bad(name: &OsString) -> bool {
    bad_number(name).is_some()
}

/// The kernel's name for this run of the machine; empty where there is none, which counts as a new run.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reloaded(manifest: &Manifest) -> Result<Manifest, RebuildReason> {
        let dir = tempfile::tempdir().unwrap();
        manifest.save(dir.path()).unwrap();
        match Manifest::load(dir.path()).unwrap() {
            Found::Sound(manifest) => Ok(manifest),
            Found::Doubtful(reason, _) => Err(reason),
            Found::Nothing => panic!("saved and not found"),
        }
    }

    #[test]
    fn manifest_reads_back_as_it_was_saved() {
        let manifest = Manifest { clean: false, failed_opens: 1, ..Manifest::new() };
        assert_eq!(reloaded(&manifest), Ok(manifest));
    }

    #[test]
    fn state_that_was_open_when_the_machine_went_down_is_doubted_unless_it_was_power_safe() {
        let before = Manifest { boot_id: "an earlier run".to_owned(), ..Manifest::new() };
        let open = Manifest { clean: false, ..before.clone() };
        let power_safe = Manifest { power_safe: true, ..open.clone() };
        assert_eq!(reloaded(&before), Ok(before));
        assert_eq!(reloaded(&open), Err(RebuildReason::PowerLoss));
        assert_eq!(reloaded(&power_safe), Ok(power_safe));
    }

    #[test]
    fn state_that_twice_could_not_be_opened_is_doubted() {
        let manifest = Manifest { clean: false, failed_opens: 2, ..Manifest::new() };
        assert_eq!(reloaded(&manifest), Err(RebuildReason::Damaged));
    }

    #[test]
    fn older_format_is_doubted_and_a_newer_one_refused() {
        let older = Manifest { format: STATE_FORMAT - 1, ..Manifest::new() };
        assert_eq!(reloaded(&older), Err(RebuildReason::Format));
        let dir = tempfile::tempdir().unwrap();
        Manifest { format: STATE_FORMAT + 1, ..Manifest::new() }.save(dir.path()).unwrap();
        let refused = Manifest::load(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("newer version"), "{refused}");
    }

    #[test]
    fn manifest_with_a_flipped_bit_is_damage_in_our_directory_and_a_refusal_in_any_other() {
        let dir = tempfile::tempdir().unwrap();
        Manifest::new().save(dir.path()).unwrap();
        let path = dir.path().join(MANIFEST);
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(Manifest::load(dir.path()), Ok(Found::Doubtful(RebuildReason::Damaged, _))), "bit {bit}");
        }
        std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        assert!(matches!(Manifest::load(dir.path()), Err(StateError::Unusable { .. })));
    }

    #[test]
    fn only_the_last_broken_index_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            std::fs::create_dir(dir.path().join(INDEX)).unwrap();
            set_index_aside(dir.path()).unwrap();
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["bad-3"]);
    }
}
