//! Gives every part of an expression its type. A part that does not fit is a problem with its place.

use std::ops::Range;

use super::decimal::{DECIMALS_MAX, Decimal};
use super::functions::{FORMS, Function, SIGNATURES, Signature};
use super::syntax::{Comparison, Node, Operator, Syntax};
use super::{Kind, Problem};
use crate::page::cells::{parse_date, parse_datetime};

/// A part of an expression that is known to fit the parts around it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) op: Op,
}

/// The operation of a part.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Number(Decimal),
    Text(String),
    Truth(bool),
    /// A serial day, with a fraction for the time.
    Moment(f64),
    /// A column, by its place among those of the expression.
    Column(usize),
    Not(Box<Part>),
    Negative(Box<Part>),
    Or(Box<Part>, Box<Part>),
    And(Box<Part>, Box<Part>),
    Compare(Comparison, Box<Part>, Box<Part>),
    Arithmetic(Arithmetic, Box<Part>, Box<Part>),
    Join(Box<Part>, Box<Part>),
    In(Box<Part>, Vec<Part>),
    If(Box<[Part; 3]>),
    Coalesce(Vec<Part>),
    Empty(Box<Part>),
    Call(Function, Vec<Part>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Plus,
    Minus,
    Times,
    Over,
}

/// Checks parts: has the text, for messages, and the columns.
struct Checker<'c> {
    text: &'c str,
    columns: &'c [(String, Kind)],
}

impl Part {
    /// Checks a whole expression.
    pub(super) fn check(text: &str, syntax: &Syntax, columns: &[(String, Kind)]) -> Result<Part, Problem> {
        Checker { text, columns }.part(syntax)
    }
}

