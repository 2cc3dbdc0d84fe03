//! Remarks about columns that a topology names and a file does not have.

use std::collections::HashSet;

use crate::source::{SourceConfig, list_names};

/// Names in `columns` that no column has: a typing error more often than not, and without a word the column would keep its automatic type.
pub(super) fn unused_types(config: &SourceConfig, columns: &[String]) -> Option<String> {
    let present: HashSet<&String> = columns.iter().collect();
    // One of several names that a column may have is missing in most files.
    let is_one_of_several = |name: &String| config.needed.iter().any(|names| names.len() > 1 && names.contains(name));
    let unused = config.columns.keys().filter(|name| !present.contains(name) && !is_one_of_several(name));
    let unused: Vec<&String> = unused.collect();
    (!unused.is_empty()).then(|| {
        format!(
            "`columns` of the topology names {}, which the file does not have; its columns are {}",
            list_names(unused),
            list_names(columns)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ColumnType;

    #[test]
    fn a_name_that_a_column_may_have_is_no_typing_error() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut config = SourceConfig::of_topic("t");
        config.needed = [names(&["경도", "lon"]), names(&["시군"])].into();
        config.columns = names(&["경도", "시군", "날자"]).into_iter().map(|name| (name, ColumnType::Text)).collect();
        let note = unused_types(&config, &names(&["lon", "날짜"])).expect("two names are wrong");
        assert!(note.contains("날자") && note.contains("시군") && !note.contains("경도"), "{note}");
        assert_eq!(unused_types(&config, &names(&["lon", "날자", "시군"])), None);
    }
}
