//! The two ends that people hold: publishing files, fetching workbooks.

pub mod awaited;
pub mod doctor;
pub mod download;
pub mod fetch;
pub mod folder;
pub mod publish;
pub mod rejects;
pub mod uploads;
