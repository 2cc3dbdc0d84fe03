//! What an operator does to a running topology: pause it, set it back, process an upload again, look at dead letters, ask for help.

#[path = "support/app.rs"]
mod app;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Output;
use std::time::Instant;

use app::{App, LIMIT};
use kafka::Kafka;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::sink::status::UploadState;

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeed(app: &App, arguments: &[&str]) -> String {
    let output = app.command(arguments).output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "{what} does not come");
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
}

/// The topology with other decimals: other workbooks of the same rows.
fn mend(app: &App) {
    let text = fs::read_to_string(app.topology()).expect("a topology");
    fs::write(app.topology(), text.replace("\"lat\"] }", "\"lat\"], decimals = 5 }")).expect("written");
}

/// Revision and state of each end of an upload, in order.
fn ends(app: &App, upload: &str) -> Vec<(u32, UploadState)> {
    let statuses = app.statuses().into_iter().filter(|status| status.upload == upload);
    statuses
        .filter(|status| status.offsets.completion.is_some())
        .map(|status| (status.revision, status.state))
        .collect()
}

#[test]
fn a_replay_makes_the_next_revision_and_leaves_the_one_before() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "replay", 2);
    let topology = app.topology().display().to_string();
    let running = app.run("state");
    app.publish(&[&app.csv("a.csv", 3_000), &app.csv("b.csv", 20)]);
    app.wait_for(&["a.csv", "b.csv"], "state");
    let first = app.workbooks();

    succeed(&app, &["replay", &topology, "--upload", "a.csv"]);
    until("the answer of the ledger", || (ends(&app, "a.csv").len() == 2).then_some(()));
    assert_eq!(ends(&app, "a.csv")[1], (1, UploadState::Published), "the same content under the same topology");
    assert_eq!(app.workbooks(), first, "nothing is published twice");

    running.stop();
    mend(&app);
    let running = app.run("state");
    let out = succeed(&app, &["replay", &topology, "--upload", "a.csv", "--dry-run"]);
    assert!(out.contains("would append"), "{out}");
    succeed(&app, &["replay", &topology, "--upload", "a.csv"]);
    until("the next revision", || ends(&app, "a.csv").contains(&(2, UploadState::Published)).then_some(()));
    let books = app.workbooks();
    assert_eq!((books["a.csv"].len(), &books["a.csv"][0]), (2, &first["a.csv"][0]));
    assert_ne!(books["a.csv"][0], books["a.csv"][1]);
    assert_eq!(books["b.csv"], first["b.csv"]);

    let unknown = app.command(&["replay", &topology, "--upload", "nobody.csv"]).output().expect("it runs");
    assert!(!unknown.status.success() && said(&unknown).contains("nobody.csv"), "{}", said(&unknown));
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn dead_letters_are_counted_shown_and_tried_again_after_a_fix() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "dlq", 1);
    let topology = app.topology().display().to_string();
    let running = app.run("state");
    app.publish(&[&app.csv("a.csv", 2_000), &app.csv("b.csv", 4)]);
    app.wait_for(&["a.csv", "b.csv"], "state");

    let listed: serde_json::Value =
        serde_json::from_str(&succeed(&app, &["dlq", "list", &topology, "--json"])).expect("JSON");
    let [pile] = &listed.as_array().expect("a list")[..] else { panic!("{listed}") };
    assert_eq!(
        (pile["upload"].as_str(), pile["reason"].as_str(), pile["letters"].as_u64()),
        (Some("a.csv"), Some("number.format"), Some(3))
    );
    let shown = succeed(&app, &["dlq", "show", &topology, "--upload", "a.csv", "--limit", "2"]);
    assert!(shown.contains("row 5") && shown.contains("number.format") && shown.contains("none"), "{shown}");
    assert_eq!(shown.matches("number.format").count(), 2);

    for command in ["list", "show", "retry"] {
        let nobody = app.command(&["dlq", command, &topology, "--upload", "nobody.csv"]).output().expect("it runs");
        assert!(
            nobody.status.success() && said(&nobody).contains("no dead letters of nobody.csv"),
            "{}",
            said(&nobody)
        );
        let wrong = app.command(&["dlq", command, &topology, "--reason", "number.from"]).output().expect("it runs");
        assert!(!wrong.status.success() && said(&wrong).contains("number.format"), "{}", said(&wrong));
    }

    running.stop();
    mend(&app);
    let running = app.run("state");
    let would = succeed(&app, &["dlq", "retry", &topology, "--reason", "number.format", "--dry-run"]);
    assert!(would.contains("a.csv") && !would.contains("b.csv"), "{would}");
    succeed(&app, &["dlq", "retry", &topology, "--reason", "number.format"]);
    until("the next revision", || ends(&app, "a.csv").contains(&(2, UploadState::Published)).then_some(()));
    assert_eq!(ends(&app, "b.csv"), [(1, UploadState::Published)]);
    // Its rows are refused again: there are six letters, three of them of the newest revision, once that is committed.
    until("three letters", || {
        let listed = succeed(&app, &["dlq", "list", &topology, "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        (listed[0]["letters"].as_u64() == Some(3)).then_some(())
    });
    let mut letters = 0;
    app.each("dead-letters", |_| letters += 1);
    assert_eq!(letters, 6);
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn a_reset_begins_at_the_given_place_and_needs_an_empty_group() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "reset", 1);
    let topology = app.topology().display().to_string();
    let state = app.folder.path().join("state").display().to_string();
    let running = app.run("state");
    app.publish(&[&app.csv("a.csv", 50)]);
    app.wait_for(&["a.csv"], "state");

    let refused = app.command(&["reset", &topology, "--timeout", "3"]).output().expect("it runs");
    assert!(!refused.status.success() && said(&refused).contains("stop every instance"), "{}", said(&refused));
    let refused = app.command(&["reset", &topology, "--state-dir", &state]).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(73), "{}", said(&refused));
    let refused = app.command(&["reset", &topology, "--force"]).output().expect("it runs");
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{}", said(&refused));
    assert!(said(&refused).contains("is alive and has come back; stop every instance"), "{}", said(&refused));
    app.publish(&[&app.csv("b.csv", 5)]);
    app.wait_for(&["b.csv"], "state");
    assert_eq!(running.stop(), Some(0));

    let planned: serde_json::Value =
        serde_json::from_str(&succeed(&app, &["reset", &topology, "--dry-run", "--shift-by", "-3", "--json"]))
            .expect("JSON");
    let partition = &planned["partitions"][0];
    let end = partition["log_end"].as_i64().expect("a number");
    assert_eq!((partition["from"].as_i64(), partition["to"].as_i64()), (Some(end), Some(end - 3)));
    let kept: serde_json::Value =
        serde_json::from_str(&succeed(&app, &["reset", &topology, "--dry-run", "--to-latest", "--json"]))
            .expect("JSON");
    assert_eq!(kept["partitions"][0]["from"].as_i64(), Some(end), "a dry run changes nothing");

    let offsets = app.folder.path().join("offsets.csv");
    let from_file = |line: String| {
        fs::write(&offsets, line).expect("written");
        let mut reset = app.command(&["reset", &topology, "--dry-run", "--json", "--from-file"]);
        reset.arg(&offsets).output().expect("it runs")
    };
    let planned = from_file(format!("{}.rows,0,2\n", app.name));
    let planned: serde_json::Value = serde_json::from_slice(&planned.stdout).expect("JSON");
    assert_eq!(planned["partitions"][0]["to"].as_i64(), Some(2), "{planned}");
    let refused = said(&from_file(format!("{}.rows,7,2\n", app.name)));
    assert!(refused.contains("rows-7 is no partition of a source topic"), "{refused}");
    let refused = said(&from_file("rows 0 2\n".to_owned()));
    assert!(refused.contains("offsets.csv:1: write it as TOPIC,PARTITION,OFFSET"), "{refused}");

    mend(&app);
    // One that died is in the group until its session is over.
    app.run("state").kill();
    succeed(&app, &["reset", &topology, "--to-earliest", "--force", "--state-dir", &state]);
    let running = app.run("state");
    until("the next revision", || ends(&app, "a.csv").contains(&(2, UploadState::Published)).then_some(()));
    assert_eq!(app.workbooks()["a.csv"].len(), 2);
    // The same record was refused twice, for both revisions are of the same records.
    let listed: serde_json::Value =
        serde_json::from_str(&succeed(&app, &["dlq", "list", &topology, "--json"])).expect("JSON");
    assert_eq!(listed[0]["letters"].as_u64(), Some(1), "{listed}");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn a_state_directory_that_is_deleted_is_named_with_its_option() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "deleted", 1);
    let mut running = app.run("state");
    app.publish(&[&app.csv("a.csv", 5)]);
    app.wait_for(&["a.csv"], "state");
    let state = app.folder.path().join("state");
    fs::remove_dir_all(&state).expect("removed");
    app.publish(&[&app.csv("b.csv", 20_000)]);
    let ended = until("its end", || running.0.try_wait().expect("a child of ours"));
    assert_eq!(ended.code(), Some(74));
    let said = app.log("state");
    assert!(said.contains(&format!("the state directory {} (--state-dir)", state.display())), "{said}");
}

