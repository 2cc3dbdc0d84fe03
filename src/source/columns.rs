//! Fields into Arrow columns.
