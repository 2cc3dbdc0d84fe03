//! The real binary over a real Apache Kafka: published files become the very workbooks that `convert` makes, whatever is killed on the way,
//! and Kafka's own tools are enough to take part.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/workbook.rs"]
mod workbook;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use app::{App, LIMIT};
use kafka::Kafka;
use sheetstream::record::Header;
use sheetstream::sink::status::UploadState;

#[test]
fn a_published_file_becomes_the_workbook_that_convert_makes() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "plain", 3);
    let (a, b) = (app.csv("a.csv", 5_000), app.csv("b.csv", 1));
    let running = app.run("state");
    app.publish(&[&a, &b]);
    app.wait_for(&["a.csv", "b.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    app.assert_right(&[("a.csv", &app.converted(&a)), ("b.csv", &app.converted(&b))]);

    let out = app.folder.path().join("books");
    let fetched =
        app.command(&["fetch", "a.csv", "-t"]).arg(app.topology()).arg("--out").arg(&out).output().expect("fetch");
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    assert_eq!(fs::read(out.join("a.xlsx")).expect("fetched"), app.converted(&a));
    let sheets = workbook::sheets(&app.converted(&a));
    assert_eq!(sheets["Errors"].len(), 1 + 6, "every 997th row has no x");
}

#[test]
fn topics_are_made_once_and_keep_their_partitions() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "topics", 3);
    let create = |more: &[&str]| {
        let mut create = app.command(&["topics", "create", "-t"]);
        let made = create.arg(app.topology()).args(more).output().expect("topics create");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (made.status.code(), text(&made.stdout), text(&made.stderr))
    };
    let (code, said, _) = create(&[]);
    assert_eq!((code, said.matches(": exists (3 partitions").count()), (Some(0), 4), "{said}");
    let (code, _, fix) = create(&["--partitions", "6"]);
    assert_eq!(code, Some(78));
    assert!(fix.contains(&format!("--alter --topic {}.rows --partitions 6", app.name)), "{fix}");
    assert_eq!(create(&["--partitions", "2"]).0, Some(78));
}

#[test]
fn fetch_says_why_no_workbook_comes_and_waits_for_what_was_published_again() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "failed", 1);
    let running = app.run("state");
    let file = app.folder.path().join("a.csv");
    let fetch = |timeout: &str| {
        let mut fetch = app.command(&["fetch", "a.csv", "--timeout", timeout, "-t"]);
        let fetched = fetch.arg(app.topology()).arg("--out").arg(app.folder.path()).output().expect("fetch");
        (fetched.status.code(), String::from_utf8_lossy(&fetched.stderr).into_owned())
    };
    // A fresh broker has no coordinator for a moment, which `--timeout 0` does not wait for.
    app.publish(&[&app.csv("first.csv", 1)]);
    app.wait_for(&["first.csv"], "state");
    let (code, why) = fetch("0");
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("nothing was heard of it"), "{why}");
    let rows = format!("{}.rows", app.name).into();
    let mut producer = kafka.client("test").producer(sheetstream::kafka::producer::ProducerConfig::default());
    for value in ["id,name,kind,x,y", "1,A,park,953000,1952000", "#EOF rows=3"] {
        producer.send(&rows, Some(0), Some(b"a.csv"), Some(value.as_bytes()), &[]).expect("sent");
    }
    producer.flush().expect("acknowledged");
    let (code, why) = fetch("3");
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("a.csv (INCOMPLETE, 1 rows so far; upload.incomplete: "), "{why}");
    fs::write(&file, "no,such,columns\n1,2,3\n").expect("a file");
    app.publish(&[&file]);
    let (code, why) = fetch("120");
    assert_eq!(code, Some(65));
    assert!(why.contains("column.missing") && why.contains("\"x\""), "{why}");
    app.csv("a.csv", 20);
    app.publish(&[&file]);
    assert_eq!(fetch("120").0, Some(0));
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn fetch_takes_what_was_published_last_and_no_older_workbook() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "newest", 2);
    let running = app.run("state");
    let out = tempfile::tempdir().expect("a folder");
    let fetch = |timeout: &str| {
        let mut fetch = app.command(&["fetch", "a.csv", "--force", "--timeout", timeout, "-t"]);
        let fetched = fetch.arg(app.topology()).arg("--out").arg(out.path()).output().expect("fetch");
        (fetched.status.code(), String::from_utf8_lossy(&fetched.stderr).into_owned())
    };
    let book = || fs::read(out.path().join("a.xlsx")).expect("fetched");
    for rows in [10, 3_000, 20] {
        let file = app.csv("a.csv", rows);
        app.publish(&[&file]);
        let (code, why) = fetch("120");
        assert_eq!((code, book() == app.converted(&file)), (Some(0), true), "{rows} rows: {why}");
    }
    assert_eq!(running.stop(), Some(0));
    let before = book();
    app.publish(&[&app.csv("a.csv", 30)]);
    let (code, why) = fetch("1");
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("not processed yet") && why.contains("revision 3 is there"), "{why}");
    assert!(book() == before, "the older workbook was fetched again");
}

