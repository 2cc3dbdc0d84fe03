//! The layer that starts things: tasks, the threads that run them, and their recovery after a crash.

pub mod config;
pub mod convert;
pub mod environment;
mod error;
pub mod health;
pub mod ledger;
mod manager;
pub mod memory;
mod pass_on;
pub mod pauses;
mod purge;
pub mod queries;
mod retry;
pub mod running_task;
mod standby;
pub mod standby_members;
mod state_cleanup;
pub mod stream_thread;
pub mod streams;
pub mod task;
pub mod task_board;
mod task_maker;
mod topics;
mod turn;
mod watch;
