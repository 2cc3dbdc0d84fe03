//! Transforms coordinates from one CRS to another, a column at a time. x is always east (longitude, easting), whatever the authority says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::{DataType, Field};

use super::area::Areas;
use super::points::{Column, Input, Notation, Point, Points};
use super::reproject_config::{CoordinateInput, REMEMBERED_MAX, ReprojectConfig, refusal};
use super::{Layout, Map, NodeError, Planned, find, free_name};
use crate::crs::{CrsError, CrsKind, CrsPair, Transformation, is_definition, with_authority};
use crate::record::{ColumnType, CoordinateForm, Hint, Message, Place, Quoted, Rejection, RowBatch};

/// The `reproject` map: appends two Float64 columns, leaves the source columns as they are.
///
/// A row that is not live, or that has no coordinates, has NaN in them. A column whose name is taken already becomes `name_2`. Rows of an
/// upload that says it has none stay as they are, unless such rows are rejected.
pub struct Reproject {
    config: ReprojectConfig,
    usual: OpenPair,
    /// For uploads, and for rows, with a CRS of their own.
    others: VecDeque<(Arc<str>, Result<OpenPair, Rejection>)>,
    plan: Planned<Arc<Plan>>,
}

/// A pair of CRSs whose operations can be carried out on this thread.
struct OpenPair {
    crs: Arc<CrsPair>,
    transformation: Transformation,
    areas: Option<Areas>,
    decimals: u8,
    check_area: bool,
    allow_ballpark: bool,
}

/// The work of a `reproject` on batches of one shape.
struct Plan {
    /// Where the coordinates are, and the CRS of each row; `None` for rows without coordinates, to which nothing is added.
    input: Result<Option<(Input, Option<usize>)>, Rejection>,
    layout: Layout,
}

impl Reproject {
    /// The map that `config` describes, for this thread: PROJ's objects belong to the one that makes them.
    pub fn new(config: &ReprojectConfig) -> Result<Reproject, NodeError> {
        let fail = |error: CrsError| NodeError { node: config.node.to_string(), message: error.to_string() };
        let usual = OpenPair::open(config, config.crs.clone()).map_err(fail)?;
        Ok(Reproject { config: config.clone(), usual, others: VecDeque::new(), plan: Planned::none() })
    }

    /// Where the pair for an upload's own CRS is among [`Reproject::others`]; `None` for the usual one.
    fn other(&mut self, own: Option<&Arc<str>>) -> Option<usize> {
        let own = own.filter(|own| self.config.from_upload && !self.config.starts_from(own))?;
        Some(self.opened(own, refusal))
    }

    /// Where the pair for a CRS is among [`Reproject::others`].
    fn opened(&mut self, crs: &str, refusal: impl Fn(&CrsError) -> Rejection) -> usize {
        if let Some(known) = self.others.iter().position(|(known, _)| **known == *crs) {
            return known;
        }
        let pair = CrsPair::resolve(crs, &self.config.crs.to.definition, self.config.allow_ballpark).map(Arc::new);
        let opened = pair.and_then(|pair| OpenPair::open(&self.config, pair)).map_err(|error| refusal(&error));
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
            let definition = with_authority(named);
            let unusable = |why: String| Rejection::new(Message::RowCrsUnusable { value: Quoted::new(named), why });
            let pair = match is_definition(&definition) {
                _ if named.is_empty() => Err(Rejection::new(Message::RowCrsEmpty {})),
                false => Err(unusable("write its EPSG code, 5186 or EPSG:5186".to_owned())),
                true => {
                    let opened = self.opened(&definition, |error| unusable(error.to_string()));
                    self.others[opened].1.as_ref().map_err(Clone::clone)
                }
            };
            let pair = pair.map_err(|rejection| rejection.in_column(crs.name()));
            into.transform(rows.into_iter(), points, pair.as_ref().copied(), &self.config);
        }
        into.operations.clear(); // of as many pairs as there are CRSs
        into.found.sort_by_key(|(row, _)| *row);
    }
}

impl ReprojectConfig {
    fn plan(&self, batch: &RowBatch) -> Plan {
        let schema = batch.columns.schema_ref();
        let input = self.input_of(batch);
        if input.is_err() && batch.coordinates == CoordinateForm::None && self.blank_missing {
            return Plan { input: Ok(None), layout: Layout::new(schema.fields().to_vec(), batch.types.clone()) };
        }
        let crs = self.crs_column.as_ref().map(|candidates| find(schema, candidates)).transpose();
        let input = input.and_then(|input| Ok(Some((input, crs?))));
        let mut fields = schema.fields().to_vec();
        for name in &self.into {
            fields.push(Arc::new(Field::new(free_name(&fields, name), DataType::Float64, false)));
        }
        let computed = ColumnType::Computed { decimals: self.decimals };
        let types: Vec<_> = batch.types.iter().copied().chain([computed; 2]).collect();
        Plan { input, layout: Layout::new(fields, types) }
    }

