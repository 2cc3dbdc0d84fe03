//! The settings of the cluster and the origin of each: a file, variables or flags; each later origin wins over the earlier. `config`
//! interprets the values.

mod jaas;
pub mod keys;
mod properties;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keys::{KEYS, Key, REFUSED, UNUSED};

pub(in crate::kafka) use jaas::parse as parse_jaas;

use super::secret::{MASK, Secret};

/// Variables that begin so are settings.
pub const VARIABLE_PREFIX: &str = "SHEETSTREAM_KAFKA_";
/// Variables of that prefix with another meaning: the file of settings itself, and the jars of the tests.
const OTHER_VARIABLES: [&str; 2] = ["CONFIG", "LIB"];
/// A variable with this suffix names a file that holds the value, as container platforms hand secrets over.
const FILE_SUFFIX: &str = "_FILE";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A line of the file.
    File(PathBuf, usize),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Settings that cannot be used: each problem names its setting, where it was given, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(pub Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for SettingsError {}

/// Where settings are looked for.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A properties file.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// Values that flags gave, by the name of the setting.
    pub flags: Vec<(&'static str, Origin, String)>,
}

/// A setting that was given and has no effect.
#[derive(Clone, Debug)]
pub struct Ineffective {
    /// Name as it was given.
    pub name: String,
    /// Where.
    pub origin: Origin,
    /// Why; `None` for a name that nobody knows.
    pub why: Option<&'static str>,
}

/// A setting as it may be printed.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Shown {
    /// Name.
    pub name: &'static str,
    /// Value, masked where it is a secret.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

/// The settings in force.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    given: BTreeMap<&'static str, (Value, Origin)>,
    ineffective: Vec<Ineffective>,
}

/// A value that is printed only where it may be.
#[derive(Clone, Debug)]
enum Value {
    Plain(String),
    Secret(Secret),
}

impl Value {
    fn text(&self) -> &str {
        match self {
            Value::Plain(text) => text,
            Value::Secret(secret) => secret.reveal(),
        }
    }
}

impl Settings {
    /// Reads all sources: flags win over variables, variables over the file.
    pub fn read(sources: Sources) -> Result<Settings, SettingsError> {
        let mut reading = Reading::default();
        if let Some(path) = &sources.file {
            reading.read_file(path);
        }
        for (name, value) in sources.variables {
            if let Some(setting) = name.strip_prefix(VARIABLE_PREFIX).filter(|name| !OTHER_VARIABLES.contains(name)) {
                reading.read_variable(&name, setting, value);
            }
        }
        for (name, origin, value) in sources.flags {
            reading.take(name, value, origin);
        }
        if reading.problems.is_empty() { Ok(reading.settings) } else { Err(SettingsError(reading.problems)) }
    }

    /// Settings that were given and have no effect.
    pub fn ineffective(&self) -> &[Ineffective] {
        &self.ineffective
    }

    /// Every setting that is in use, secrets masked: those that were given, and those with a default.
    pub fn shown(&self) -> impl Iterator<Item = Shown> {
        KEYS.iter().filter_map(|key| {
            let (value, origin) = match self.given.get(key.name) {
                Some((Value::Secret(_), origin)) => (MASK.to_owned(), origin.clone()),
                Some((Value::Plain(value), origin)) => (value.replace('\n', "\\n"), origin.clone()),
                None if key.default.is_empty() => return None,
                None => (key.default.to_owned(), Origin::Default),
            };
            Some(Shown { name: key.name, value, origin: origin.to_string() })
        })
    }

