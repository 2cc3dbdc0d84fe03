//! Pairs of coordinate reference systems: kinds, areas of use, the operations between them and their accuracy.
//! With its `operations` and `sandbox` the one place that calls proj-sys; points and rows are left to the maps.
#![allow(unsafe_code)]

mod axes;
pub mod columns;
mod definition;
mod error;
pub mod geojson;
mod operations;
#[cfg(packed_proj)]
mod packed;
pub mod places;
pub mod ranking;
mod sandbox;
pub mod systems;
pub mod zones;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::Once;

use proj::Proj;
use proj_sys::*;

pub use axes::OwnAxes;
pub use definition::{is_definition, with_authority};
pub use error::{CrsError, Side};
pub use operations::{Operation, Transformation};
use sandbox::{find_nothing, no_files};

/// Version of PROJ that is built in.
pub fn proj_version() -> String {
    format!("{PROJ_VERSION_MAJOR}.{PROJ_VERSION_MINOR}.{PROJ_VERSION_PATCH}")
}

/// Two CRSs and the operations that lead from the first to the second.
#[derive(Clone, Debug, PartialEq)]
pub struct CrsPair {
    /// Source CRS as the topology writes it: an EPSG code, WKT, PROJJSON or PROJ string.
    pub from: CrsInfo,
    /// Target CRS.
    pub to: CrsInfo,
    /// In PROJ's order, at least one. Of several, each point takes the best where it lies: see [`Transformation`].
    pub operations: Vec<Operation>,
    /// Columns that name the CRS of each row, as messages join them; then `from` and the operation are not known yet.
    pub row_column: Option<String>,
    /// How a point's longitude and latitude are had, which areas of use are stated in; `None` off the earth.
    pub lon_lat: Option<LonLat>,
}

/// One CRS.
#[derive(Clone, Debug, PartialEq)]
pub struct CrsInfo {
    /// As the topology writes it.
    pub definition: String,
    /// Its name, "KGD2002 / Unified CS".
    pub name: String,
    /// EPSG code, if it has one: what an SRID is compared with.
    pub epsg: Option<i32>,
    /// Geographic (degrees) or projected (metres or its own unit).
    pub kind: CrsKind,
    /// Its own axes, where they run to the south or the west.
    pub axes: Option<OwnAxes>,
    /// Area of use: west, south, east, north in degrees; west is greater than east across the antimeridian.
    pub area: Option<[f64; 4]>,
    /// That area in the authority's words: "Republic of Korea (South Korea) - onshore between 126°E and 128°E.".
    pub area_description: Option<String>,
}

/// The kind of a CRS by its coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrsKind {
    /// Longitude and latitude in degrees.
    Geographic,
    /// Easting and northing.
    Projected,
}

/// How longitude and latitude (WGS 84, degrees) of a point are had, cheapest way first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LonLat {
    /// The source coordinates are it.
    Source,
    /// The target coordinates are it.
    Target,
    /// By another transformation of the source coordinates: a pipeline as in [`Operation::pipeline`].
    Through(String),
}

impl CrsInfo {
    /// The definition, cut where it is too long for a message.
    pub fn label(&self) -> String {
        clip(&self.definition)
    }
}

impl CrsPair {
    /// Finds both CRSs and the operations between them that need no grid we do not have.
    ///
    /// If all of them ignore an unknown datum shift that is an error, unless `allow_ballpark`. Costs some 5 ms.
    pub fn resolve(from: &str, to: &str, allow_ballpark: bool) -> Result<CrsPair, CrsError> {
        let context = Context::new()?;
        let (source, from) = context.crs(Side::From, from)?;
        let (target, to) = context.crs(Side::To, to)?;
        context.complaint();
        let mut operations = context.operations(&source, &target);
        let Some(first) = operations.first() else {
            let reason = context.complaint().unwrap_or_else(|| "they do not share a body or a frame".into());
            return Err(CrsError::NoOperation { from: from.label(), to: to.label(), reason });
        };
        if !allow_ballpark && operations.iter().all(|operation| operation.ballpark) {
            let operation = first.name.clone();
            return Err(CrsError::Ballpark { from: from.label(), to: to.label(), operation });
        }
        let degrees = context.object(LON_LAT_CRS);
        let degrees = degrees.and_then(|lon_lat| context.operations(&source, &lon_lat).into_iter().next());
        let lon_lat = degrees.map(|degrees| match degrees.pipeline {
            pipeline if pipeline == NOOP => LonLat::Source,
            pipeline if pipeline == first.pipeline && to.axes.is_none() => LonLat::Target,
            pipeline => LonLat::Through(axes::between(from.axes, &pipeline, None)),
        });
        for operation in &mut operations {
            operation.pipeline = axes::between(from.axes, &operation.pipeline, to.axes);
        }
        Ok(CrsPair { from, to, operations, row_column: None, lon_lat })
    }

