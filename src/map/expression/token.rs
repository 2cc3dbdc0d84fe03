//! The words of an expression.

use std::ops::Range;

use super::Problem;
use super::decimal::Decimal;

/// A word, and where it is in the text.
#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) span: Range<usize>,
    pub(super) kind: TokenKind<'t>,
    text: &'t str,
}

#[derive(Clone, Debug)]
pub(super) enum TokenKind<'t> {
    Number(Decimal),
    /// In single quotes, which are doubled inside.
    Text(String),
    /// A column, a function, or a word such as `and`.
    Name(&'t str),
    /// A column in backticks.
    Quoted(&'t str),
    Symbol(&'static str),
    End,
}

/// Longer ones before those that they begin with.
const SYMBOLS: [&str; 14] = ["||", "!=", "<=", ">=", "(", ")", ",", "=", "<", ">", "+", "-", "*", "/"];

/// Symbols of other languages, and the spelling here.
const FOREIGN: [(&str, &str); 7] = [
    ("==", "equality is written ="),
    ("<>", "inequality is written !="),
    ("&&", "it is written and"),
    ("!", "it is written not"),
    ("\"", "a text is in single quotes, 'text', and a column is bare or in backticks, `a column`"),
    ("%", "there is no remainder here"),
    ("&", "texts are joined by ||"),
];

impl Token<'_> {
    /// A problem at this word, where something else was expected.
    pub(super) fn unexpected(self, expected: &str) -> Problem {
        let what = match self.kind {
            TokenKind::End => "the expression ends too early".to_owned(),
            _ => format!("{} is not expected here", self.text),
        };
        Problem::new(self.span, what, format!("expected {expected}"))
    }
}

/// All words, and the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Problem> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else { break };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let foreign = FOREIGN.iter().find(|(foreign, _)| rest.starts_with(foreign));
        let length = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
        let (kind, length) = match first {
            '\'' => text_token(rest, at)?,
            '`' => match rest[1..].find('`') {
                Some(0) | None => {
                    return Err(Problem::new(
                        at..at + 1,
                        "a name in backticks is not closed, or empty",
                        "write `name`",
                    ));
                }
                Some(end) => (TokenKind::Quoted(&rest[1..=end]), end + 2),
            },
            '0'..='9' => {
                let length = length(|c| c.is_ascii_digit() || c == '.' || c.is_alphabetic() || c == '_');
                let is_number = rest[..length].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                match Decimal::parse(&rest[..length]).filter(|_| is_number && !rest[..length].ends_with('.')) {
                    Some(number) => (TokenKind::Number(number), length),
                    None => {
                        let why = "a number is digits with a decimal point, 1234.5; a column that begins with a digit is in backticks";
                        let what = format!("\"{}\" is no number", &rest[..length]);
                        return Err(Problem::new(at..at + length, what, why));
                    }
                }
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = length(|c| c.is_alphanumeric() || c == '_');
                (TokenKind::Name(&rest[..length]), length)
            }
            _ => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(symbol) if foreign.is_none_or(|(foreign, _)| foreign.len() <= symbol.len()) => {
                    (TokenKind::Symbol(symbol), symbol.len())
                }
                _ => {
                    let (written, why) = foreign.copied().unwrap_or((
                        &rest[..first.len_utf8()],
                        "a column with such characters in its name is in backticks, `a column`",
                    ));
                    let what = format!("{written} is no part of the language");
                    return Err(Problem::new(at..at + written.len(), what, why));
                }
            },
        };
        tokens.push(Token { span: at..at + length, kind, text: &rest[..length] });
        at += length;
    }
    tokens.push(Token { span: text.len()..text.len(), kind: TokenKind::End, text: "" });
    Ok(tokens)
}

/// A text in single quotes at the beginning of `rest`, and its length.
fn text_token(rest: &str, at: usize) -> Result<(TokenKind<'static>, usize), Problem> {
    let mut value = String::new();
    let mut length = 1;
    loop {
        let Some(end) = rest[length..].find('\'') else {
            return Err(Problem::new(
                at..at + 1,
                "a text is opened by ' and not closed",
                "a quote inside is doubled: 'it''s'",
            ));
        };
        value.push_str(&rest[length..length + end]);
        length += end + 1;
        if !rest[length..].starts_with('\'') {
            break;
        }
        value.push('\'');
        length += 1;
    }
    if value.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        return Err(Problem::new(at..at + length, "a text holds a control character", "a workbook cannot hold it"));
    }
    Ok((TokenKind::Text(value), length))
}
