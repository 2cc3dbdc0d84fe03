//! The coordinate operations between two CRSs, and PROJ's own choice among them for every point. Areas of use of CRSs and fates of rows are
//! left to the maps.

use std::mem::ManuallyDrop;
use std::ptr;

use proj_sys::*;

use super::axes::OwnAxes;
use super::{Context, CrsError, CrsPair, Object, Side, text};

/// An operation between two CRSs.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Its name, as PROJ puts it together.
    pub name: String,
    /// Its accuracy in metres, if the authority states one.
    pub accuracy_m: Option<f64>,
    /// Where that accuracy holds: west, south, east, north in degrees. May be smaller than the source's area of use.
    pub area: Option<[f64; 4]>,
    /// True when datums differ and the shift between them is not known.
    pub ballpark: bool,
    /// As a PROJ pipeline: x (east), y (north) of the source CRS in, of the target out, in the units of each CRS.
    pub pipeline: String,
}

/// The operations of a pair, ready to run on the thread that opens them.
///
/// Of several, a point takes the one that PROJ itself takes (`proj_trans`): the most accurate one whose area of use holds it. A pair with
/// one operation has no choice.
pub struct Transformation {
    operations: Vec<*mut PJ>,
    choice: Option<Choice>,
    /// Outlives the objects above: `drop` destroys them first.
    context: Context,
}

/// PROJ's list of the operations of a pair.
struct Choice {
    list: *mut PJ_OBJ_LIST,
    /// Of each in the list: which one of the pair it is.
    numbers: Vec<Option<usize>>,
    /// How the source CRS counts, for PROJ compares its own coordinates with areas of use.
    axes: Option<OwnAxes>,
}

/// Operations in PROJ's order, made by `context`.
struct List<'c> {
    context: &'c Context,
    ptr: *mut PJ_OBJ_LIST,
}

impl Transformation {
    /// Opens the operations of `pair`. Costs some 5 ms, and 20 ms where there are many.
    pub fn open(pair: &CrsPair) -> Result<Transformation, CrsError> {
        let mut this = Transformation { operations: Vec::new(), choice: None, context: Context::new()? };
        for Operation { name, pipeline, .. } in &pair.operations {
            let Some(operation) = this.context.object(pipeline) else {
                let complaint = this.context.complaint().unwrap_or_default();
                return Err(CrsError::Library(format!("operation \"{name}\": {complaint}")));
            };
            this.operations.push(operation.into_raw());
        }
        if pair.operations.len() > 1 {
            let (source, _) = this.context.crs(Side::From, &pair.from.definition)?;
            let (target, _) = this.context.crs(Side::To, &pair.to.definition)?;
            let list = this.context.list(&source, &target);
            let numbers = list.numbers();
            this.choice = Some(Choice { list: list.into_raw(), numbers, axes: source.axes() });
        }
        this.context.be_quiet();
        Ok(this)
    }

    /// Which of the pair's operations PROJ takes for a point of the source CRS; `None` outside of the areas of all.
    pub fn choose(&self, point: (f64, f64)) -> Option<usize> {
        let Some(Choice { list, numbers, axes }) = &self.choice else { return Some(0) };
        let point = axes.map_or(point, |axes| axes.own(point));
        // SAFETY: context and list are alive and used by this thread only.
        let number =
            unsafe { proj_get_suggested_operation(self.context.ptr, *list, PJ_DIRECTION_PJ_FWD, coordinate(point)) };
        numbers.get(usize::try_from(number).ok()?).copied().flatten()
    }

    /// The point in the target CRS by one of the pair's operations, x (east) and y (north), if it can be carried there.
    pub fn convert(&self, operation: usize, point: (f64, f64)) -> Option<(f64, f64)> {
        // SAFETY: the operation is alive and used by this thread only; every member of the union is made of numbers.
        let PJ_XY { x, y } =
            unsafe { proj_trans(self.operations[operation], PJ_DIRECTION_PJ_FWD, coordinate(point)).xy };
        // PROJ answers infinity, and not always with an error, where it cannot carry a point.
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }
}

