//! Ends the process after a panic, on any thread, and names the place. A panic is a fault of ours. A process with a thread less would hold
//! its partitions and do nothing.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use sheetstream::state;

use super::Exit;
use super::out::say;

/// From now on a panic ends the process with [`Exit::Software`]. Those of libraries that read what may be damaged
/// are survived.
pub(crate) fn ends_the_process() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let said = said(panic);
        if state::panics_are_contained() {
            return tracing::warn!(
                place,
                said,
                "a library panicked on what it read; the state is built anew, or the file is refused"
            );
        }
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("without a name");
        tracing::error!(thread, place, said, "a panic: this is a fault of sheetstream, please report it with the log");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            say!("{backtrace}");
        }
        std::process::exit(Exit::Software as i32);
    }));
}

fn said<'p>(panic: &'p PanicHookInfo<'_>) -> &'p str {
    let text = panic.payload().downcast_ref::<&str>().copied();
    text.or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}