    /// A value that was given or has a default; `None` for an empty one. Panics for a setting that is not in [`KEYS`].
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let key = keys::find(name).unwrap_or_else(|| panic!("{name} is no setting"));
        let value = self.given.get(key.name).map_or(key.default, |(value, _)| value.text());
        Some(value.trim()).filter(|value| !value.is_empty())
    }
    /// A value as it was given, be it empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(|(value, _)| value.text().trim())
    }
    /// [`Settings::get`] of a secret.
    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        self.get(name).map(Secret::new)
    }
    /// Where a value comes from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.given.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
    /// A problem of a value, with its name and place.
    pub(super) fn problem(&self, name: &str, problem: impl fmt::Display) -> String {
        match self.origin(name) {
            Origin::Default => format!("{name}: {problem}"),
            origin => format!("{name} ({origin}): {problem}"),
        }
    }
    /// A number of milliseconds, at least 1.
    pub(super) fn millis(&self, name: &str) -> Result<Duration, String> {
        self.number(name).map(|number| Duration::from_millis(number.into()))
    }
    /// A number from 1 on.
    pub(super) fn number(&self, name: &str) -> Result<u32, String> {
        let text = self.get(name).unwrap_or_default();
        let number = text.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| self.problem(name, format!("\"{text}\" is no whole number from 1 on")))
    }
    /// One of a few words, case ignored.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let found = found.ok_or_else(|| self.problem(name, format!("\"{text}\" is none of {}", known())))?;
        Ok(Some(found.1))
    }
}

/// Settings that are being read, and what is wrong with them.
#[derive(Default)]
struct Reading {
    settings: Settings,
    problems: Vec<String>,
}

impl Reading {
    fn read_file(&mut self, path: &Path) {
        let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
        match read.and_then(|text| properties::parse(&text)) {
            Ok(properties) => {
                for property in properties {
                    self.take(&property.key, property.value, Origin::File(path.to_owned(), property.line));
                }
            }
            Err(problem) => self.problems.push(format!("--kafka-config {}: {problem}", path.display())),
        }
    }

    /// `SHEETSTREAM_KAFKA_SASL_PASSWORD` is `sasl.password`; with `_FILE` behind it names the file that holds the value.
    fn read_variable(&mut self, variable: &str, setting: &str, value: String) {
        let origin = Origin::Variable(variable.to_owned());
        let known = |setting: &str| {
            let mut names = KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
            names.find(|name| name.replace('.', "_").eq_ignore_ascii_case(setting))
        };
        if let Some(name) = known(setting) {
            return self.take(name, value, origin);
        }
        if let Some(name) = setting.strip_suffix(FILE_SUFFIX).and_then(known) {
            match std::fs::read_to_string(&value) {
                Ok(text) => self.take(name, text.trim_end_matches(['\r', '\n']).to_owned(), origin),
                Err(error) => self.problems.push(format!("{variable}: {value}: {error}")),
            }
            return;
        }
        self.take(&setting.to_lowercase().replace('_', "."), value, origin);
    }

    fn take(&mut self, name: &str, value: String, origin: Origin) {
        if let Some(key) = keys::find(name) {
            return self.take_known(key, name, value, origin);
        }
        if let Some(why) = keys::find_unused(REFUSED, name) {
            if !value.is_empty() && value != "true" {
                self.problems.push(format!("{name} ({origin}) cannot be obeyed: {why}. Take it out"));
            }
            return;
        }
        let why = keys::find_unused(UNUSED, name);
        match keys::nearest(name) {
            Some(nearest) if why.is_none() => {
                self.problems.push(format!("{name} ({origin}) is no setting; is {nearest} meant?"));
            }
            _ => self.settings.ineffective.push(Ineffective { name: name.to_owned(), origin, why }),
        }
    }

    fn take_known(&mut self, key: &'static Key, name: &str, value: String, origin: Origin) {
        if value.starts_with("${") && value.contains(':') {
            let variable = format!("{VARIABLE_PREFIX}{}{FILE_SUFFIX}", key.name.to_uppercase().replace('.', "_"));
            let problem = format!(
                "{name} ({origin}) refers to a config provider, which is not read; {variable} names a file instead"
            );
            self.problems.push(problem);
            return;
        }
        let value = if key.is_secret { Value::Secret(Secret::new(value)) } else { Value::Plain(value) };
        self.settings.given.insert(key.name, (value, origin));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }
    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let file = file(text);
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::read(Sources { file: Some(file.path().to_owned()), variables, flags: vec![] })
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_the_file() {
        let file = file("bootstrap.servers=a:1\nclient.id=file\nrequest.timeout.ms=1000\n");
        let variables = vec![
            ("SHEETSTREAM_KAFKA_BOOTSTRAP_SERVERS".to_owned(), "b:2".to_owned()),
            ("SHEETSTREAM_KAFKA_CLIENT_ID".to_owned(), "variable".to_owned()),
            ("SHEETSTREAM_KAFKA_CONFIG".to_owned(), "ignored".to_owned()),
        ];
        let flags = vec![("bootstrap.servers", Origin::Flag("--brokers"), "c:3".to_owned())];
        let settings = Settings::read(Sources { file: Some(file.path().to_owned()), variables, flags }).expect("well");
        let shown: BTreeMap<_, _> = settings.shown().map(|s| (s.name, (s.value, s.origin))).collect();
        let of = |name: &str| shown[name].clone();
        assert_eq!(of("bootstrap.servers"), ("c:3".to_owned(), "--brokers".to_owned()));
        assert_eq!(of("client.id"), ("variable".to_owned(), "SHEETSTREAM_KAFKA_CLIENT_ID".to_owned()));
        assert_eq!(of("request.timeout.ms"), ("1000".to_owned(), format!("{}:3", file.path().display())));
        assert_eq!(of("security.protocol"), ("PLAINTEXT".to_owned(), "default".to_owned()));
    }

