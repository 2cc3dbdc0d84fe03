//! `[[map]]` tables that work on columns: `select`, `rename`, `drop`, `cast`, `filter` and `compute`; what they say, and what that means for
//! the columns behind them.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::column_types::{ColumnSpec, read_column_types};
use super::columns::{Columns, check_distinct};
use super::map_keys;
use super::problem::{Findings, nearest};
use super::reader::Reader;
use crate::map::expression::{Expression, Kind, Problem, Syntax, function_names};
use crate::map::{CastColumn, CastConfig, ComputeConfig, FilterConfig, MapConfig, SelectConfig, Selection};

/// One map over columns.
pub(super) enum ColumnMapSpec {
    /// `select = [..]`: source column, name.
    Select(Vec<(Spanned<String>, Spanned<String>)>),
    /// `rename = { .. }`: column, new name.
    Rename(Vec<(Spanned<String>, Spanned<String>)>),
    /// `drop = [..]`
    Drop(Vec<Spanned<String>>),
    /// `cast = { .. }`
    Cast(Vec<ColumnSpec>),
    /// `filter = ".."`
    Filter(ExpressionSpec),
    /// `compute = { .. }`
    Compute(Vec<(Spanned<String>, ExpressionSpec)>),
}

/// An expression that could be parsed.
pub(super) struct ExpressionSpec {
    text: Spanned<String>,
    place: Place,
    syntax: Syntax,
}

/// Where an expression is in the file.
struct Place {
    span: Range<usize>,
    /// Where its text begins, if the file has it letter by letter: without escapes and variables.
    begin: Option<usize>,
}

impl Place {
    /// A part of the expression in the file, else all of it.
    fn of(&self, part: &Range<usize>) -> Range<usize> {
        self.begin.map_or_else(|| self.span.clone(), |begin| begin + part.start..begin + part.end)
    }

    fn add(&self, problem: Problem, findings: &mut Findings) {
        let near = problem.unknown_function.as_deref().and_then(|name| nearest(name, function_names()));
        findings.add_nearest(self.of(&problem.span), problem.what, problem.why, near);
    }
}

impl ColumnMapSpec {
    /// Reads the value of the key `key`.
    pub(super) fn read(reader: &mut Reader<'_>, key: &str, value: &Spanned<DeValue<'_>>) -> Option<ColumnMapSpec> {
        match key {
            "select" => read_select(reader, value).map(ColumnMapSpec::Select),
            "rename" => {
                let pairs = read_pairs(reader, "rename", "{ x = \"east\" }", value, |reader, value| {
                    reader.text("rename", value)
                });
                pairs.map(ColumnMapSpec::Rename)
            }
            "drop" => reader.texts("drop", value).map(ColumnMapSpec::Drop),
            "cast" => {
                let columns = read_column_types(reader, "cast", value);
                Some(columns).filter(|columns| !columns.is_empty()).map(ColumnMapSpec::Cast)
            }
            "filter" => read_expression(reader, "filter", value).map(ColumnMapSpec::Filter),
            _ => {
                let pairs = read_pairs(reader, "compute", "{ total = \"a + b\" }", value, |reader, value| {
                    read_expression(reader, "compute", value)
                });
                pairs.map(ColumnMapSpec::Compute)
            }
        }
    }