    /// The pair of a topology whose rows name their CRS in a column: the target is known, and the sources are not yet.
    pub fn by_row(column: &str, to: &str) -> Result<CrsPair, CrsError> {
        let context = Context::new()?;
        let (target, to) = context.crs(Side::To, to)?;
        let operations = context.operations(&target, &target);
        Ok(CrsPair { from: to.clone(), to, operations, row_column: Some(column.to_owned()), lon_lat: None })
    }

    /// The operation that PROJ lists first: mostly the only one.
    pub fn first_operation(&self) -> &Operation {
        &self.operations[0]
    }

    /// The name of the first operation, and how many more there are.
    pub fn operation_names(&self) -> String {
        let first = &self.first_operation().name;
        match self.operations.len() - 1 {
            0 => first.clone(),
            more => format!("{first}, or one of {more} others where they are better"),
        }
    }

    /// The accuracy of the least accurate operation in metres, where it is known.
    pub fn worst_accuracy_m(&self) -> Option<f64> {
        self.operations.iter().filter_map(|operation| operation.accuracy_m).reduce(f64::max)
    }
}

/// A definition as a message quotes it: WKT and PROJJSON run over pages.
fn clip(definition: &str) -> String {
    match definition.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &definition[..end]),
        None => definition.to_owned(),
    }
}

/// An object that runs `pipeline`, for the thread that opens it only; it prints nothing. Costs some 5 ms.
pub fn open(pipeline: &str) -> Result<Proj, CrsError> {
    prepare();
    Proj::new(pipeline).map_err(|error| CrsError::Library(error.to_string()))
}

/// WGS 84 in the order longitude, latitude.
const LON_LAT_CRS: &str = "OGC:CRS84";
/// The pipeline that changes nothing.
const NOOP: &str = "+proj=noop";

/// Makes PROJ quiet and blind, once, for every context that is made later: it writes nothing to stderr, which it does for every latitude
/// above 90 degrees, and finds no file by name, so that its database and its settings are those inside the binary.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: null means the default context, from which every later context copies its log level and its finder of files; it exists
        // once asked for, and `Once` keeps two threads from writing to it. The finder gives a text that lives for ever.
        unsafe {
            proj_log_level(ptr::null_mut(), PJ_LOG_LEVEL_PJ_LOG_NONE);
            proj_context_set_file_finder(ptr::null_mut(), Some(find_nothing), ptr::null_mut());
        }
    });
}

/// A PROJ context of its own, which collects what PROJ would print.
struct Context {
    ptr: *mut PJ_CONTEXT,
    /// What PROJ logged since the last [`Context::complaint`]. Boxed, for PROJ holds its address.
    log: Box<RefCell<Vec<String>>>,
}

/// A CRS or an operation, made by `context`.
struct Object<'c> {
    context: &'c Context,
    ptr: *mut PJ,
}

impl Context {
    fn new() -> Result<Context, CrsError> {
        prepare();
        // SAFETY: takes nothing; a null result is looked at.
        let ptr = unsafe { proj_context_create() };
        if ptr.is_null() {
            return Err(CrsError::Library("out of memory".into()));
        }
        let context = Context { ptr, log: Box::default() };
        let no_files = no_files();
        // SAFETY: the context is alive; the log's address is stable and outlives it, for `drop` destroys the context first. PROJ copies
        // the functions.
        unsafe {
            proj_context_set_fileapi(ptr, &raw const no_files, ptr::null_mut());
            proj_log_level(ptr, PJ_LOG_LEVEL_PJ_LOG_ERROR);
            proj_log_func(ptr, (&raw const *context.log).cast_mut().cast(), Some(collect));
        }
        Ok(context)
    }

    /// What PROJ complained about first since it was last asked, without the name of the C function.
    fn complaint(&self) -> Option<String> {
        let line = self.log.take().into_iter().next()?;
        Some(line.split_once(": ").map_or(line.as_str(), |(_, sentence)| sentence).to_owned())
    }

