//! Rows as they arrive, and the writer that renders and compresses them.