    /// The map, if it could be made; `columns` becomes what rows have behind it.
    pub(super) fn compile(&self, node: Arc<str>, columns: &mut Columns, findings: &mut Findings) -> Option<MapConfig> {
        let pairs = |pairs: &[(Spanned<String>, Spanned<String>)]| {
            pairs.iter().map(|(from, name)| (from.get_ref().clone(), name.get_ref().clone())).collect()
        };
        match self {
            ColumnMapSpec::Select(spec) => {
                compile_select(spec, columns, findings);
                Some(MapConfig::Select(SelectConfig { node, selection: Selection::Keep(pairs(spec)) }))
            }
            ColumnMapSpec::Rename(spec) => {
                compile_rename(spec, columns, findings);
                Some(MapConfig::Select(SelectConfig { node, selection: Selection::Rename(pairs(spec)) }))
            }
            ColumnMapSpec::Drop(names) => {
                check_distinct("drop", &names.iter().collect::<Vec<_>>(), findings);
                names.iter().for_each(|name| columns.check("drop", std::slice::from_ref(name), findings));
                names.iter().for_each(|name| columns.remove(name.get_ref()));
                let names = names.iter().map(|name| name.get_ref().clone()).collect();
                Some(MapConfig::Select(SelectConfig { node, selection: Selection::Drop(names) }))
            }
            ColumnMapSpec::Cast(spec) => {
                let cast = |ColumnSpec { name, kind, form }: &ColumnSpec| {
                    columns.check("cast", std::slice::from_ref(name), findings);
                    columns.set_type(name.get_ref(), *kind);
                    CastColumn { name: name.get_ref().clone(), kind: *kind, form: form.clone() }
                };
                Some(MapConfig::Cast(CastConfig { node, columns: spec.iter().map(cast).collect() }))
            }
            ColumnMapSpec::Filter(spec) => {
                let condition = spec.compile("filter", columns, findings)?;
                if condition.kind() != Kind::Boolean {
                    let what = format!("\"filter\" is a {}, and it needs a boolean", condition.kind().name());
                    findings.add(spec.text.span(), what, "a condition is a comparison, such as kind = 'cafe'");
                }
                Some(MapConfig::Filter(FilterConfig { node, condition }))
            }
            ColumnMapSpec::Compute(spec) => {
                let computed = compile_compute(spec, columns, findings)?;
                Some(MapConfig::Compute(ComputeConfig { node, columns: computed }))
            }
        }
    }
}

