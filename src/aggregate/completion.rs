//! When an upload is complete, and what follows from it.
