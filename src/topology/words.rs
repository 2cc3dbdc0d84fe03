//! Every choice of a topology file: the words of the file and their values. Reading, describing and hashing share these tables.

use crate::aggregate::SheetOrder;
use crate::page::forms::{Angle, Thousands};
use crate::record::ColumnType;
use crate::sink::Lang;
use crate::source::{Format, Incomplete, Markers, OnError, UploadFrom};
use crate::transport::Guarantee;

/// The words of one choice, there and back.
pub(super) struct Words<T: 'static> {
    /// Each word and its value.
    pub table: &'static [(&'static str, T)],
    /// The words alone.
    pub names: &'static [&'static str],
    /// The word for a value.
    pub word: fn(&T) -> &'static str,
}

/// Makes a table and its way back; the `match` in it fails to compile when a variant has no word.
macro_rules! words {
    ($($name:ident: $type:ty = { $($word:literal = $($value:tt)::+),* $(; $unwritten:pat => $shown:literal)? };)*) => {
        $(pub(super) const $name: Words<$type> = Words {
            table: &[$(($word, $($value)::+)),*],
            names: &[$($word),*],
            word: |value| match value { $($($value)::+ => $word,)* $($unwritten => $shown)? },
        };)*
    };
}

words! {
    COLUMN_TYPE: ColumnType = {
        "auto" = ColumnType::Auto, "number" = ColumnType::Number, "integer" = ColumnType::Integer, "date" = ColumnType::Date,
        "datetime" = ColumnType::DateTime, "boolean" = ColumnType::Boolean, "text" = ColumnType::Text;
        ColumnType::Computed { .. } | ColumnType::Link { .. } => "computed"
    };
    SPREAD: bool = { "keyed" = false, "spread" = true };
    MARKERS: Markers = { "all" = Markers::All, "headers" = Markers::Headers };
    FORMAT: Format = { "auto" = Format::Auto, "csv" = Format::Csv, "json" = Format::Json };
    UNKNOWN_KEYS: bool = { "reject" = false, "ignore" = true };
    EXACT_NAMES: bool = { "alike" = false, "exact" = true };
    ESCAPES: bool = { "none" = false, "backslash" = true };
    LENIENT_QUOTES: bool = { "strict" = false, "lenient" = true };
    PAD_FIELDS: bool = { "strict" = false, "pad" = true };
    TOTALS: bool = { "keep" = false, "reject" = true };
    STRIP_CONTROL: bool = { "reject" = false, "strip" = true };
    TRUNCATE_CELLS: bool = { "reject" = false, "truncate" = true };
    ON_ERROR: OnError = { "continue" = OnError::Continue, "fail" = OnError::Fail };
    INCOMPLETE: Incomplete = { "hold" = Incomplete::Hold, "emit" = Incomplete::Emit, "fail" = Incomplete::Fail };
    DECIMAL_COMMA: bool = { "point" = false, "comma" = true };
    THOUSANDS: Thousands = {
        "none" = Thousands::None, "comma" = Thousands::Comma, "point" = Thousands::Point, "blank" = Thousands::Blank,
        "apostrophe" = Thousands::Apostrophe
    };
    ANGLE: Angle = { "decimal" = Angle::Decimal, "dms" = Angle::Dms, "packed" = Angle::Packed };
    ANY_NOTATION: bool = { "plain" = false, "any" = true };
    MISSING: bool = { "blank" = true, "reject" = false };
    GUARANTEE: Guarantee = {
        "at_least_once" = Guarantee::AtLeastOnce, "exactly_once_v2" = Guarantee::ExactlyOnceV2
    };
    SHEET_ORDER: SheetOrder = { "first" = SheetOrder::First, "name" = SheetOrder::Name };
    LANG: Lang = { "en" = Lang::En, "ko" = Lang::Ko };
}

/// `upload` as the file spells it.
pub(super) fn upload(from: &UploadFrom) -> String {
    match from {
        UploadFrom::Auto => "auto".into(),
        UploadFrom::Key => "key".into(),
        UploadFrom::Header(name) => format!("header:{name}"),
        UploadFrom::Partition => "partition".into(),
    }
}
