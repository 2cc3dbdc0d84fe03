//! Parses the text of an expression into a tree, by the grammar of docs/topology.md: precedence climbs from `or` to a sign. Names and types
//! are not looked at here.

use std::ops::Range;

use super::Problem;
use super::decimal::Decimal;
use super::token::{Token, TokenKind, tokens};

/// Longest expression, in bytes.
pub(super) const BYTES_MAX: usize = 4_096;
/// Most operators, operands and functions of one expression: its tree is walked by recursion.
const NODES_MAX: usize = 250;
/// Deepest nesting of parentheses, for the same reason.
const DEPTH_MAX: usize = 40;

/// A part of an expression, and where it is in the text.
#[derive(Debug)]
pub struct Syntax {
    pub(super) span: Range<usize>,
    pub(super) node: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    Number(Decimal),
    Text(String),
    Truth(bool),
    Column(String),
    Not(Box<Syntax>),
    Negative(Box<Syntax>),
    Binary(Operator, Box<Syntax>, Box<Syntax>),
    /// `value in (list)`
    In(Box<Syntax>, Vec<Syntax>),
    Call(String, Vec<Syntax>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Compare(Comparison),
    Plus,
    Minus,
    Join,
    Times,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// As it is written.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Operator::Or => "or",
            Operator::And => "and",
            Operator::Compare(Comparison::Equal) => "=",
            Operator::Compare(Comparison::NotEqual) => "!=",
            Operator::Compare(Comparison::Less) => "<",
            Operator::Compare(Comparison::LessOrEqual) => "<=",
            Operator::Compare(Comparison::Greater) => ">",
            Operator::Compare(Comparison::GreaterOrEqual) => ">=",
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Join => "||",
            Operator::Times => "*",
            Operator::Over => "/",
        }
    }
}

/// The operators of each level of precedence that join two parts, weakest first; `not` is between the second and the third.
const LEVELS: [&[Operator]; 5] = [
    &[Operator::Or],
    &[Operator::And],
    &[
        Operator::Compare(Comparison::Equal),
        Operator::Compare(Comparison::NotEqual),
        Operator::Compare(Comparison::LessOrEqual),
        Operator::Compare(Comparison::GreaterOrEqual),
        Operator::Compare(Comparison::Less),
        Operator::Compare(Comparison::Greater),
    ],
    &[Operator::Plus, Operator::Minus, Operator::Join],
    &[Operator::Times, Operator::Over],
];
const COMPARISONS: usize = 2;

impl Syntax {
    /// Parses a whole text.
    pub fn parse(text: &str) -> Result<Syntax, Problem> {
        if text.len() > BYTES_MAX {
            let what = format!("an expression of {} bytes", text.len());
            return Err(Problem::new(0..0, what, format!("it has {BYTES_MAX} at most; use several maps")));
        }
        let mut parser = Parser { tokens: tokens(text)?, at: 0, nodes: 0, depth: 0 };
        let syntax = parser.level(0)?;
        match parser.next() {
            Token { kind: TokenKind::End, .. } => Ok(syntax),
            Token { kind: TokenKind::Symbol("=" | "!=" | "<" | "<=" | ">" | ">="), span, .. } => {
                Err(Problem::new(span, "a second comparison", "comparisons are joined by and: 1 < x and x < 5"))
            }
            other => Err(other.unexpected("an operator such as = + and, or the end of the expression")),
        }
    }

    /// Names of the columns in it, each with its first place.
    pub fn columns(&self) -> Vec<(&str, Range<usize>)> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'s>(&'s self, found: &mut Vec<(&'s str, Range<usize>)>) {
        match &self.node {
            Node::Number(_) | Node::Text(_) | Node::Truth(_) => {}
            Node::Column(name) => {
                if !found.iter().any(|(known, _)| known == name) {
                    found.push((name, self.span.clone()));
                }
            }
            Node::Not(part) | Node::Negative(part) => part.collect(found),
            Node::Binary(_, left, right) => [left, right].into_iter().for_each(|part| part.collect(found)),
            Node::In(value, list) => {
                value.collect(found);
                list.iter().for_each(|part| part.collect(found));
            }
            Node::Call(_, arguments) => arguments.iter().for_each(|part| part.collect(found)),
        }
    }
}

