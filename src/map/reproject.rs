//! Transforms coordinates from one CRS to another, a column at a time. x is always east (longitude, easting), whatever the authority says.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proj::Proj;

use super::area::Area;
use super::points::{Input, Point, Points};
use super::reproject_config::{CoordinateInput, REMEMBERED_MAX, ReprojectConfig, refusal};
use super::{Map, NodeError, Shape, find, free_name};
use crate::crs::{self, CrsError, CrsKind, CrsPair};
use crate::record::{ColumnType, Hint, Message, Place, Rejection, RowBatch};

/// The `reproject` map: appends two Float64 columns, leaves the source columns as they are.
///
/// A row that is not live, or that has no coordinates, has NaN in them. A column whose name is taken already becomes `name_2`.
pub struct Reproject {
    config: ReprojectConfig,
    usual: Operation,
    /// For uploads with a CRS of their own.
    others: VecDeque<(Arc<str>, Result<Operation, Rejection>)>,
    plan: Option<(Shape, Plan)>,
}

/// An operation that can be carried out on this thread.
struct Operation {
    crs: Arc<CrsPair>,
    proj: Proj,
    area: Option<Area>,
    decimals: u8,
    check_area: bool,
}

/// What a `reproject` does to batches of one shape.
struct Plan {
    input: Result<Input, Rejection>,
    schema: SchemaRef,
    types: Arc<[ColumnType]>,
}

impl Reproject {
    /// The map that `config` describes, for this thread: PROJ's objects belong to the one that makes them.
    pub fn new(config: &ReprojectConfig) -> Result<Reproject, NodeError> {
        let fail = |error: CrsError| NodeError { node: config.node.to_string(), message: error.to_string() };
        let usual = Operation::open(config, config.crs.clone()).map_err(fail)?;
        Ok(Reproject { config: config.clone(), usual, others: VecDeque::new(), plan: None })
    }

    /// Where the operation for an upload's own CRS stands among [`Reproject::others`]; `None` for the usual one.
    fn other(&mut self, own: Option<&Arc<str>>) -> Option<usize> {
        let own = own.filter(|own| self.config.from_upload && !self.config.starts_from(own))?;
        if let Some(known) = self.others.iter().position(|(known, _)| known == own) {
            return Some(known);
        }
        let crs = self.config.under(own);
        let opened = crs.and_then(|crs| Operation::open(&self.config, crs).map_err(|error| refusal(&error)));
        if self.others.len() == REMEMBERED_MAX {
            self.others.pop_front();
        }
        self.others.push_back((own.clone(), opened));
        Some(self.others.len() - 1)
    }

    fn plan(&self, batch: &RowBatch) -> Plan {
        let schema = batch.columns.schema_ref();
        let input = match &self.config.input {
            CoordinateInput::Columns { x, y } => {
                find(schema, x).and_then(|x| Ok(Input::Columns { x, y: find(schema, y)? }))
            }
            CoordinateInput::Geometry(candidates) => find(schema, candidates).map(Input::Geometry),
        };
        let mut fields = schema.fields().to_vec();
        for name in &self.config.into {
            fields.push(Arc::new(Field::new(free_name(&fields, name), DataType::Float64, false)));
        }
        let computed = ColumnType::Computed { decimals: self.config.decimals };
        let types = batch.types.iter().copied().chain([computed; 2]).collect();
        Plan { input, schema: Arc::new(Schema::new(fields)), types }
    }
}

impl Operation {
    fn open(config: &ReprojectConfig, crs: Arc<CrsPair>) -> Result<Operation, CrsError> {
        Ok(Operation {
            proj: crs::open(&crs.pipeline)?,
            area: if config.check_area { Area::of(&crs)? } else { None },
            crs,
            decimals: config.decimals,
            check_area: config.check_area,
        })
    }

    /// The point in the target CRS, rounded, or why its row fails.
    fn transform(&self, point: Point) -> Result<Point, Rejection> {
        let target = self.target(point);
        match target {
            Some((x, y)) if self.is_sound(point, (x, y)) => Ok((round(x, self.decimals), round(y, self.decimals))),
            _ => Err(self.refuse(point, target)),
        }
    }

