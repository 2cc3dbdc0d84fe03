//! Checks the state directory: it is there or can be made, is writable, is not in use, and is on a disk of this machine with room.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Findings, Subject};
use crate::state;

/// Free space of the state's disk below which tasks pause, and below which it gets tight.
const DISK_BYTES_MIN: u64 = 256 << 20;
const DISK_BYTES_LOW: u64 = 2 << 30;

/// Looks it over without making it.
pub(super) fn check_state(dir: &Path, findings: &mut Findings) {
    let shown = dir.display();
    if let Some(holder) = state::holder(dir) {
        let what = format!("{shown} is in use by process {holder}");
        findings.warn(Subject::State, "lock", what, "that is a run of yours, or give another one its own --state-dir");
    }
    let existing = existing_ancestor(dir);
    match writable(&existing) {
        Ok(()) => findings.ok(Subject::State, "writable", format!("{shown} can be written")),
        Err(error) => {
            let what = format!("{shown} cannot be written: {error}");
            findings.fail(Subject::State, "writable", what, "give a --state-dir that this user may write");
        }
    }
    check_file_system(dir, &existing, findings);
    match state::free_bytes(&existing) {
        Ok(free) if free < DISK_BYTES_MIN => {
            let what = format!("{free} bytes are free at {shown}; below {DISK_BYTES_MIN} tasks pause");
            findings.fail(Subject::State, "disk", what, "make room, or give a --state-dir elsewhere");
        }
        Ok(free) if free < DISK_BYTES_LOW => {
            let what = format!("{free} bytes are free at {shown}");
            findings.warn(Subject::State, "disk", what, "pages of open uploads need about the size of their workbooks");
        }
        Ok(free) => findings.ok(Subject::State, "disk", format!("{} GiB are free at {shown}", free >> 30)),
        Err(error) => findings.fail(Subject::State, "disk", format!("{shown}: {error}"), "look at that file system"),
    }
}

/// The directory itself, or what it would be made in.
fn existing_ancestor(dir: &Path) -> PathBuf {
    let there = dir.ancestors().find(|path| path.exists()).filter(|path| !path.as_os_str().is_empty());
    there.unwrap_or(Path::new(".")).to_owned()
}

fn writable(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(format!(".sheetstream-doctor-{}", std::process::id()));
    fs::write(&probe, b"probe")?;
    fs::remove_file(&probe)
}

fn check_file_system(dir: &Path, existing: &Path, findings: &mut Findings) {
    let Ok(system) = rustix::fs::statfs(existing) else { return };
    // Numbers of statfs(2).
    let kind = match system.f_type & 0xffff_ffff {
        0x6969 => Some(("NFS", "locks and syncs of network file systems cannot be relied on: use a local disk")),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => {
            Some(("SMB", "locks and syncs of network file systems cannot be relied on: use a local disk"))
        }
        0x0102_1994 => Some(("tmpfs", "it is gone after a reboot, and then rebuilt from the log: use a disk")),
        _ => None,
    };
    match kind {
        Some((kind, advice)) => {
            findings.warn(Subject::State, "file system", format!("{} is on {kind}", dir.display()), advice);
        }
        None => findings.ok(Subject::State, "file system", format!("{} is on a local file system", dir.display())),
    }
}
