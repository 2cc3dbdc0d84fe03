//! Tables of keys as data: the values of a key, its default, and its effect.

/// A table of a topology file.
pub(super) struct Table {
    /// As messages and headings name it.
    pub place: &'static str,
    /// Its purpose.
    pub about: &'static str,
    /// Its keys in the order of the reference.
    pub keys: &'static [Key],
    /// Sets of keys of which a file has exactly one; empty if there is no such rule.
    pub one_of: &'static [&'static [&'static str]],
}

impl Table {
    /// The key of this name. A reader that asks for another one is a fault of ours.
    pub(super) fn key(&self, name: &str) -> &'static Key {
        let found = self.keys.iter().find(|key| key.name == name);
        found.unwrap_or_else(|| panic!("{} has no key {name} in its table", self.place))
    }
}

/// A key of a table.
pub(super) struct Key {
    /// As the file spells it.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: Kind,
    /// Its value when it is absent.
    pub default: Default,
    /// A value in TOML.
    pub example: &'static str,
    /// Its effect.
    pub about: &'static str,
    /// The first release that has it.
    pub since: &'static str,
}

/// The kind of a key's values.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A text, or a table.
    TextOr(&'static Table),
    /// A column, or a list of columns of which the first that exists is taken.
    Columns,
    /// A text, or a list of texts.
    Texts,
    /// A list of topics.
    Topics,
    /// Two columns.
    TwoColumns,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `"first"` or a list of column names.
    Header,
    /// A table from column names to one of these words, or to a table.
    ColumnTypes(&'static [&'static str], &'static Table),
    /// Columns to keep: names, or tables.
    Selected(&'static Table),
    /// A whole number of rows, or a percentage.
    RowsOrShare,
    /// A table from column names to other names.
    Names,
    /// An expression.
    Expression,
    /// A table from column names to expressions.
    Expressions,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds, and its unit.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
        /// The unit.
        unit: &'static str,
    },
    /// A whole number and its unit of time.
    Duration,
    /// A table.
    Table(&'static Table),
    /// One or more tables `[[name]]`, at most so many.
    Tables(&'static Table, usize),
}

/// The value of an absent key.
#[derive(Clone, Copy)]
pub(super) enum Default {
    /// The key must be there.
    Required,
    /// This text.
    Text(&'static str),
    /// This truth value.
    Flag(bool),
    /// This number.
    Integer(u64),
    /// It follows from other keys, as these words say.
    Derived(&'static str),
}
