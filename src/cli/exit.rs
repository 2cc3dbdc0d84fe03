//! Outcomes and their exit codes: the one place that knows both. The numbers are those of BSD's `sysexits.h`; 2, for wrong usage, is clap's.

use std::io;
use std::process::ExitCode;

use sheetstream::client::inbox::InboxError;
use sheetstream::client::publish::{PublishError, TakesNoFiles};
use sheetstream::client::replay::ReplayError;
use sheetstream::client::watch::WatchError;
use sheetstream::file::FileError;
use sheetstream::http::HttpError;
use sheetstream::inspect::InspectError;
use sheetstream::kafka::settings::SettingsError;
use sheetstream::runtime::streams::StreamsError;
use sheetstream::runtime::task::TaskError;
use sheetstream::state::StateError;
use sheetstream::topology::Problems;
use sheetstream::transport::TransportError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// It did not work.
    Failure = 1,
    /// The command line asks for what cannot be; as clap's own errors.
    Usage = 2,
    /// More of the data was rejected than allowed (`EX_DATAERR`).
    DataRejected = 65,
    /// The broker cannot be reached (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// A fault of ours (`EX_SOFTWARE`).
    Software = 70,
    /// The state directory cannot be had, or another process has taken our name (`EX_CANTCREAT`).
    State = 73,
    /// Reading or writing failed (`EX_IOERR`).
    Io = 74,
    /// Wrong or missing rights (`EX_NOPERM`).
    Unauthorised = 77,
    /// A topology, or what it needs, is wrong (`EX_CONFIG`).
    Config = 78,
}

/// Options that contradict each other, or a value that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub String);

/// Data from which no workbook can be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Rejected(pub String);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<&anyhow::Error> for Exit {
    /// The first cause that says more than "failure". A reader that went away (`describe x.toml | head -1`) is none.
    fn from(error: &anyhow::Error) -> Exit {
        let known = |cause: &(dyn std::error::Error + 'static)| {
            let topology = cause.downcast_ref::<Problems>().map(|_| Exit::Config);
            let settings = cause.downcast_ref::<SettingsError>().map(|_| Exit::Config);
            let transport = cause.downcast_ref().and_then(transport);
            let state = cause.downcast_ref().and_then(state);
            let io = cause.downcast_ref().map(|error: &io::Error| match error.kind() {
                io::ErrorKind::BrokenPipe => Exit::Ok,
                _ => Exit::Io,
            });
            let streams = cause.downcast_ref().and_then(streams);
            let task = cause.downcast_ref().and_then(task);
            let publish = cause.downcast_ref().and_then(publish);
            let http = cause.downcast_ref().and_then(http);
            let usage = cause.downcast_ref::<UsageError>().map(|_| Exit::Usage);
            let usage = usage.or(cause.downcast_ref::<TakesNoFiles>().map(|_| Exit::Usage));
            let rejected = cause.downcast_ref::<Rejected>().map(|_| Exit::DataRejected);
            let inspect = cause.downcast_ref().and_then(inspect);
            let file = cause.downcast_ref().map(file);
            let watch = cause.downcast_ref().and_then(watch);
            let ours = watch.or(usage).or(rejected).or(inspect).or(file);
            let replay = cause.downcast_ref().and_then(replay);
            let ours = ours.or(replay);
            topology.or(settings).or(transport).or(state).or(io).or(streams).or(task).or(publish).or(http).or(ours)
        };
        error.chain().find_map(known).unwrap_or(Exit::Failure)
    }
}

fn streams(error: &StreamsError) -> Option<Exit> {
    match error {
        StreamsError::State(error) => state(error),
        StreamsError::Transport(error) => transport(error),
        StreamsError::Task(_, error) => task(error),
        StreamsError::Panicked(_) => Some(Exit::Software),
        StreamsError::Start(_) => Some(Exit::Io),
    }
}

fn task(error: &TaskError) -> Option<Exit> {
    match error {
        TaskError::State(error) => state(error),
        TaskError::Transport(error) => transport(error),
        TaskError::Process(_) => Some(Exit::Config),
    }
}

fn publish(error: &PublishError) -> Option<Exit> {
    match error {
        PublishError::Transport(error) => transport(error),
        PublishError::File(error) => Some(file(error)),
    }
}

