//! Reads TOML tables by the tables of `keys.rs`, which give names, bounds and defaults. Unlike a serde derive it does not stop at the first
//! thing that is wrong, and an unknown key has a nearest name.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::interpolate::{Gap, interpolate};
use super::problem::{Findings, list, nearest};
use super::table::{Default, Kind, Table};
use super::words::Words;

/// Reads all tables of a file.
pub(super) struct Reader<'r> {
    /// The file.
    pub text: &'r str,
    /// Values of `${VAR}`.
    pub env: &'r dyn Fn(&str) -> Option<String>,
    /// The problems so far.
    pub findings: Findings,
}

impl Reader<'_> {
    /// Reads a TOML table with these keys. `read` asks for each of them; a key that it needs and that is not there is missing.
    pub(super) fn table<'t, T>(
        &mut self,
        keys: &'static Table,
        span: Range<usize>,
        table: &'t DeTable<'t>,
        read: impl FnOnce(&mut Self, &mut Fields<'t>) -> T,
    ) -> T {
        let mut fields = Fields { table, keys, asked: Vec::new(), missing: Vec::new() };
        let value = read(self, &mut fields);
        let Fields { asked, mut missing, .. } = fields;
        let known = || keys.keys.iter().map(|key| key.name);
        debug_assert!(known().all(|key| asked.contains(&key)), "a key of {} has no reader", keys.place);
        for key in table.keys().filter(|key| !known().any(|known| *known == *key.get_ref())) {
            let near = nearest(key.get_ref(), known());
            missing.retain(|(key, _)| Some(*key) != near); // it is there, misspelt
            let others = if near.is_some() { String::new() } else { format!("known here: {}", list(known())) };
            let what = format!("unknown key \"{}\" in {}", key.get_ref(), keys.place);
            self.findings.add_nearest(key.span(), what, others, near);
        }
        for (key, why) in missing {
            self.findings.add(span.clone(), format!("\"{key}\" is missing in {}", keys.place), why);
        }
        value
    }

    /// A text with its variables filled in.
    pub(super) fn text(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Spanned<String>> {
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
    pub(super) fn texts(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Spanned<String>>> {
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
    pub(super) fn choice<T: Copy>(&mut self, key: &str, value: &Spanned<DeValue<'_>>, words: &Words<T>) -> Option<T> {
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
    pub(super) fn wrong_type(&mut self, key: &str, expected: &str, value: &Spanned<DeValue<'_>>) {
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
    keys: &'static Table,
    asked: Vec<&'static str>,
    missing: Vec<(&'static str, &'static str)>,
}

impl<'t> Fields<'t> {
    /// The value of a key that may be there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.push(self.keys.key(key).name);
        self.table.get(key)
    }
    /// The value of a key that must be there.
    pub(super) fn need(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        debug_assert!(matches!(self.keys.key(key).default, Default::Required), "{key} has a default");
        let value = self.get(key);
        if value.is_none() {
            self.need_because(key, "");
        }
        value
    }
    /// The text that holds without the key.
    fn default_text(&self, key: &str) -> Option<&'static str> {
        match self.keys.key(key).default {
            Default::Text(text) => Some(text),
            Default::Required | Default::Flag(_) | Default::Integer(_) | Default::Derived(_) => None,
        }
    }
    /// A key that was asked for, is not there and must be, and why.
    pub(super) fn need_because(&mut self, key: &'static str, why: &'static str) {
        self.missing.push((key, why));
    }
    /// A text that may be there, else its default.
    pub(super) fn text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Spanned<String>> {
        match self.get(key) {
            Some(value) => reader.text(key, value),
            None => self.default_text(key).map(|text| Spanned::new(0..0, text.to_owned())),
        }
    }
    /// A text that must be there.
    pub(super) fn need_text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Spanned<String>> {
        let value = self.need(key)?;
        reader.text(key, value)
    }
    /// One of `words`, which are those of the key.
    pub(super) fn choice<T: Copy>(&mut self, reader: &mut Reader<'_>, key: &'static str, words: &Words<T>) -> T {
        let written = self.choice_if_any(reader, key, words);
        let default = || words.table.iter().find(|(word, _)| Some(*word) == self.default_text(key));
        written.or_else(|| default().map(|(_, value)| *value)).expect("the default of a choice is one of its words")
    }
    /// The same, without a default.
    pub(super) fn choice_if_any<T: Copy>(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        words: &Words<T>,
    ) -> Option<T> {
        self.get(key).and_then(|value| reader.choice(key, value, words))
    }
    /// `true` or `false`.
    pub(super) fn boolean(&mut self, reader: &mut Reader<'_>, key: &'static str) -> bool {
        let Default::Flag(default) = self.keys.key(key).default else { panic!("{key} is no flag") };
        let Some(value) = self.get(key) else { return default };
        value.get_ref().as_bool().unwrap_or_else(|| {
            reader.wrong_type(key, "true or false, without quotes", value);
            default
        })
    }
    /// A whole number within the bounds of the key, else its default.
    pub(super) fn integer<T: TryFrom<u64>>(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<T> {
        let Kind::Integer { min, max, .. } = self.keys.key(key).kind else { panic!("{key} is no number") };
        let Some(value) = self.get(key) else {
            return match self.keys.key(key).default {
                Default::Integer(number) => T::try_from(number).ok(),
                Default::Required | Default::Text(_) | Default::Flag(_) | Default::Derived(_) => None,
            };
        };
        let limits = format!("a whole number from {min} to {max}");
        let Some(integer) = value.get_ref().as_integer() else {
            reader.wrong_type(key, &limits, value);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (min..=max).contains(number)).and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            let what = format!("\"{key}\" cannot be {integer}");
            reader.findings.add(value.span(), what, format!("it must be {limits}"));
        }
        number
    }
    /// A length of time: a whole number and its unit, `ms`, `s`, `m`, `h` or `d`; above zero, a year at most.
    pub(super) fn duration(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Duration> {
        let text = self.text(reader, key)?;
        let length = duration(text.get_ref());
        if length.is_none() {
            let why = "it is a whole number above 0 and its unit ms, s, m, h or d, such as \"24h\"; a year at most";
            reader.findings.add(text.span(), format!("\"{}\" is not a length of time", text.get_ref()), why);
        }
        length
    }
}

fn duration(text: &str) -> Option<Duration> {
    const LONGEST_MS: u64 = 365 * 86_400_000;
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let length_ms = number.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    (1..=LONGEST_MS).contains(&length_ms).then(|| Duration::from_millis(length_ms))
}
