//! The thin client on `kafka-protocol`: connections, who leads what, record batches, and the one backoff of every retry.

pub mod backoff;
pub mod batch;
pub mod batch_builder;
pub mod cluster;
pub mod compression;
pub mod connection;
pub mod frame;
mod listener;
pub mod reach;
mod refusals;
pub mod rights;
mod socket;
pub mod streams_groups;
pub mod text;
