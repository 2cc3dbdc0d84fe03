//! Who this instance is in its consumer group (contract 18): the same after a restart, with or without its state, so that it gets its
//! partitions back at once.

use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Namespace of our member ids (RFC 9562, 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x5b0e_7a52_8c1d_4f0e_9d3a_2f64_c1b8_07e5);

/// UUIDv5 of the application and `instance`; without one, of the application, this machine, its host name and the state directory.
pub fn member_id(app: &str, instance: Option<&str>, state_dir: &Path) -> Uuid {
    let name = match instance {
        Some(instance) => join(&[b"instance", app.as_bytes(), instance.as_bytes()]),
        None => {
            let machine = std::fs::read("/etc/machine-id").unwrap_or_default(); // absent in many containers
            let system = rustix::system::uname();
            let dir = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
            let dir: PathBuf = dir.components().collect(); // without a slash at the end
            let dir = dir.as_os_str().as_encoded_bytes();
            join(&[b"machine", app.as_bytes(), machine.trim_ascii(), system.nodename().to_bytes(), dir])
        }
    };
    Uuid::new_v5(&NAMESPACE, &name)
}

/// Parts, each behind its length: no two lists give the same bytes.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_id_is_the_same_after_a_restart() {
        let dir = Path::new("state");
        assert_eq!(member_id("app", None, dir), member_id("app", None, Path::new("./state/")));
    }

    #[test]
    fn member_ids_differ_by_application_instance_and_directory() {
        let dir = Path::new("state");
        let ids = [
            member_id("app", None, dir),
            member_id("app", None, Path::new("other")),
            member_id("other", None, dir),
            member_id("app", Some("a"), dir),
            member_id("app", Some("b"), dir),
            member_id("appa", Some(""), dir),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(member_id("app", Some("a"), dir), member_id("app", Some("a"), Path::new("elsewhere")));
    }
}
