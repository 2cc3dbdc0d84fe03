//! The state directory from outside: what it keeps, what it survives, what it refuses.

// Its helpers are tests, too: `allow-unwrap-in-tests` does not see that.
#![allow(clippy::unwrap_used)]

mod crash;
mod damage;
mod directory;
mod model;
mod oracle;
#[path = "../support/small_disk.rs"]
mod small_disk;