    /// Collects nothing any more: points fail by the thousand.
    fn be_quiet(&self) {
        // SAFETY: the context is alive.
        unsafe { proj_log_level(self.ptr, PJ_LOG_LEVEL_PJ_LOG_NONE) };
    }

    fn wrap(&self, ptr: *mut PJ) -> Option<Object<'_>> {
        (!ptr.is_null()).then_some(Object { context: self, ptr })
    }

    /// Whatever PROJ makes of `definition`.
    fn object(&self, definition: &str) -> Option<Object<'_>> {
        let text = CString::new(definition).ok()?;
        // SAFETY: context and text are alive during the call; the result is ours and destroyed by `Object`.
        self.wrap(unsafe { proj_create(self.ptr, text.as_ptr()) })
    }

    /// The CRS that `definition` names, which must have x and y on the earth's surface.
    fn crs(&self, side: Side, definition: &str) -> Result<(Object<'_>, CrsInfo), CrsError> {
        self.complaint();
        // A PROJ string is an operation unless it says otherwise; proj_create_crs_to_crs reads it in the same way.
        let bare_proj_string =
            definition.contains("proj=") && !definition.contains("proj=pipeline") && !definition.contains("type=crs");
        let object = match bare_proj_string {
            true => self.object(&format!("{definition} +type=crs")),
            false => self.object(definition),
        };
        let Some(object) = object else {
            let hint = self.hint(definition);
            return Err(CrsError::Unknown { side, definition: clip(definition), hint });
        };
        let kind = object.kind().map_err(|(what, hint)| CrsError::WrongKind {
            side,
            definition: clip(definition),
            name: object.name(),
            what,
            hint,
        })?;
        let (area, area_description) = object.area_of_use().unzip();
        let info = CrsInfo {
            definition: definition.into(),
            name: object.name(),
            epsg: object.epsg(),
            kind,
            axes: object.axes().filter(|axes| axes.stay()),
            area,
            area_description,
        };
        Ok((object, info))
    }

    /// Advice about a definition that PROJ does not know.
    fn hint(&self, definition: &str) -> String {
        let complaint = self.complaint();
        let code = definition.trim().trim_start_matches(|c: char| !c.is_ascii_digit());
        let meant = format!("EPSG:{code}");
        if definition.trim().eq_ignore_ascii_case("katec") {
            return format!("it has no EPSG code; write \"{KATEC}\"");
        }
        if !code.is_empty() && meant != definition && self.object(&meant).is_some_and(|object| object.kind().is_ok()) {
            return format!("did you mean \"{meant}\"?");
        }
        let form = "write an EPSG code (EPSG:5179), WKT, PROJJSON or a PROJ string";
        match complaint {
            Some(complaint) => format!("{complaint}; {form}"),
            None => form.into(),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: ours, and every `Object` borrows it, so none is left.
        unsafe { proj_context_destroy(self.ptr) };
    }
}

/// Takes a line of PROJ's log. Must not unwind into C.
unsafe extern "C" fn collect(log: *mut c_void, _level: c_int, message: *const c_char) {
    // SAFETY: `log` is the box that `Context::new` handed over; the context, and with it this call, does not outlive it.
    let log = unsafe { &*log.cast::<RefCell<Vec<String>>>() };
    if let (Some(message), Ok(mut log)) = (text(message), log.try_borrow_mut()) {
        log.push(message);
    }
}

/// A copy of a text that PROJ owns.
fn text(ptr: *const c_char) -> Option<String> {
    // SAFETY: PROJ's texts are NUL-terminated and live at least until the next call; this one copies at once.
    (!ptr.is_null()).then(|| unsafe { CStr::from_ptr(ptr) }.to_string_lossy().trim().to_owned())
}

/// The CRS of most Korean navigation data.
const KATEC: &str = "+proj=tmerc +lat_0=38 +lon_0=128 +k=0.9999 +x_0=400000 +y_0=600000 +ellps=bessel +units=m \
                     +towgs84=-115.80,474.99,674.11,1.16,-2.31,-1.63,6.43";

impl<'c> Object<'c> {
    fn name(&self) -> String {
        // SAFETY: the object is alive; the text is copied at once.
        text(unsafe { proj_get_name(self.ptr) }).unwrap_or_default()
    }

