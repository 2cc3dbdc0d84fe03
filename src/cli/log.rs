//! The log on stderr: lines for people, or one JSON object a line. Warnings and errors that repeat are summed up, and nothing that came
//! with the data can steer a terminal or forge a line.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::Value;
use sheetstream::metrics;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::shown::{escape, in_json};

/// How long they are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// How long the last line of a thread that panics waits for the lines of others.
const PANIC_PATIENCE: Duration = Duration::from_secs(1);
/// Fields that are numbers, though they are recorded as text.
const NUMBERS: [&str; 8] = ["base", "from", "last", "offset", "position", "refill_from", "replay_from", "to"];

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Ends the log: sums up what is still counted.
pub(crate) struct LogGuard(Log<io::Stderr>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.sum_up(None);
    }
}

/// Begins the log. `SHEETSTREAM_LOG` sets levels by target, as in `info,sheetstream::kafka=debug`.
pub(crate) fn start(format: LogFormat, default_levels: &str) -> LogGuard {
    let levels = EnvFilter::try_from_env("SHEETSTREAM_LOG").unwrap_or_else(|_| EnvFilter::new(default_levels));
    let colours = format == LogFormat::Text && super::colours(&io::stderr());
    let log = Log::new(format, colours, io::stderr());
    tracing_subscriber::registry().with(log.clone().with_filter(levels)).init();
    let ticking = log.clone();
    let ticker = std::thread::Builder::new().name("log".into()).spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            ticking.sum_up(Some(Instant::now()));
        }
    });
    if let Err(error) = ticker {
        tracing::warn!(%error, "repeated lines are summed up only with the next line");
    }
    LogGuard(log)
}

/// Writes events as lines.
struct Log<W> {
    format: LogFormat,
    colours: bool,
    shared: Arc<Mutex<Shared<W>>>,
}

struct Shared<W> {
    out: W,
    limiter: Limiter,
}

impl<W> Clone for Log<W> {
    fn clone(&self) -> Log<W> {
        Log { shared: self.shared.clone(), ..*self }
    }
}

impl<W: Write> Log<W> {
    fn new(format: LogFormat, colours: bool, out: W) -> Log<W> {
        let shared = Shared { out, limiter: Limiter::default() };
        Log { format, colours, shared: Arc::new(Mutex::new(shared)) }
    }

    /// Writes the sums that are due at `now`, or all of them.
    fn sum_up(&self, now: Option<Instant>) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for sum in shared.limiter.due(now) {
            self.write(&mut shared.out, sum.level, sum.target, &sum.fields());
        }
    }

    fn event(&self, metadata: &Metadata<'static>, fields: &Fields, now: Instant) {
        let Some(mut shared) = self.lock() else { return };
        for sum in shared.limiter.due(Some(now)) {
            self.write(&mut shared.out, sum.level, sum.target, &sum.fields());
        }
        if shared.limiter.admit(metadata, &fields.message, now) {
            self.write(&mut shared.out, *metadata.level(), metadata.target(), fields);
        } else {
            metrics::log_events_suppressed().inc();
        }
    }

    /// A thread that panics may hold the lock itself, and must not wait for it for ever.
    fn lock(&self) -> Option<MutexGuard<'_, Shared<W>>> {
        if !std::thread::panicking() {
            return Some(self.shared.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let begun = Instant::now();
        loop {
            match self.shared.try_lock() {
                Ok(shared) => return Some(shared),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begun.elapsed() > PANIC_PATIENCE => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn write(&self, out: &mut W, level: Level, target: &str, fields: &Fields) {
        let line = match self.format {
            LogFormat::Text => fields.text(level, target, self.colours),
            LogFormat::Json => fields.json(level, target),
        };
        // Where stderr is closed nobody can read the line.
        out.write_all(line.as_bytes()).ok();
    }
}

impl<S: Subscriber, W: Write + Send + 'static> Layer<S> for Log<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.event(event.metadata(), &fields, Instant::now());
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    /// As it was recorded, and as text shows it.
    rest: Vec<(&'static str, Value, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => self.rest.push((name, Value::String(text.clone()), text)),
        }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            name => self.rest.push((name, value.into(), format!("{value:?}"))),
        }
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.rest.push((field.name(), value.into(), value.to_string()));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.rest.push((field.name(), value.into(), value.to_string()));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.rest.push((field.name(), value.into(), value.to_string()));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.rest.push((field.name(), value.into(), value.to_string()));
    }
}

