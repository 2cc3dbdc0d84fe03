//! `sasl.jaas.config`: one login module with its options, `Module required username="alice" password="secret";`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// A login module of Java.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kafka) struct Login {
    /// Last part of the class name, as `PlainLoginModule`.
    pub module: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

/// Reads one entry; its control flag (`required`) means nothing to a client.
///
/// Errors say where the grammar broke and never quote a value, which is a secret.
pub(in crate::kafka) fn parse(text: &str) -> Result<Login, String> {
    let mut chars = text.trim().chars().peekable();
    let class = word(&mut chars);
    let module = class.rsplit('.').next().unwrap_or_default().to_owned();
    if module.is_empty() {
        return Err("it names no login module".into());
    }
    let flag = word(&mut chars);
    if !["required", "requisite", "sufficient", "optional"].contains(&flag.to_lowercase().as_str()) {
        return Err(format!("{module} is not followed by the word required"));
    }
    let mut options = BTreeMap::new();
    loop {
        skip_blanks(&mut chars);
        match chars.peek() {
            Some(';') => return Ok(Login { module, options }),
            None => return Err("it does not end with a semicolon".into()),
            Some(_) => (),
        }
        let name = word(&mut chars);
        skip_blanks(&mut chars);
        if name.is_empty() || chars.next() != Some('=') {
            return Err(format!("option {} of {module} has no =", options.len() + 1));
        }
        skip_blanks(&mut chars);
        let value = match chars.peek() {
            Some('"') => quoted(&mut chars).ok_or_else(|| format!("the value of {name} has no closing quote"))?,
            _ => word(&mut chars),
        };
        options.insert(name, value);
    }
}

fn skip_blanks(chars: &mut Peekable<Chars>) {
    while chars.next_if(|c| c.is_whitespace()).is_some() {}
}

/// Up to a blank, `=` or `;`.
fn word(chars: &mut Peekable<Chars>) -> String {
    skip_blanks(chars);
    let mut word = String::new();
    while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !matches!(c, '=' | ';')) {
        word.push(c);
    }
    word
}

fn quoted(chars: &mut Peekable<Chars>) -> Option<String> {
    chars.next();
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_may_be_quoted_escaped_and_bare() {
        let text = r#"org.apache.kafka.common.security.plain.PlainLoginModule required
            username="al;ice" password="a\"b\\c=;" user_bob=bob;"#;
        let login = parse(text).expect("a login");
        assert_eq!(login.module, "PlainLoginModule");
        let options: Vec<_> = login.options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(options, [("password", "a\"b\\c=;"), ("user_bob", "bob"), ("username", "al;ice")]);
        assert_eq!(parse("x.OAuthBearerLoginModule required;").expect("a login").options.len(), 0);
    }

    #[test]
    fn what_is_broken_is_said_without_the_secret() {
        for (text, expected) in [
            ("", "it names no login module"),
            ("PlainLoginModule password=marked;", "PlainLoginModule is not followed by the word required"),
            ("PlainLoginModule required password=\"marked\"", "it does not end with a semicolon"),
            ("PlainLoginModule required password=\"marked;", "the value of password has no closing quote"),
            ("PlainLoginModule required username=a marked;", "option 2 of PlainLoginModule has no ="),
        ] {
            assert_eq!(parse(text).expect_err("broken"), expected);
        }
    }
}
