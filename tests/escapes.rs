//! Text of publishers that would steer a terminal, in every field that they can write: no command, log or metric shows it as it is.

#[path = "support/app.rs"]
mod app;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::sync::Arc;
use std::time::Instant;

use app::{App, LIMIT};
use kafka::Kafka;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::record::Header;

/// Sets the title of a terminal, clears it, and turns the direction of writing.
const EVIL: &str = "\u{1b}]0;pwned\u{7}\u{1b}[2J\u{9b}31m\u{61c}\u{202e}";
/// The letters in it, which show that a field was written at all.
const MARK: &str = "pwned";

fn steers(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn assert_harmless(whose: &str, text: &str) {
    let found = text.char_indices().find(|(_, c)| steers(*c)).map(|(at, _)| at);
    let around =
        found.map(|at| text[..at].chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<String>());
    assert!(found.is_none(), "{whose} writes a character that steers a terminal behind {around:?}");
}

#[test]
fn no_output_steers_a_terminal() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "escapes", 1);
    let running = app.run_with("state", &["--http", "127.0.0.1:0"], &[]);
    let topic: Arc<str> = format!("{}.rows", app.name).into();
    let upload = format!("a{EVIL}.csv");
    let mut producer = kafka.client("test").producer(ProducerConfig::default());
    let mut send = |key: &str, value: &str, headers: &[(&str, &str)]| {
        let headers: Vec<Header> = headers.iter().map(|(name, value)| Header::new(name, (*value).to_owned())).collect();
        producer.send(&topic, Some(0), Some(key.as_bytes()), Some(value.as_bytes()), &headers).expect("sent");
        producer.flush().expect("acknowledged");
    };
    // An upload with it in its id, name, attempt, column, sheet and cells; rows that are refused for each kind of value.
    send(&upload, "", &[("ss-type", "begin"), ("ss-name", &format!("n{EVIL}.csv")), ("ss-attempt", EVIL)]);
    send(&upload, "x,y,kind,name", &[("ss-type", "header"), ("ss-attempt", EVIL)]);
    for row in [
        "953900,1952030,cafe,plain".to_owned(),
        format!("953900,1952030,k\u{202e}{MARK},plain"),
        format!("{EVIL},1952030,cafe,plain"),
        format!("953900,1952030,cafe,\"{EVIL}\"x"),
        format!("953900,1952030,cafe,{EVIL}"),
        format!("953900,1952030,{EVIL}"),
    ] {
        send(&upload, &row, &[("ss-attempt", EVIL)]);
    }
    // Records that are refused for what their headers say, and ends that are.
    for name in ["ss-type", "ss-row", "ss-encoding", "ss-format", "ss-delimiter"] {
        send(&upload, "953900,1952030,cafe,plain", &[(name, EVIL)]);
    }
    send(&format!("crs{EVIL}"), "", &[("ss-type", "begin"), ("ss-crs", EVIL)]);
    send(&format!("crs{EVIL}"), "x,y,kind\n1,2,3", &[]);
    send(&format!("crs{EVIL}"), "", &[("ss-type", "eof")]);
    send(&format!("columns{EVIL}"), &format!("{EVIL},{EVIL}b\n1,2"), &[]);
    send(&format!("columns{EVIL}"), &format!("#EOF rows={EVIL}"), &[]);
    send(&format!("columns{EVIL}"), "#EOF", &[]);
    send(&upload, "", &[("ss-type", "eof"), ("ss-attempt", EVIL), ("ss-rows", EVIL)]);
    send(&upload, "", &[("ss-type", "eof"), ("ss-attempt", EVIL)]);

    let begun = Instant::now();
    let ended =
        |name: &str| app.statuses().iter().any(|s| s.upload.starts_with(name) && s.offsets.completion.is_some());
    while !["a", "columns", "crs"].iter().all(|name| ended(name)) {
        assert!(begun.elapsed() < LIMIT, "{:?}\n{}", app.statuses(), app.log("state"));
        std::thread::sleep(std::time::Duration::from_millis(30));
    }

    let topology = app.topology().display().to_string();
    let out = app.folder.path().join("books").display().to_string();
    let server = format!("http://{}", app.http_address("state"));
    let file = app.folder.path().join(format!("f{EVIL}.csv"));
    std::fs::write(&file, format!("{EVIL},x,y,kind\n{EVIL},1,2,3\n")).expect("a file");
    let file = file.display().to_string();
    let (wrong, settings) = (format!("{file}.toml"), format!("{file}.properties"));
    std::fs::write(&wrong, format!("name = \"t\u{202e}{MARK}\u{9b}31m\"\n\"k\u{202e}ey\" = 1\n")).expect("a topology");
    std::fs::write(&settings, format!("{EVIL}=1\n")).expect("settings");
    let commands: [&[&str]; 22] = [
        &["top", "--once", "--server", &server],
        &["pause", &format!("none{EVIL}"), "--server", &server],
        &["convert", &file, "-t", &topology, "--force"],
        &["plan", &file, "-t", &topology],
        &["inspect", &file],
        &["inspect", &file, "--json"],
        &["publish", "-t", &topology, &file],
        &["status", &wrong],
        &["validate", &wrong],
        &["config", "--kafka-config", &settings],
        &["status", &topology],
        &["status", &topology, "--json"],
        &["dlq", "list", &topology],
        &["dlq", "show", &topology],
        &["dlq", "show", &topology, "--json"],
        &["dlq", "retry", &topology, "--dry-run"],
        &["fetch", "-t", &topology, "--out", &out],
        &["fetch", &upload, "-t", &topology, "--out", &out, "--timeout", "5"],
        &["fetch", &format!("none{EVIL}"), "-t", &topology, "--out", &out, "--timeout", "1"],
        &["replay", &topology, "--upload", &upload, "--dry-run"],
        &["replay", &topology, "--upload", &format!("none{EVIL}")],
        &["doctor", "-t", &topology],
    ];
    let mut marks = 0;
    for arguments in commands {
        let output = app.command(arguments).output().expect("it runs");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_harmless(&arguments[..2].join(" "), &said);
        marks += usize::from(said.contains(MARK));
    }
    assert!(marks >= 18, "{marks} of the commands show the publisher's texts at all");

    let address = app.http_address("state");
    for path in ["/metrics", "/healthz", "/readyz", "/topologies"] {
        assert_harmless(path, &http::get(address, path).text());
    }
    assert_eq!(running.stop(), Some(0));
    assert_harmless("run", &app.log("state"));
    assert!(app.log("state").contains(MARK), "the log names the uploads");
}

on_the_in_process_broker! {
    no_output_steers_a_terminal
}