#[test]
fn equal_lines_of_one_record_are_a_letter_each() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "equal", 1);
    let topology = app.topology().display().to_string();
    let topic = format!("{}.rows", app.name).into();
    let mut producer = kafka.client("publisher").producer(ProducerConfig::default());
    for value in ["#EOF rows=1", "kind,x,y\nmuseum,953900,1952030\nmuseum,1,2\nmuseum,1,2\n"] {
        producer.send(&topic, None, Some(b"a.csv"), Some(value.as_bytes()), &[]).expect("sent");
    }
    producer.flush().expect("acknowledged");
    let running = app.run("state");
    app.wait_for(&["a.csv"], "state");

    let listed: serde_json::Value =
        serde_json::from_str(&succeed(&app, &["dlq", "list", &topology, "--json"])).expect("JSON");
    assert_eq!((listed[0]["reason"].as_str(), listed[0]["letters"].as_u64()), (Some("row.late"), Some(2)), "{listed}");
    let shown = succeed(&app, &["dlq", "show", &topology]);
    assert!(shown.contains("line 3 of offset 1 of") && shown.contains("line 4 of offset 1 of"), "{shown}");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn a_topology_that_is_paused_stays_so_through_a_restart_until_it_is_resumed() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "pause", 1);
    let token = ("SHEETSTREAM_HTTP_TOKEN", "a secret of the office");
    let run = || app.run_with("state", &["--http", "127.0.0.1:0"], &[token]);
    let ask = |address: std::net::SocketAddr, arguments: &[&str]| {
        let mut command = app.command(arguments);
        let output = command.args(["--server", &format!("http://{address}")]).env(token.0, token.1).output();
        let output = output.expect("it runs");
        (output.status.success(), said(&output))
    };
    let running = run();
    let to = app.http_address("state");
    until("readiness", || (http::get(to, "/readyz").status == 200).then_some(()));
    let nameless = http::request(to, "POST", &format!("/topologies/{}/pause", app.name), &[]);
    assert_eq!(nameless.status, 401, "it needs the token");
    assert!(!ask(to, &["pause", "nothing"]).0);
    let (done, out) = ask(to, &["pause", &app.name]);
    assert!(done && out.contains(&format!("paused in http://{to} alone")), "{out}");
    app.publish(&[&app.csv("a.csv", 50)]);

    let lag = format!("kafka_consumergroup_lag{{consumergroup=\"{}\"", app.name);
    let waits = |to| {
        let metrics = http::get(to, "/metrics").text();
        let lag =
            metrics.lines().find(|line| line.starts_with(&lag)).and_then(|line| line.rsplit(' ').next()?.parse().ok());
        let paused = format!("sheetstream_topology_paused{{topology=\"{}\"}} 1", app.name);
        (lag.is_some_and(|lag: f64| lag > 0.0) && metrics.contains(&paused)).then_some(())
    };
    until("records that wait", || waits(to));
    let ready = http::get(to, "/readyz");
    assert_eq!((ready.status, &ready.json()["paused"][0]), (200, &serde_json::Value::from(app.name.as_str())));
    assert!(app.statuses().is_empty(), "nothing is processed");
    let (done, screen) = ask(to, &["top", "--once"]);
    assert!(done && screen.contains("PAUSED") && screen.contains("partition 0"), "{screen}");
    assert!(screen.contains("PAUSED is this process alone"), "{screen}");
    assert_eq!(running.stop(), Some(0));

    fs::remove_file(app.folder.path().join("state.log")).expect("a log");
    let running = run();
    let to = app.http_address("state");
    until("records that wait", || waits(to));
    assert!(app.statuses().is_empty(), "nothing is processed after a restart either");
    let (done, out) = ask(to, &["resume", &app.name]);
    assert!(done, "{out}");
    app.wait_for(&["a.csv"], "state");
    assert_eq!(http::get(to, "/readyz").json()["paused"], serde_json::json!([]));
    let screen = until("the upload on the screen", || {
        let (_, screen) = ask(to, &["top", "--once"]);
        screen.contains("PUBLISHED").then_some(screen)
    });
    assert!(screen.contains("RUNNING") && screen.contains("a.csv"), "{screen}");
    assert_eq!(running.stop(), Some(0));
}

