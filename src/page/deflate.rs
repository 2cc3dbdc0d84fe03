//! Deflate without searching.