struct Parser<'t> {
    /// The last one is the end.
    tokens: Vec<Token<'t>>,
    at: usize,
    nodes: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> &Token<'t> {
        &self.tokens[self.at]
    }

    fn next(&mut self) -> Token<'t> {
        let token = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Passes over a symbol or word if it is next.
    fn takes(&mut self, symbol: &str) -> bool {
        let is_next = matches!(self.peek().kind, TokenKind::Symbol(next) | TokenKind::Name(next) if next == symbol);
        if is_next {
            self.next();
        }
        is_next
    }

    fn needs(&mut self, symbol: &str, expected: &str) -> Result<Range<usize>, Problem> {
        let span = self.peek().span.clone();
        if self.takes(symbol) { Ok(span) } else { Err(self.next().unexpected(expected)) }
    }

    fn node(&mut self, span: Range<usize>, node: Node) -> Result<Syntax, Problem> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let why = format!("it has {NODES_MAX} operators, operands and functions at most; use several maps");
            return Err(Problem::new(span, "the expression is too large", why));
        }
        Ok(Syntax { span, node })
    }

    fn level(&mut self, level: usize) -> Result<Syntax, Problem> {
        let Some(operators) = LEVELS.get(level) else { return self.sign() };
        if level == COMPARISONS {
            return self.not();
        }
        let mut left = self.level(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.takes(operator.symbol())) {
            let right = self.level(level + 1)?;
            left = self.binary(*operator, left, right)?;
        }
        Ok(left)
    }

    fn binary(&mut self, operator: Operator, left: Syntax, right: Syntax) -> Result<Syntax, Problem> {
        let span = left.span.start..right.span.end;
        self.node(span, Node::Binary(operator, left.into(), right.into()))
    }

    fn not(&mut self) -> Result<Syntax, Problem> {
        let start = self.peek().span.start;
        let mut negations = 0;
        while self.takes("not") {
            negations += 1;
        }
        let mut syntax = self.comparison()?;
        for _ in 0..negations {
            syntax = self.node(start..syntax.span.end, Node::Not(syntax.into()))?;
        }
        Ok(syntax)
    }

    fn comparison(&mut self) -> Result<Syntax, Problem> {
        let left = self.level(COMPARISONS + 1)?;
        let is_negated = matches!(self.peek().kind, TokenKind::Name("not"))
            && matches!(self.tokens.get(self.at + 1).map(|token| &token.kind), Some(TokenKind::Name("in")))
            && self.takes("not");
        if self.takes("in") {
            self.needs("(", "( and a list of values behind in")?;
            let (list, end) = self.list()?;
            let span = left.span.start..end;
            if list.is_empty() {
                return Err(Problem::new(span, "an empty list behind in", "write in ('a', 'b')"));
            }
            let found = self.node(span.clone(), Node::In(left.into(), list))?;
            return if is_negated { self.node(span, Node::Not(found.into())) } else { Ok(found) };
        }
        match LEVELS[COMPARISONS].iter().find(|operator| self.takes(operator.symbol())) {
            Some(operator) => {
                let right = self.level(COMPARISONS + 1)?;
                self.binary(*operator, left, right)
            }
            None => Ok(left),
        }
    }

    fn sign(&mut self) -> Result<Syntax, Problem> {
        let start = self.peek().span.start;
        if !self.takes("-") {
            return self.primary();
        }
        let part = self.primary()?;
        self.node(start..part.span.end, Node::Negative(part.into()))
    }

    fn primary(&mut self) -> Result<Syntax, Problem> {
        let token = self.next();
        let span = token.span.clone();
        match token.kind {
            TokenKind::Number(number) => self.node(span, Node::Number(number)),
            TokenKind::Text(text) => self.node(span, Node::Text(text)),
            TokenKind::Quoted(name) => self.node(span, Node::Column(name.to_owned())),
            TokenKind::Name("true") => self.node(span, Node::Truth(true)),
            TokenKind::Name("false") => self.node(span, Node::Truth(false)),
            TokenKind::Name("and" | "or" | "not" | "in") | TokenKind::End => {
                Err(token.unexpected("a column, a number, a text in single quotes, or a function"))
            }
            TokenKind::Name(name) if self.takes("(") => {
                let (arguments, end) = self.list()?;
                self.node(span.start..end, Node::Call(name.to_owned(), arguments))
            }
            TokenKind::Name(name) => self.node(span, Node::Column(name.to_owned())),
            TokenKind::Symbol("(") => {
                self.enter(&span)?;
                let mut part = self.level(0)?;
                let end = self.needs(")", "a closing parenthesis )")?.end;
                self.depth -= 1;
                part.span = span.start..end;
                Ok(part)
            }
            TokenKind::Symbol(_) => Err(token.unexpected("a column, a number, a text in single quotes, or a function")),
        }
    }

    fn enter(&mut self, span: &Range<usize>) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let why = format!("{DEPTH_MAX} levels at most");
            return Err(Problem::new(span.clone(), "parentheses are nested too deeply", why));
        }
        Ok(())
    }

    /// Parts with commas between, up to the closing parenthesis; and where that ends.
    fn list(&mut self) -> Result<(Vec<Syntax>, usize), Problem> {
        self.enter(&self.peek().span.clone())?;
        let mut list = Vec::new();
        let end = loop {
            let end = self.peek().span.end;
            if list.is_empty() && self.takes(")") {
                break end;
            }
            list.push(self.level(0)?);
            let end = self.peek().span.end;
            if self.takes(")") {
                break end;
            }
            self.needs(",", "a comma, or a closing parenthesis )")?;
        };
        self.depth -= 1;
        Ok((list, end))
    }
}
