//! Expressions over the columns of a row: a small language in which every expression has a type, ends, and changes nothing. Its grammar and
//! its functions are in docs/topology.md.
//!
//! `token` and `syntax` read the text, `check` gives every part its type, `evaluate` works on whole columns of `values`, `decimal` has
//! the numbers.
//! Whatever can be wrong with an expression is found when it is checked, except for what depends on the values of a row: that rejects the
//! row.

mod check;
mod decimal;
mod evaluate;
mod functions;
mod syntax;
mod token;
mod values;

use std::ops::Range;

use check::Part;
pub(super) use evaluate::Evaluation;
pub use functions::{function_names, functions};
pub use syntax::Syntax;

use crate::record::ColumnType;

/// A problem of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, in bytes of its text.
    pub span: Range<usize>,
    /// The problem.
    pub what: String,
    /// The right form.
    pub why: String,
    /// A function that does not exist: its name may be misspelt.
    pub unknown_function: Option<String>,
}

impl Problem {
    fn new(span: Range<usize>, what: impl Into<String>, why: impl Into<String>) -> Problem {
        Problem { span, what: what.into(), why: why.into(), unknown_function: None }
    }
}

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A decimal number.
    Number,
    /// A text.
    Text,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A day and a time.
    DateTime,
}

impl Kind {
    /// How a column of this type is read in an expression.
    pub fn of_column(column: ColumnType) -> Kind {
        match column {
            ColumnType::Auto | ColumnType::Text | ColumnType::Link { .. } => Kind::Text,
            ColumnType::Number | ColumnType::Integer | ColumnType::Computed { .. } => Kind::Number,
            ColumnType::Date => Kind::Date,
            ColumnType::DateTime => Kind::DateTime,
            ColumnType::Boolean => Kind::Boolean,
        }
    }

    /// The type of a column that an expression computes.
    pub fn column(self) -> ColumnType {
        match self {
            Kind::Number => ColumnType::Number,
            Kind::Text => ColumnType::Text,
            Kind::Boolean => ColumnType::Boolean,
            Kind::Date => ColumnType::Date,
            Kind::DateTime => ColumnType::DateTime,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Number => "number",
            Kind::Text => "text",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::DateTime => "datetime",
        }
    }

    fn is_moment(self) -> bool {
        matches!(self, Kind::Date | Kind::DateTime)
    }
}

/// An expression that is known to make sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    /// Columns that it reads, and as what.
    columns: Vec<(String, Kind)>,
    root: Part,
}

impl Expression {
    /// Gives every part of `syntax`, parsed from `text`, its type. `column_type` gives the type of a column.
    pub fn check(text: &str, syntax: &Syntax, column_type: impl Fn(&str) -> ColumnType) -> Result<Expression, Problem> {
        let columns =
            syntax.columns().into_iter().map(|(name, _)| (name.to_owned(), Kind::of_column(column_type(name))));
        let columns: Vec<_> = columns.collect();
        let root = Part::check(text, syntax, &columns)?;
        Ok(Expression { text: text.to_owned(), columns, root })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its type.
    pub fn kind(&self) -> Kind {
        self.root.kind
    }

    /// Names of the columns that it reads.
    pub fn columns(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().map(|(name, _)| name)
    }

    /// The same, to be changed.
    pub(super) fn columns_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.columns.iter_mut().map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests;