impl Checker<'_> {
    fn part(&self, syntax: &Syntax) -> Result<Part, Problem> {
        let part = |kind, op| Ok(Part { kind, op });
        match &syntax.node {
            Node::Number(number) => part(Kind::Number, Op::Number(*number)),
            Node::Text(text) => part(Kind::Text, Op::Text(text.clone())),
            Node::Truth(truth) => part(Kind::Boolean, Op::Truth(*truth)),
            Node::Column(name) => {
                let at = self.columns.iter().position(|(known, _)| known == name);
                let at = at.expect("the columns were collected from this very tree");
                part(self.columns[at].1, Op::Column(at))
            }
            Node::Not(inner) => part(Kind::Boolean, Op::Not(self.of_kind(inner, Kind::Boolean, "not")?.into())),
            Node::Negative(inner) => part(Kind::Number, Op::Negative(self.of_kind(inner, Kind::Number, "-")?.into())),
            Node::Binary(operator, left, right) => self.binary(*operator, left, right),
            Node::In(value, list) => {
                let value_part = self.part(value)?;
                let list = list.iter().map(|item| {
                    let (_, item_part) = self.alike((value, value_part.clone()), (item, self.part(item)?), "in")?;
                    Ok(item_part)
                });
                let list = list.collect::<Result<Vec<_>, _>>()?;
                part(Kind::Boolean, Op::In(value_part.into(), list))
            }
            Node::Call(name, arguments) => self.call(syntax.span.clone(), name, arguments),
        }
    }

    fn binary(&self, operator: Operator, left: &Syntax, right: &Syntax) -> Result<Part, Problem> {
        let symbol = operator.symbol();
        let both = |kind| {
            Ok::<_, Problem>((
                Box::new(self.of_kind(left, kind, symbol)?),
                Box::new(self.of_kind(right, kind, symbol)?),
            ))
        };
        let arithmetic = |operator| {
            let (left, right) = both(Kind::Number)?;
            Ok(Part { kind: Kind::Number, op: Op::Arithmetic(operator, left, right) })
        };
        match operator {
            Operator::Or => both(Kind::Boolean).map(|(a, b)| Part { kind: Kind::Boolean, op: Op::Or(a, b) }),
            Operator::And => both(Kind::Boolean).map(|(a, b)| Part { kind: Kind::Boolean, op: Op::And(a, b) }),
            Operator::Join => both(Kind::Text).map(|(a, b)| Part { kind: Kind::Text, op: Op::Join(a, b) }),
            Operator::Plus => arithmetic(Arithmetic::Plus),
            Operator::Minus => arithmetic(Arithmetic::Minus),
            Operator::Times => arithmetic(Arithmetic::Times),
            Operator::Over => arithmetic(Arithmetic::Over),
            Operator::Compare(comparison) => {
                let (a, b) = self.alike((left, self.part(left)?), (right, self.part(right)?), symbol)?;
                let has_order = a.kind != Kind::Boolean;
                if !has_order && !matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
                    let what = format!("{symbol} compares {}, a boolean", self.quote(left));
                    return Err(Problem::new(
                        left.span.clone(),
                        what,
                        "booleans are equal or not, and neither is larger",
                    ));
                }
                Ok(Part { kind: Kind::Boolean, op: Op::Compare(comparison, a.into(), b.into()) })
            }
        }
    }

    /// Two parts of one type. A text in quotes beside a date is read as one; dates and datetimes go together.
    fn alike(
        &self,
        (left, a): (&Syntax, Part),
        (right, b): (&Syntax, Part),
        symbol: &str,
    ) -> Result<(Part, Part), Problem> {
        let (a, b) = match (a.kind.is_moment(), b.kind.is_moment()) {
            (true, false) => (a, self.moment(right, b)?),
            (false, true) => (self.moment(left, a)?, b),
            _ => (a, b),
        };
        if a.kind == b.kind || a.kind.is_moment() && b.kind.is_moment() {
            return Ok((a, b));
        }
        let what = format!(
            "{} is a {}, {} a {}, and {symbol} needs the same type on both sides",
            self.quote(left),
            a.kind.name(),
            self.quote(right),
            b.kind.name()
        );
        let (text, kind) = if a.kind == Kind::Text { (left, b.kind) } else { (right, a.kind) };
        let either_is_text = a.kind == Kind::Text || b.kind == Kind::Text;
        let why = if either_is_text { self.conversion(text, kind) } else { String::new() };
        Err(Problem::new(left.span.start..right.span.end, what, why))
    }

    /// A text in quotes that is a date or a datetime.
    fn moment(&self, syntax: &Syntax, part: Part) -> Result<Part, Problem> {
        let Op::Text(text) = &part.op else { return Ok(part) };
        if let Some(day) = parse_date(text) {
            return Ok(Part { kind: Kind::Date, op: Op::Moment(day.into()) });
        }
        match parse_datetime(text) {
            Some(moment) => Ok(Part { kind: Kind::DateTime, op: Op::Moment(moment) }),
            None => {
                let what = format!("{} is compared with a date and is none", self.quote(syntax));
                Err(Problem::new(syntax.span.clone(), what, "write '2026-01-31' or '2026-01-31T09:30:00'"))
            }
        }
    }

    /// A part that has to be of this type.
    fn of_kind(&self, syntax: &Syntax, kind: Kind, symbol: &str) -> Result<Part, Problem> {
        let part = self.part(syntax)?;
        if part.kind == kind {
            return Ok(part);
        }
        let what = format!("{} is a {}, and {symbol} needs a {}", self.quote(syntax), part.kind.name(), kind.name());
        let why = match (symbol, part.kind) {
            ("+", Kind::Text) if matches!(part.op, Op::Text(_)) => "texts are joined by ||".to_owned(),
            _ => self.conversion(syntax, kind),
        };
        Err(Problem::new(syntax.span.clone(), what, why))
    }

    /// How `syntax` becomes one of this type.
    fn conversion(&self, syntax: &Syntax, kind: Kind) -> String {
        let written = &self.text[syntax.span.clone()];
        let converted = format!("{}({written}) is one", kind.name());
        match (&syntax.node, kind) {
            (Node::Column(_), Kind::Number | Kind::Boolean | Kind::Date | Kind::DateTime) => {
                format!("{converted}; or the column gets the type in `columns` of the source")
            }
            (Node::Text(_), Kind::Number) => "a number is written without quotes".to_owned(),
            (_, Kind::Boolean) => "a condition is a comparison, such as a = 'b'".to_owned(),
            _ => converted,
        }
    }

    fn call(&self, span: Range<usize>, name: &str, arguments: &[Syntax]) -> Result<Part, Problem> {
        let wrong_count = |usage: &str| {
            let what = format!("{name} has {} arguments", arguments.len());
            Problem::new(span.clone(), what, format!("it is called as {usage}"))
        };
        let Some((_, usage, ..)) = FORMS.iter().find(|(form, ..)| *form == name) else {
            let Some(signature) = SIGNATURES.iter().find(|signature| signature.name == name) else {
                let what = format!("there is no function {name}");
                let why = "docs/topology.md lists them";
                return Err(Problem { unknown_function: Some(name.to_owned()), ..Problem::new(span, what, why) });
            };
            let (have, least) = (arguments.len(), signature.takes.len());
            if have < least || have > least && !signature.more {
                return Err(wrong_count(signature.usage));
            }
            return self.function(signature, arguments);
        };
        match (name, arguments) {
            ("if", [condition, yes, no]) => {
                let condition = self.of_kind(condition, Kind::Boolean, "if")?;
                let [yes, no] = self.same(&[yes, no], "if")?.try_into().expect("two parts make two");
                Ok(Part { kind: yes.kind, op: Op::If(Box::new([condition, yes, no])) })
            }
            ("coalesce", [_, ..]) => {
                let parts = self.same(&arguments.iter().collect::<Vec<_>>(), "coalesce")?;
                Ok(Part { kind: parts[0].kind, op: Op::Coalesce(parts) })
            }
            ("empty", [value]) => Ok(Part { kind: Kind::Boolean, op: Op::Empty(self.part(value)?.into()) }),
            _ => Err(wrong_count(usage)),
        }
    }

    /// Parts that all have the type of the first.
    fn same(&self, parts: &[&Syntax], name: &str) -> Result<Vec<Part>, Problem> {
        let first = self.part(parts[0])?;
        let rest = parts[1..].iter().map(|syntax| {
            let part = self.part(syntax)?;
            if part.kind == first.kind {
                return Ok(part);
            }
            let (have, want) = (part.kind.name(), first.kind.name());
            let what = format!("{} is a {have}, and the value before it a {want}", self.quote(syntax));
            Err(Problem::new(syntax.span.clone(), what, format!("the values of {name} have one type")))
        });
        let rest = rest.collect::<Result<Vec<_>, _>>()?;
        Ok([first].into_iter().chain(rest).collect())
    }

    fn function(&self, signature: &Signature, arguments: &[Syntax]) -> Result<Part, Problem> {
        let mut parts = Vec::with_capacity(arguments.len());
        for (at, syntax) in arguments.iter().enumerate() {
            let allowed = signature.takes[at.min(signature.takes.len() - 1)];
            let part = match allowed {
                [only] => self.of_kind(syntax, *only, signature.name)?,
                _ => self.part(syntax)?,
            };
            if !allowed.contains(&part.kind) {
                let what = format!("{} is a {}", self.quote(syntax), part.kind.name());
                let names: Vec<_> = allowed.iter().map(|kind| kind.name()).collect();
                let why = format!("{} takes a {}", signature.name, names.join(" or a "));
                return Err(Problem::new(syntax.span.clone(), what, why));
            }
            parts.push(part);
        }
        if signature.function == Function::Round {
            let decimals = match parts[1].op {
                Op::Number(number) => number.to_whole(),
                _ => None,
            };
            if !decimals.is_some_and(|decimals| (0..=i64::from(DECIMALS_MAX)).contains(&decimals)) {
                let what = format!("{} is no number of decimals", self.quote(&arguments[1]));
                return Err(Problem::new(arguments[1].span.clone(), what, "write a whole number from 0 to 15"));
            }
        }
        Ok(Part { kind: signature.gives, op: Op::Call(signature.function, parts) })
    }

    /// A part as messages quote it.
    fn quote(&self, syntax: &Syntax) -> String {
        const CHARS_MAX: usize = 40;
        let written = &self.text[syntax.span.clone()];
        match written.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => format!("{}...", &written[..end]),
            None => written.to_owned(),
        }
    }
}
