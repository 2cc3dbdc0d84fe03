//! Append-only files of page bytes.
