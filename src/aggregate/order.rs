//! Rows in order: the next index, parked rows, duplicates.
