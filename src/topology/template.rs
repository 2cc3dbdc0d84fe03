//! Reads templates: text with columns in braces, such as `"{city} {kind}"` or `"{city|all}"`.

use crate::record::TemplatePart;

/// What is wrong with a template, and why.
pub(super) type TemplateFault = (String, String);

/// Literal text and columns by turns, out of the value of `key`. A doubled brace is a plain one.
pub(super) fn split(key: &str, text: &str) -> Result<Vec<TemplatePart>, TemplateFault> {
    let unbalanced = |brace: char| {
        let what = format!("\"{key}\" has a '{brace}' without its counterpart");
        Err((what, "a column is written in braces, \"{city}\", and braces do not nest".to_owned()))
    };
    let (mut parts, mut read, mut in_column) = (Vec::new(), String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' if rest.next_if_eq(&c).is_some() => read.push(c),
            '{' | '}' if in_column != (c == '}') => return unbalanced(if in_column { '{' } else { c }),
            '{' | '}' => {
                let read = std::mem::take(&mut read);
                match in_column {
                    true => parts.push(column(key, &read)?),
                    false if read.is_empty() => {}
                    false => parts.push(TemplatePart::Literal(read)),
                }
                in_column = !in_column;
            }
            _ => read.push(c),
        }
    }
    if in_column {
        return unbalanced('{');
    }
    if !read.is_empty() {
        parts.push(TemplatePart::Literal(read));
    }
    Ok(parts)
}

/// What is between braces.
fn column(key: &str, text: &str) -> Result<TemplatePart, TemplateFault> {
    if text.is_empty() {
        let what = format!("\"{key}\" has braces with nothing in them");
        return Err((what, "the name of a column is missing".into()));
    }
    match text.split_once('|') {
        Some(("", _) | (_, "")) => {
            let why = "a column, `|`, and the text in its place";
            Err((format!("\"{key}\" has braces with a `|` and nothing beside it"), why.into()))
        }
        Some((column, text)) => Ok(TemplatePart::ColumnOr(column.into(), text.into())),
        None => Ok(TemplatePart::Column(text.into())),
    }
}
