//! The same transport over files: reads CSV files as values that are ready to be records.

pub mod reader;