    #[test]
    fn librdkafka_names_are_the_same_settings() {
        let settings = read(
            "metadata.broker.list=a:1\nsasl.mechanisms=PLAIN\nssl.ca.location=/ca.pem\n",
            &[("SHEETSTREAM_KAFKA_SASL_MECHANISMS", "SCRAM-SHA-256")],
        );
        let settings = settings.expect("well");
        assert_eq!(settings.get("bootstrap.servers"), Some("a:1"));
        assert_eq!(settings.get("sasl.mechanism"), Some("SCRAM-SHA-256"));
        assert_eq!(settings.get("ssl.truststore.location"), Some("/ca.pem"));
    }

    #[test]
    fn secrets_are_masked_wherever_they_come_from() {
        let secret = file("marked\n");
        let path = secret.path().to_str().expect("a path");
        let settings =
            read("sasl.jaas.config=marked\nssl.key.password=marked", &[("SHEETSTREAM_KAFKA_SASL_PASSWORD_FILE", path)]);
        let settings = settings.expect("well");
        assert_eq!(settings.get("sasl.password"), Some("marked"));
        let shown: Vec<_> = settings.shown().collect();
        assert!(!format!("{settings:?} {shown:?}").contains("marked"));
        assert_eq!(shown.iter().filter(|setting| setting.value == MASK).count(), 3);
    }

    #[test]
    fn what_has_no_effect_is_listed_with_its_reason() {
        let settings = read("acks=all\nfetch.min.bytes=1\nschema.registry.url=http://r\n", &[]).expect("well");
        let why: Vec<_> = settings.ineffective().iter().map(|of| (of.name.as_str(), of.why.is_some())).collect();
        assert_eq!(why, [("acks", true), ("fetch.min.bytes", true), ("schema.registry.url", false)]);
    }

    #[test]
    fn what_cannot_be_used_is_named_with_what_to_do() {
        let error = read(
            "ssl.truststore.locaton=/ca.pem\nssl.crl.location=/crl\nsasl.password=${file:/secrets:password}\nenable.ssl.certificate.verification=true\n",
            &[("SHEETSTREAM_KAFKA_SASL_PASSWORT", "marked"), ("SHEETSTREAM_KAFKA_SSL_KEY_PASSWORD_FILE", "/nowhere/at/all")],
        )
        .expect_err("five problems");
        let expected = [
            ":1) is no setting; is ssl.truststore.location meant?",
            ":2) cannot be obeyed: revocation lists are not read",
            "SHEETSTREAM_KAFKA_SASL_PASSWORD_FILE names a file instead",
            "sasl.passwort (SHEETSTREAM_KAFKA_SASL_PASSWORT) is no setting; is sasl.password meant?",
            "SHEETSTREAM_KAFKA_SSL_KEY_PASSWORD_FILE: /nowhere/at/all",
        ];
        assert_eq!(error.0.len(), expected.len(), "{error}");
        for (problem, expected) in error.0.iter().zip(expected) {
            assert!(problem.contains(expected) && !problem.contains("marked"), "{problem}");
        }
    }

    #[test]
    fn names_are_known_once() {
        let names = KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
        let names: Vec<_> = names.chain(UNUSED.iter().chain(REFUSED).map(|of| &of.name)).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
