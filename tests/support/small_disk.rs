//! A small file system of its own, so that a test can fill a disk.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted for as long as the value lives.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// A file system of so many bytes on that folder; `None`, loudly, where mounting is not allowed.
    pub fn mounted_at(folder: &Path, bytes: u64) -> Option<SmallDisk> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "sheetstream-test"]).arg(folder);
        if !mount.output().is_ok_and(|output| output.status.success()) {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            eprintln!("skipped: the full disk of {test}, for mounting a tmpfs needs root");
            return None;
        }
        Some(SmallDisk(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