    /// The point in the target CRS, if PROJ can carry it there; PROJ says infinity, and not always with an error, if not.
    fn target(&self, point: Point) -> Option<Point> {
        self.proj.convert(point).ok().filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    fn is_sound(&self, point: Point, target: Point) -> bool {
        !self.check_area || (point != (0.0, 0.0) && self.area.as_ref().is_none_or(|area| area.holds(point, target)))
    }

    /// Says where a bad point lies and what may have happened to it.
    #[cold]
    fn refuse(&self, (x, y): Point, target: Option<Point>) -> Rejection {
        let from = &self.crs.from;
        let crs = from.label();
        if (x, y) == (0.0, 0.0) && self.check_area {
            return Rejection::new(Message::NullIsland { crs });
        }
        let area = self.area.as_ref();
        let place = area.zip(target).and_then(|(area, target)| area.lon_lat((x, y), target));
        // What lies where degrees say, and yet nowhere in the target, is neither swapped nor in another unit.
        let is_on_earth = x.abs() <= 180.0 && y.abs() <= 90.0;
        if target.is_none() && from.kind == CrsKind::Geographic && is_on_earth {
            return Rejection::new(Message::OutOfReach { x, y, from: crs, to: self.crs.to.label() });
        }
        let fits = |point: Point| area.zip(self.target(point)).is_some_and(|(area, target)| area.holds(point, target));
        let degrees = x.abs() <= 180.0 && y.abs() <= 180.0;
        let hint = match from.kind {
            _ if fits((y, x)) => Some(Hint::Swapped {}),
            CrsKind::Projected if degrees => Some(Hint::Degrees {}),
            CrsKind::Geographic if x.abs() > 360.0 && y.abs() > 360.0 => Some(Hint::Metres {}),
            CrsKind::Projected | CrsKind::Geographic => None,
        };
        Rejection::new(match (place, area) {
            (Some((longitude, latitude)), Some(area)) => {
                let place = Place::At { longitude, latitude };
                Message::OutsideArea { x, y, place, crs, area: area.named(), hint }
            }
            _ => Message::NoPlace { x, y, crs, hint },
        })
    }
}

impl Map for Reproject {
    fn name(&self) -> &str {
        &self.config.node
    }

    fn process(&mut self, batch: &mut RowBatch) -> Result<(), NodeError> {
        let kept = self.plan.take().filter(|(shape, _)| shape.fits(batch));
        let (shape, plan) = kept.unwrap_or_else(|| (Shape::of(batch), self.plan(batch)));

        let operation = match self.other(batch.crs.as_ref()) {
            None => Ok(&self.usual),
            Some(other) => self.others[other].1.as_ref(),
        };
        let points = match (&plan.input, operation) {
            (Ok(input), Ok(operation)) => Points::of(&batch.columns, *input, operation.crs.from.epsg).map(Ok),
            (Err(missing), _) | (_, Err(missing)) => Some(Err(missing)),
        };
        let fail = |message: String| NodeError { node: self.config.node.to_string(), message };
        let points = points.ok_or_else(|| fail("the coordinate columns are neither text nor Float64".into()))?;

        let (mut xs, mut ys) = (vec![f64::NAN; batch.len()], vec![f64::NAN; batch.len()]);
        let mut found = Vec::new();
        for number in batch.live_rows() {
            let row = number as usize;
            let points = points.as_ref().map_err(|missing| (*missing).clone());
            let transformed = points.and_then(|points| match points.point(row)? {
                None if self.config.blank_missing => Ok((f64::NAN, f64::NAN)),
                None => Err(points.missing(row)),
                Some(point) => operation.map_err(Clone::clone)?.transform(point),
            });
            match transformed {
                Ok(point) => (xs[row], ys[row]) = point,
                Err(rejection) => found.push((number, rejection)),
            }
        }

        let added: [ArrayRef; 2] = [Arc::new(Float64Array::from(xs)), Arc::new(Float64Array::from(ys))];
        let columns = batch.columns.columns().iter().cloned().chain(added).collect();
        batch.columns = RecordBatch::try_new(plan.schema.clone(), columns).map_err(|error| fail(error.to_string()))?;
        batch.types = plan.types.clone();
        batch.reject(found);
        self.plan = Some((shape, plan));
        Ok(())
    }
}

/// `value` with so many decimals, halves away from zero, never -0.
fn round(value: f64, decimals: u8) -> f64 {
    /// From here on a double has no decimals.
    const WHOLE: f64 = 9_007_199_254_740_992.0;

    let scale = 10f64.powi(decimals.into());
    let scaled = value * scale;
    if scaled.abs() < WHOLE { scaled.round() / scale + 0.0 } else { value }
}

#[cfg(test)]
mod tests;
