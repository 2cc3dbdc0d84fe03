//! The grammar of Java properties files (`java.util.Properties#load`), which Kafka's tools and librdkafka's share as far as they go.

/// One `key = value` of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// Key, escapes resolved.
    pub key: String,
    /// Value, escapes resolved and continued lines joined.
    pub value: String,
    /// Line of the key, from 1.
    pub line: usize,
}

/// The properties of a file in their order. `#` and `!` begin comments; `=`, `:` or blanks end a key; a `\` at the end of a line continues it
/// on the next, whose indent is left out.
pub(super) fn parse(text: &str) -> Result<Vec<Property>, String> {
    let mut properties = Vec::new();
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    while let Some((at, first)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical += next.trim_start(),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        let line = at + 1;
        let unescape = |text: &str| unescape(text).map_err(|problem| format!("line {line}: {problem}"));
        properties.push(Property { key: unescape(key)?, value: unescape(value)?, line });
    }
    Ok(properties)
}

/// An odd number of backslashes at the end continues a line.
fn is_continued(line: &str) -> bool {
    line.len().wrapping_sub(line.trim_end_matches('\\').len()) % 2 == 1
}

/// The raw key and the raw value.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !escaped && (matches!(c, '=' | ':') || c.is_whitespace());
        escaped = *c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.map_or(line.len(), |(at, _)| at));
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    // Java keeps blanks at the end of a value; nobody means them.
    (key, rest.trim())
}

fn unescape(raw: &str) -> Result<String, String> {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4).and_then(char::from_u32);
                text.push(code.ok_or_else(|| format!("\\u{digits} is no character"))?);
            }
            Some(other) => text.push(other),
            None => (),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).expect("properties").into_iter().map(|property| (property.key, property.value)).collect()
    }

    #[test]
    fn keys_end_where_java_ends_them() {
        let text = "# comment\n! comment\n\n a=1\nb : 2\nc 3\nd\ne==4\nf\\=g=5\n";
        let expected = [("a", "1"), ("b", "2"), ("c", "3"), ("d", ""), ("e", "=4"), ("f=g", "5")];
        assert_eq!(pairs(text), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn lines_continue_and_escapes_are_resolved() {
        let text =
            "jaas=Module required \\\r\n    username=\"a\" \\\n\tpassword=\"b\\\\c\";\r\npem=x\\ny\\u0041\nend=\\";
        assert_eq!(
            pairs(text),
            [("jaas", "Module required username=\"a\" password=\"b\\c\";"), ("pem", "x\nyA"), ("end", "")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        assert_eq!(parse("a=1\n# two\nb=\\\n3\nc=4").expect("properties")[2].line, 5);
    }

    #[test]
    fn a_broken_escape_names_its_line() {
        assert_eq!(parse("a=1\nb=\\u00").expect_err("broken"), "line 2: \\u00 is no character");
    }
}
