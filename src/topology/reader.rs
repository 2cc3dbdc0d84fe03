//! Reads TOML tables key by key and remembers which keys were asked for, so that what is left over is unknown and has a nearest name. Unlike
//! a serde derive it does not stop at the first thing that is wrong.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::interpolate::{Gap, interpolate};
use super::problem::{Findings, list, nearest};
use super::words::Words;

/// What all tables of a file are read with.
pub(super) struct Reader<'r> {
    /// The file.
    pub text: &'r str,
    /// Values of `${VAR}`.
    pub env: &'r dyn Fn(&str) -> Option<String>,
    /// What is wrong so far.
    pub findings: Findings,
}

impl Reader<'_> {
    /// Reads a TOML table. `read` asks for its keys; what it did not ask for is unknown, what it needs and is not there is missing.
    pub fn table<'t, T>(
        &mut self,
        place: &str,
        span: Range<usize>,
        table: &'t DeTable<'t>,
        read: impl FnOnce(&mut Self, &mut Fields<'t>) -> T,
    ) -> T {
        let mut fields = Fields { table, asked: Vec::new(), missing: Vec::new() };
        let value = read(self, &mut fields);
        let Fields { asked, mut missing, .. } = fields;
        for key in table.keys().filter(|key| !asked.contains(&key.get_ref().as_ref())) {
            let near = nearest(key.get_ref(), asked.iter().copied());
            missing.retain(|(key, _)| Some(*key) != near); // it stands there, misspelt
            let known = format!("known here: {}", list(asked.iter().copied()));
            let known = if near.is_some() { String::new() } else { known };
            self.findings.add_nearest(key.span(), format!("unknown key \"{}\" in {place}", key.get_ref()), known, near);
        }
        for (key, why) in missing {
            self.findings.add(span.clone(), format!("\"{key}\" is missing in {place}"), why);
        }
        value
    }

    /// A text with its variables filled in.
    pub fn text(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Spanned<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, "a text in quotes", value);
            return None;
        };
        match interpolate(text, self.env) {
            Ok(filled) => Some(Spanned::new(value.span(), filled)),
            Err(gaps) => {
                gaps.iter().for_each(|gap| self.gap(value.span(), gap));
                None
            }
        }
    }

    /// A text, or a list of texts that is not empty.
    pub fn texts(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Spanned<String>>> {
        let Some(items) = value.get_ref().as_array() else {
            if !value.get_ref().is_str() {
                self.wrong_type(key, "a text in quotes or a list of them", value);
                return None;
            }
            return Some(vec![self.text(key, value)?]);
        };
        if items.is_empty() {
            self.findings.add(value.span(), format!("\"{key}\" is an empty list"), "it needs at least one name");
        }
        let texts: Vec<_> = items.iter().map(|item| self.text(key, item)).collect();
        texts.into_iter().collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty())
    }

    /// One of `words`.
    pub fn choice<T: Copy>(&mut self, key: &str, value: &Spanned<DeValue<'_>>, words: &Words<T>) -> Option<T> {
        let text = self.text(key, value)?;
        let found = words.table.iter().find(|(word, _)| word == text.get_ref());
        if found.is_none() {
            let known = words.table.iter().map(|(word, _)| *word);
            let what = format!("\"{key}\" cannot be \"{}\"", text.get_ref());
            let why = format!("it is one of {}", list(known.clone()));
            self.findings.add_nearest(text.span(), what, why, nearest(text.get_ref(), known));
        }
        found.map(|(_, choice)| *choice)
    }

    /// A value of another type than the key takes.
    pub fn wrong_type(&mut self, key: &str, expected: &str, value: &Spanned<DeValue<'_>>) {
        let article = if matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" };
        let what = format!("\"{key}\" is {article} {}", value.get_ref().type_str());
        self.findings.add(value.span(), what, format!("it must be {expected}"));
    }

    /// Points at the variable itself where the file spells it out.
    fn gap(&mut self, span: Range<usize>, gap: &Gap<'_>) {
        let (written, what, why) = match gap {
            Gap::Missing(name) => (
                format!("${{{name}"),
                format!("environment variable {name} is not set"),
                format!("set it, or give a default: ${{{name}:-default}}"),
            ),
            Gap::Malformed(text) => (
                (*text).to_owned(),
                format!("\"{text}\" is not a variable"),
                "write ${NAME} or ${NAME:-default}, and $${ for a plain ${".to_owned(),
            ),
        };
        let inside = self.text.get(span.clone()).and_then(|source| source.find(&written)).unwrap_or(0);
        self.findings.add(span.start + inside..span.end, what, why);
    }
}

/// The keys of one table, and which of them were asked for.
pub(super) struct Fields<'t> {
    table: &'t DeTable<'t>,
    asked: Vec<&'static str>,
    missing: Vec<(&'static str, &'static str)>,
}

impl<'t> Fields<'t> {
    /// The value of a key that may be there.
    pub fn get(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.push(key);
        self.table.get(key)
    }
    /// The value of a key that must be there.
    pub fn need(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        let value = self.get(key);
        if value.is_none() {
            self.need_because(key, "");
        }
        value
    }
    /// A key that was asked for, is not there and must be, and why.
    pub fn need_because(&mut self, key: &'static str, why: &'static str) {
        self.missing.push((key, why));
    }
    /// A text that may be there.
    pub fn text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Spanned<String>> {
        let value = self.get(key)?;
        reader.text(key, value)
    }
    /// A text that must be there.
    pub fn need_text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Spanned<String>> {
        let value = self.need(key)?;
        reader.text(key, value)
    }
    /// One of `words`, `default` without the key.
    pub fn choice<T: Copy>(&mut self, reader: &mut Reader<'_>, key: &'static str, words: &Words<T>, default: T) -> T {
        self.get(key).and_then(|value| reader.choice(key, value, words)).unwrap_or(default)
    }
    /// `true` or `false`, `default` without the key.
    pub fn boolean(&mut self, reader: &mut Reader<'_>, key: &'static str, default: bool) -> bool {
        let Some(value) = self.get(key) else { return default };
        value.get_ref().as_bool().unwrap_or_else(|| {
            reader.wrong_type(key, "true or false, without quotes", value);
            default
        })
    }
    /// A whole number within `range` that may be there.
    pub fn integer<T>(&mut self, reader: &mut Reader<'_>, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        let value = self.get(key)?;
        let limits = format!("a whole number from {} to {}", range.start(), range.end());
        let Some(integer) = value.get_ref().as_integer() else {
            reader.wrong_type(key, &limits, value);
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.and_then(|number| T::try_from(number).ok()).filter(|number| range.contains(number));
        if number.is_none() {
            let what = format!("\"{key}\" cannot be {integer}");
            reader.findings.add(value.span(), what, format!("it must be {limits}"));
        }
        number
    }
}