/// Names and texts of everything in the archive.
fn contents(archive: &Path) -> Vec<(String, String)> {
    let file = fs::File::open(archive).expect("an archive");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let read = |entry: Result<tar::Entry<'_, _>, std::io::Error>| {
        let mut entry: tar::Entry<'_, flate2::read::GzDecoder<fs::File>> = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        (name, text)
    };
    archive.entries().expect("entries").map(read).collect()
}

#[test]
fn a_bundle_has_the_facts_that_help_and_neither_rows_nor_secrets() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "bundle", 1);
    let token = ("SHEETSTREAM_HTTP_TOKEN", "Marked-Token-1234567");
    let running = app.run_with("state", &["--http", "127.0.0.1:0"], &[token]);
    let to = app.http_address("state");
    app.publish(&[&app.csv("Marked-Upload.csv", 60)]);
    app.wait_for(&["Marked-Upload.csv"], "state");
    let authorization = format!("Bearer {}", token.1);
    until("the upload in the index", || {
        let listed = http::request(to, "GET", "/uploads", &[("authorization", &authorization)]).text();
        listed.contains("PUBLISHED").then_some(())
    });
    let archive = app.folder.path().join("help.tar.gz");
    let state = app.folder.path().join("state");
    let output = app
        .command(&["bundle", "--server", &format!("http://{to}"), "-t"])
        .arg(app.topology())
        .arg("--state-dir")
        .arg(&state)
        .arg("-o")
        .arg(&archive)
        .env(token.0, token.1)
        .env("SHEETSTREAM_KAFKA_SASL_PASSWORD", "Marked-Password")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", said(&output));
    let contents = contents(&archive);
    let text = |name: &str| {
        let found = contents.iter().find(|(found, _)| found.ends_with(name));
        found
            .map(|(_, text)| text.as_str())
            .unwrap_or_else(|| panic!("no {name} in {:?}", contents.iter().map(|(name, _)| name).collect::<Vec<_>>()))
    };
    assert!(text("version.json").contains(env!("CARGO_PKG_VERSION")));
    assert!(text("settings.json").contains("bootstrap.servers"));
    assert!(text("topologies/topology.txt").contains(&app.name));
    assert!(text("doctor.json").contains("verdict"));
    assert!(text("server/metrics").contains("sheetstream_rows_total"));
    assert!(text("server/uploads.json").contains("PUBLISHED"));
    assert!(text("state.txt").contains("MANIFEST"));
    for (name, text) in &contents {
        for marked in ["Marked-Token", "Marked-Password", "Marked-Upload", "Place 7 of"] {
            assert!(!text.contains(marked), "{marked} is in {name}");
        }
    }
    let again = app.command(&["bundle", "-o"]).arg(&archive).output().expect("it runs");
    assert!(!again.status.success(), "what is there is not replaced");
    assert_eq!(running.stop(), Some(0));
}

on_the_in_process_broker! {
    a_replay_makes_the_next_revision_and_leaves_the_one_before,
    dead_letters_are_counted_shown_and_tried_again_after_a_fix,
    equal_lines_of_one_record_are_a_letter_each,
    a_reset_begins_at_the_given_place_and_needs_an_empty_group,
    a_state_directory_that_is_deleted_is_named_with_its_option,
    a_topology_that_is_paused_stays_so_through_a_restart_until_it_is_resumed,
    a_bundle_has_the_facts_that_help_and_neither_rows_nor_secrets,
}
