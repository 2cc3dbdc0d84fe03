//! Transforms coordinates from one CRS to another, a column at a time. x is always east (longitude, easting), whatever the authority says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::{DataType, Field};
use proj::Proj;

use super::area::Area;
use super::points::{Column, Input, Point, Points};
use super::reproject_config::{CoordinateInput, REMEMBERED_MAX, ReprojectConfig, refusal};
use super::{Layout, Map, NodeError, Planned, find, free_name};
use crate::crs::{self, CrsError, CrsKind, CrsPair, is_definition};
use crate::record::{ColumnType, Hint, Message, Place, Quoted, Rejection, RowBatch};

/// The `reproject` map: appends two Float64 columns, leaves the source columns as they are.
///
/// A row that is not live, or that has no coordinates, has NaN in them. A column whose name is taken already becomes `name_2`.
pub struct Reproject {
    config: ReprojectConfig,
    usual: Operation,
    /// For uploads, and for rows, with a CRS of their own.
    others: VecDeque<(Arc<str>, Result<Operation, Rejection>)>,
    plan: Planned<Arc<Plan>>,
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
    /// Where the coordinates are, and the CRS of each row.
    input: Result<(Input, Option<usize>), Rejection>,
    layout: Layout,
}

impl Reproject {
    /// The map that `config` describes, for this thread: PROJ's objects belong to the one that makes them.
    pub fn new(config: &ReprojectConfig) -> Result<Reproject, NodeError> {
        let fail = |error: CrsError| NodeError { node: config.node.to_string(), message: error.to_string() };
        let usual = Operation::open(config, config.crs.clone()).map_err(fail)?;
        Ok(Reproject { config: config.clone(), usual, others: VecDeque::new(), plan: Planned::none() })
    }

    /// Where the operation for an upload's own CRS stands among [`Reproject::others`]; `None` for the usual one.
    fn other(&mut self, own: Option<&Arc<str>>) -> Option<usize> {
        let own = own.filter(|own| self.config.from_upload && !self.config.starts_from(own))?;
        Some(self.opened(own, refusal))
    }

    /// Where the operation for a CRS stands among [`Reproject::others`].
    fn opened(&mut self, crs: &str, refusal: impl Fn(&CrsError) -> Rejection) -> usize {
        if let Some(known) = self.others.iter().position(|(known, _)| **known == *crs) {
            return known;
        }
        let pair = CrsPair::resolve(crs, &self.config.crs.to.definition, self.config.allow_ballpark).map(Arc::new);
        let opened = pair.and_then(|pair| Operation::open(&self.config, pair)).map_err(|error| refusal(&error));
        if self.others.len() == REMEMBERED_MAX {
            self.others.pop_front();
        }
        self.others.push_back((crs.into(), opened));
        self.others.len() - 1
    }

    /// Transforms rows that name their CRS themselves: those of one CRS together, so that each is opened once a batch.
    fn process_by_row(&mut self, batch: &RowBatch, points: &Points, crs: &Column, into: &mut Targets) {
        let mut rows_by_crs: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        batch.live_rows().for_each(|row| rows_by_crs.entry(crs.text(row as usize).trim()).or_default().push(row));
        for (named, rows) in rows_by_crs {
            let is_code = !named.is_empty() && named.bytes().all(|byte| byte.is_ascii_digit());
            let definition = if is_code { format!("EPSG:{named}") } else { named.to_owned() };
            let unusable = |why: String| Rejection::new(Message::RowCrsUnusable { value: Quoted::new(named), why });
            let operation = match is_definition(&definition) {
                _ if named.is_empty() => Err(Rejection::new(Message::RowCrsEmpty {})),
                false => Err(unusable("write its EPSG code, 5186 or EPSG:5186".to_owned())),
                true => {
                    let opened = self.opened(&definition, |error| unusable(error.to_string()));
                    self.others[opened].1.as_ref().map_err(Clone::clone)
                }
            };
            let operation = operation.map_err(|rejection| rejection.in_column(crs.name()));
            into.transform(rows.into_iter(), points, operation.as_ref().copied(), self.config.blank_missing);
        }
        into.found.sort_by_key(|(row, _)| *row);
    }
}

