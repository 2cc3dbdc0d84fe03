//! Who this instance is in its consumer groups: a name that is the same after a restart, with or without its state, so that it gets its
//! partitions back at once; and which process it is, so that a former one is known to be dead.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Namespace of names that we make (RFC 9562, 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x5b0e_7a52_8c1d_4f0e_9d3a_2f64_c1b8_07e5);

/// Name of the file in a state directory that holds the id of the process that joined last.
pub(super) const INCARNATION: &str = "INCARNATION";

/// `instance`; without one, the host's name and 8 hex digits of a UUIDv5 of this machine, the host's name and the state directory.
pub fn instance_name(instance: Option<&str>, state_dir: &Path) -> String {
    if let Some(instance) = instance {
        return instance.to_owned();
    }
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default(); // absent in many containers
    let system = rustix::system::uname();
    let dir = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
    let dir: PathBuf = dir.components().collect(); // without a slash at the end
    let dir = dir.as_os_str().as_encoded_bytes();
    let host = system.nodename().to_bytes();
    let id = Uuid::new_v5(&NAMESPACE, &join(&[machine.trim_ascii(), host, dir])).simple().to_string();
    format!("{}-{}", String::from_utf8_lossy(host), &id[..8])
}

/// Notes which process has the state directory now, and answers which had it before: since the directory was locked, that one is dead.
/// Only for the holder of the lock.
pub fn succeed(state_dir: &Path, incarnation: Uuid) -> io::Result<Option<Uuid>> {
    let path = state_dir.join(INCARNATION);
    let former = match std::fs::read(&path) {
        Ok(text) => Uuid::try_parse_ascii(text.trim_ascii()).ok(), // unreadable: nothing is proven
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    std::fs::write(&path, format!("{incarnation}\n"))?;
    Ok(former)
}

/// Parts, each behind its length: no two lists give the same bytes.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_the_same_name_after_a_restart_and_another_in_another_directory() {
        let dir = Path::new("state");
        assert_eq!(instance_name(None, dir), instance_name(None, Path::new("./state/")));
        assert_ne!(instance_name(None, dir), instance_name(None, Path::new("other")));
        assert_eq!(instance_name(Some("a"), dir), "a");
    }

    #[test]
    fn the_process_that_had_the_directory_before_is_known() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(succeed(dir.path(), first).expect("written"), None);
        assert_eq!(succeed(dir.path(), second).expect("written"), Some(first));
        for damaged in [&b"torn"[..], b"\xff0000000-0000-0000-0000-000000000001\n"] {
            std::fs::write(dir.path().join(INCARNATION), damaged).expect("written");
            assert_eq!(succeed(dir.path(), first).expect("written"), None);
        }
    }
}
