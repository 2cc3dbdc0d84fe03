//! Templates of texts that the values of a row complete: names of sheets, addresses of links.

use std::fmt;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Fixed text.
    Literal(String),
    /// The value of a column.
    Column(String),
    /// The value of a column, or this text in its place.
    ColumnOr(String, String),
}

impl TemplatePart {
    /// The column that it names.
    pub fn column(&self) -> Option<&str> {
        match self {
            TemplatePart::Literal(_) => None,
            TemplatePart::Column(column) | TemplatePart::ColumnOr(column, _) => Some(column),
        }
    }
    /// The same, to be changed.
    pub fn column_mut(&mut self) -> Option<&mut String> {
        match self {
            TemplatePart::Literal(_) => None,
            TemplatePart::Column(column) | TemplatePart::ColumnOr(column, _) => Some(column),
        }
    }
}

impl fmt::Display for TemplatePart {
    /// As the topology file has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubled = |text: &str| text.replace('{', "{{").replace('}', "}}");
        match self {
            TemplatePart::Literal(text) => f.write_str(&doubled(text)),
            TemplatePart::Column(column) => write!(f, "{{{}}}", doubled(column)),
            TemplatePart::ColumnOr(column, text) => write!(f, "{{{}|{}}}", doubled(column), doubled(text)),
        }
    }
}
