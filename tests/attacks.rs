//! What a publisher without manners may send, all of it at once, to a process with little memory or few files: it lives, and serves others.

#[path = "support/app.rs"]
mod app;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use app::{App, LIMIT, Running};
use kafka::Kafka;
use sheetstream::kafka::producer::{Producer, ProducerConfig};
use sheetstream::kafka::wire::compression::Compression;
use sheetstream::record::Header;
use sheetstream::sink::status::UploadState;

/// The most memory that a process has had so far, in MiB.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") >> 10
}

struct Attacker {
    topic: Arc<str>,
    producer: Producer,
}

impl Attacker {
    fn new(app: &App, compression: Compression) -> Attacker {
        let config = ProducerConfig { compression, batch_bytes: 4 << 20, ..ProducerConfig::default() };
        let topic = format!("{}.rows", app.name).into();
        Attacker { topic, producer: app.kafka.client("attacker").producer(config) }
    }
    fn send(&mut self, key: &str, value: &[u8], headers: &[(&str, &str)]) {
        let headers: Vec<Header> =
            headers.iter().map(|(name, value)| Header::new(name, value.as_bytes().to_vec())).collect();
        self.producer.send(&self.topic, None, Some(key.as_bytes()), Some(value), &headers).expect("sent");
    }
    fn flush(&mut self) {
        self.producer.flush().expect("acknowledged");
    }
}

/// Everything that ended a process of 512 MiB, or filled it, before there were limits.
fn attack(app: &App) {
    let mut plain = Attacker::new(app, Compression::None);
    for n in 0..1_000 {
        plain.send(&format!("crs-{n}"), format!("#BEGIN crs=\"/etc/{n}\"").as_bytes(), &[]);
    }
    for n in 0..100 {
        let sheets: String = (0..2_000).map(|sheet| format!("{sheet},x,sheet {sheet},953000,1952000\n")).collect();
        plain.send(&format!("sheets-{n}"), format!("id,name,kind,x,y\n{sheets}").as_bytes(), &[]);
    }
    let name = "n".repeat(600_000);
    for n in 0..60 {
        plain.send(&format!("name-{n}"), b"id,name,kind,x,y", &[("ss-name", &name)]);
    }
    plain.flush();
    for n in 0..60_000 {
        plain.send(&format!("key-{n}"), format!("{n},x,park,953000,1952000").as_bytes(), &[]);
    }
    plain.flush();
    // Headers that are all different: each column costs far more than its two or three letters.
    for n in 0..150 {
        let names: Vec<String> = (0..9_999).map(|column| format!("{n}_{column}")).collect();
        plain.send(&format!("columns-{n}"), format!("#HEADER kind,{}", names.join(",")).as_bytes(), &[]);
    }
    // Rows of one letter: the headers of the dead letter of each are far longer.
    plain.send("letters", format!("id,name,kind,x,y\n{}", "x\n".repeat(450_000)).as_bytes(), &[]);
    plain.flush();
    let bomb = vec![b'a'; 96 << 20];
    let mut packed = Attacker::new(app, Compression::Lz4);
    for n in 0..6 {
        packed.send(&format!("bomb-{n}"), &bomb, &[]);
        packed.flush();
    }
}

#[test]
fn every_attack_at_once_leaves_a_process_of_512_mib_that_serves_a_good_upload() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "attacks", 1);
    attack(&app);
    let good = app.csv("good.csv", 3_000);
    app.publish(&[&good]);
    let running = app.run_with("state", &["--memory-max", "384MiB"], &[]);
    app.wait_for_log(&["good.csv"], "state");
    let peak = peak(running.0.id());
    eprintln!("peak: {peak} MiB");
    assert!(peak < 512, "{peak} MiB");
    let book = app.converted(&good);
    assert_eq!(app.workbooks().get("good.csv").map(|books| books.as_slice()), Some(&[book][..]));
    assert_eq!(running.stop(), Some(0));
}

