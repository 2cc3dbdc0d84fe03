//! The command `sheetstream`: arguments, tracing, dispatch, error to exit code.

mod cli;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use cli::{Arguments, Exit, LogFormat};

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    abort_where_told();
    let arguments = Arguments::parse();
    trace(arguments.global.log_format, arguments.command.default_log_levels());
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

/// Logs to stderr; `SHEETSTREAM_LOG` sets levels, as in `info,sheetstream::kafka=debug`.
fn trace(format: LogFormat, default_levels: &str) {
    let levels = EnvFilter::try_from_env("SHEETSTREAM_LOG").unwrap_or_else(|_| EnvFilter::new(default_levels));
    let log = tracing_subscriber::fmt().with_env_filter(levels).with_writer(io::stderr);
    match format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.with_ansi(cli::colours(&io::stderr())).init(),
    }
}

/// `SHEETSTREAM_ABORT_AT` names a fail point at which a test build ends as by `kill -9`.
#[cfg(feature = "failpoints")]
fn abort_where_told() {
    if let Ok(point) = std::env::var("SHEETSTREAM_ABORT_AT") {
        fail::cfg_callback(point, || std::process::abort()).expect("a fail point takes a callback");
    }
}
