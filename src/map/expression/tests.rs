//! Expressions over a batch, and the problems of expressions that make no sense.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use proptest::prelude::*;

use super::*;
use crate::record::{Message, Reason, Rejection};

/// Columns: kind (text), area and people (number), lon (computed), opened (date), seen (datetime), open (boolean), code (auto).
fn column_type(name: &str) -> ColumnType {
    match name {
        "area" | "people" => ColumnType::Number,
        "lon" => ColumnType::Computed { decimals: 3 },
        "opened" => ColumnType::Date,
        "seen" => ColumnType::DateTime,
        "open" => ColumnType::Boolean,
        _ => ColumnType::Auto,
    }
}

fn check(text: &str) -> Result<Expression, Problem> {
    Expression::check(text, &Syntax::parse(text)?, column_type)
}

/// The rows of the tests.
fn batch() -> RecordBatch {
    let text = |cells: [&str; 3]| -> ArrayRef { Arc::new(StringArray::from(cells.to_vec())) };
    RecordBatch::try_from_iter([
        ("kind", text(["cafe", "Bakery", ""])),
        ("area", text(["33.50", "0", ""])),
        ("people", text(["7", "-2", "5"])),
        ("lon", Arc::new(Float64Array::from(vec![127.125, -0.5, f64::NAN]))),
        ("opened", text(["2026-01-31", "2024. 1. 5.", ""])),
        ("seen", text(["2026-01-31T09:30:00", "2024-01-05 23:59:59.250", ""])),
        ("open", text(["예", "no", ""])),
        ("code", text(["0012", "x", "1e3"])),
        ("상호 명", text(["가", "나", "다"])),
    ])
    .unwrap()
}

