//! The command `sheetstream`: arguments, tracing, dispatch, error to exit code.

#![warn(unreachable_pub)]

mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::{Arguments, Exit, log, panic};

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    abort_at_fail_point();
    let arguments = Arguments::parse();
    let _log = log::start(arguments.global.log_format, arguments.command.default_log_levels());
    panic::ends_the_process();
    match arguments.command.run(&arguments.global) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = Exit::from(&error);
            if exit != Exit::Ok {
                cli::complain(&error);
            }
            exit.into()
        }
    }
}

/// `SHEETSTREAM_ABORT_AT` names a fail point at which a test build ends as by `kill -9`, `SHEETSTREAM_PANIC_AT` one at which it panics.
#[cfg(feature = "failpoints")]
fn abort_at_fail_point() {
    if let Ok(point) = std::env::var("SHEETSTREAM_ABORT_AT") {
        fail::cfg_callback(point, || std::process::abort()).expect("a fail point takes a callback");
    }
    if let Ok(point) = std::env::var("SHEETSTREAM_PANIC_AT") {
        fail::cfg(point, "panic").expect("a fail point takes an action");
    }
}
