//! Reads templates: text with columns in braces, such as `"{city} {kind}"` or `"{city|all}"`.

use crate::record::TemplatePart;

/// What is wrong with a template, and why.
pub(super) type TemplateFault = (String, String);

/// Literal text and columns by turns, out of the value of `key`.
pub(super) fn split(key: &str, text: &str) -> Result<Vec<TemplatePart>, TemplateFault> {
    let unbalanced = |brace: char| {
        let what = format!("\"{key}\" has a '{brace}' without its counterpart");
        Err((what, "a column is written in braces, \"{city}\", and braces do not nest".to_owned()))
    };
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        if rest[open..].starts_with('}') {
            return unbalanced('}');
        }
        let (literal, column) = (&rest[..open], &rest[open + 1..]);
        let Some(close) = column.find(['{', '}']).filter(|at| column[*at..].starts_with('}')) else {
            return unbalanced('{');
        };
        if close == 0 {
            return Err((
                format!("\"{key}\" has braces with nothing in them"),
                "the name of a column is missing".into(),
            ));
        }
        if !literal.is_empty() {
            parts.push(TemplatePart::Literal(literal.into()));
        }
        parts.push(match column[..close].split_once('|') {
            Some(("", _) | (_, "")) => {
                let why = "a column, `|`, and the text in its place";
                return Err((format!("\"{key}\" has braces with a `|` and nothing beside it"), why.into()));
            }
            Some((column, text)) => TemplatePart::ColumnOr(column.into(), text.into()),
            None => TemplatePart::Column(column[..close].into()),
        });
        rest = &column[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(TemplatePart::Literal(rest.into()));
    }
    Ok(parts)
}