/// The cells of an expression for the three rows, and the faults.
fn cells(text: &str) -> ([String; 3], Vec<(u32, Rejection)>) {
    let expression = check(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
    let batch = batch();
    let schema = batch.schema();
    let types: Vec<_> = schema.fields().iter().map(|field| column_type(field.name())).collect();
    let places: Vec<_> = expression.columns().map(|name| schema.index_of(name).unwrap()).collect();
    let mut evaluation = Evaluation::new(&expression, &places, &batch, &types);
    let values = evaluation.values(&[0, 1, 2]);
    let cells = [0, 1, 2].map(|at| {
        let mut cell = String::new();
        values.write(at, expression.kind().column(), &mut cell);
        cell
    });
    drop(values);
    (cells, evaluation.into_faults())
}

/// The same, without faults.
#[track_caller]
fn is(text: &str, expected: [&str; 3]) {
    let (cells, faults) = cells(text);
    assert!(faults.is_empty(), "{text}: {faults:?}");
    assert_eq!(cells, expected, "{text}");
}

#[test]
fn precedence_is_that_of_arithmetic_and_logic() {
    is("1 + 2 * 3 - 4 / 2", ["5", "5", "5"]);
    is("-people * 2 + (1 - 3)", ["-16", "2", "-12"]);
    is("10 - 4 - 3", ["3", "3", "3"]);
    is("not true or true and false", ["false", "false", "false"]);
    is("not (people > 0 and area > 0)", ["false", "true", ""]);
    is("kind || '-' || code = 'cafe-0012'", ["true", "false", "false"]);
    is("not not open", ["true", "false", ""]);
}

#[test]
fn numbers_are_exact_and_no_value_stays_none() {
    is("area * people + 0.1 + 0.2", ["234.80", "0.3", ""]);
    is("round(people / 3, 2)", ["2.33", "-0.67", "1.67"]);
    is("people / 4", ["1.75", "-0.5", "1.25"]);
    is("lon * 2", ["254.250", "-1.000", ""]);
    is("min(people, 3, area)", ["3", "-2", ""]);
    is("max(people, 0)", ["7", "0", "5"]);
    is("abs(people) + floor(1.5) + ceil(1.5)", ["10", "5", "8"]);
    is("coalesce(area, people)", ["33.50", "0", "5"]);
    is("area > 0 or people = 5", ["true", "false", "true"]);
    is("area > 0 and people = 7", ["true", "false", "false"]);
    is("empty(area)", ["false", "false", "true"]);
}

#[test]
fn texts_are_never_missing() {
    is("kind != 'cafe'", ["false", "true", "true"]);
    is("kind in ('cafe', 'bar')", ["true", "false", "false"]);
    is("people not in (5, 7)", ["false", "true", "false"]);
    is("area in (0, 33.5)", ["true", "true", ""]);
    is("upper(kind) || '!'", ["CAFE!", "BAKERY!", "!"]);
    is("lower(trim('  ' || kind || ' '))", ["cafe", "bakery", ""]);
    is("length(kind)", ["4", "6", "0"]);
    is("substring(`상호 명` || kind, 2, 3)", ["caf", "Bak", ""]);
    is("replace(kind, 'a', 'aa')", ["caafe", "Baakery", ""]);
    is("contains(kind, 'k') or starts_with(kind, 'c')", ["true", "true", "false"]);
    is("ends_with(kind, 'y')", ["false", "true", "false"]);
    is("if(empty(kind), 'none', 'it''s ' || kind)", ["it's cafe", "it's Bakery", "none"]);
    is("text(area) || '|' || text(open) || '|' || text(opened)", ["33.50|true|2026-01-31", "0|false|2024-01-05", "||"]);
}

#[test]
fn dates_compare_with_texts_in_quotes() {
    is("opened >= '2026-01-31'", ["true", "false", ""]);
    is("'2024-01-05' = opened", ["false", "true", ""]);
    is("seen > opened", ["true", "true", ""]);
    is("seen", ["2026-01-31T09:30:00", "2024-01-05T23:59:59.250", ""]);
    is("date(seen) = opened", ["true", "true", ""]);
    is("year(opened) * 10000 + month(opened) * 100 + day(seen)", ["20260131", "20240105", ""]);
    is("date('20260131')", ["2026-01-31"; 3]);
    is("opened in ('2026-01-31', '2026-02-01T00:00:00')", ["true", "false", ""]);
    is("datetime(opened)", ["2026-01-31T00:00:00", "2024-01-05T00:00:00", ""]);
}

#[test]
fn what_a_row_cannot_give_is_a_fault_of_that_row_alone() {
    let (values, faults) = cells("people / area");
    assert_eq!((values[0].as_str(), values[2].as_str()), ("0.208955223880597", ""));
    assert_eq!(faults, [(1, Rejection::new(Message::DivisionByZero {}))]);
    let (values, faults) = cells("number(code) + 1");
    assert_eq!(values, ["13", "", "1001"]);
    assert_eq!(
        (faults[0].0, faults[0].1.reason, faults[0].1.column.as_deref()),
        (1, Reason::NumberFormat, Some("code"))
    );
    is("if(area = 0, 0, people / area) >= 0", ["true", "true", ""]);
    is("area != 0 and people / area > 0", ["true", "false", ""]);
    is("area = 0 or people / area > 0", ["true", "true", ""]);
    is("coalesce(area, 1 / (people - 7))", ["33.50", "0", "-0.5"]);
    let (_, faults) = cells("people * 10000000000000000000000000000000000000 * 10");
    assert_eq!(
        faults.iter().map(|(row, why)| (*row, why.reason)).collect::<Vec<_>>(),
        [(0, Reason::ExpressionUndefined), (1, Reason::ExpressionUndefined), (2, Reason::ExpressionUndefined)]
    );
}

#[test]
fn no_text_grows_beyond_a_cell() {
    let long = (0..6).fold("replace(kind, 'e', '0123456789')".to_owned(), |text, digit| {
        format!("replace({text}, '{digit}', '0123456789 0123456789 0123456789 0123456789 0123456789 0123456789')")
    });
    let (values, faults) = cells(&long);
    assert_eq!(values[2], "");
    assert_eq!(
        faults.iter().map(|(row, why)| (*row, why.reason)).collect::<Vec<_>>(),
        [(0, Reason::CellTooLong), (1, Reason::CellTooLong)]
    );
}

/// (expression, the part that is pointed at, what is said of it)
#[test]
fn problems_point_at_their_place() {
    for (text, part, what) in [
        ("", "", "the expression ends too early; expected a column"),
        ("area >", "", "the expression ends too early"),
        ("area 5", "5", "5 is not expected here; expected an operator"),
        ("area == 5", "==", "== is no part of the language; equality is written ="),
        ("area <> 5", "<>", "<> is no part of the language; inequality is written !="),
        ("a && b", "&&", "it is written and"),
        ("kind = \"cafe\"", "\"", "a text is in single quotes"),
        ("kind = 'cafe", "'", "a text is opened by ' and not closed"),
        ("`kind", "`", "a name in backticks is not closed"),
        ("1.2.3", "1.2.3", "\"1.2.3\" is no number"),
        ("2nd = 1", "2nd", "\"2nd\" is no number"),
        ("1 < people < 5", "<", "a second comparison; comparisons are joined by and"),
        (
            "code > 5",
            "code > 5",
            "code is a text, 5 a number, and > needs the same type on both sides; number(code) is one",
        ),
        ("area + '5'", "'5'", "'5' is a text, and + needs a number; texts are joined by ||"),
        ("area and open", "area", "area is a number, and and needs a boolean"),
        ("kind || area", "area", "area is a number, and || needs a text; text(area) is one"),
        ("open > true", "open", "> compares open, a boolean"),
        ("opened > 'soon'", "'soon'", "'soon' is compared with a date and is none"),
        ("people in ()", "people in ()", "an empty list behind in"),
        ("round(area)", "round(area)", "round has 1 arguments; it is called as round(number, decimals)"),
        ("round(area, people)", "people", "people is no number of decimals"),
        ("if(open, 1, 'a')", "'a'", "'a' is a text, and the value before it a number; the values of if have one type"),
        ("if(open, 1)", "if(open, 1)", "it is called as if(condition, value, other)"),
        ("year(area)", "area", "area is a number; year takes a date or a datetime"),
        ("upercase(kind)", "upercase(kind)", "there is no function upercase"),
        ("kind = '\u{1}'", "'\u{1}'", "a text holds a control character"),
        ("area % 2", "%", "% is no part of the language; there is no remainder here"),
        ("and", "and", "and is not expected here"),
    ] {
        let problem = check(text).expect_err(text);
        let said = format!("{}; {}", problem.what, problem.why);
        assert!(said.contains(what), "{text}: {said}");
        assert_eq!(&text[problem.span], part, "{text}: {said}");
    }
}

#[test]
fn large_and_deep_expressions_are_refused_without_a_walk() {
    for text in [
        "(".repeat(3_000),
        format!("{}1{}", "(".repeat(41), ")".repeat(41)),
        vec!["1"; 200].join(" + "),
        "not ".repeat(900) + "open",
        "if(open, ".repeat(100),
        "x".repeat(5_000),
    ] {
        assert!(check(&text).is_err());
    }
    assert!(check(&vec!["1"; 125].join(" + ")).is_ok());
}

proptest! {
    #[test]
    fn any_text_is_checked_and_what_is_right_gives_values(text in "[ a-z0-9'`()+*/<>=!,.|-]{0,60}") {
        if let Ok(syntax) = Syntax::parse(&text) {
            Expression::check(&text, &syntax, column_type).ok();
        }
    }

    /// Any expression of this shape has a value or a fault in every row, or is refused.
    #[test]
    fn expressions_of_all_functions_end(parts in prop::collection::vec(0usize..40, 1..40)) {
        let names: Vec<_> = function_names().collect();
        let leaves = ["area", "people", "kind", "opened", "seen", "open", "lon", "12.5", "'a'", "true", "code"];
        let mut stack: Vec<String> = Vec::new();
        for part in parts {
            match names.get(part) {
                Some(name) => {
                    let arguments = stack.split_off(stack.len().saturating_sub(1 + part % 3));
                    stack.push(format!("{name}({})", arguments.join(", ")));
                }
                None => stack.push(leaves[part % leaves.len()].to_owned()),
            }
        }
        for text in stack {
            if check(&text).is_ok() {
                let (_, faults) = cells(&text);
                prop_assert!(faults.len() <= 3);
            }
        }
    }
}
