//! Maps: one file an operator, each with its configuration, its code and its tests.

pub mod geometry;
pub mod reproject;
pub mod select;

pub use reproject::ReprojectConfig;
pub use select::SelectConfig;

/// A map as the topology describes it, proven.
#[derive(Clone, Debug, PartialEq)]
pub enum MapConfig {
    /// Coordinates from one CRS to another.
    Reproject(ReprojectConfig),
    /// Choose, order and rename columns.
    Select(SelectConfig),
}