/// Descriptors are few: downloads, previews and connections of strangers do not use them up.
#[test]
fn three_hundred_files_are_enough_for_downloads_without_end() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "files", 1);
    let files: Vec<_> = (0..120).map(|n| app.csv(&format!("w{n}.csv"), 3)).collect();
    let paths: Vec<&Path> = files.iter().map(|file| file.as_path()).collect();
    app.publish(&paths);
    let log = fs::File::create(app.folder.path().join("state.log")).expect("a log");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 300; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_sheetstream")]);
    command.args(["run", "--threads", "2", "--commit-interval-ms", "100", "--http", "127.0.0.1:0"]);
    command.arg(app.topology()).arg("--state-dir").arg(app.folder.path().join("state")).stderr(log);
    command.env("SHEETSTREAM_BROKERS", &app.kafka.bootstrap);
    let running = Running(command.spawn().expect("it runs"));
    let to = app.http_address("state");
    let names: Vec<String> = (0..120).map(|n| format!("w{n}.csv")).collect();
    app.wait_for(&names.iter().map(String::as_str).collect::<Vec<_>>(), "state");
    let begun = Instant::now();
    let mut left: BTreeSet<&String> = names.iter().collect();
    while !left.is_empty() {
        assert!(begun.elapsed() < LIMIT, "{left:?}: {}", app.log("state"));
        // The index may be behind, and an address that asks too often waits.
        left.retain(|name| http::get(to, &format!("/workbooks/{name}")).status != 200);
    }
    let open = fs::read_dir(format!("/proc/{}/fd", running.0.id())).expect("it lives").count();
    assert!(open < 250, "{open} files are open");
    let after = app.csv("after.csv", 50);
    app.publish(&[&after]);
    app.wait_for(&["after.csv"], "state");
    assert_eq!(http::get(to, "/healthz").json()["status"], "ok");
    assert_eq!(running.stop(), Some(0));
}

/// Uploads whose next byte does not come: each keeps the room that its bytes take on disk, and hardly any memory.
#[test]
fn hundreds_of_half_uploads_take_little_memory() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "half", 1);
    let running = app.run_with("state", &["--http", "127.0.0.1:0"], &[]);
    let to = app.http_address("state");
    let before = peak(running.0.id());
    let rows = "1,x,park,953000,1952000\n".repeat(10_000);
    let half = |_| {
        let mut stream = TcpStream::connect(to).expect("a connection");
        write!(stream, "POST /uploads HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n").expect("sent");
        stream.write_all(rows.as_bytes()).expect("sent");
        stream
    };
    let halves: Vec<TcpStream> = (0..400).map(half).collect();
    let begun = Instant::now();
    let spooled = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("sheetstream_http_spool_bytes "));
        line.and_then(|bytes| bytes.parse::<f64>().ok()).unwrap_or(0.0)
    };
    while spooled(&http::get(to, "/metrics").text()) < 400.0 * rows.len() as f64 * 0.9 {
        assert!(begun.elapsed() < LIMIT, "{}", http::get(to, "/metrics").text());
    }
    let grown = peak(running.0.id()) - before;
    assert!(grown < 100, "{grown} MiB more");
    drop(halves);
    assert_eq!(running.stop(), Some(0));
}

impl App {
    /// Waits for uploads as [`App::wait_for`] does, by the log alone: there are too many statuses to read again and again.
    fn wait_for_log(&self, uploads: &[&str], state: &str) {
        let begun = Instant::now();
        loop {
            let log = self.log(state);
            if uploads.iter().all(|upload| log.contains(&format!("upload={upload} "))) {
                break;
            }
            assert!(begun.elapsed() < 3 * LIMIT, "{uploads:?} never came: {}", &log[log.len().saturating_sub(4_000)..]);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let ended = |upload: &&str| {
            self.statuses().iter().any(|status| status.upload == **upload && status.state == UploadState::Published)
        };
        while !uploads.iter().all(ended) {
            assert!(begun.elapsed() < 3 * LIMIT, "{uploads:?} were not published");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

on_the_in_process_broker! {
    every_attack_at_once_leaves_a_process_of_512_mib_that_serves_a_good_upload,
    three_hundred_files_are_enough_for_downloads_without_end,
    hundreds_of_half_uploads_take_little_memory,
}