#[test]
fn fetch_of_all_goes_past_names_that_are_taken_and_lists_what_it_could_not_write() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "names", 2);
    let running = app.run("state");
    let mut books = Vec::new();
    for (team, rows) in [("a", 5), ("b", 6), ("c", 7)] {
        let file = app.csv("d.csv", rows);
        let mut publish = app.command(&["publish", "--id", &format!("team-{team}/d.csv"), "-t"]);
        assert!(publish.arg(app.topology()).arg(&file).status().expect("publish").success());
        books.push(app.converted(&file));
    }
    app.wait_for(&["team-a/d.csv", "team-b/d.csv", "team-c/d.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    let out = app.folder.path().join("books");
    let fetch = |options: &[&str]| {
        let mut fetch = app.command(&["fetch", "-t"]);
        let fetched = fetch.arg(app.topology()).arg("--out").arg(&out).args(options).output().expect("fetch");
        (fetched.status.code(), String::from_utf8_lossy(&fetched.stderr).into_owned())
    };
    let files = |folder: &std::path::Path| {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.filter(|path| path.is_file()).map(|path| fs::read(path).expect("a file")).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let (code, said) = fetch(&[]);
        assert_eq!(code, Some(0), "{said}");
        let found = files(&out);
        assert!(found.len() == 3 && books.iter().all(|book| found.contains(book)), "{said}");
    }
    fs::write(out.join("team-b_d.csv"), b"in the way of a folder").expect("written");
    let (code, said) = fetch(&["--layout", "id"]);
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains("not written: d.xlsx of team-b/d.csv"), "{said}");
    for (id, book) in [("team-a_d.csv", &books[0]), ("team-c_d.csv", &books[2])] {
        assert!(&fs::read(out.join(id).join("r1/d.xlsx")).expect("written") == book);
    }
}