    /// Where a batch has its coordinates. An upload may have both in one cell where the topology takes them from two columns.
    fn input_of(&self, batch: &RowBatch) -> Result<Input, Rejection> {
        let schema = batch.columns.schema_ref();
        let pair = |column, y_first| Input::Pair { column, y_first };
        match &self.input {
            CoordinateInput::Columns { x, y } => match (find(schema, x), find(schema, y), batch.coordinates) {
                (Ok(x), Ok(y), _) => Ok(Input::Columns { x, y }),
                (Ok(column), Err(_), CoordinateForm::Xy) => Ok(pair(column, false)),
                (Ok(column), Err(_), CoordinateForm::Yx) => Ok(pair(column, true)),
                (Ok(column), Err(_), CoordinateForm::Geometry) => Ok(Input::Geometry(column)),
                (Err(missing), Err(_), _) => Err(without_coordinates(missing)),
                (Err(missing), Ok(_), _) | (Ok(_), Err(missing), _) => Err(missing),
            },
            CoordinateInput::Geometry(candidates) => find(schema, candidates).map(Input::Geometry),
            CoordinateInput::Xy(candidates) => find(schema, candidates).map(|column| pair(column, false)),
            CoordinateInput::Yx(candidates) => find(schema, candidates).map(|column| pair(column, true)),
        }
    }
}

impl OpenPair {
    fn open(config: &ReprojectConfig, crs: Arc<CrsPair>) -> Result<OpenPair, CrsError> {
        Ok(OpenPair {
            transformation: Transformation::open(&crs)?,
            areas: if config.check_area { Areas::of(&crs)? } else { None },
            crs,
            decimals: config.decimals,
            check_area: config.check_area,
            allow_ballpark: config.allow_ballpark,
        })
    }

    /// The point in the target CRS, or why its row fails.
    fn transform(&self, point: Point) -> Result<Transformed, Rejection> {
        let operation = self.operation(point);
        let target = self.target(operation, point);
        let is_distant = target.and_then(|target| self.is_distant(point, target));
        match (operation, target, is_distant) {
            (Some(operation), Some((x, y)), Some(is_distant)) => {
                Ok(Transformed { x: round(x, self.decimals), y: round(y, self.decimals), operation, is_distant })
            }
            (_, target, _) => Err(self.refuse(point, operation.is_some(), target)),
        }
    }

    /// PROJ's choice for a point, if it is one that is allowed.
    fn operation(&self, point: Point) -> Option<usize> {
        match self.transformation.choose(point) {
            // Where nobody asks for areas, PROJ takes the first one outside of all of them.
            None if !self.check_area => Some(0),
            chosen => chosen.filter(|chosen| self.allow_ballpark || !self.crs.operations[*chosen].ballpark),
        }
    }

    /// The point in the target CRS, if PROJ can carry it there; without an operation for it, roughly.
    fn target(&self, operation: Option<usize>, point: Point) -> Option<Point> {
        self.transformation.convert(operation.unwrap_or(0), point)
    }

    /// Whether a point is far from the area of the target, which costs nothing but a remark; `None` for one that no row can have.
    fn is_distant(&self, point: Point, target: Point) -> Option<bool> {
        match &self.areas {
            _ if self.check_area && point == (0.0, 0.0) => None,
            Some(areas) => areas.is_distant(point, target),
            None => Some(false),
        }
    }

    /// Says where a bad point lies and what may have happened to it.
    #[cold]
    fn refuse(&self, (x, y): Point, has_operation: bool, target: Option<Point>) -> Rejection {
        let from = &self.crs.from;
        let crs = from.label();
        if (x, y) == (0.0, 0.0) && self.check_area {
            return Rejection::new(Message::NullIsland { crs });
        }
        let areas = self.areas.as_ref();
        let place = areas.zip(target).and_then(|(areas, target)| areas.lon_lat((x, y), target));
        // A point that lies where degrees say, and yet nowhere in the target, is neither swapped nor in another unit.
        let is_on_earth = x.abs() <= 180.0 && y.abs() <= 90.0;
        if target.is_none() && from.kind == CrsKind::Geographic && is_on_earth {
            return Rejection::new(Message::OutOfReach { x, y, from: crs, to: self.crs.to.label() });
        }
        if !has_operation && target.is_some_and(|target| self.is_distant((x, y), target).is_some()) {
            return Rejection::new(Message::NoOperation { x, y, from: crs, to: self.crs.to.label() });
        }
        let fits = |point: Point| {
            let target = self.target(self.operation(point), point);
            areas.zip(target).is_some_and(|(areas, target)| areas.is_distant(point, target).is_some())
        };
        let degrees = x.abs() <= 180.0 && y.abs() <= 180.0;
        let hint = match from.kind {
            _ if fits((y, x)) => Some(Hint::Swapped {}),
            CrsKind::Projected if degrees => Some(Hint::Degrees {}),
            CrsKind::Geographic if x.abs() > 360.0 && y.abs() > 360.0 => Some(Hint::Metres {}),
            CrsKind::Projected | CrsKind::Geographic => None,
        };
        Rejection::new(match (place, areas.and_then(Areas::named)) {
            (Some((longitude, latitude)), Some(area)) => {
                let place = Place::At { longitude, latitude };
                Message::OutsideArea { x, y, place, crs, area, hint }
            }
            _ => Message::NoPlace { x, y, crs, hint },
        })
    }
}

