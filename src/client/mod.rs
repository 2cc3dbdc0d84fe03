//! The two ends that people hold: publishing files, fetching workbooks; and both for the files of a folder.

pub mod awaited;
pub mod dead_letters;
pub mod doctor;
pub mod download;
pub mod fetch;
pub mod folder;
pub mod inbox;
pub mod publish;
pub mod rejects;
pub mod replay;
pub mod reset;
mod statuses;
pub mod uploads;
pub mod watch;