fn read_select(
    reader: &mut Reader<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Option<Vec<(Spanned<String>, Spanned<String>)>> {
    let Some(items) = value.get_ref().as_array() else {
        reader.wrong_type("select", "a list of columns, such as [\"name\", { from = \"x\", as = \"east\" }]", value);
        return None;
    };
    if items.is_empty() {
        reader.findings.add(value.span(), "\"select\" is an empty list", "a workbook needs at least one column");
    }
    let columns: Vec<_> = items.iter().map(|item| read_selected(reader, item)).collect();
    columns.into_iter().collect::<Option<Vec<_>>>().filter(|columns| !columns.is_empty())
}

fn read_selected(reader: &mut Reader<'_>, item: &Spanned<DeValue<'_>>) -> Option<(Spanned<String>, Spanned<String>)> {
    if let Some(table) = item.get_ref().as_table() {
        let (from, name) = reader.table(&map_keys::SELECTED, item.span(), table, |reader, fields| {
            (fields.need_text(reader, "from"), fields.need_text(reader, "as"))
        });
        return Some((from?, name?));
    }
    if item.get_ref().is_str() {
        let from = reader.text("select", item)?;
        return Some((from.clone(), from));
    }
    reader.wrong_type("select", "a list of names and of { from = .., as = .. }", item);
    None
}

/// A table from columns to something, in the order of the file.
fn read_pairs<T>(
    reader: &mut Reader<'_>,
    key: &str,
    example: &str,
    value: &Spanned<DeValue<'_>>,
    read: impl Fn(&mut Reader<'_>, &Spanned<DeValue<'_>>) -> Option<T>,
) -> Option<Vec<(Spanned<String>, T)>> {
    let Some(table) = value.get_ref().as_table() else {
        reader.wrong_type(key, &format!("a table, such as {example}"), value);
        return None;
    };
    if table.is_empty() {
        reader.findings.add(value.span(), format!("\"{key}\" is an empty table"), "it needs at least one column");
        return None;
    }
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let pairs: Vec<_> = entries
        .into_iter()
        .map(|(name, value)| {
            let name = Spanned::new(name.span(), AsRef::<str>::as_ref(name.get_ref()).to_owned());
            Some((name, read(reader, value)?))
        })
        .collect();
    pairs.into_iter().collect()
}

fn read_expression(reader: &mut Reader<'_>, key: &str, value: &Spanned<DeValue<'_>>) -> Option<ExpressionSpec> {
    let text = reader.text(key, value)?;
    let written = reader.text.get(text.span()).unwrap_or_default();
    let begin = written.find(text.get_ref().as_str()).filter(|_| !text.get_ref().is_empty());
    let place = Place { span: text.span(), begin: begin.map(|begin| text.span().start + begin) };
    match Syntax::parse(text.get_ref()) {
        Ok(syntax) => Some(ExpressionSpec { text, place, syntax }),
        Err(problem) => {
            place.add(problem, &mut reader.findings);
            None
        }
    }
}

impl ExpressionSpec {
    /// The expression over these columns.
    fn compile(&self, key: &str, columns: &Columns, findings: &mut Findings) -> Option<Expression> {
        for (name, part) in self.syntax.columns() {
            columns.check(key, &[Spanned::new(self.place.of(&part), name.to_owned())], findings);
        }
        if self.syntax.columns().iter().any(|(name, _)| !columns.is_typed(name)) {
            return None; // whatever is wrong has been found before
        }
        let checked = Expression::check(self.text.get_ref(), &self.syntax, |name| columns.column_type(name));
        checked.map_err(|problem| self.place.add(problem, findings)).ok()
    }
}

fn compile_select(spec: &[(Spanned<String>, Spanned<String>)], columns: &mut Columns, findings: &mut Findings) {
    for (from, _) in spec {
        columns.check("select", std::slice::from_ref(from), findings);
    }
    check_distinct("select", &spec.iter().map(|(_, name)| name).collect::<Vec<_>>(), findings);
    let mut selected = columns.without_names();
    spec.iter().for_each(|(from, name)| selected.add(name.get_ref(), columns.column_type(from.get_ref())));
    *columns = selected;
}

fn compile_rename(spec: &[(Spanned<String>, Spanned<String>)], columns: &mut Columns, findings: &mut Findings) {
    for (from, _) in spec {
        columns.check("rename", std::slice::from_ref(from), findings);
    }
    let names: Vec<_> = spec.iter().map(|(_, name)| name).collect();
    check_distinct("rename", &names, findings);
    let types: Vec<_> = spec.iter().map(|(from, _)| columns.column_type(from.get_ref())).collect();
    spec.iter().for_each(|(from, _)| columns.remove(from.get_ref()));
    for (name, kind) in names.into_iter().zip(types) {
        check_new("rename", name, columns, findings);
        columns.add(name.get_ref(), kind);
    }
}

fn compile_compute(
    spec: &[(Spanned<String>, ExpressionSpec)],
    columns: &mut Columns,
    findings: &mut Findings,
) -> Option<Vec<(String, Expression)>> {
    check_distinct("compute", &spec.iter().map(|(name, _)| name).collect::<Vec<_>>(), findings);
    let before = columns.clone();
    let compiled = spec.iter().map(|(name, expression)| {
        check_new("compute", name, &before, findings);
        let expression = expression.compile("compute", &before, findings);
        match &expression {
            Some(expression) => columns.add(name.get_ref(), expression.kind().column()),
            None => columns.add_untyped(name.get_ref()),
        }
        Some((name.get_ref().clone(), expression?))
    });
    compiled.collect::<Vec<_>>().into_iter().collect()
}

/// A name that no column has.
fn check_new(key: &str, name: &Spanned<String>, columns: &Columns, findings: &mut Findings) {
    if columns.has(name.get_ref()) {
        let what = format!("\"{key}\" names \"{}\", a column that rows have already", name.get_ref());
        findings.add(name.span(), what, "columns are never overwritten; take another name");
    }
}
