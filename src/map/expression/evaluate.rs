//! Works expressions out, a block of rows at a time: each part makes a column of values out of the columns of its parts. A row that has no
//! value where it needs one, a text that is no number or a division by zero, gets a fault, and its value no longer matters.

use std::borrow::Cow;
use std::cmp::Ordering;

use arrow_array::{Array, Float64Array, RecordBatch, StringArray};

use super::Expression;
use super::check::{Arithmetic, Op, Part};
use super::decimal::Decimal;
use super::functions::Function;
use super::syntax::Comparison;
use super::values::Values;
use crate::page::cells::{CELL_UNITS_MAX, date_text, parse_boolean, parse_date, parse_datetime};
use crate::page::of_type::not_of_type;
use crate::record::{ColumnType, Message, Rejection};

/// The columns of one batch for one expression, and what went wrong in them so far.
pub(in crate::map) struct Evaluation<'a> {
    expression: &'a Expression,
    columns: Vec<(&'a str, Cells<'a>)>,
    faults: Vec<(u32, Rejection)>,
}

enum Cells<'a> {
    Text(&'a StringArray),
    Number(&'a Float64Array, u8),
}

impl<'a> Evaluation<'a> {
    /// `places` are those of the expression's columns in the batch.
    pub(in crate::map) fn new(
        expression: &'a Expression,
        places: &[usize],
        batch: &'a RecordBatch,
        types: &[ColumnType],
    ) -> Evaluation<'a> {
        let column = |(place, name): (&usize, &'a String)| {
            let array = batch.column(*place).as_any();
            let cells = match (array.downcast_ref(), array.downcast_ref(), types[*place]) {
                (Some(text), _, _) => Cells::Text(text),
                (_, Some(numbers), ColumnType::Computed { decimals }) => Cells::Number(numbers, decimals),
                (_, Some(numbers), _) => Cells::Number(numbers, 0),
                (None, None, _) => unreachable!("columns of a RowBatch are Utf8 or Float64"),
            };
            (name.as_str(), cells)
        };
        let columns = places.iter().zip(expression.columns()).map(column).collect();
        Evaluation { expression, columns, faults: Vec::new() }
    }

    /// The values of these rows.
    pub(in crate::map) fn values(&mut self, rows: &[u32]) -> Values<'a> {
        self.part(&self.expression.root, rows)
    }

    /// Why rows have no value: one reason a row, ascending.
    pub(in crate::map) fn into_faults(mut self) -> Vec<(u32, Rejection)> {
        self.faults.sort_by_key(|(row, _)| *row); // stable: the first one of a row stays in front
        self.faults.dedup_by_key(|(row, _)| *row);
        self.faults
    }

    fn fault(&mut self, row: u32, message: Message) {
        self.faults.push((row, Rejection::new(message)));
    }

    fn part(&mut self, part: &'a Part, rows: &[u32]) -> Values<'a> {
        match &part.op {
            Op::Number(number) => Values::Numbers(vec![Some(*number); rows.len()]),
            Op::Text(text) => Values::Texts(vec![Cow::Borrowed(text.as_str()); rows.len()]),
            Op::Truth(truth) => Values::Truths(vec![Some(*truth); rows.len()]),
            Op::Moment(moment) => Values::Moments(vec![Some(*moment); rows.len()]),
            Op::Column(at) => self.column(*at, part, rows),
            Op::Not(inner) => {
                Values::Truths(self.truths(inner, rows).into_iter().map(|truth| truth.map(|t| !t)).collect())
            }
            Op::Negative(inner) => {
                let numbers = self.numbers(inner, rows).into_iter();
                Values::Numbers(numbers.map(|number| number.map(Decimal::negative)).collect())
            }
            Op::Or(left, right) => self.connect(left, right, true, rows),
            Op::And(left, right) => self.connect(left, right, false, rows),
            Op::Compare(comparison, left, right) => self.compare(*comparison, left, right, rows),
            Op::Arithmetic(arithmetic, left, right) => self.arithmetic(*arithmetic, left, right, rows),
            Op::Join(left, right) => {
                let (left, right) = (self.texts(left, rows), self.texts(right, rows));
                let joined = left.into_iter().zip(right).map(|(left, right)| match (left.len(), right.len()) {
                    (_, 0) => left,
                    (0, _) => right,
                    _ => Cow::Owned(format!("{left}{right}")),
                });
                self.fitting(joined.collect(), rows)
            }
            Op::In(value, list) => self.is_in(value, list, rows),
            Op::If(parts) => {
                let [condition, yes, no] = &**parts;
                let chosen: Vec<bool> =
                    self.truths(condition, rows).into_iter().map(|truth| truth == Some(true)).collect();
                let mut values = Values::none(part.kind, rows.len());
                for (branch, wanted) in [(yes, true), (no, false)] {
                    let places: Vec<usize> = (0..rows.len()).filter(|at| chosen[*at] == wanted).collect();
                    self.part_at(branch, &places, rows, &mut values);
                }
                values
            }
            Op::Coalesce(parts) => {
                let mut values = Values::none(part.kind, rows.len());
                let mut open: Vec<usize> = (0..rows.len()).collect();
                for part in parts {
                    self.part_at(part, &open, rows, &mut values);
                    open.retain(|at| values.is_none(*at));
                }
                values
            }
            Op::Empty(inner) => {
                let values = self.part(inner, rows);
                Values::Truths((0..rows.len()).map(|at| Some(values.is_none(at))).collect())
            }
            Op::Call(function, arguments) => self.call(*function, arguments, rows),
        }
    }

    /// Works a part out for some of the rows, at these places among them.
    fn part_at(&mut self, part: &'a Part, places: &[usize], rows: &[u32], values: &mut Values<'a>) {
        let some: Vec<u32> = places.iter().map(|at| rows[*at]).collect();
        values.put(places, self.part(part, &some));
    }

    fn numbers(&mut self, part: &'a Part, rows: &[u32]) -> Vec<Option<Decimal>> {
        match self.part(part, rows) {
            Values::Numbers(numbers) => numbers,
            _ => unreachable!("the checker lets only numbers through to here"),
        }
    }

    fn texts(&mut self, part: &'a Part, rows: &[u32]) -> Vec<Cow<'a, str>> {
        match self.part(part, rows) {
            Values::Texts(texts) => texts,
            _ => unreachable!("the checker lets only texts through to here"),
        }
    }

    fn truths(&mut self, part: &'a Part, rows: &[u32]) -> Vec<Option<bool>> {
        match self.part(part, rows) {
            Values::Truths(truths) => truths,
            _ => unreachable!("the checker lets only booleans through to here"),
        }
    }

    fn moments(&mut self, part: &'a Part, rows: &[u32]) -> Vec<Option<f64>> {
        match self.part(part, rows) {
            Values::Moments(moments) => moments,
            _ => unreachable!("the checker lets only dates and datetimes through to here"),
        }
    }

    /// The cells of a column, read as the type that the expression has for it.
    fn column(&mut self, at: usize, part: &Part, rows: &[u32]) -> Values<'a> {
        let kind = part.kind.column();
        let faults_before = self.faults.len();
        let values = match (&self.columns[at].1, kind) {
            (Cells::Text(cells), ColumnType::Text) => {
                let cells = *cells;
                Values::Texts(rows.iter().map(|row| Cow::Borrowed(cells.value(*row as usize))).collect())
            }
            (Cells::Text(cells), _) => {
                let cells = *cells;
                let texts = rows.iter().map(|row| cells.value(*row as usize));
                match kind {
                    ColumnType::Date => self.read(texts, rows, kind, |text| parse_date(text).map(f64::from)).into(),
                    ColumnType::DateTime => self.read(texts, rows, kind, parse_datetime).into(),
                    ColumnType::Boolean => Values::Truths(self.read(texts, rows, kind, parse_boolean)),
                    _ => Values::Numbers(self.read(texts, rows, kind, Decimal::parse)),
                }
            }
            (Cells::Number(cells, decimals), ColumnType::Text) => {
                let text = |number: Option<Decimal>| number.map_or(Cow::Borrowed(""), |n| Cow::Owned(n.to_string()));
                Values::Texts(
                    rows.iter().map(|row| text(Decimal::of_float(cells.value(*row as usize), *decimals))).collect(),
                )
            }
            (Cells::Number(cells, decimals), _) => Values::Numbers(
                rows.iter().map(|row| Decimal::of_float(cells.value(*row as usize), *decimals)).collect(),
            ),
        };
        let name = self.columns[at].0;
        for (_, rejection) in &mut self.faults[faults_before..] {
            rejection.column = Some(name.into());
        }
        values
    }

    /// Reads texts as values of a type; a blank one has none, and one that cannot be read is a fault.
    fn read<'t, T>(
        &mut self,
        texts: impl Iterator<Item = &'t str>,
        rows: &[u32],
        kind: ColumnType,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<Option<T>> {
        let read = texts.zip(rows).map(|(text, row)| {
            let value = parse(text);
            if value.is_none() && !text.trim().is_empty() {
                let is_long = kind == ColumnType::Number && crate::page::cells::parse_number(text).is_some();
                self.fault(*row, if is_long { Message::TooManyDigits {} } else { not_of_type(kind, text, false) });
            }
            value
        });
        read.collect()
    }

    /// `or` and `and`: the right side is worked out where the left one does not decide.
    fn connect(&mut self, left: &'a Part, right: &'a Part, decisive: bool, rows: &[u32]) -> Values<'a> {
        let mut truths = self.truths(left, rows);
        let places: Vec<usize> = (0..rows.len()).filter(|at| truths[*at] != Some(decisive)).collect();
        let some: Vec<u32> = places.iter().map(|at| rows[*at]).collect();
        for (at, right) in places.into_iter().zip(self.truths(right, &some)) {
            truths[at] = match (truths[at], right) {
                (_, Some(right)) if right == decisive => Some(decisive),
                (Some(_), right) => right,
                (None, _) => None,
            };
        }
        Values::Truths(truths)
    }

    fn compare(&mut self, comparison: Comparison, left: &'a Part, right: &'a Part, rows: &[u32]) -> Values<'a> {
        let left = self.part(left, rows);
        let orders = self.orders(&left, right, rows);
        let holds = |order: Ordering| match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        };
        Values::Truths(orders.into_iter().map(|order| order.map(holds)).collect())
    }

    /// How values compare to those of a part. One that is written in the expression is not made a column.
    fn orders(&mut self, left: &Values<'a>, right: &'a Part, rows: &[u32]) -> Vec<Option<Ordering>> {
        match &right.op {
            Op::Number(number) => left.orders_to(&Values::Numbers(vec![Some(*number)])),
            Op::Text(text) => left.orders_to(&Values::Texts(vec![Cow::Borrowed(text)])),
            Op::Moment(moment) => left.orders_to(&Values::Moments(vec![Some(*moment)])),
            _ => left.orders(&self.part(right, rows)),
        }
    }

    /// Whether a value is one of a list. No value in the list is passed over.
    fn is_in(&mut self, value: &'a Part, list: &'a [Part], rows: &[u32]) -> Values<'a> {
        let value = self.part(value, rows);
        let mut found = vec![false; rows.len()];
        for item in list {
            let orders = self.orders(&value, item, rows);
            found.iter_mut().zip(orders).for_each(|(found, order)| *found |= order == Some(Ordering::Equal));
        }
        Values::Truths(
            found.iter().enumerate().map(|(at, found)| (*found || !value.has_none(at)).then_some(*found)).collect(),
        )
    }

    fn arithmetic(&mut self, arithmetic: Arithmetic, left: &'a Part, right: &'a Part, rows: &[u32]) -> Values<'a> {
        let (left, right) = (self.numbers(left, rows), self.numbers(right, rows));
        let result = left.into_iter().zip(right).zip(rows).map(|((left, right), row)| {
            let (left, right) = (left?, right?);
            let result = match arithmetic {
                Arithmetic::Plus => left.plus(right),
                Arithmetic::Minus => left.plus(right.negative()),
                Arithmetic::Times => left.times(right),
                Arithmetic::Over if right.is_zero() => {
                    self.fault(*row, Message::DivisionByZero {});
                    return None;
                }
                Arithmetic::Over => left.over(right),
            };
            self.known(result, *row)
        });
        Values::Numbers(result.collect())
    }

    /// A result, or the fault that it needs too many digits.
    fn known(&mut self, result: Option<Decimal>, row: u32) -> Option<Decimal> {
        if result.is_none() {
            self.fault(row, Message::TooManyDigits {});
        }
        result
    }

    /// Texts that a cell can hold; a longer one is a fault. So no expression makes texts without bounds.
    fn fitting(&mut self, mut texts: Vec<Cow<'a, str>>, rows: &[u32]) -> Values<'a> {
        for (text, row) in texts.iter_mut().zip(rows) {
            if text.len() > CELL_UNITS_MAX && text.encode_utf16().count() > CELL_UNITS_MAX {
                self.fault(*row, Message::ComputedTooLong { limit: CELL_UNITS_MAX });
                *text = Cow::Borrowed("");
            }
        }
        Values::Texts(texts)
    }

    fn call(&mut self, function: Function, arguments: &'a [Part], rows: &[u32]) -> Values<'a> {
        let first = &arguments[0];
        match function {
            Function::Abs => self.of_number(first, rows, |number| Some(number.abs())),
            Function::Floor => self.of_number(first, rows, |number| Some(number.floor())),
            Function::Ceil => self.of_number(first, rows, |number| Some(number.negative().floor().negative())),
            Function::Round => {
                let decimals = match &arguments[1].op {
                    Op::Number(number) => number.to_whole().and_then(|decimals| u8::try_from(decimals).ok()),
                    _ => None,
                };
                let decimals = decimals.unwrap_or_else(|| unreachable!("the checker wants decimals as a number"));
                self.of_number(first, rows, |number| number.round(decimals))
            }
            Function::Min => self.outermost(arguments, Ordering::Less, rows),
            Function::Max => self.outermost(arguments, Ordering::Greater, rows),
            Function::Length => {
                let texts = self.texts(first, rows);
                let length = |text: &Cow<'_, str>| Some(Decimal::whole(text.chars().count() as i64));
                Values::Numbers(texts.iter().map(length).collect())
            }
            Function::Upper => self.of_text(first, rows, |text| text.to_uppercase().into()),
            Function::Lower => self.of_text(first, rows, |text| text.to_lowercase().into()),
            Function::Trim => self.of_text(first, rows, |text| match text {
                Cow::Borrowed(text) => text.trim().into(),
                Cow::Owned(text) => text.trim().to_owned().into(),
            }),
            Function::Substring => self.substring(arguments, rows),
            Function::Replace => {
                let [old, new] = [1, 2].map(|at| self.texts(&arguments[at], rows));
                let texts = self.texts(first, rows).into_iter().zip(old.iter().zip(&new));
                let replaced = texts.map(|(text, (old, new))| match !old.is_empty() && text.contains(&**old) {
                    true => replace(&text, old, new).into(),
                    false => text,
                });
                let replaced = replaced.collect();
                self.fitting(replaced, rows)
            }
            Function::Contains => self.of_two_texts(arguments, rows, |text, part| text.contains(part)),
            Function::StartsWith => self.of_two_texts(arguments, rows, |text, part| text.starts_with(part)),
            Function::EndsWith => self.of_two_texts(arguments, rows, |text, part| text.ends_with(part)),
            Function::Year => self.part_of_date(first, rows, 0..4),
            Function::Month => self.part_of_date(first, rows, 5..7),
            Function::Day => self.part_of_date(first, rows, 8..10),
            Function::ToNumber => match self.part(first, rows) {
                Values::Texts(texts) => {
                    Values::Numbers(self.read_texts(first, &texts, rows, ColumnType::Number, Decimal::parse))
                }
                numbers => numbers,
            },
            Function::ToBoolean => match self.part(first, rows) {
                Values::Texts(texts) => {
                    Values::Truths(self.read_texts(first, &texts, rows, ColumnType::Boolean, parse_boolean))
                }
                truths => truths,
            },
            Function::ToDate => match self.part(first, rows) {
                Values::Texts(texts) => {
                    let day = |text: &str| parse_date(text).map(f64::from);
                    self.read_texts(first, &texts, rows, ColumnType::Date, day).into()
                }
                Values::Moments(moments) => {
                    Values::Moments(moments.into_iter().map(|moment| moment.map(f64::floor)).collect())
                }
                other => other,
            },
            Function::ToDateTime => match self.part(first, rows) {
                Values::Texts(texts) => {
                    self.read_texts(first, &texts, rows, ColumnType::DateTime, parse_datetime).into()
                }
                moments => moments,
            },
            Function::ToText => {
                let kind = first.kind.column();
                let values = self.part(first, rows);
                let mut text = String::new();
                let written = (0..rows.len()).map(|at| match &values {
                    Values::Texts(texts) => texts[at].clone(),
                    _ => {
                        text.clear();
                        values.write(at, kind, &mut text);
                        Cow::Owned(text.clone())
                    }
                });
                Values::Texts(written.collect())
            }
        }
    }

    /// Reads the texts of an argument; a fault names the column that the argument is.
    fn read_texts<T>(
        &mut self,
        argument: &Part,
        texts: &[Cow<'_, str>],
        rows: &[u32],
        kind: ColumnType,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<Option<T>> {
        let before = self.faults.len();
        let values = self.read(texts.iter().map(|text| &**text), rows, kind, parse);
        if let Op::Column(at) = argument.op {
            let name = self.columns[at].0;
            self.faults[before..].iter_mut().for_each(|(_, rejection)| rejection.column = Some(name.into()));
        }
        values
    }

    fn of_number(&mut self, part: &'a Part, rows: &[u32], of: impl Fn(Decimal) -> Option<Decimal>) -> Values<'a> {
        let numbers = self.numbers(part, rows).into_iter().zip(rows);
        Values::Numbers(numbers.map(|(number, row)| self.known(of(number?), *row)).collect())
    }

    fn of_text(&mut self, part: &'a Part, rows: &[u32], of: impl Fn(Cow<'a, str>) -> Cow<'a, str>) -> Values<'a> {
        let texts = self.texts(part, rows).into_iter().map(of).collect();
        self.fitting(texts, rows)
    }

    fn of_two_texts(&mut self, parts: &'a [Part], rows: &[u32], of: impl Fn(&str, &str) -> bool) -> Values<'a> {
        let (texts, others) = (self.texts(&parts[0], rows), self.texts(&parts[1], rows));
        Values::Truths(texts.iter().zip(&others).map(|(text, other)| Some(of(text, other))).collect())
    }

    /// The smallest or the largest number; none where one of them is none.
    fn outermost(&mut self, parts: &'a [Part], wanted: Ordering, rows: &[u32]) -> Values<'a> {
        let mut result = self.numbers(&parts[0], rows);
        for part in &parts[1..] {
            for (result, number) in result.iter_mut().zip(self.numbers(part, rows)) {
                *result = result.zip(number).map(|(a, b)| if b.cmp(&a) == wanted { b } else { a });
            }
        }
        Values::Numbers(result)
    }

    fn substring(&mut self, arguments: &'a [Part], rows: &[u32]) -> Values<'a> {
        let [first, count] = [1, 2].map(|at| self.numbers(&arguments[at], rows));
        let whole = |number: Option<Decimal>| number.map_or(0, |number| number.floor().to_whole().unwrap_or(i64::MAX));
        let cut = |text: &str, first: i64, count: i64| -> String {
            let before = usize::try_from(first.saturating_sub(1)).unwrap_or(0);
            text.chars().skip(before).take(usize::try_from(count).unwrap_or(0)).collect()
        };
        let texts = self.texts(&arguments[0], rows).into_iter().zip(first.into_iter().zip(count));
        Values::Texts(texts.map(|(text, (first, count))| cut(&text, whole(first), whole(count)).into()).collect())
    }

    /// Digits of a date as it is written, 2026-01-31.
    fn part_of_date(&mut self, part: &'a Part, rows: &[u32], digits: std::ops::Range<usize>) -> Values<'a> {
        let moments = self.moments(part, rows).into_iter();
        let number = |moment: f64| Decimal::parse(date_text(moment.floor() as i32).get(digits.clone())?);
        Values::Numbers(moments.map(|moment| moment.and_then(number)).collect())
    }
}

/// `text` with every `old` replaced, or cut behind what no cell can hold.
fn replace(text: &str, old: &str, new: &str) -> String {
    let mut replaced = String::new();
    let mut parts = text.split(old);
    replaced.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // Four bytes a character at most: whatever comes behind, it is too long already.
        if replaced.len() > 4 * CELL_UNITS_MAX {
            break;
        }
        replaced.push_str(new);
        replaced.push_str(part);
    }
    replaced
}
