//! The table of cell styles as data.
