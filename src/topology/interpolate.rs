//! Fills in `${VAR}` and `${VAR:-default}`; `$${` gives a plain `${`.

/// Why a text cannot be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gap<'t> {
    /// The variable has no value and no default behind it.
    Missing(&'t str),
    /// `${` without `}`, or around something that is not a variable name; contains the text from `${` on.
    Malformed(&'t str),
}

/// `text` with its variables replaced, or everything that prevents it. A value is taken as it is and not filled in again; an empty
/// variable counts as missing where a default is given, as in a shell.
pub(super) fn interpolate<'t>(text: &'t str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Vec<Gap<'t>>> {
    let mut filled = String::with_capacity(text.len());
    let mut gaps = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(escaped) = before.strip_suffix('$') {
            filled.push_str(escaped);
            filled.push_str("${");
            rest = &from[2..];
            continue;
        }
        filled.push_str(before);
        let Some(end) = from.find('}') else {
            gaps.push(Gap::Malformed(from));
            rest = "";
            break;
        };
        let (variable, default) = match from[2..end].split_once(":-") {
            Some((variable, default)) => (variable, Some(default)),
            None => (&from[2..end], None),
        };
        if !is_variable_name(variable) {
            gaps.push(Gap::Malformed(&from[..=end]));
        } else if let Some(value) = env(variable).filter(|value| default.is_none() || !value.is_empty()) {
            filled.push_str(&value);
        } else if let Some(default) = default {
            filled.push_str(default);
        } else {
            gaps.push(Gap::Missing(variable));
        }
        rest = &from[end + 1..];
    }
    filled.push_str(rest);
    if gaps.is_empty() { Ok(filled) } else { Err(gaps) }
}

/// A name as shells allow it (POSIX.1, XBD 8.1).
fn is_variable_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| word(c) && !c.is_ascii_digit()) && name.chars().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, Vec<Gap<'_>>> {
        interpolate(text, &|name| match name {
            "CITY" => Some("서울".into()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${CITY}".into()),
            _ => None,
        })
    }

    #[test]
    fn variables_and_defaults_are_filled_in() {
        assert_eq!(fill("a ${CITY}-${NONE:-b:-c}-${EMPTY:-d}-${EMPTY}.").as_deref(), Ok("a 서울-b:-c-d-."));
        assert_eq!(fill("$CITY { $ } ${NONE:-}").as_deref(), Ok("$CITY { $ } "));
    }

    #[test]
    fn values_are_not_filled_in_again_and_a_doubled_dollar_escapes() {
        assert_eq!(fill("${NESTED} $${CITY}").as_deref(), Ok("${CITY} ${CITY}"));
    }

    #[test]
    fn every_gap_is_reported() {
        let gaps = vec![Gap::Missing("ONE"), Gap::Malformed("${2}"), Gap::Malformed("${}"), Gap::Malformed("${CITY")];
        assert_eq!(fill("${ONE} ${2} ${} ${CITY"), Err(gaps));
    }
}
