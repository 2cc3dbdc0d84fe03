//! Panics of libraries that read what may be damaged: sled's, which the state survives by building itself anew, and those of whoever reads
//! the files of strangers.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is such a library's. Any other is a fault of ours.
pub fn panics_are_contained() -> bool {
    let is_of_sled =
        std::thread::current().name().is_some_and(|name| name.starts_with("sled-io-") || name == "log flusher");
    is_of_sled || IS_CONTAINED.get()
}

/// Does what may panic.
pub fn contain<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    IS_CONTAINED.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(false);
    done
}