impl Fields {
    fn text(&self, level: Level, target: &str, colours: bool) -> String {
        let (dim, end) = if colours { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let (hue, hue_end) = match (colours, level) {
            (false, _) => ("", ""),
            (true, Level::ERROR) => ("\x1b[31m", end),
            (true, Level::WARN) => ("\x1b[33m", end),
            (true, Level::INFO) => ("\x1b[32m", end),
            (true, _) => ("\x1b[34m", end),
        };
        let mut line = format!("{dim}{}{end} {hue}{level:>5}{hue_end} {dim}{target}:{end} ", now());
        escape(&self.message, &mut line);
        for (name, _, text) in &self.rest {
            write!(line, " {dim}{name}={end}").ok(); // a String takes any text
            escape(text, &mut line);
        }
        line.push('\n');
        line
    }

    fn json(&self, level: Level, target: &str) -> String {
        let mut entries: Vec<(&str, Value)> = vec![
            ("timestamp", now().into()),
            ("level", level.as_str().into()),
            ("target", target.into()),
            ("message", self.message.as_str().into()),
        ];
        let number = |text: &str| text.parse::<i64>().map_or_else(|_| text.into(), Value::from);
        for (name, value, _) in &self.rest {
            match (*name, value.as_str()) {
                ("task", Some(task)) => {
                    let (topology, partition) = task.rsplit_once('/').unwrap_or((task, ""));
                    entries.extend([("topology", topology.into()), ("partition", number(partition))]);
                }
                ("partition", Some(at)) => {
                    let (topic, partition) = at.rsplit_once('-').unwrap_or(("", at));
                    entries.extend([("topic", topic.into()), ("partition", number(partition))]);
                }
                (name, Some(text)) if NUMBERS.contains(&name) => entries.push((name, number(text))),
                (name, _) => entries.push((name, value.clone())),
            }
        }
        let entries: Vec<String> =
            entries.into_iter().map(|(name, value)| format!("{}:{value}", Value::from(name))).collect();
        in_json(&format!("{{{}}}", entries.join(","))) + "\n"
    }
}

/// RFC 3339, UTC, microseconds.
fn now() -> String {
    let mut text = String::new();
    SystemTime.format_time(&mut Writer::new(&mut text)).ok(); // a String takes any text
    text
}

/// Lines of a place that are written in a window; `None` for as many as there are. News are limited too, for records of strangers make
/// them.
fn lines_max(level: Level) -> Option<u64> {
    match level {
        Level::ERROR | Level::WARN => Some(10),
        Level::INFO => Some(1_000),
        _ => None,
    }
}

/// Counts the lines of each place in the code.
#[derive(Default)]
struct Limiter {
    windows: HashMap<Identifier, Repeated>,
}

/// The lines of one place in a window.
struct Repeated {
    since: Instant,
    lines: u64,
    level: Level,
    target: &'static str,
    last: String,
}

impl Limiter {
    /// Whether a line is to be written.
    fn admit(&mut self, metadata: &Metadata<'static>, message: &str, now: Instant) -> bool {
        let level = *metadata.level();
        let Some(most) = lines_max(level) else { return true };
        let fresh = || Repeated { since: now, lines: 0, level, target: metadata.target(), last: String::new() };
        let repeated = self.windows.entry(metadata.callsite()).or_insert_with(fresh);
        repeated.lines += 1;
        if repeated.lines <= most {
            return true;
        }
        message.clone_into(&mut repeated.last);
        false
    }

    /// Ends the windows that are over at `now`, or all of them; gives those that left lines out.
    fn due(&mut self, now: Option<Instant>) -> Vec<Repeated> {
        let over = |repeated: &Repeated| now.is_none_or(|now| now.duration_since(repeated.since) >= WINDOW);
        let ended = self.windows.extract_if(|_, repeated| over(repeated)).map(|(_, repeated)| repeated);
        ended.filter(|repeated| lines_max(repeated.level).is_some_and(|most| repeated.lines > most)).collect()
    }
}

impl Repeated {
    fn fields(&self) -> Fields {
        let left_out = self.lines - lines_max(self.level).unwrap_or_default();
        let message = format!("and {} more in {} s: {}", grouped(left_out), WINDOW.as_secs(), self.last);
        Fields { message, rest: vec![("left_out", left_out.into(), left_out.to_string())] }
    }
}

/// `4312` as `4,312`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use sheetstream::record::{Offset, TaskId, UploadId};
    use tracing::{error, info, warn};

