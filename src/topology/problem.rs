//! The problems of a topology file and their places. They are collected by byte offset while a file is read, and shown by line and column.

use std::fmt;
use std::ops::Range;

use crate::page::width::columns_of;

/// One thing that is wrong with a topology file.
///
/// Displays as `line:column: what; why; did you mean "nearest"?`, each part as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Where; `None` when the file could not be read at all.
    #[serde(flatten)]
    pub at: Option<Position>,
    /// The problem, with the value that offends.
    pub what: String,
    /// Why that is wrong, or what would be right.
    pub why: Option<String>,
    /// The valid name that is nearest to the wrong one.
    pub nearest: Option<String>,
    /// The line of the text, and what of it is meant; `None` when the file could not be read at all.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// A line of a text, a part of it marked. Displays in two lines, the second of which has a `^` below each character of the part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Number of the line, from 1.
    number: usize,
    /// The line, a long one cut on either side.
    line: String,
    /// The marked part, in bytes of the line.
    marked: Range<usize>,
}

/// Characters of a line that are shown before what is marked, and in all.
const SHOWN_BEFORE: usize = 60;
const SHOWN_CHARS: usize = 120;

impl Excerpt {
    fn of(number: usize, line: &str, marked: Range<usize>) -> Excerpt {
        let before: usize = line[..marked.start].chars().count().saturating_sub(SHOWN_BEFORE);
        let from = line.char_indices().nth(before).map_or(0, |(at, _)| at);
        let rest = &line[from..];
        let to = rest.char_indices().nth(SHOWN_CHARS).map_or(rest.len(), |(at, _)| at);
        let [cut, more] = [before > 0, to < rest.len()].map(|is_cut| if is_cut { "…" } else { "" });
        // One character each: a tab would be as wide as the terminal likes, and nothing in a file may steer it.
        let shown: String = rest[..to].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let place = |at: usize| {
            let at = at.clamp(from, from + to) - from;
            cut.len() + rest[..at].chars().map(|c| if c.is_control() { 1 } else { c.len_utf8() }).sum::<usize>()
        };
        let marked = place(marked.start)..place(marked.end);
        Excerpt { number, line: format!("{cut}{shown}{more}"), marked }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = columns_of(&self.line[..self.marked.start]);
        let marks = columns_of(&self.line[self.marked.clone()]).max(1);
        let number = self.number.to_string();
        writeln!(f, "  {number} | {}", self.line.trim_end())?;
        write!(f, "  {:width$} | {:before$}{}", "", "", "^".repeat(marks), width = number.len())
    }
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, counted in characters as editors do.
    pub column: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.at {
            write!(f, "{line}:{column}: ")?;
        }
        f.write_str(&self.what)?;
        if let Some(why) = &self.why {
            write!(f, "; {why}")?;
        }
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean \"{nearest}\"?"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with one topology file, in the order of the file. Never empty.
///
/// Displays one line a problem, `file:line:column: what; why; did you mean "nearest"?`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
pub struct Problems {
    /// The file, as it was named to us.
    pub file: String,
    /// Its problems.
    pub problems: Vec<Problem>,
}

impl Problems {
    /// The problem of a file as a whole, such as one that cannot be read.
    pub(super) fn of_file(file: &str, what: impl Into<String>, why: impl Into<String>) -> Problems {
        let problem = Problem { at: None, what: what.into(), why: Some(why.into()), nearest: None, excerpt: None };
        Problems { file: file.into(), problems: vec![problem] }
    }

    /// The same, each problem followed by the line that it is in.
    pub fn with_excerpts(&self) -> impl fmt::Display {
        fmt::from_fn(|f| self.write(f, true))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, with_excerpts: bool) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            let line_feed = if n == 0 { "" } else { "\n" };
            let blank = if problem.at.is_none() { " " } else { "" };
            write!(f, "{line_feed}{}:{blank}{problem}", self.file)?;
            // Of several problems of one place the last one shows it.
            let is_shown_below = |excerpt: &&Excerpt| {
                self.problems.get(n + 1).is_some_and(|next| next.excerpt.as_ref() == Some(*excerpt))
            };
            if let Some(excerpt) = problem.excerpt.as_ref().filter(|shown| with_excerpts && !is_shown_below(shown)) {
                write!(f, "\n{excerpt}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

/// The problems of one text so far, each about some bytes of it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<(Range<usize>, Problem)>,
}

impl Findings {
    /// Notes a problem at the start of `span`.
    pub(super) fn add(&mut self, span: Range<usize>, what: impl Into<String>, why: impl Into<String>) {
        self.add_nearest(span, what, why, None);
    }
    /// Notes a problem together with the valid name nearest to what was written.
    pub(super) fn add_nearest(
        &mut self,
        span: Range<usize>,
        what: impl Into<String>,
        why: impl Into<String>,
        nearest: Option<&str>,
    ) {
        let why = Some(printable(&why.into())).filter(|why| !why.is_empty());
        let (what, nearest) = (printable(&what.into()), nearest.map(printable));
        self.found.push((span, Problem { at: None, what, why, nearest, excerpt: None }));
    }
    /// Keeps the first problem of each line. Others of the line most likely follow from it.
    pub(super) fn keep_first_of_each_line(&mut self, text: &str) {
        self.found.sort_by_key(|(span, _)| span.start);
        let lines = Lines::of(text);
        self.found.dedup_by_key(|(span, _)| lines.line(span.start));
    }
    /// True when nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
    /// The problems in the order of the text, offsets turned into lines and columns.
    pub(super) fn into_problems(mut self, file: &str, text: &str) -> Problems {
        self.found.sort_by_key(|(span, _)| span.start);
        let lines = Lines::of(text);
        let place = |(span, problem): (Range<usize>, Problem)| Problem {
            at: Some(lines.position(span.start)),
            excerpt: Some(lines.excerpt(span)),
            ..problem
        };
        Problems { file: file.into(), problems: self.found.into_iter().map(place).collect() }
    }
}

/// A text that quotes a file and still fits one line of a terminal: control characters escaped, an endless value cut.
fn printable(text: &str) -> String {
    const CHARS_MAX: usize = 600;
    let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    let mut printable: String = text.chars().take(CHARS_MAX).map(escape).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        printable.push_str("...");
    }
    printable
}

/// Where the lines of a text begin.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Lines<'t> {
        let starts = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Lines { text, starts }
    }
    /// Line of a byte offset, from 1.
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }
    /// The line in which a part of the text begins, the part marked as far as it is in that line.
    fn excerpt(&self, part: Range<usize>) -> Excerpt {
        let start = self.text.floor_char_boundary(part.start);
        let number = self.line(start);
        let from = self.starts[number - 1];
        let line = self.text[from..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let end = self.text.ceil_char_boundary(part.end).clamp(start, (from + line.len()).max(start));
        let within = |at: usize| (at - from).min(line.len());
        Excerpt::of(number, line, within(start)..within(end))
    }
    fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line(offset);
        Position { line, column: self.text[self.starts[line - 1]..offset].chars().count() + 1 }
    }
}

