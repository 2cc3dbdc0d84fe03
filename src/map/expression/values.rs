//! The values of an expression, a column of them.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Kind;
use super::decimal::Decimal;
use crate::page::cells::date_text;
use crate::record::ColumnType;

/// Values of one expression, one a row. `None` is no value; a text without one is empty.
pub(in crate::map) enum Values<'a> {
    Numbers(Vec<Option<Decimal>>),
    Texts(Vec<Cow<'a, str>>),
    Truths(Vec<Option<bool>>),
    /// Serial days of the date system of page::cells, with a fraction for the time.
    Moments(Vec<Option<f64>>),
}

impl From<Vec<Option<f64>>> for Values<'_> {
    fn from(moments: Vec<Option<f64>>) -> Self {
        Values::Moments(moments)
    }
}

impl<'a> Values<'a> {
    pub(super) fn none(kind: Kind, rows: usize) -> Values<'a> {
        match kind {
            Kind::Number => Values::Numbers(vec![None; rows]),
            Kind::Text => Values::Texts(vec![Cow::Borrowed(""); rows]),
            Kind::Boolean => Values::Truths(vec![None; rows]),
            Kind::Date | Kind::DateTime => Values::Moments(vec![None; rows]),
        }
    }

    /// Whether a blank cell would show it.
    pub(in crate::map) fn is_none(&self, at: usize) -> bool {
        match self {
            Values::Texts(texts) => texts[at].is_empty(),
            _ => self.has_none(at),
        }
    }

    /// Whether there is no value, which a text always is.
    pub(super) fn has_none(&self, at: usize) -> bool {
        match self {
            Values::Numbers(numbers) => numbers[at].is_none(),
            Values::Texts(_) => false,
            Values::Truths(truths) => truths[at].is_none(),
            Values::Moments(moments) => moments[at].is_none(),
        }
    }

    /// Whether it is true.
    pub(in crate::map) fn is_true(&self, at: usize) -> bool {
        matches!(self, Values::Truths(truths) if truths[at] == Some(true))
    }

    /// Appends a value as the cell of a column of this type; nothing for no value.
    pub(in crate::map) fn write(&self, at: usize, kind: ColumnType, into: &mut String) {
        match self {
            Values::Numbers(numbers) => numbers[at].into_iter().for_each(|number| number.write(into)),
            Values::Texts(texts) => into.push_str(&texts[at]),
            Values::Truths(truths) => {
                truths[at].into_iter().for_each(|t| into.push_str(if t { "true" } else { "false" }))
            }
            Values::Moments(moments) => {
                moments[at].into_iter().for_each(|moment| write_moment(moment, kind == ColumnType::DateTime, into))
            }
        }
    }

    pub(super) fn put(&mut self, places: &[usize], values: Values<'a>) {
        fn put<T>(into: &mut [T], places: &[usize], values: Vec<T>) {
            places.iter().zip(values).for_each(|(at, value)| into[*at] = value);
        }
        match (self, values) {
            (Values::Numbers(into), Values::Numbers(values)) => put(into, places, values),
            (Values::Texts(into), Values::Texts(values)) => put(into, places, values),
            (Values::Truths(into), Values::Truths(values)) => put(into, places, values),
            (Values::Moments(into), Values::Moments(values)) => put(into, places, values),
            _ => unreachable!("the checker wants one type of all branches"),
        }
    }

    /// How values compare to others of the same type; `None` where one of them is none.
    pub(super) fn orders(&self, other: &Values<'_>) -> Vec<Option<Ordering>> {
        self.orders_by(other, |at| at)
    }

    /// How values compare to the first one of `other`.
    pub(super) fn orders_to(&self, other: &Values<'_>) -> Vec<Option<Ordering>> {
        self.orders_by(other, |_| 0)
    }

    /// How each value compares to the one at a place in `other`.
    fn orders_by(&self, other: &Values<'_>, place: impl Fn(usize) -> usize) -> Vec<Option<Ordering>> {
        fn orders<T>(
            left: &[Option<T>],
            right: &[Option<T>],
            place: impl Fn(usize) -> usize,
            of: fn(&T, &T) -> Ordering,
        ) -> Vec<Option<Ordering>> {
            let order = |(at, left): (usize, &Option<T>)| Some(of(left.as_ref()?, right[place(at)].as_ref()?));
            left.iter().enumerate().map(order).collect()
        }
        match (self, other) {
            (Values::Numbers(left), Values::Numbers(right)) => orders(left, right, place, Decimal::cmp),
            (Values::Texts(left), Values::Texts(right)) => {
                left.iter().enumerate().map(|(at, left)| Some((**left).cmp(&*right[place(at)]))).collect()
            }
            (Values::Truths(left), Values::Truths(right)) => orders(left, right, place, bool::cmp),
            (Values::Moments(left), Values::Moments(right)) => orders(left, right, place, f64::total_cmp),
            _ => unreachable!("the checker wants the same type on both sides"),
        }
    }
}

fn write_moment(moment: f64, with_time: bool, into: &mut String) {
    const DAY_MS: i64 = 86_400_000;
    let total = (moment * DAY_MS as f64).round() as i64;
    let (day, of_day) = (total.div_euclid(DAY_MS), total.rem_euclid(DAY_MS));
    into.push_str(&date_text(day as i32));
    if with_time {
        let (seconds, ms) = (of_day / 1_000, of_day % 1_000);
        into.push_str(&format!("T{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60));
        if ms > 0 {
            into.push_str(&format!(".{ms:03}"));
        }
    }
}
