//! Uploads with rows in any partition (`placement = "spread"`). They go through a repartition topic, in which the upload id decides the
//! partition.
//!
//! Stage one is a [`Router`] for each source partition: it reads nothing of a row, and passes records on in [`Run`]s. Stage two is a
//! [`Gather`] in front of the source of each repartition partition. It holds the records of an upload until its end has come and every
//! source partition is passed on up to the end that it had at that moment (the *barrier*). Then the upload goes to the source at once, as
//! if it had come from one partition (`merge`).

mod border;
mod gather;
mod gathered;
mod held;
mod merge;
mod release;
mod route;
mod run;
#[cfg(test)]
mod tests;

pub use gather::{Arrivals, Gather, GatherError, Past, PastOf};
pub use gathered::Moment;
pub use merge::{Merge, Step};
pub use release::Release;
pub use route::Router;
pub use run::{Run, RunRecord};