fn watch(error: &WatchError) -> Option<Exit> {
    match error {
        WatchError::Inbox(InboxError::Locked { .. }) => Some(Exit::State),
        WatchError::Inbox(InboxError::Io { .. }) | WatchError::Io(_) => Some(Exit::Io),
        WatchError::Transport(error) => transport(error),
    }
}

fn file(error: &FileError) -> Exit {
    match error {
        FileError::Io(_) => Exit::Io,
        FileError::NotText(_) | FileError::Charset(_) | FileError::Header(_) | FileError::Packed(_) => {
            Exit::DataRejected
        }
    }
}

fn inspect(error: &InspectError) -> Option<Exit> {
    match error {
        InspectError::File(error) => Some(file(error)),
        InspectError::Reading { .. } | InspectError::Column(_) | InspectError::Crs(_) | InspectError::Extra { .. } => {
            Some(Exit::Usage)
        }
        InspectError::Trial(_) => None,
    }
}

fn replay(error: &ReplayError) -> Option<Exit> {
    match error {
        ReplayError::Transport(error) => transport(error),
        ReplayError::Unknown { .. }
        | ReplayError::Spread { .. }
        | ReplayError::Open { .. }
        | ReplayError::Endless { .. }
        | ReplayError::Gone { .. } => None,
    }
}

fn http(error: &HttpError) -> Option<Exit> {
    match error {
        HttpError::NoToken(_) | HttpError::ShortToken(_) => Some(Exit::Config),
        HttpError::Bind(..) | HttpError::Start(_) => Some(Exit::Io),
    }
}

fn transport(error: &TransportError) -> Option<Exit> {
    match error {
        TransportError::Unavailable(_) => Some(Exit::Unavailable),
        TransportError::Unauthorised(_) => Some(Exit::Unauthorised),
        TransportError::Topic(_) => Some(Exit::Config),
        TransportError::Replaced(_) => Some(Exit::State),
        TransportError::Fenced(_)
        | TransportError::Clock(_)
        | TransportError::AnotherLog(_)
        | TransportError::Truncated { .. }
        | TransportError::TooLarge(_)
        | TransportError::OutOfRange { .. }
        | TransportError::Failed(_) => None,
    }
}

fn state(error: &StateError) -> Option<Exit> {
    match error {
        StateError::Locked { .. } | StateError::Unusable { .. } => Some(Exit::State),
        StateError::DiskFull(_) | StateError::Hung { .. } | StateError::Io(_) => Some(Exit::Io),
        StateError::Damaged(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn exit_of(error: impl Into<anyhow::Error>) -> Exit {
        let error = Err::<(), _>(error.into()).context("while something was done").expect_err("it is one");
        Exit::from(&error)
    }

    #[test]
    fn the_cause_decides_the_exit_code() {
        assert_eq!(exit_of(TransportError::Unavailable("gone".into())), Exit::Unavailable);
        assert_eq!(exit_of(TransportError::Unauthorised("who?".into())), Exit::Unauthorised);
        assert_eq!(exit_of(StateError::Locked { dir: "state".into(), holder: "7".into() }), Exit::State);
        assert_eq!(exit_of(StreamsError::State(StateError::DiskFull("full".into()))), Exit::Io);
        assert_eq!(exit_of(PublishError::Transport(TransportError::Unavailable("gone".into()))), Exit::Unavailable);
        assert_eq!(exit_of(StateError::Io(io::Error::other("broken"))), Exit::Io);
        assert_eq!(exit_of(io::Error::other("broken")), Exit::Io);
        assert_eq!(exit_of(io::Error::from(io::ErrorKind::BrokenPipe)), Exit::Ok);
        assert_eq!(exit_of(anyhow::anyhow!("no idea")), Exit::Failure);
        assert_eq!(exit_of(UsageError("both".into())), Exit::Usage);
        assert_eq!(exit_of(FileError::Header("the file is empty".into())), Exit::DataRejected);
        assert_eq!(exit_of(InspectError::File(FileError::Header("the file is empty".into()))), Exit::DataRejected);
        assert_eq!(exit_of(FileError::Io(io::Error::other("broken"))), Exit::Io);
    }
}