/// A point at no particular time.
fn coordinate((x, y): (f64, f64)) -> PJ_COORD {
    PJ_COORD { xyzt: PJ_XYZT { x, y, z: 0.0, t: f64::INFINITY } }
}

impl Drop for Transformation {
    fn drop(&mut self) {
        // SAFETY: all of them are ours, made by the context, which is still there.
        unsafe {
            for operation in self.operations.drain(..) {
                proj_destroy(operation);
            }
            if let Some(choice) = self.choice.take() {
                proj_list_destroy(choice.list);
            }
        }
    }
}

impl Context {
    /// The operations from `source` to `target` that need no grid, in PROJ's order: large areas first, those that ignore a datum shift
    /// last.
    pub(super) fn operations(&self, source: &Object, target: &Object) -> Vec<Operation> {
        self.list(source, target).elements().flatten().collect()
    }

    fn list(&self, source: &Object, target: &Object) -> List<'_> {
        // SAFETY: context, source and target are alive; the factory is null or ours (the setters take null as well).
        let ptr = unsafe {
            let factory = proj_create_operation_factory_context(self.ptr, ptr::null());
            proj_operation_factory_context_set_spatial_criterion(
                self.ptr,
                factory,
                PROJ_SPATIAL_CRITERION_PROJ_SPATIAL_CRITERION_PARTIAL_INTERSECTION,
            );
            proj_operation_factory_context_set_grid_availability_use(
                self.ptr,
                factory,
                PROJ_GRID_AVAILABILITY_USE_PROJ_GRID_AVAILABILITY_DISCARD_OPERATION_IF_MISSING_GRID,
            );
            let list = proj_create_operations(self.ptr, source.ptr, target.ptr, factory);
            proj_operation_factory_context_destroy(factory);
            list
        };
        List { context: self, ptr }
    }
}

impl List<'_> {
    /// The facts about each, if it can be carried out.
    fn elements(&self) -> impl Iterator<Item = Option<Operation>> {
        // SAFETY: the list is not null where it is asked; an element is a copy of its own.
        let count = if self.ptr.is_null() { 0 } else { unsafe { proj_list_get_count(self.ptr) } };
        let element = |index| self.context.wrap(unsafe { proj_list_get(self.context.ptr, self.ptr, index) });
        (0..count).map(move |index| element(index)?.operation())
    }

    /// Of each: which it is of those that can be carried out.
    fn numbers(&self) -> Vec<Option<usize>> {
        let mut next = 0..;
        self.elements().map(|element| element.and_then(|_| next.next())).collect()
    }

    /// The list, which the caller destroys before its context.
    fn into_raw(self) -> *mut PJ_OBJ_LIST {
        ManuallyDrop::new(self).ptr
    }
}

impl Drop for List<'_> {
    fn drop(&mut self) {
        // SAFETY: null or ours, and its context is alive.
        unsafe { proj_list_destroy(self.ptr) };
    }
}

impl Object<'_> {
    /// The object, which the caller destroys.
    fn into_raw(self) -> *mut PJ {
        ManuallyDrop::new(self).ptr
    }

    /// The facts about it as an operation between normalised axes, if it can be carried out.
    fn operation(&self) -> Option<Operation> {
        let context = self.context;
        // SAFETY: context and object are alive; each result is checked for null, and the text belongs to `normalised`, which
        // lives until it is copied.
        unsafe {
            let normalised = context.wrap(proj_normalize_for_visualization(context.ptr, self.ptr))?;
            if proj_coordoperation_is_instantiable(context.ptr, normalised.ptr) == 0 {
                return None;
            }
            let pipeline = proj_as_proj_string(context.ptr, normalised.ptr, PJ_PROJ_STRING_TYPE_PJ_PROJ_5, ptr::null());
            let accuracy = proj_coordoperation_get_accuracy(context.ptr, self.ptr);
            Some(Operation {
                name: self.name(),
                accuracy_m: (accuracy >= 0.0).then_some(accuracy),
                area: self.area_of_use().map(|(area, _)| area),
                ballpark: proj_coordoperation_has_ballpark_transformation(context.ptr, self.ptr) != 0,
                pipeline: text(pipeline)?,
            })
        }
    }
}