    use super::*;
    use crate::cli::shown::is_harmless;

    /// Remembers where the last event came from.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Option<&'static Metadata<'static>>>>);

    impl<S: Subscriber> Layer<S> for Seen {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            *self.0.lock().expect("whole") = Some(event.metadata());
        }
    }

    /// What `log` writes while `work` is done.
    fn logged(format: LogFormat, work: impl FnOnce()) -> String {
        let log = Log::new(format, false, Vec::new());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log.clone()), work);
        log.sum_up(None);
        let shared = log.shared.lock().expect("no test panics here");
        String::from_utf8(shared.out.clone()).expect("text")
    }

    #[test]
    fn ids_can_neither_steer_a_terminal_nor_forge_a_line() {
        let evil = "a\x1b[2J\x1b]0;title\x07\n2026-11-25T00:00:00Z ERROR forged\u{202e}\u{9b}31m";
        for text in [
            logged(LogFormat::Text, || warn!(upload = %UploadId::new(evil), "{evil}")),
            logged(LogFormat::Text, || warn!(upload = evil, error = ?evil, plain = %evil, "odd")),
            logged(LogFormat::Json, || warn!(upload = %UploadId::new(evil), plain = %evil, "{evil}")),
        ] {
            assert_eq!(text.lines().count(), 1, "{text:?}");
            assert!(text.trim_end_matches('\n').chars().all(is_harmless), "{text:?}");
        }
    }

    #[test]
    fn json_lines_name_topology_partition_and_offset() {
        let task = TaskId { topology: "seoul".into(), source: None, partition: 3 };
        let text = logged(LogFormat::Json, || {
            info!(%task, upload = %UploadId::new("2024"), offset = %Offset(7), traceparent = Some("00-ab-cd-01"), rows = 5_u64, "published");
        });
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&line["topology"], &line["partition"]), (&"seoul".into(), &3.into()));
        assert_eq!((&line["upload"], &line["offset"], &line["rows"]), (&"2024".into(), &7.into(), &5.into()));
        assert_eq!(line["traceparent"], "00-ab-cd-01");
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"published".into()));
        assert!(line["target"].as_str().is_some_and(|target| target.ends_with("log::tests")), "{line}");
        let time = line["timestamp"].as_str().expect("a time");
        assert!(time.len() == 27 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{time}");
    }

    #[test]
    fn repeated_errors_are_summed_up_and_others_are_not() {
        let text = logged(LogFormat::Text, || {
            for n in 0..4_322 {
                error!(n, "the broker is away");
                if n % 1_000 == 0 {
                    warn!("something else");
                    info!("news {n}");
                }
            }
            (0..50).for_each(|n| info!("news {n}"));
            (0..3_000).for_each(|n| info!("flood {n}"));
        });
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(count("ERROR"), 11, "{text}");
        assert_eq!(count("and 4,312 more in 10 s: the broker is away"), 1, "{text}");
        assert_eq!((count("something else"), count("news"), count("flood")), (5, 55, 1_001), "{text}");
    }

    #[test]
    fn a_window_that_is_over_begins_anew() {
        let log = Log::new(LogFormat::Text, false, Vec::new());
        let seen = Seen::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(seen.clone()), || error!("gone"));
        let metadata = seen.0.lock().expect("whole").expect("an event");
        let fields = |n: u64| Fields { message: format!("gone {n}"), rest: vec![] };
        let begun = Instant::now();
        (0..12).for_each(|n| log.event(metadata, &fields(n), begun));
        log.sum_up(Some(begun + WINDOW / 2));
        let text = |log: &Log<Vec<u8>>| String::from_utf8(log.shared.lock().expect("whole").out.clone()).expect("text");
        assert_eq!(text(&log).lines().count(), 10, "the window is not over");
        (12..24).for_each(|n| log.event(metadata, &fields(n), begun + WINDOW));
        let lines = text(&log);
        assert_eq!(lines.lines().count(), 21, "{lines}");
        assert!(lines.lines().nth(10).is_some_and(|line| line.contains("and 2 more in 10 s: gone 11")), "{lines}");
    }
}
