//! Keeps the rows for which a condition holds.

use std::sync::Arc;

use super::expression::{Evaluation, Expression};
use super::{Map, NodeError, Planned, blocks, find_all, reject_all};
use crate::record::{Rejection, RowBatch};

/// `filter = "number(area) >= 33.5"`
#[derive(Clone, Debug, PartialEq)]
pub struct FilterConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// A boolean expression: rows for which it is true are kept.
    pub condition: Expression,
}

/// The `filter` map. A row that is taken out is counted as filtered, and is none that failed.
pub struct Filter {
    config: FilterConfig,
    plan: Planned<Result<Vec<usize>, Rejection>>,
}

impl Filter {
    /// The map that `config` describes.
    pub fn new(config: &FilterConfig) -> Filter {
        Filter { config: config.clone(), plan: Planned::none() }
    }
}

impl Map for Filter {
    fn name(&self) -> &str {
        &self.config.node
    }

    fn process(&mut self, batch: &mut RowBatch) -> Result<(), NodeError> {
        let condition = &self.config.condition;
        let places = match self.plan.of(batch, || find_all(batch.columns.schema_ref(), condition.columns())) {
            Ok(places) => places,
            Err(missing) => {
                reject_all(batch, missing);
                return Ok(());
            }
        };
        let mut evaluation = Evaluation::new(condition, places, &batch.columns, &batch.types);
        let mut out = Vec::new();
        for rows in blocks(batch) {
            let values = evaluation.values(&rows);
            out.extend(rows.iter().enumerate().filter(|(at, _)| !values.is_true(*at)).map(|(_, row)| *row));
        }
        let faults = evaluation.into_faults();
        out.retain(|row| faults.binary_search_by_key(row, |(faulty, _)| *faulty).is_err());
        batch.reject(faults);
        batch.filter_out(out);
        Ok(())
    }
}