/// Of `valid`, the name that `written` most likely meant: at most two in five characters differ, in whatever case.
pub(super) fn nearest<'n>(written: &str, valid: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let written = written.to_lowercase();
    let rank = |name: &'n str| {
        let distance = strsim::osa_distance(&written, &name.to_lowercase());
        let longest = written.chars().count().max(name.chars().count());
        (distance * 5 <= longest * 2).then_some((distance, name))
    };
    valid.into_iter().filter_map(rank).min().map(|(_, name)| name)
}

/// Quoted names, comma between: `"a", "b"`; the first ten of a long list.
pub(super) fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const SHOWN: usize = 10;
    let names: Vec<&str> = names.into_iter().collect();
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("\"{name}\"")).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = "a = 1\n\"위도\" = 2\n";
        let offset = text.rfind('=').expect("there is one");
        assert_eq!(Lines::of(text).position(offset), Position { line: 2, column: 6 });
        assert_eq!(Lines::of(text).position(text.len() + 9), Position { line: 3, column: 1 });
    }

    #[test]
    fn nearest_takes_near_names_only() {
        assert_eq!(nearest("idle_timout", ["idle_timeout", "topic"]), Some("idle_timeout"));
        assert_eq!(nearest("Topic", ["topic", "name"]), Some("topic"));
        assert_eq!(nearest("엑스좌표", ["엑스좌표_값", "와이좌표_값"]), Some("엑스좌표_값"));
        assert_eq!(nearest("brokers", ["topic", "name"]), None);
    }

    #[test]
    fn quoted_text_stays_on_its_line() {
        assert_eq!(printable("a\u{1b}[31m\nb 위도"), "a\\u{1b}[31m\\nb 위도");
        assert_eq!(printable(&"x".repeat(601)).len(), 603);
    }

    #[test]
    fn problems_display_one_line_each_in_order_of_the_text() {
        let mut findings = Findings::default();
        findings.add(7..8, "second", "");
        findings.add_nearest(0..1, "first", "because", Some("frist"));
        let shown = findings.into_problems("t.toml", "a = 1\nb = 2\n").to_string();
        assert_eq!(shown, "t.toml:1:1: first; because; did you mean \"frist\"?\nt.toml:2:2: second");
    }

    #[test]
    fn an_excerpt_marks_what_is_meant_below_its_line() {
        let text = "a = 1\r\n\t위도 = \"x\"\nlast = [\n 1 ]";
        let excerpt = |part: &str| {
            let at = text.find(part).expect("it is there");
            Lines::of(text).excerpt(at..at + part.len()).to_string()
        };
        assert_eq!(excerpt("1"), "  1 | a = 1\n    |     ^");
        assert_eq!(excerpt("위도"), "  2 |  위도 = \"x\"\n    |  ^^^^");
        assert_eq!(excerpt("[\n 1 ]"), "  3 | last = [\n    |        ^");
        assert_eq!(Lines::of(text).excerpt(99..99).to_string(), "  4 |  1 ]\n    |     ^");
        let long = format!("k = [{}]", "12345, ".repeat(100));
        let shown = Lines::of(&long).excerpt(404..409).to_string();
        let (line, marks) = shown.split_once('\n').expect("two lines");
        assert!(line.chars().count() < 130 && line.starts_with("  1 | …") && line.ends_with('…'), "{line}");
        let at = marks.find('^').expect("a mark");
        assert_eq!(line.chars().skip(at).take(5).collect::<String>(), long[404..409]);
    }
}