impl ReprojectConfig {
    fn plan(&self, batch: &RowBatch) -> Plan {
        let schema = batch.columns.schema_ref();
        let input = match &self.input {
            CoordinateInput::Columns { x, y } => {
                find(schema, x).and_then(|x| Ok(Input::Columns { x, y: find(schema, y)? }))
            }
            CoordinateInput::Geometry(candidates) => find(schema, candidates).map(Input::Geometry),
            CoordinateInput::Xy(candidates) => {
                find(schema, candidates).map(|column| Input::Pair { column, y_first: false })
            }
            CoordinateInput::Yx(candidates) => {
                find(schema, candidates).map(|column| Input::Pair { column, y_first: true })
            }
        };
        let crs = self.crs_column.as_ref().map(|candidates| find(schema, candidates)).transpose();
        let input = input.and_then(|input| Ok((input, crs?)));
        let mut fields = schema.fields().to_vec();
        for name in &self.into {
            fields.push(Arc::new(Field::new(free_name(&fields, name), DataType::Float64, false)));
        }
        let computed = ColumnType::Computed { decimals: self.decimals };
        let types: Vec<_> = batch.types.iter().copied().chain([computed; 2]).collect();
        Plan { input, layout: Layout::new(fields, types) }
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

/// The points of a batch in the target CRS, and the rows that have none.
struct Targets {
    xs: Vec<f64>,
    ys: Vec<f64>,
    found: Vec<(u32, Rejection)>,
}

impl Targets {
    /// Of a batch with so many rows: none yet.
    fn of(rows: usize) -> Targets {
        Targets { xs: vec![f64::NAN; rows], ys: vec![f64::NAN; rows], found: Vec::new() }
    }

    /// Transforms the points of these rows. A row without coordinates says so, whether there is an operation or not.
    fn transform(
        &mut self,
        rows: impl Iterator<Item = u32>,
        points: &Points,
        operation: Result<&Operation, &Rejection>,
        blank_missing: bool,
    ) {
        for number in rows {
            let row = number as usize;
            let transformed = points.point(row).and_then(|point| match point {
                None if blank_missing => Ok((f64::NAN, f64::NAN)),
                None => Err(points.missing(row)),
                Some(point) => operation.map_err(Clone::clone)?.transform(point),
            });
            match transformed {
                Ok(point) => (self.xs[row], self.ys[row]) = point,
                Err(rejection) => self.found.push((number, rejection)),
            }
        }
    }
}

impl Map for Reproject {
    fn name(&self) -> &str {
        &self.config.node
    }

    fn process(&mut self, batch: &mut RowBatch) -> Result<(), NodeError> {
        let plan = self.plan.of(batch, || Arc::new(self.config.plan(batch))).clone();
        let node = Arc::clone(&self.config.node);
        let message = "the coordinate columns are neither text nor Float64";
        let unfit = || NodeError { node: node.to_string(), message: message.into() };
        let mut targets = Targets::of(batch.len());
        match &plan.input {
            Err(missing) => targets.found = batch.live_rows().map(|row| (row, missing.clone())).collect(),
            Ok((input, Some(crs))) => {
                let points = Points::of(&batch.columns, *input, None).ok_or_else(unfit)?;
                let crs = Column::of(&batch.columns, *crs).ok_or_else(unfit)?;
                self.process_by_row(batch, &points, &crs, &mut targets);
            }
            Ok((input, None)) => {
                let operation = match self.other(batch.crs.as_ref()) {
                    None => Ok(&self.usual),
                    Some(other) => self.others[other].1.as_ref(),
                };
                let epsg = operation.ok().and_then(|operation| operation.crs.from.epsg);
                let points = Points::of(&batch.columns, *input, epsg).ok_or_else(unfit)?;
                targets.transform(batch.live_rows(), &points, operation, self.config.blank_missing);
            }
        }
        let Targets { xs, ys, found } = targets;

        let added: [ArrayRef; 2] = [Arc::new(Float64Array::from(xs)), Arc::new(Float64Array::from(ys))];
        let columns = batch.columns.columns().iter().cloned().chain(added).collect();
        plan.layout.put(batch, columns, &node)?;
        batch.reject(found);
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
