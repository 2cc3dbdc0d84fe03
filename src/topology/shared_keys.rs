//! Keys and tables that several tables have, and how a key is written down.

use super::table::{Default, Key, Kind, Table};
use super::words;

/// A key that was there from the beginning.
pub(super) const fn key(
    name: &'static str,
    kind: Kind,
    default: Default,
    example: &'static str,
    about: &'static str,
) -> Key {
    Key { name, kind, default, example, about, since: "0.1.0" }
}

pub(super) const NAME: Key = key(
    "name",
    Kind::Text,
    Default::Required,
    "\"rows\"",
    "Name of the node in errors, metrics and `describe`. Letters, digits, dot, underscore and hyphen; each node has its own.",
);
pub(super) const INPUT: Key =
    key("input", Kind::Text, Default::Derived("the node before this one"), "\"rows\"", "Name of the parent node.");

pub(super) static COLUMN: Table = Table {
    place: "columns",
    about: "A column and how its cells are written, where that is not the plain form of the type. Cells are read as their column says and \
            never guessed; the row as published stays as it is in dead letters and on the *Errors* sheet.",
    keys: &[
        key(
            "type",
            Kind::Choice(words::COLUMN_TYPE.names),
            Default::Text("auto"),
            "\"number\"",
            "Type of the column. A `date` is read from the year down (`2024-01-05`, `2024. 1. 5.`, `2024년 1월 5일`), a `datetime` \
             with a time behind it (`9:05`, `09:05:00`, `오후 3:05`, `3:05 PM`) or as `20240105090500`. A `boolean` is one of the \
             words true/false, yes/no, y/n, t/f, 1/0, O/X, ○/×, and in Korean 예·네/아니오, 참/거짓, 있음/없음, 유/무.",
        ),
        key(
            "decimal",
            Kind::Choice(words::DECIMAL_COMMA.names),
            Default::Text("point"),
            "\"comma\"",
            "Decimal separator of the numbers: `1234.5` or `1234,5`.",
        ),
        key(
            "thousands",
            Kind::Choice(words::THOUSANDS.names),
            Default::Text("none"),
            "\"comma\"",
            "Separator of groups of three digits: nothing, or a comma, point, blank or apostrophe as in `1,234,567`.",
        ),
        key(
            "angle",
            Kind::Choice(words::ANGLE.names),
            Default::Text("decimal"),
            "\"dms\"",
            "Angles. `\"decimal\"`: decimal degrees; `\"dms\"`: degrees, minutes and seconds with a hemisphere or a sign, as in \
             `37°33'59.2\"N`, `N 37 33 59.2`, `37-33-59.2`, `126도 58분 40초`; `\"packed\"`: the same in digits alone, `373359.2`, or degrees \
             and minutes as GPS receivers write them, `3733.9867`. The cell becomes decimal degrees.",
        ),
        key(
            "zone",
            Kind::Text,
            Default::Derived("a time that names a zone rejects its row"),
            "\"+09:00\"",
            "Zone that the times of a `datetime` column are shown in. A time that ends with `Z` or `+01:00` is converted to it, one without a \
             zone is taken as it is.",
        ),
        key(
            "excel_text",
            Kind::Flag,
            Default::Flag(false),
            "true",
            "Reads `=\"0012\"`, with which files make Excel keep leading zeros, as the text `0012`.",
        ),
    ],
    one_of: &[],
};
