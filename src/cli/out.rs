//! Standard output and standard error of commands. The exit code of a command does not depend on its reader: output that nobody reads is
//! dropped, and the command ends as it would have ended.

use std::io::{self, ErrorKind, Write};

/// Standard output; what a closed pipe does not take is dropped.
pub(super) fn stdout() -> Dropping<io::Stdout> {
    Dropping(io::stdout())
}

/// Writes a line to standard error, as `eprintln!` does. Where stderr is closed there is nobody left to read it.
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stderr(), $($argument)*).ok();
    }};
}
pub(super) use say;

/// A writer that takes everything once its reader is gone.
pub(super) struct Dropping<W>(W);

impl<W: Write> Write for Dropping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}
