//! What a pair of coordinate reference systems is: kinds, area of use, operation, accuracy. The one file that calls proj-sys.

/// Two CRSs and the operation that leads from the first to the second.
#[derive(Clone, Debug, PartialEq)]
pub struct CrsPair {
    /// Source CRS as the topology writes it: an EPSG code, WKT, PROJJSON or PROJ string.
    pub from: CrsInfo,
    /// Target CRS.
    pub to: CrsInfo,
    /// Name of the operation that PROJ chose.
    pub operation: String,
    /// Its accuracy in metres, if the authority states one.
    pub accuracy_m: Option<f64>,
    /// True when datums differ and the shift between them is unknown.
    pub ballpark: bool,
}

/// One CRS.
#[derive(Clone, Debug, PartialEq)]
pub struct CrsInfo {
    /// As the topology writes it.
    pub definition: String,
    /// Its name, "KGD2002 / Unified CS".
    pub name: String,
    /// Geographic (degrees) or projected (metres or its own unit).
    pub kind: CrsKind,
    /// Area of use: west, south, east, north in degrees.
    pub area: Option<[f64; 4]>,
}

/// What the coordinates of a CRS are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrsKind {
    /// Longitude and latitude in degrees.
    Geographic,
    /// Easting and northing.
    Projected,
}
