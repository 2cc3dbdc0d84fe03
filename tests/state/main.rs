//! The state directory from outside: what it keeps, what it survives, what it refuses.

mod crash;
mod damage;
mod directory;
mod model;
mod oracle;
#[path = "../support/small_disk.rs"]
mod small_disk;
