//! Reasons why an upload cannot take more rows: the world is bad, or the upload is.

use crate::record::Rejection;
use crate::sink::output::OutputError;
use crate::state::StateError;

/// Why a row cannot be taken.
pub(super) enum Halt {
    /// State or broker failed: the task starts again.
    World(OutputError),
    /// The upload fails.
    Upload(Rejection),
}

impl From<StateError> for Halt {
    fn from(error: StateError) -> Halt {
        Halt::World(error.into())
    }
}

impl From<OutputError> for Halt {
    fn from(error: OutputError) -> Halt {
        Halt::World(error)
    }
}