    fn epsg(&self) -> Option<i32> {
        // SAFETY: as above; an object without identifier gives null.
        let (authority, code) =
            unsafe { (text(proj_get_id_auth_name(self.ptr, 0))?, text(proj_get_id_code(self.ptr, 0))?) };
        (authority == "EPSG").then_some(code)?.parse().ok()
    }

    /// Its kind, or what it is instead and what to do.
    fn kind(&self) -> Result<CrsKind, (&'static str, String)> {
        let advice = || "x and y need a geographic or a projected CRS".to_owned();
        // SAFETY: the object is alive.
        match unsafe { proj_get_type(self.ptr) } {
            PJ_TYPE_PJ_TYPE_GEOGRAPHIC_2D_CRS | PJ_TYPE_PJ_TYPE_GEOGRAPHIC_3D_CRS => Ok(CrsKind::Geographic),
            PJ_TYPE_PJ_TYPE_PROJECTED_CRS | PJ_TYPE_PJ_TYPE_DERIVED_PROJECTED_CRS => Ok(CrsKind::Projected),
            PJ_TYPE_PJ_TYPE_BOUND_CRS => {
                // SAFETY: as above; the result is ours.
                let base = self.context.wrap(unsafe { proj_get_source_crs(self.context.ptr, self.ptr) });
                base.map_or_else(|| Err(("a bound CRS without a base", advice())), |base| base.kind())
            }
            PJ_TYPE_PJ_TYPE_COMPOUND_CRS => {
                // SAFETY: as above; the result is ours.
                let part = self.context.wrap(unsafe { proj_crs_get_sub_crs(self.context.ptr, self.ptr, 0) });
                let part = part.map(|part| part.epsg().map_or_else(|| part.name(), |code| format!("EPSG:{code}")));
                let hint = part.map_or_else(advice, |part| format!("use its horizontal part, \"{part}\""));
                Err(("a compound CRS, with a height", hint))
            }
            PJ_TYPE_PJ_TYPE_VERTICAL_CRS => Err(("a vertical CRS, for heights only", advice())),
            PJ_TYPE_PJ_TYPE_GEOCENTRIC_CRS => {
                Err(("a geocentric CRS (X, Y, Z from the centre of the earth)", advice()))
            }
            PJ_TYPE_PJ_TYPE_ENGINEERING_CRS => Err(("an engineering CRS, without a place on the earth", advice())),
            _ => Err(("not a horizontal CRS", advice())),
        }
    }

    /// Its axes, if they run along and across meridians.
    fn axes(&self) -> Option<OwnAxes> {
        let context = self.context;
        // SAFETY: context and object are alive; the coordinate system is ours and destroyed by `Object`, and what is not wanted is null.
        unsafe {
            let Some(system) = context.wrap(proj_crs_get_coordinate_system(context.ptr, self.ptr)) else {
                let base = context.wrap(proj_get_source_crs(context.ptr, self.ptr))?;
                return base.axes();
            };
            let direction = |index| {
                let (mut direction, none) = (ptr::null(), ptr::null_mut());
                let known = proj_cs_get_axis_info(
                    context.ptr,
                    system.ptr,
                    index,
                    none,
                    none,
                    &mut direction,
                    ptr::null_mut(),
                    none,
                    none,
                    none,
                );
                (known != 0).then(|| text(direction)).flatten()
            };
            OwnAxes::of(&direction(0)?, &direction(1)?)
        }
    }

    /// The area of use, and how the authority describes it.
    fn area_of_use(&self) -> Option<([f64; 4], String)> {
        let [mut west, mut south, mut east, mut north] = [f64::NAN; 4];
        let mut described = ptr::null();
        // SAFETY: context and object are alive, the four numbers and the pointer outlive the call, and the text belongs to the object,
        // which lives until it is copied.
        let (known, description) = unsafe {
            let context = self.context.ptr;
            let known =
                proj_get_area_of_use(context, self.ptr, &mut west, &mut south, &mut east, &mut north, &mut described);
            (known, text(described))
        };
        let area = [west, south, east, north];
        // PROJ writes -1000 for an area that is described in words only.
        let is_known = known != 0 && area.iter().all(|bound| bound.abs() <= 360.0);
        is_known.then(|| (area, description.unwrap_or_default()))
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once, before its context.
        unsafe { proj_destroy(self.ptr) };
    }
}

#[cfg(test)]
mod tests;
