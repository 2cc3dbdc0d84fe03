//! The functions of the language, with their arguments and results, for the checker and for the reference.

use super::Kind;
use super::Kind::{Boolean, Date, DateTime, Number, Text};

/// Functions that look at all of their arguments; `if`, `coalesce` and `empty` are part of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Round,
    Floor,
    Ceil,
    Min,
    Max,
    Length,
    Upper,
    Lower,
    Trim,
    Substring,
    Replace,
    Contains,
    StartsWith,
    EndsWith,
    Year,
    Month,
    Day,
    ToNumber,
    ToText,
    ToBoolean,
    ToDate,
    ToDateTime,
}

/// The arguments and the result of a function.
pub(super) struct Signature {
    pub(super) function: Function,
    pub(super) name: &'static str,
    /// Kinds that each argument may have.
    pub(super) takes: &'static [&'static [Kind]],
    /// Whether more arguments like the last one may follow.
    pub(super) more: bool,
    pub(super) gives: Kind,
    /// How it is called.
    pub(super) usage: &'static str,
    about: &'static str,
}

const fn signature(
    function: Function,
    name: &'static str,
    takes: &'static [&'static [Kind]],
    gives: Kind,
    usage: &'static str,
    about: &'static str,
) -> Signature {
    Signature { function, name, takes, more: false, gives, usage, about }
}

const MOMENT: &[Kind] = &[Date, DateTime];

pub(super) static SIGNATURES: [Signature; 23] = [
    signature(Function::Abs, "abs", &[&[Number]], Number, "abs(number)", "The number without its sign."),
    signature(
        Function::Round,
        "round",
        &[&[Number], &[Number]],
        Number,
        "round(number, decimals)",
        "Rounded to so many decimals, 0 to 15, halves away from zero; the decimals are written as a number.",
    ),
    signature(
        Function::Floor,
        "floor",
        &[&[Number]],
        Number,
        "floor(number)",
        "The largest whole number that is not above it.",
    ),
    signature(
        Function::Ceil,
        "ceil",
        &[&[Number]],
        Number,
        "ceil(number)",
        "The smallest whole number that is not below it.",
    ),
    Signature {
        function: Function::Min,
        name: "min",
        takes: &[&[Number], &[Number]],
        more: true,
        gives: Number,
        usage: "min(number, number, ...)",
        about: "The smallest of them.",
    },
    Signature {
        function: Function::Max,
        name: "max",
        takes: &[&[Number], &[Number]],
        more: true,
        gives: Number,
        usage: "max(number, number, ...)",
        about: "The largest of them.",
    },
    signature(Function::Length, "length", &[&[Text]], Number, "length(text)", "Its number of characters."),
    signature(Function::Upper, "upper", &[&[Text]], Text, "upper(text)", "In upper case."),
    signature(Function::Lower, "lower", &[&[Text]], Text, "lower(text)", "In lower case."),
    signature(Function::Trim, "trim", &[&[Text]], Text, "trim(text)", "Without blanks around it."),
    signature(
        Function::Substring,
        "substring",
        &[&[Text], &[Number], &[Number]],
        Text,
        "substring(text, first, count)",
        "So many characters from the first on, which has the number 1.",
    ),
    signature(
        Function::Replace,
        "replace",
        &[&[Text], &[Text], &[Text]],
        Text,
        "replace(text, old, new)",
        "With every `old` replaced by `new`.",
    ),
    signature(
        Function::Contains,
        "contains",
        &[&[Text], &[Text]],
        Boolean,
        "contains(text, part)",
        "Whether the part is in the text.",
    ),
    signature(
        Function::StartsWith,
        "starts_with",
        &[&[Text], &[Text]],
        Boolean,
        "starts_with(text, part)",
        "Whether the text begins with the part.",
    ),
    signature(
        Function::EndsWith,
        "ends_with",
        &[&[Text], &[Text]],
        Boolean,
        "ends_with(text, part)",
        "Whether the text ends with the part.",
    ),
    signature(Function::Year, "year", &[MOMENT], Number, "year(date)", "The year of a date or datetime."),
    signature(Function::Month, "month", &[MOMENT], Number, "month(date)", "Its month, 1 to 12."),
    signature(Function::Day, "day", &[MOMENT], Number, "day(date)", "Its day of the month, 1 to 31."),
    signature(
        Function::ToNumber,
        "number",
        &[&[Text, Number]],
        Number,
        "number(text)",
        "The text read as a number; one that is none rejects its row as `number.format`.",
    ),
    signature(
        Function::ToText,
        "text",
        &[&[Number, Text, Boolean, Date, DateTime]],
        Text,
        "text(value)",
        "The value as a text: `12.50`, `true`, `2026-01-31`, `2026-01-31T09:30:00`.",
    ),
    signature(
        Function::ToBoolean,
        "boolean",
        &[&[Text, Boolean]],
        Boolean,
        "boolean(text)",
        "The text read as a boolean, or its row is rejected as `boolean.format`.",
    ),
    signature(
        Function::ToDate,
        "date",
        &[&[Text, Date, DateTime]],
        Date,
        "date(text)",
        "The text read as a date, or the day of a datetime; a text that is none rejects its row as `date.format`.",
    ),
    signature(
        Function::ToDateTime,
        "datetime",
        &[&[Text, Date, DateTime]],
        DateTime,
        "datetime(text)",
        "The text read as a date and time, or its row is rejected as `date.format`.",
    ),
];

/// Names that [`super::check`] treats in its own way: how they are called, what they give and do.
pub(super) const FORMS: [(&str, &str, &str, &str); 3] = [
    (
        "if",
        "if(condition, value, other)",
        "value",
        "The value where the condition is true, else the other one, which has the same type. The value that is not chosen is not computed.",
    ),
    ("coalesce", "coalesce(value, value, ...)", "value", "The first value that is not empty; all have the same type."),
    ("empty", "empty(value)", "boolean", "Whether there is no value: a blank cell, or an empty text."),
];

/// Every name that can be called.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    FORMS.iter().map(|(name, ..)| *name).chain(SIGNATURES.iter().map(|signature| signature.name))
}

/// Every function, in the order of the documentation: how it is called, the type that it gives, and what that is.
pub fn functions() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let forms = FORMS.iter().map(|&(_, usage, gives, about)| (usage, gives, about));
    forms.chain(SIGNATURES.iter().map(|signature| (signature.usage, signature.gives.name(), signature.about)))
}
