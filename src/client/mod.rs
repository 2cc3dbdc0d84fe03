//! The two ends that people hold: publishing files, fetching workbooks.

pub mod fetch;
pub mod publish;
pub mod uploads;
