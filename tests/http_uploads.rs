//! Uploads over HTTP against the real `run` and a real broker: what becomes of a file, and of one that does not arrive as it should.

#[path = "support/app.rs"]
mod app;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use app::{App, LIMIT, Running};
use http::{Answer, connect, get, request, send};
use kafka::Kafka;
use serde_json::{Value, json};
use sheetstream::http::{HttpConfig, HttpParts, start};
use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::record::{Header, TopicPartition};
use sheetstream::runtime::health::Health;
use sheetstream::runtime::queries::Queries;
use sheetstream::topology::Topology;

/// An application that runs and serves HTTP.
struct Site {
    app: App,
    address: SocketAddr,
    _running: Running,
}

impl Site {
    fn start(kafka: &'static Kafka, name: &str) -> Site {
        Site::of(App::new(kafka, name, 2), "state")
    }
    fn of(app: App, state: &str) -> Site {
        let running = app.run_with(state, &["--http", "127.0.0.1:0"], &[]);
        Site { address: app.http_address(state), app, _running: running }
    }
    fn post(&self, query: &str, body: &[u8]) -> Answer {
        send(self.address, "POST", &format!("/uploads?{query}"), &[], body)
    }
    /// Waits until the upload is as `wanted` says.
    fn wait_for(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let answer = get(self.address, &format!("/uploads/{id}"));
            if answer.status == 200 && wanted(&answer.json()) {
                return answer.json();
            }
            assert!(since.elapsed() < LIMIT, "{}\n{}", answer.text(), self.app.log("state"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    fn published(&self, id: &str) -> Value {
        self.wait_for(id, |upload| upload["state"] == "PUBLISHED")
    }
    fn source_records(&self) -> usize {
        let mut count = 0;
        self.app.each("rows", |_| count += 1);
        count
    }
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned()
}

/// Posts a file, downloads its workbook by ranges too, sees its rejected rows and its first rows, posts it again, restarts, asks again.
#[test]
fn a_file_becomes_the_workbook_that_convert_makes() {
    let Some(kafka) = Kafka::shared() else { return };
    let site = Site::start(kafka, "http");
    let path = site.app.csv("서울 장소.csv", 3_000);
    let file = fs::read(&path).expect("the file");

    let created = site.post("name=%EC%84%9C%EC%9A%B8+%EC%9E%A5%EC%86%8C.csv", &file);
    assert_eq!(created.status, 201, "{created:?}");
    let id = id(&created);
    assert_eq!(id.len(), 32);
    assert_eq!(created.header("location"), Some(format!("/uploads/{id}").as_str()));
    assert_eq!(created.json()["file"]["columns"], json!(["id", "name", "kind", "x", "y"]));

    let upload = site.published(&id);
    assert_eq!((&upload["accounting"]["written"], &upload["accounting"]["rejected"]), (&2_996.into(), &4.into()));
    assert_eq!((&upload["name"], &upload["workbook"]["filename"]), (&"서울 장소.csv".into(), &"서울 장소.xlsx".into()));

    let whole = get(site.address, &format!("/workbooks/{id}"));
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert!(whole.body == site.app.converted(&path), "the workbook differs from what convert makes");
    let disposition = whole.header("content-disposition").expect("a name");
    let encoded = "filename*=UTF-8''%EC%84%9C%EC%9A%B8%20%EC%9E%A5%EC%86%8C.xlsx";
    assert!(
        disposition.starts_with("attachment; filename=\"__ __.xlsx\"") && disposition.ends_with(encoded),
        "{disposition}"
    );
    let etag = whole.header("etag").expect("a tag").to_owned();
    assert_eq!(etag.trim_matches('"'), upload["workbook"]["sha256"]);

    let workbook = format!("/workbooks/{id}");
    let part = |range: &str, more: (&str, &str)| request(site.address, "GET", &workbook, &[("range", range), more]);
    let middle = part("bytes=1000-1999", ("if-range", &etag));
    assert_eq!((middle.status, &middle.body[..]), (206, &whole.body[1_000..2_000]));
    assert_eq!(middle.header("content-range"), Some(format!("bytes 1000-1999/{}", whole.body.len()).as_str()));
    let tail = part("bytes=-10", ("accept", "*/*"));
    assert_eq!((tail.status, &tail.body[..]), (206, &whole.body[whole.body.len() - 10..]));
    assert_eq!(part("bytes=99999999-", ("accept", "*/*")).status, 416);
    assert_eq!(part("bytes=0-1", ("if-range", "\"another\"")).status, 200, "another workbook is sent whole");
    assert_eq!(request(site.address, "GET", &workbook, &[("if-none-match", &etag)]).status, 304);
    let head = request(site.address, "HEAD", &workbook, &[]);
    assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));

    let rejects = get(site.address, &format!("/uploads/{id}/rejects")).json();
    assert_eq!(rejects["is_complete"], true, "{rejects}");
    let rows: Vec<&Value> =
        rejects["rejects"].as_array().expect("a list").iter().map(|reject| &reject["row"]).collect();
    assert_eq!(rows, [&json!(5), &json!(1_002), &json!(1_999), &json!(2_996)]);
    assert_eq!(
        (&rejects["rejects"][0]["reason"], &rejects["rejects"][0]["column"]),
        (&"number.format".into(), &"x".into())
    );
    assert!(rejects["rejects"][0]["raw"].as_str().is_some_and(|raw| raw.starts_with("5,Place 5")), "{rejects}");

    let preview = get(site.address, &format!("/uploads/{id}/preview")).json();
    let names: Vec<&Value> = preview["sheets"].as_array().expect("sheets").iter().map(|sheet| &sheet["name"]).collect();
    assert!(names.contains(&&json!("museum")) && names.contains(&&json!("park")), "{preview}");
    assert!(names.contains(&&preview["errors_sheet"]), "{preview}");

    let before = site.source_records();
    let again = site.post("name=another.csv", &file);
    assert_eq!((again.status, &again.json()["id"], &again.json()["state"]), (200, &json!(id), &"PUBLISHED".into()));
    assert_eq!(site.source_records(), before, "the same content is not published again");

    // Another process, which never saw the upload, knows it from the topics.
    let Site { app, _running, .. } = site;
    assert_eq!(_running.stop(), Some(0));
    let site = Site::of(app, "state-2");
    let upload = site.published(&id);
    assert_eq!(upload["name"], "서울 장소.csv");
    assert!(get(site.address, &workbook).body == whole.body);
    assert_eq!(site.post("name=another.csv", &file).status, 200);
    let listed = get(site.address, "/uploads?limit=5").json();
    assert_eq!(listed["uploads"][0]["id"], json!(id));

    let status = site.app.command(&["status", "--json"]).arg(site.app.topology()).output().expect("status");
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!((&status["topologies"][0]["lag"], &status["uploads"][0]["state"]), (&0.into(), &"PUBLISHED".into()));
    let status = site.app.command(&["status"]).arg(site.app.topology()).output().expect("status");
    let status = String::from_utf8(status.stdout).expect("text");
    assert!(status.contains("LAG") && status.contains("서울 장소.csv") && status.contains(&id), "{status}");
}

#[test]
fn a_form_and_a_crs_of_its_own_make_another_upload_of_the_same_file() {
    let Some(kafka) = Kafka::shared() else { return };
    let site = Site::start(kafka, "form");
    let file = "kind,x,y\nmuseum,953000,1952000\n";
    let form = |crs: &str| {
        let part = |name: &str, body: &str| format!("--b\r\ncontent-disposition: form-data; {name}\r\n\r\n{body}\r\n");
        let parts = [
            part("name=\"topology\"", &site.app.name),
            part("name=\"crs\"", crs),
            part("name=\"file\"; filename=\"C:\\\\..\\\\한글.csv\"", file),
        ];
        send(
            site.address,
            "POST",
            "/uploads",
            &[("content-type", "multipart/form-data; boundary=b")],
            format!("{}--b--\r\n", parts.concat()).as_bytes(),
        )
    };
    let usual = form("EPSG:5179");
    assert_eq!(usual.status, 201, "{usual:?}");
    assert_eq!(usual.json()["crs"], Value::Null, "it is the topology's own");
    assert_eq!(site.published(&id(&usual))["workbook"]["filename"], "한글.xlsx");
    assert_eq!(site.post("name=a.csv", file.as_bytes()).status, 200, "the form's file is the raw body's");
    let own = form("EPSG:5186");
    assert_eq!((own.status, own.json()["crs"].as_str()), (201, Some("EPSG:5186")));
    assert_ne!(id(&own), id(&usual));
    site.wait_for(&id(&own), |upload| upload["state"] == "PUBLISHED" || upload["state"] == "FAILED");
}

#[test]
fn a_form_may_be_as_large_as_a_raw_body() {
    let Some(kafka) = Kafka::shared() else { return };
    let site = Site::start(kafka, "largeform");
    let file = fs::read(site.app.csv("large.csv", 100_000)).expect("the file");
    assert!(file.len() > 3 << 20, "{}", file.len());
    let head = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"large.csv\"\r\n\r\n";
    let body = [head.as_bytes(), &file, b"\r\n--b--\r\n"].concat();
    let sent = send(site.address, "POST", "/uploads", &[("content-type", "multipart/form-data; boundary=b")], &body);
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(site.published(&id(&sent))["accounting"]["rows_in"], 100_000);
}

#[test]
fn a_client_that_goes_away_half_way_leaves_nothing() {
    let Some(kafka) = Kafka::shared() else { return };
    let site = Site::start(kafka, "halfway");
    let file = fs::read(site.app.csv("half.csv", 30_000)).expect("the file");
    let length = file.len().to_string();
    let head = http::head("POST", "/uploads?name=half.csv", &[("host", "localhost"), ("content-length", &length)]);
    for _ in 0..3 {
        let mut stream = connect(site.address);
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(&file[..file.len() / 2]).expect("sent");
        drop(stream);
    }
    // One that stays goes through, and is all that there is.
    let created = site.post("name=whole.csv", b"id,name,kind,x,y\n1,a,park,953000,1952000\n");
    assert_eq!(created.status, 201);
    site.published(&id(&created));
    assert_eq!(site.source_records(), 4, "begin, header, rows, end");
    assert_eq!(get(site.address, "/uploads").json()["uploads"].as_array().map(Vec::len), Some(1));
}

/// Reads server-sent events up to the one with this name: their names and data.
fn events(to: SocketAddr, id: &str, last: &str) -> Vec<(String, Value)> {
    let mut stream = connect(to);
    let head = http::head("GET", &format!("/uploads/{id}/events"), &[("host", "localhost")]);
    stream.write_all(head.as_bytes()).expect("sent");
    let (mut events, mut name) = (Vec::new(), String::new());
    for line in BufReader::new(stream).lines() {
        let line = line.expect("a line");
        if let Some(found) = line.strip_prefix("event: ") {
            name = found.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            events.push((name.clone(), serde_json::from_str(data).expect("JSON")));
            if name == last {
                break;
            }
        }
    }
    events
}

/// An upload of somebody else, with plain Kafka: watched while it is open, then given up over HTTP.
#[test]
fn an_open_upload_is_watched_and_given_up() {
    let Some(kafka) = Kafka::shared() else { return };
    let site = Site::start(kafka, "open");
    let mut producer = kafka.client("publisher").producer(ProducerConfig::default());
    let topic = format!("{}.rows", site.app.name).into();
    let kind = [Header::new("ss-type", "row")];
    let mut rows = |text: &str, headers: &[Header]| {
        producer.send(&topic, None, Some(b"open.csv"), Some(text.as_bytes()), headers).expect("sent");
        producer.flush().expect("acknowledged");
    };
    rows("id,name,kind,x,y\n", &[Header::new("ss-type", "header")]);
    rows("1,a,park,953000,1952000\n2,b,museum,none,1952000\n", &kind);
    let upload = site.wait_for("open.csv", |upload| upload["accounting"]["rows_in"] == 2);
    assert_eq!((&upload["state"], &upload["accounting"]["rejected"]), (&"RECEIVING".into(), &1.into()));
    let preview = get(site.address, "/uploads/open.csv/preview");
    assert_eq!(preview.json()["sheets"][0]["name"], "park", "{preview:?}");
    assert_eq!(get(site.address, "/workbooks/open.csv").problem(), "no-workbook");

    std::thread::scope(|scope| {
        let watching = scope.spawn(|| events(site.address, "open.csv", "end"));
        let given_up = request(site.address, "DELETE", "/uploads/open.csv", &[("origin", "http://localhost")]);
        assert_eq!(given_up.status, 202, "{given_up:?}");
        let events = watching.join().expect("the stream ends");
        let (name, last) = events.last().expect("events");
        assert_eq!((name.as_str(), &last["state"]), ("end", &"ABORTED".into()));
        assert_eq!(events[0].0, if events.len() > 1 { "upload" } else { "end" });
    });
    let again = request(site.address, "DELETE", "/uploads/open.csv", &[]);
    assert_eq!((again.status, again.problem().as_str()), (409, "ended"));
    assert_eq!(get(site.address, "/uploads/nobody/events").problem(), "unknown-upload");
    assert_eq!(events(site.address, "open.csv", "end").len(), 1, "one that has ended is sent at once");
}

/// Uploads of plain Kafka lie in any partition, and those of a header have no key.
#[test]
fn an_open_upload_is_given_up_wherever_its_rows_are() {
    let Some(kafka) = Kafka::shared() else { return };
    let site = Site::start(kafka, "placed");
    let topic: Arc<str> = format!("{}.rows", site.app.name).into();
    let mut producer = kafka.client("publisher").producer(ProducerConfig::default());
    let (mut ids, row) = (Vec::new(), b"1,a,park,953000,1952000\n".as_slice());
    for partition in [0, 1] {
        let (keyed, named) = (format!("keyed-{partition}"), format!("named-{partition}"));
        for value in [b"id,name,kind,x,y\n".as_slice(), row] {
            producer.send(&topic, Some(partition), Some(keyed.as_bytes()), Some(value), &[]).expect("sent");
            let header = [Header::new("ss-upload", named.clone())];
            producer.send(&topic, Some(partition), None, Some(value), &header).expect("sent");
        }
        ids.extend([keyed, named]);
    }
    producer.flush().expect("acknowledged");
    for id in ids {
        site.wait_for(&id, |upload| upload["accounting"]["rows_in"] == 1);
        let given_up = request(site.address, "DELETE", &format!("/uploads/{id}"), &[]);
        assert_eq!(given_up.status, 202, "{id}: {given_up:?}");
        site.wait_for(&id, |upload| upload["state"] == "ABORTED");
    }
}

/// Three topologies that run elsewhere, of which the status topics tell.
#[test]
fn an_upload_that_is_not_clearly_meant_is_not_given_up() {
    let Some(kafka) = Kafka::shared() else { return };
    let client = kafka.client("test");
    let topology = |upload: &str| {
        let name = format!("meant-{}", uuid::Uuid::new_v4().simple());
        let text = format!(
            "name = \"{name}\"\n[[source]]\nname = \"rows\"\nupload = \"{upload}\"\n[[aggregate]]\nname = \"by-kind\"\nsheet = \"kind\"\n[[sink]]\nname = \"books\"\n"
        );
        for topic in ["rows", "status"] {
            let topic = NewTopic { name: format!("{name}.{topic}"), partitions: 2, replication: 1, configs: vec![] };
            client.create_topics(&[topic]).expect("created");
        }
        Arc::new(Topology::parse(&text, "meant.toml", &|_| None).expect("a topology"))
    };
    let (first, second, of_header) = (topology("auto"), topology("key"), topology("header:x-file"));
    let mut producer = client.producer(ProducerConfig::default());
    let mut say = |topology: &Topology, upload: &str, state: &str| {
        let status = json!({
            "state": state, "upload": upload, "revision": 1, "name": null, "topology": &*topology.name,
            "topology_hash": "h", "partition": 1, "offsets": { "first": 0 },
            "accounting": { "rows_in": 1, "written": 1, "rejected": 0, "duplicate": 0, "late": 0, "filtered": 0, "voided": 0, "waiting": 0 },
        });
        let status = status.to_string();
        producer
            .send(&topology.sink.status_topic, Some(1), Some(upload.as_bytes()), Some(status.as_bytes()), &[])
            .expect("sent");
        producer.flush().expect("acknowledged");
    };
    for topology in [&first, &second] {
        say(topology, "both", "RECEIVING");
    }
    say(&first, "one", "RECEIVING");
    say(&second, "one", "PUBLISHED");
    say(&of_header, "headed", "RECEIVING");
    let parts = HttpParts {
        topologies: vec![first.clone(), second.clone(), of_header],
        kafka: kafka.config("http"),
        health: Arc::new(Health::default()),
        queries: Queries::default(),
    };
    let server = start(HttpConfig::new(SocketAddr::from(([127, 0, 0, 1], 0))), parts).expect("it starts");
    let give_up = |path: &str| request(server.address(), "DELETE", &format!("/uploads/{path}"), &[]);

    let unclear = give_up("both");
    assert_eq!((unclear.status, unclear.problem().as_str()), (409, "ambiguous"));
    assert!([&first, &second].iter().all(|of| unclear.text().contains(&*of.name)), "{unclear:?}");
    let refused = give_up("headed");
    assert_eq!((refused.status, refused.problem().as_str()), (422, "topology"), "{refused:?}");
    assert_eq!(give_up(&format!("both?topology={}", second.name)).status, 202);
    assert_eq!(give_up("one").status, 202, "one of them is open");
    for (topology, id) in [(first, "one"), (second, "both")] {
        let mut marked = Vec::new();
        let rows = TopicPartition { topic: topology.source.topic.clone(), partition: 1 };
        client.read_all(&rows, &mut |record| marked.extend(record.key)).expect("read");
        assert_eq!(marked, [id.as_bytes()]);
    }
    server.stop();
}

/// The broker dies while the server runs: an upload is put off, and goes through when the broker is back.
#[test]
fn while_the_broker_is_down_an_upload_is_put_off() {
    let Some(mut kafka) = Kafka::start(&[]) else { return };
    let text = "name = \"down\"\n[[source]]\nname = \"rows\"\nheader = \"first\"\n[[aggregate]]\nname = \"by-kind\"\nsheet = \"kind\"\n[[sink]]\nname = \"books\"\n";
    let topology = Topology::parse(text, "down.toml", &|_| None).expect("a topology");
    let client = kafka.client("test");
    for name in ["rows", "workbooks", "status", "dead-letters"] {
        let topic = NewTopic { name: format!("down.{name}"), partitions: 1, replication: 1, configs: vec![] };
        client.create_topics(&[topic]).expect("created");
    }
    let parts = HttpParts {
        topologies: vec![Arc::new(topology)],
        kafka: kafka.config("http"),
        health: Arc::new(Health::default()),
        queries: Queries::default(),
    };
    let server = start(HttpConfig::new(SocketAddr::from(([127, 0, 0, 1], 0))), parts).expect("it starts");
    let post = |file: &str| send(server.address(), "POST", "/uploads?name=a.csv", &[], file.as_bytes());
    assert_eq!(post("kind,n\npark,1\n").status, 201);

    kafka.kill();
    let put_off = post("kind,n\npark,2\n");
    assert_eq!((put_off.status, put_off.problem().as_str()), (503, "broker"));
    assert!(put_off.header("retry-after").is_some(), "{put_off:?}");
    kafka.boot();
    assert_eq!(post("kind,n\npark,2\n").status, 201, "what was put off is sent again");
    let mut begins = 0;
    let rows = TopicPartition { topic: "down.rows".into(), partition: 0 };
    let is_begin = |header: &Header| &*header.name == "ss-type" && header.value.as_deref() == Some(b"begin");
    client.read_all(&rows, &mut |record| begins += usize::from(record.headers.iter().any(is_begin))).expect("read");
    assert_eq!(begins, 2, "the one that was put off had not begun");
    server.stop();
}

on_the_in_process_broker! {
    a_file_becomes_the_workbook_that_convert_makes,
    a_form_and_a_crs_of_its_own_make_another_upload_of_the_same_file,
    a_form_may_be_as_large_as_a_raw_body,
    a_client_that_goes_away_half_way_leaves_nothing,
    an_open_upload_is_given_up_wherever_its_rows_are,
    an_open_upload_is_watched_and_given_up,
    an_upload_that_is_not_clearly_meant_is_not_given_up,
    while_the_broker_is_down_an_upload_is_put_off,
}
