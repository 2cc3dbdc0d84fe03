//! The layer that starts things: tasks, the threads that run them, and how they come back after a crash.

pub mod config;
pub mod convert;
pub mod health;
pub mod ledger;
pub mod queries;
pub mod stream_thread;
pub mod streams;
pub mod task;
mod watch;
