//! The keys of `[[map]]` tables, as `keys.rs` has those of the others.

use super::shared_keys::{COLUMN, INPUT, NAME, key};
use super::table::{Default, Kind, Table};
use super::words;
use crate::page::styles::DECIMALS_MAX;

pub(super) static MAP: Table = Table {
    place: "[[map]]",
    about: "One operator over rows.",
    keys: &[
        NAME,
        INPUT,
        key(
            "reproject",
            Kind::Table(&REPROJECT),
            Default::Derived("none"),
            "{ from = \"EPSG:5181\", to = \"EPSG:4326\", x = \"x\", y = \"y\", into = [\"lon\", \"lat\"] }",
            "Transforms coordinates from one coordinate reference system to another and adds two columns.",
        ),
        key(
            "select",
            Kind::Selected(&SELECTED),
            Default::Derived("none"),
            "[\"name\", { from = \"x\", as = \"east\" }]",
            "Chooses, orders and renames columns; the others are left out.",
        ),
        key(
            "rename",
            Kind::Names,
            Default::Derived("none"),
            "{ x = \"east\", y = \"north\" }",
            "Gives columns other names, from the old one to the new one; all columns stay, in their order. A name that another column has \
             becomes `name_2`.",
        ),
        key(
            "drop",
            Kind::Columns,
            Default::Derived("none"),
            "[\"phone\", \"fax\"]",
            "Leaves columns out; all others stay.",
        ),
        key(
            "cast",
            Kind::ColumnTypes(words::COLUMN_TYPE.names, &COLUMN),
            Default::Derived("none"),
            "{ area = \"number\", price = { type = \"number\", decimal = \"comma\" } }",
            "Gives columns another type, as `columns` of the source does, but behind the maps before it. A cell that is not of the type \
             rejects its row.",
        ),
        key(
            "filter",
            Kind::Expression,
            Default::Derived("none"),
            "\"kind in ('cafe', 'bakery') and number(area) >= 33.5\"",
            "Keeps the rows for which an [expression](#expressions) is true. The others are in no sheet and are counted as `filtered`; they \
             are not rejected.",
        ),
        key(
            "compute",
            Kind::Expressions,
            Default::Derived("none"),
            "{ density = \"round(number(people) / number(area), 2)\", label = \"name || ', ' || kind\" }",
            "Adds columns, each computed by an [expression](#expressions) over the columns before this map, in the order of the table. A name \
             that a file has already becomes `name_2`.",
        ),
        key(
            "map_link",
            Kind::TextOr(&MAP_LINK),
            Default::Derived("none"),
            "\"https://map.kakao.com/link/map/{name},{lat},{lon}\"",
            "Adds a column with a link for each row, as a rule to its place on a map. The text is the address of a web page with columns in \
             braces; `{lat}` and `{lon}` are the place that the last `reproject` to degrees computed, without such a map columns of these \
             names. `{name|place}` is the text `place` where there is no column `name`, or no value in it. A row that has no value for one of \
             the others has no link. Values are percent-encoded. An address of more than 255 characters, the most that Excel takes in a \
             formula, stays text; beyond that the number of links is not limited, as they are formulas (`HYPERLINK`). A link that is \
             followed gives the place to its host.",
        ),
    ],
    one_of: &[&["reproject"], &["select"], &["rename"], &["drop"], &["cast"], &["filter"], &["compute"], &["map_link"]],
};

/// The keys of [`MAP`] of which a table has one.
pub(super) const OPERATORS: [&str; 8] =
    ["reproject", "select", "rename", "drop", "cast", "filter", "compute", "map_link"];

