//! State in memory: for tests, and for `convert`.