#[test]
fn fetch_of_an_upload_that_was_refused_whole_names_the_dead_letters() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "binary", 1);
    let running = app.run("state");
    let rows = format!("{}.rows", app.name).into();
    let mut producer = kafka.client("test").producer(sheetstream::kafka::producer::ProducerConfig::default());
    let first = [Header::new("ss-row", "first")];
    for _ in 0..3 {
        producer.send(&rows, Some(0), Some(b"numbered"), Some(b"1,A,park,1,2"), &first).expect("sent");
    }
    producer.send(&rows, Some(0), Some(b"packed"), Some(&[0x1f, 0x8b, 8, 0, 1]), &[]).expect("sent");
    producer.flush().expect("acknowledged");
    let fetch = |upload: &str| {
        let mut fetch = app.command(&["fetch", upload, "--timeout", "100", "-t"]);
        let fetched = fetch.arg(app.topology()).arg("--out").arg(app.folder.path()).output().expect("fetch");
        let said = String::from_utf8_lossy(&fetched.stderr).into_owned();
        assert_eq!(fetched.status.code(), Some(65), "{said}");
        said
    };
    let said = fetch("numbered");
    assert!(
        said.contains("3 of them are in") && said.contains(".dead-letters") && said.contains("marker.format"),
        "{said}"
    );
    let said = fetch("packed");
    assert!(said.contains("no workbook of packed: record.not_text") && said.contains("gzip"), "{said}");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn fetch_warns_of_a_workbook_without_a_row_and_fails_with_strict() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "empty", 1);
    let running = app.run("state");
    let file = app.folder.path().join("a.csv");
    fs::write(&file, "id,name,kind,x,y\n1,A,park,east,north\n2,B,park,east,north\n").expect("a file");
    app.publish(&[&file, &app.csv("b.csv", 3)]);
    app.wait_for(&["a.csv", "b.csv"], "state");
    let (topology, topic) = (app.topology().display().to_string(), format!("{}.workbooks", app.name));
    for (options, code) in [
        (&["a.csv", "-t", &topology][..], 0),
        (&["a.csv", "-t", &topology, "--strict"], 65),
        (&["a.csv", "--topic", &topic, "--strict"], 65),
        (&["b.csv", "-t", &topology, "--strict"], 0),
        (&["-t", &topology, "--strict"], 65),
        (&["--topic", &topic, "--strict"], 65),
    ] {
        let fetched = app.command(&["fetch", "--out"]).arg(app.folder.path()).args(options).output().expect("fetch");
        let said = String::from_utf8_lossy(&fetched.stderr).into_owned();
        assert_eq!(fetched.status.code(), Some(code), "{said}");
        assert_eq!(said.contains("a.csv: all 2 rows were rejected"), options[0] != "b.csv", "{said}");
    }
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn exactly_once_every_workbook_appears_once_whatever_is_killed() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "once", 2);
    let uploads: Vec<String> = (0..10).map(|n| format!("{n}.csv")).collect();
    let options = ["--guarantee", "exactly_once_v2"];
    let mut books = Vec::new();
    for (n, upload) in uploads.iter().enumerate() {
        let file = app.csv(upload, 2_000);
        app.publish(&[&file]);
        books.push(app.converted(&file));
        let running = app.run_with("state", &options, &[]);
        std::thread::sleep(Duration::from_millis(100 + 70 * n as u64));
        running.kill();
    }
    let running = app.run_with("state", &options, &[]);
    let last = app.csv("last.csv", 10);
    app.publish(&[&last]);
    let all: Vec<&str> = uploads.iter().map(String::as_str).chain(["last.csv"]).collect();
    app.wait_for(&all, "state");
    assert_eq!(running.stop(), Some(0));
    let found = app.workbooks();
    for (upload, book) in uploads.iter().zip(books) {
        assert!(found[upload] == [book], "{upload}: {} copies", found[upload].len());
    }
    let published = app.statuses().into_iter().filter(|status| status.state == UploadState::Published);
    assert_eq!(published.count(), all.len());
}

