//! What a topology says of columns that a file does not have.

use std::collections::HashSet;

use crate::source::{SourceConfig, list_names};

/// Names in `columns` that no column has: a typing error more often than not, and without a word the column would keep its automatic type.
pub(super) fn unused_types(config: &SourceConfig, columns: &[String]) -> Option<String> {
    let present: HashSet<&String> = columns.iter().collect();
    let unused: Vec<&String> = config.columns.keys().filter(|name| !present.contains(name)).collect();
    (!unused.is_empty()).then(|| {
        format!(
            "`columns` of the topology names {}, which the file does not have; its columns are {}",
            list_names(unused),
            list_names(columns)
        )
    })
}
