//! Chooses, orders and renames columns.

use std::sync::Arc;

/// `select = ["name", { from = "x", as = "east" }]`
#[derive(Clone, Debug, PartialEq)]
pub struct SelectConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// (source column, name it gets), in the order of the result.
    pub columns: Vec<(String, String)>,
}