#[test]
fn at_rest_the_group_has_no_lag_in_kafkas_own_tool() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "lag", 1);
    let a = app.csv("a.csv", 2_000);
    let running = app.run("state");
    app.publish(&[&a]);
    app.wait_for(&["a.csv"], "state");
    let begun = Instant::now();
    loop {
        let Some(mut tool) = kafka.tool("consumer-groups") else { return };
        let described = tool.args(["--describe", "--group", &app.name]).output().expect("the tool");
        let described = String::from_utf8_lossy(&described.stdout).into_owned();
        // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
        let row = described.lines().find(|line| line.contains(".rows")).unwrap_or_default();
        let fields: Vec<&str> = row.split_whitespace().collect();
        if fields.len() > 5 && fields[5] == "0" {
            assert_eq!(fields[3], fields[4]);
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{described}");
    }
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn kafkas_console_producer_is_enough_to_publish() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "console", 1);
    let running = app.run("state");
    let Some(mut producer) = kafka.tool("console-producer") else { return };
    producer.args(["--topic", &format!("{}.rows", app.name)]);
    producer.args(["--reader-property", "parse.key=true", "--reader-property", "key.separator=|"]);
    let mut producer = producer.stdin(Stdio::piped()).spawn().expect("the tool");
    let lines = "k.csv|id,name,kind,x,y\nk.csv|1,Blue House,museum,953900,1952030\nk.csv|#EOF rows=1\n";
    producer.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("written");
    assert!(producer.wait().expect("ended").success());
    app.wait_for(&["k.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    let books = app.workbooks();
    assert_eq!(workbook::sheets(&books["k.csv"][0])["museum"][1][1], "Blue House");
}

#[test]
fn a_batch_that_rots_on_the_brokers_disk_is_reported_and_the_rest_continues() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "rotten", 1);
    let Some(mut producer) = kafka.tool("console-producer") else { return };
    producer.args(["--topic", &format!("{}.rows", app.name), "--command-property", "batch.size=1"]);
    producer.args(["--reader-property", "parse.key=true", "--reader-property", "key.separator=|"]);
    let mut producer = producer.stdin(Stdio::piped()).spawn().expect("the tool");
    let lines = "r.csv|id,name,kind,x,y\nr.csv|1,Blue House,museum,953900,1952030\nr.csv|2,Unlucky Place,museum,953900,1952030\n\
                 r.csv|3,Red House,museum,953900,1952030\nr.csv|#EOF\n";
    producer.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("written");
    assert!(producer.wait().expect("ended").success());
    kafka.rot(&format!("{}.rows", app.name), "Unlucky Place");

    let running = app.run("state");
    app.wait_for(&["r.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    let mut letters = Vec::new();
    app.each("dead-letters", |record| {
        let header = |name: &str| {
            let found = record.headers.iter().find(|header| &*header.name == name)?.value.clone();
            found.map(|value| String::from_utf8_lossy(&value).into_owned())
        };
        letters.push((header("ss-reason"), header("__streams.errors.offset")));
    });
    assert_eq!(letters, [(Some("record.corrupt".to_owned()), Some("2".to_owned()))], "{}", app.log("state"));
    let rows = workbook::sheets(&app.workbooks()["r.csv"][0]).remove("museum").expect("a sheet");
    let names: Vec<_> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(names, ["name", "Blue House", "Red House"]);
}

#[test]
fn a_file_in_another_crs_is_published_and_converted_alike() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "crs", 1);
    let file = app.folder.path().join("old.csv");
    // Gwanghwamun in EPSG:5181 (Korea 2000, central belt); the topology is for EPSG:5179.
    fs::write(&file, "id,name,kind,x,y\n1,Gate,museum,198056.37,451885.35\n").expect("a file");
    let running = app.run("state");
    let published = app.command(&["publish", "--crs", "EPSG:5181", "-t"]).arg(app.topology()).arg(&file).output();
    let published = published.expect("publish");
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    app.wait_for(&["old.csv"], "state");
    assert_eq!(running.stop(), Some(0));

    let out = app.folder.path().join("old.xlsx");
    let mut convert = app.command(&["convert", "--crs", "EPSG:5181", "-t"]);
    let converted = convert.arg(app.topology()).arg(&file).arg("-o").arg(&out).output().expect("convert");
    assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
    let book = fs::read(out).expect("a workbook");
    assert_eq!(app.workbooks()["old.csv"], std::slice::from_ref(&book));
    let row = &workbook::sheets(&book)["museum"][1];
    let (lon, lat): (f64, f64) = (row[5].parse().expect("a number"), row[6].parse().expect("a number"));
    assert!((lon - 126.978).abs() < 0.01 && (lat - 37.566).abs() < 0.01, "{row:?}");

    let mut unknown = app.command(&["publish", "--crs", "EPSG:1", "-t"]);
    let refused = unknown.arg(app.topology()).arg(&file).output().expect("publish");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("EPSG:1"), "{refused:?}");
}

#[test]
fn three_processes_that_come_and_go_share_the_work() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "group", 6);
    let names: Vec<String> = (0..9).map(|n| format!("f{n}.csv")).collect();
    let files: Vec<PathBuf> = names.iter().map(|name| app.csv(name, 3_000)).collect();
    let expected: Vec<Vec<u8>> = files.iter().map(|file| app.converted(file)).collect();
    let uploads: Vec<&str> = names.iter().map(String::as_str).collect();
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();

    let first = app.run("one");
    app.publish(&paths[..3]);
    let second = app.run("two");
    app.publish(&paths[3..6]);
    app.wait_for(&uploads[..3], "one");
    let third = app.run("three");
    assert_eq!(first.stop(), Some(0));
    app.publish(&paths[6..]);
    app.wait_for(&uploads, "two");
    assert_eq!((second.stop(), third.stop()), (Some(0), Some(0)));
    let expected: Vec<(&str, &[u8])> = uploads.iter().copied().zip(expected.iter().map(Vec::as_slice)).collect();
    app.assert_right(&expected);
}

#[test]
fn a_second_process_on_the_same_state_directory_is_refused() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "lock", 1);
    let first = app.run("state");
    let a = app.csv("a.csv", 1);
    app.publish(&[&a]);
    app.wait_for(&["a.csv"], "state");
    assert_eq!(app.run("state").wait().code(), Some(73));
    assert!(app.log("state").contains(&first.0.id().to_string()), "the holder is named");
}

