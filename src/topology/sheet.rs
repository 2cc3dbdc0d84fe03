//! Reads `sheet`, which names a row's sheet: a column, or a template such as `"{city} {kind}"`.

use super::template::{TemplateFault, split};
use crate::aggregate::SheetKey;
use crate::record::{SheetName, TemplatePart};

/// Reads `sheet`. Text without braces is a column; a template of a single column is that column.
pub(super) fn parse(text: &str) -> Result<SheetKey, TemplateFault> {
    if text.is_empty() {
        return Err(("\"sheet\" is empty".into(), "it is a column, or a template such as \"{city} {kind}\"".into()));
    }
    if !text.contains(['{', '}']) {
        return Ok(SheetKey::Column(text.into()));
    }
    let parts = split("sheet", text)?;
    check_literals(&parts)?;
    Ok(match &parts[..] {
        [TemplatePart::Column(column)] => SheetKey::Column(column.clone()),
        _ => SheetKey::Template(parts),
    })
}

/// The fixed text must fit a sheet name and leave room for what the columns say.
fn check_literals(parts: &[TemplatePart]) -> Result<(), TemplateFault> {
    let literals = parts.iter().filter_map(|part| match part {
        TemplatePart::Literal(text) | TemplatePart::ColumnOr(_, text) => Some(text.as_str()),
        TemplatePart::Column(_) => None,
    });
    let fixed: String = literals.collect();
    if let Some(c) = fixed.chars().find(|c| SheetName::parse(&format!("x{c}x")).is_none()) {
        let what = format!("\"sheet\" has the character {c:?}");
        return Err((
            what,
            "Excel allows none of [ ] : * ? / \\ and no control characters in the name of a sheet".into(),
        ));
    }
    let begins = matches!(parts.first(), Some(TemplatePart::Literal(text)) if text.starts_with('\''));
    let ends = matches!(parts.last(), Some(TemplatePart::Literal(text)) if text.ends_with('\''));
    if begins || ends {
        let why = "Excel does not allow it at either end of the name of a sheet";
        return Err(("\"sheet\" begins or ends with an apostrophe".into(), why.into()));
    }
    let units = fixed.encode_utf16().count();
    if units >= SheetName::UNITS_MAX {
        let what = format!("\"sheet\" has {units} characters of fixed text");
        let why =
            format!("the name of a sheet has at most {}, and the columns need some of them", SheetName::UNITS_MAX);
        return Err((what, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_make_a_template_and_a_lone_column_is_no_template() {
        let literal = |text: &str| TemplatePart::Literal(text.into());
        let column = |text: &str| TemplatePart::Column(text.into());
        assert_eq!(parse("구"), Ok(SheetKey::Column("구".into())));
        assert_eq!(parse("{구}"), Ok(SheetKey::Column("구".into())));
        let parts = vec![literal("서울 "), column("구"), column("동"), literal(".")];
        assert_eq!(parse("서울 {구}{동}."), Ok(SheetKey::Template(parts)));
        let optional = vec![TemplatePart::ColumnOr("구".into(), "자료".into())];
        assert_eq!(parse("{구|자료}"), Ok(SheetKey::Template(optional)));
        assert_eq!(parse("{구{{b}}}"), Ok(SheetKey::Column("구{b}".into())));
        let parts = vec![literal("{"), column("구"), literal(" }")];
        assert_eq!(parse("{{{구} }}"), Ok(SheetKey::Template(parts.clone())));
        assert_eq!(SheetKey::Template(parts).to_string(), "{{{구} }}");
    }

    #[test]
    fn impossible_templates_are_refused() {
        for text in [
            "", "{a", "a}", "{a}}", "{{a}", "{}", "{a} [b]", "a/{b}", "'{a}", "{a}'", "{a}\n", "{a|}", "{|a}",
            "{a|b/c}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let thirty = "x".repeat(30);
        assert!(parse(&format!("{thirty}{{a}}")).is_ok());
        assert!(parse(&format!("{thirty}y{{a}}")).is_err());
    }
}