pub(super) static REPROJECT: Table = Table {
    place: "reproject",
    about: "Coordinates from one CRS to another. x is always east (longitude, easting) and y north, whatever the axis order of the \
            authority.\n\n\
            Where PROJ knows several operations between the two CRSs, each for a part of the world, every point takes the one that PROJ \
            itself (`cs2cs`, `pyproj`) takes there, among those that need no grid. `describe` lists them with accuracy and area, and *About* \
            names those that the rows of a workbook went through.",
    keys: &[
        key(
            "from",
            Kind::TextOr(&ROW_CRS),
            Default::Required,
            "\"EPSG:5181\"",
            "CRS of the coordinates: `AUTHORITY:CODE`, WKT, PROJJSON or a PROJ string. Or a column that names the CRS of each row, \
             `{ column = \"epsg\" }`.",
        ),
        key("to", Kind::Text, Default::Required, "\"EPSG:4326\"", "CRS of the added columns."),
        key(
            "x",
            Kind::Columns,
            Default::Derived("none"),
            "[\"x\", \"X좌표\"]",
            "Column of the x coordinate; of a list the first name that a file has.",
        ),
        key(
            "y",
            Kind::Columns,
            Default::Derived("none"),
            "[\"y\", \"Y좌표\"]",
            "Column of the y coordinate; of a list the first name that a file has.",
        ),
        key(
            "geometry",
            Kind::Columns,
            Default::Derived("none"),
            "\"geom\"",
            "Column of points as WKT, EWKT, hexadecimal WKB or EWKB, or GeoJSON, in the place of `x` and `y`.",
        ),
        key(
            "xy",
            Kind::Columns,
            Default::Derived("none"),
            "\"position\"",
            "Column with both coordinates in one cell, x (east, longitude) first: `126.98, 37.57` or `(126.98 37.57)`.",
        ),
        key(
            "yx",
            Kind::Columns,
            Default::Derived("none"),
            "\"위치\"",
            "Column with both coordinates in one cell, y (north, latitude) first, as maps in browsers copy them: `(37.57, 126.98)`.",
        ),
        key(
            "into",
            Kind::TwoColumns,
            Default::Required,
            "[\"lon\", \"lat\"]",
            "Names of the two columns that are added: x (east) and y (north). A name that a file has already becomes `name_2`.",
        ),
        key(
            "decimals",
            Kind::Integer { min: 0, max: DECIMALS_MAX as u64, unit: "decimals" },
            Default::Derived("9 for degrees, 6 for metres"),
            "7",
            "Decimals that the added columns keep.",
        ),
        key(
            "allow_ballpark",
            Kind::Flag,
            Default::Flag(false),
            "true",
            "Takes an operation that ignores an unknown datum shift, which can be hundreds of metres off. Between some systems the shift is known \
             for parts of the world only; a point elsewhere is rejected as `coord.operation` unless this is set.",
        ),
        key(
            "check_area",
            Kind::Flag,
            Default::Flag(true),
            "false",
            "Rejects a row whose point lies outside the area of use of its own CRS, or at (0, 0). Where that area is a belt between two \
             meridians, as that of EPSG:5174 and 5186 is, land of the same country on either side is taken too: agencies publish \
             whole countries in one belt. A point far outside the area of use of `to` is written, counted as `distant`, and named \
             on *About*.",
        ),
        key(
            "notation",
            Kind::Choice(words::ANY_NOTATION.names),
            Default::Text("plain"),
            "\"any\"",
            "How the coordinates in `x`, `y`, `xy` and `yx` are written. `\"plain\"`: as numbers with a decimal point. `\"any\"`: also \
             with a decimal comma, thousands separators, full-width digits or a unit, and in degrees with minutes and seconds; if a \
             point can be read in two ways, its row is rejected as `number.format`. With `\"any\"`, texts such as `-`, `NULL` and \
             `N/A` say that there are no coordinates, and so does (0, 0), unless `missing` or `check_area` says otherwise. The cells \
             stay as they are in their sheet.",
        ),
        key(
            "missing",
            Kind::Choice(words::MISSING.names),
            Default::Text("blank"),
            "\"reject\"",
            "Rows without any coordinates. `\"blank\"` keeps them in their sheet, leaves the added columns blank and counts them as \
             `unplaced`; `\"reject\"` rejects them as `coord.missing`. A row with one coordinate of two is always rejected.",
        ),
    ],
    one_of: &[&["x", "y"], &["geometry"], &["xy"], &["yx"]],
};

pub(super) static MAP_LINK: Table = Table {
    place: "map_link",
    about: "A column of links under a name of its own.",
    keys: &[
        key(
            "url",
            Kind::Text,
            Default::Required,
            "\"https://www.openstreetmap.org/?mlat={lat}&mlon={lon}#map=17/{lat}/{lon}\"",
            "Address of a web page with columns in braces. It begins with `https://` or `http://`, and no column is part of the host.",
        ),
        key(
            "into",
            Kind::Text,
            Default::Derived("`\"Map\"`, or `\"지도\"` with `lang = \"ko\"`"),
            "\"위치\"",
            "Name of the column that is added. A name that a file has already becomes `name_2`.",
        ),
    ],
    one_of: &[],
};

pub(super) static SELECTED: Table = Table {
    place: "select",
    about: "A column under a new name.",
    keys: &[
        key("from", Kind::Text, Default::Required, "\"x\"", "Name of the column as it comes."),
        key("as", Kind::Text, Default::Required, "\"east\"", "Name of the column from here on."),
    ],
    one_of: &[],
};

pub(super) static ROW_CRS: Table = Table {
    place: "from",
    about: "The CRS of each row, out of a column.",
    keys: &[key(
        "column",
        Kind::Columns,
        Default::Required,
        "\"epsg\"",
        "Column that names the CRS of its row: an EPSG code with or without `EPSG:`, or any other form that `from` takes. A row with \
         coordinates and without a CRS, or with one that cannot be used, is rejected as `coord.crs`.",
    )],
    one_of: &[],
};