/// Small and fast enough for hundreds of rounds, and good enough to pick instants.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[test]
fn kill_9_at_any_instant_loses_and_changes_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    let seed = std::env::var("SHEETSTREAM_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("SHEETSTREAM_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let rounds = 50;
    let mut app = App::new(kafka, "kill", 2);
    let mut round = 0;
    while round < rounds {
        // A fresh application now and then: first joins are killed too.
        let (a, b) = (app.csv("a.csv", 4_000 + dice.roll(12_000)), app.csv("b.csv", 1_500));
        app.publish(&[&a, &b]);
        for _ in 0..5 {
            let running = app.run("state");
            std::thread::sleep(Duration::from_millis(dice.roll(700)));
            running.kill();
            if dice.roll(3) == 0 {
                fs::remove_dir_all(app.folder.path().join("state")).ok();
            }
            round += 1;
        }
        let running = app.run("state");
        app.wait_for(&["a.csv", "b.csv"], "state");
        // All may have been published before; then the signal can come before the process listens to signals.
        assert!(matches!(running.stop(), Some(0) | None));
        app.assert_right(&[("a.csv", &app.converted(&a)), ("b.csv", &app.converted(&b))]);
        app = App::new(kafka, "kill", 2);
    }
}

/// Built with `--features failpoints`: the process aborts inside recovery, assembly, publishing and committing.
#[cfg(feature = "failpoints")]
#[test]
fn aborts_at_every_fail_point_lose_and_change_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    let points = [
        "task-before-workbook",
        "task-after-workbook",
        "task-before-state",
        "state-before-sync",
        "state-after-sync",
        "state-after-apply",
        "state-after-flush",
        "state-before-unlink",
        "task-before-offset",
        "task-after-offset",
        "task-restored",
    ];
    for point in points {
        for wipe in [false, true] {
            let app = App::new(kafka, "fail", 1);
            let a = app.csv("a.csv", 4_000);
            app.publish(&[&a]);
            // Once right away and once with state, if the point is reached at all.
            for _ in 0..2 {
                let mut running = app.run_with("state", &[], &[("SHEETSTREAM_ABORT_AT", point)]);
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(3) && running.0.try_wait().expect("watched").is_none() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                drop(running);
            }
            if wipe {
                fs::remove_dir_all(app.folder.path().join("state")).ok();
            }
            let running = app.run("state");
            app.wait_for(&["a.csv"], "state");
            assert!(matches!(running.stop(), Some(0) | None), "{point}"); // as above
            app.assert_right(&[("a.csv", &app.converted(&a))]);
        }
    }
}

/// Built with `--features failpoints`.
#[cfg(feature = "failpoints")]
#[test]
fn a_panic_ends_the_process_with_70_and_says_where() {
    let Some(kafka) = Kafka::shared() else { return };
    // The thread of a task, and that of the state.
    for point in ["task-before-workbook", "state-before-sync"] {
        let app = App::new(kafka, "panic", 1);
        app.publish(&[&app.csv("a.csv", 100)]);
        let mut running = app.run_with("state", &[], &[("SHEETSTREAM_PANIC_AT", point)]);
        assert_eq!(running.0.wait().expect("it ends").code(), Some(70), "{point}");
        let log = app.log("state");
        let said = log.lines().find(|line| line.contains("please report it")).unwrap_or_else(|| panic!("{log}"));
        assert!(said.contains(point) && said.contains("thread=") && said.contains("place="), "{said}");
    }
}

on_the_in_process_broker! {
    a_published_file_becomes_the_workbook_that_convert_makes,
    topics_are_made_once_and_keep_their_partitions,
    exactly_once_every_workbook_appears_once_whatever_is_killed,
    fetch_says_why_no_workbook_comes_and_waits_for_what_was_published_again,
    fetch_takes_what_was_published_last_and_no_older_workbook,
    fetch_of_all_goes_past_names_that_are_taken_and_lists_what_it_could_not_write,
    fetch_of_an_upload_that_was_refused_whole_names_the_dead_letters,
    fetch_warns_of_a_workbook_without_a_row_and_fails_with_strict,
    at_rest_the_group_has_no_lag_in_kafkas_own_tool,
    kafkas_console_producer_is_enough_to_publish,
    a_batch_that_rots_on_the_brokers_disk_is_reported_and_the_rest_continues,
    a_file_in_another_crs_is_published_and_converted_alike,
    three_processes_that_come_and_go_share_the_work,
    a_second_process_on_the_same_state_directory_is_refused,
    kill_9_at_any_instant_loses_and_changes_nothing,
    #[cfg(feature = "failpoints")]
    aborts_at_every_fail_point_lose_and_change_nothing,
    #[cfg(feature = "failpoints")]
    a_panic_ends_the_process_with_70_and_says_where,
}
