//! Settings of a topic. Those that the broker obeys have their meaning here; others are kept and shown.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

/// Names that `kafka-topics` and people set, with Kafka's defaults. `cleanup.policy=compact` is shown and not done.
const DEFAULTS: [(&str, &str); 7] = [
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    (MAX_MESSAGE_BYTES, "1048588"),
    ("message.timestamp.type", "CreateTime"),
    (RETENTION_BYTES, "-1"),
    (RETENTION_MS, "-1"),
    ("segment.bytes", "1073741824"),
];
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const RETENTION_BYTES: &str = "retention.bytes";
const RETENTION_MS: &str = "retention.ms";

/// Settings that were set, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Configs(BTreeMap<String, String>);

/// A setting as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config<'a> {
    pub name: &'a str,
    pub value: &'a str,
    pub is_default: bool,
}

impl Configs {
    /// Sets one, `None` takes it back; one that the broker obeys must be a number.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), ResponseError> {
        let Some(value) = value else {
            self.0.remove(name);
            return Ok(());
        };
        if [MAX_MESSAGE_BYTES, RETENTION_BYTES, RETENTION_MS].contains(&name) && value.parse::<i64>().is_err() {
            return Err(ResponseError::InvalidConfig);
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }
    /// Everything that is set or has a default.
    pub(super) fn all(&self) -> impl Iterator<Item = Config<'_>> {
        let set = self.0.iter().map(|(name, value)| Config { name, value, is_default: false });
        let unset = DEFAULTS.iter().filter(|(name, _)| !self.0.contains_key(*name));
        set.chain(unset.map(|(name, value)| Config { name, value, is_default: true }))
    }
    pub(super) fn max_message_bytes(&self) -> usize {
        self.number(MAX_MESSAGE_BYTES).unwrap_or(0)
    }
    /// Bytes a partition keeps at least, if it may drop others.
    pub(super) fn retention_bytes(&self) -> Option<u64> {
        self.number(RETENTION_BYTES)
    }
    /// Age in milliseconds at which records may be dropped.
    pub(super) fn retention_ms(&self) -> Option<i64> {
        self.number(RETENTION_MS)
    }
    /// `None` for negative numbers, which mean "no limit".
    fn number<N: TryFrom<i64>>(&self, name: &str) -> Option<N> {
        let default = DEFAULTS.iter().find(|(of, _)| *of == name).map(|(_, value)| *value);
        let value: i64 = self.0.get(name).map(String::as_str).or(default)?.parse().ok()?;
        (value >= 0).then(|| N::try_from(value).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_shown_beside_the_defaults_and_obeyed() {
        let mut configs = Configs::default();
        assert_eq!((configs.max_message_bytes(), configs.retention_bytes()), (1_048_588, None));
        configs.set("max.message.bytes", Some("2000000")).expect("a number");
        configs.set("retention.bytes", Some("5")).expect("a number");
        configs.set("unknown.to.us", Some("kept")).expect("anything");
        assert_eq!(configs.set("retention.ms", Some("a week")), Err(ResponseError::InvalidConfig));
        assert_eq!((configs.max_message_bytes(), configs.retention_bytes()), (2_000_000, Some(5)));
        assert!(configs.all().any(|config| config.name == "unknown.to.us" && config.value == "kept"));
        assert_eq!(configs.all().filter(|config| config.name == "max.message.bytes").count(), 1);
        configs.set("retention.bytes", None).expect("taken back");
        assert_eq!(configs.retention_bytes(), None);
    }
}