/// A point in the target CRS, rounded.
struct Transformed {
    x: f64,
    y: f64,
    /// The operation that it took.
    operation: usize,
    is_distant: bool,
}

/// The points of a batch in the target CRS, the operations that led there, and the rows that have none.
struct Targets {
    xs: Vec<f64>,
    ys: Vec<f64>,
    operations: Vec<Option<u16>>,
    distant: Vec<u32>,
    unplaced: Vec<u32>,
    found: Vec<(u32, Rejection)>,
}

impl Targets {
    /// Of a batch with so many rows: none yet.
    fn of(rows: usize) -> Targets {
        let none = || vec![f64::NAN; rows];
        let (distant, unplaced, found) = (Vec::new(), Vec::new(), Vec::new());
        Targets { xs: none(), ys: none(), operations: Vec::new(), distant, unplaced, found }
    }

    /// Transforms the points of these rows. A row without coordinates says so, whether there is an operation or not.
    fn transform(
        &mut self,
        rows: impl Iterator<Item = u32>,
        points: &Points,
        pair: Result<&OpenPair, &Rejection>,
        config: &ReprojectConfig,
    ) {
        let notation = match config.any_notation {
            true => Notation::Any(pair.ok().map(|pair| pair.crs.from.kind)),
            false => Notation::Plain,
        };
        // Where people leave out coordinates, programs fill in zeros.
        let is_filled = |point| config.any_notation && config.check_area && config.blank_missing && point == (0.0, 0.0);
        let has_choice = pair.is_ok_and(|pair| pair.crs.operations.len() > 1);
        self.operations.resize(if has_choice { self.xs.len() } else { 0 }, None);
        for number in rows {
            let row = number as usize;
            let transformed =
                points.point(row, notation).and_then(|point| match point.filter(|point| !is_filled(*point)) {
                    None if config.blank_missing => Ok(None),
                    None => Err(points.missing(row)),
                    Some(point) => pair.map_err(Clone::clone)?.transform(point).map(Some),
                });
            match transformed {
                Ok(None) => self.unplaced.push(number),
                Ok(Some(Transformed { x, y, operation, is_distant })) => {
                    (self.xs[row], self.ys[row]) = (x, y);
                    if has_choice {
                        self.operations[row] = Some(operation as u16);
                    }
                    if is_distant {
                        self.distant.push(number);
                    }
                }
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
            Err(missing) => targets.found = (0..batch.len() as u32).map(|row| (row, missing.clone())).collect(),
            Ok(None) => {
                batch.operations.push(Vec::new());
                return Ok(());
            }
            Ok(Some((input, Some(crs)))) => {
                let points = Points::of(&batch.columns, *input, None).ok_or_else(unfit)?;
                let crs = Column::of(&batch.columns, *crs).ok_or_else(unfit)?;
                self.process_by_row(batch, &points, &crs, &mut targets);
            }
            Ok(Some((input, None))) => {
                let pair = match self.other(batch.crs.as_ref()) {
                    None => Ok(&self.usual),
                    Some(other) => self.others[other].1.as_ref(),
                };
                let epsg = pair.ok().and_then(|pair| pair.crs.from.epsg);
                let points = Points::of(&batch.columns, *input, epsg).ok_or_else(unfit)?;
                targets.transform(batch.live_rows(), &points, pair, &self.config);
            }
        }
        let Targets { xs, ys, operations, distant, unplaced, found } = targets;

        let added: [ArrayRef; 2] = [Arc::new(Float64Array::from(xs)), Arc::new(Float64Array::from(ys))];
        let columns = batch.columns.columns().iter().cloned().chain(added).collect();
        plan.layout.put(batch, columns, &node)?;
        batch.operations.push(operations);
        for (rows, found) in [(&mut batch.distant, distant), (&mut batch.unplaced, unplaced)] {
            rows.extend(found);
            rows.sort_unstable();
            rows.dedup();
        }
        batch.reject(found);
        Ok(())
    }
}

/// Both columns are missing: perhaps there are none.
fn without_coordinates(mut missing: Rejection) -> Rejection {
    if let Message::ColumnMissing { hint, .. } = &mut *missing.message {
        hint.get_or_insert(Hint::NoCoordinates {});
    }
    missing
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
