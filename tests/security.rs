//! TLS, SASL and ACLs against Apache Kafka: every security protocol with every mechanism, and what is said where they do not fit.

#[path = "support/app.rs"]
mod app;
#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use app::App;
use certificates::{Authority, escaped};
use kafka::Kafka;

/// What must never be printed; the letters occur nowhere else.
const PASSWORD: &str = "Zx9-marked-pass";

/// A broker with one listener for each security protocol; without TLS and SASL everything is allowed.
struct Secured {
    kafka: Kafka,
    /// Older ones have these mechanisms with ZooKeeper only.
    has_scram: bool,
    folder: tempfile::TempDir,
    ssl: u16,
    mutual: u16,
    sasl: u16,
    sasl_ssl: u16,
}

impl Secured {
    fn shared() -> Option<&'static Secured> {
        static SHARED: OnceLock<Option<Secured>> = OnceLock::new();
        SHARED.get_or_init(|| Secured::start(&[])).as_ref()
    }

    fn start(more: &[&str]) -> Option<Secured> {
        Secured::start_behind(None, more)
    }

    /// One of another version of Apache Kafka.
    fn start_version(version: &str) -> Option<Secured> {
        let mut more = Vec::new();
        if version < "3" {
            more.push("authorizer.class.name=kafka.security.authorizer.AclAuthorizer");
        }
        Secured::start_with(&more, None, !version.starts_with("3.3."), |settings| {
            Kafka::start_version(version, settings)
        })
    }

    /// One whose listener for `SASL_PLAINTEXT` is reached by another port.
    fn start_behind(proxy: Option<u16>, more: &[&str]) -> Option<Secured> {
        Secured::start_with(more, proxy, true, Kafka::start)
    }

    fn start_with(
        more: &[&str],
        proxy: Option<u16>,
        has_scram: bool,
        start: impl FnOnce(&[&str]) -> Option<Kafka>,
    ) -> Option<Secured> {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("Test Authority");
        let broker = authority.sign("kafka-1", &["127.0.0.1", "localhost"]);
        let client = authority.sign("client", &["client"]);
        fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
        fs::write(folder.path().join("client.pem"), format!("{}{}", client.key, client.certificate)).expect("written");
        let [plain, controller, ssl, mutual, sasl, sasl_ssl] = ports();
        let names = [("SSL", ssl), ("MUTUAL", mutual), ("SASL_PLAINTEXT", sasl), ("SASL_SSL", sasl_ssl)];
        let listed = |names: [(&str, u16); 4]| names.map(|(name, port)| format!("{name}://127.0.0.1:{port}")).join(",");
        let secured = listed(names);
        let advertised = listed(names.map(|(name, port)| (name, proxy.filter(|_| port == sasl).unwrap_or(port))));
        let mut settings = vec![
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},{secured}"),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{plain},{advertised}"),
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,MUTUAL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL".into(),
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".into(),
            "super.users=User:ANONYMOUS;User:alice;User:CN=client".into(),
            "ssl.keystore.type=PEM".into(),
            format!("ssl.keystore.certificate.chain={}", escaped(&broker.certificate)),
            format!("ssl.keystore.key={}", escaped(&broker.key)),
            "ssl.truststore.type=PEM".into(),
            format!("ssl.truststore.certificates={}", escaped(&authority.pem())),
            "listener.name.mutual.ssl.client.auth=required".into(),
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".into(),
        ];
        for listener in ["sasl_plaintext", "sasl_ssl"] {
            let module = |mechanism: &str, module: &str, options: &str| {
                format!(
                    "listener.name.{listener}.{mechanism}.sasl.jaas.config=org.apache.kafka.common.security.{module} required {options};"
                )
            };
            let users = format!("user_alice=\"{PASSWORD}\" user_bob=\"{PASSWORD}\"");
            settings.push(module("plain", "plain.PlainLoginModule", &users));
            settings.push(module("scram-sha-256", "scram.ScramLoginModule", ""));
            settings.push(module("scram-sha-512", "scram.ScramLoginModule", ""));
            let token = "unsecuredLoginStringClaim_sub=\"kafka\"";
            settings.push(module("oauthbearer", "oauthbearer.OAuthBearerLoginModule", token));
        }
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut kafka = start(&settings)?;
        kafka.bootstrap = format!("127.0.0.1:{plain}");
        let secured = Secured { kafka, has_scram, folder, ssl, mutual, sasl, sasl_ssl };
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"].iter().filter(|_| has_scram) {
            secured.set_password(mechanism, PASSWORD);
        }
        Some(secured)
    }
    /// Settings of Bob, who has no right but those that are granted.
    fn of_bob(&self) -> PathBuf {
        let lines = [self.protocol("SASL_SSL"), self.mechanism("PLAIN", "bob", PASSWORD)].concat();
        self.properties("bob", self.sasl_ssl, &lines)
    }
    /// Alice's, from now on.
    fn set_password(&self, mechanism: &str, password: &str) {
        let credentials = format!("{mechanism}=[password={password}]");
        let mut users = self.kafka.tool("configs").expect("Kafka runs");
        users.args(["--alter", "--entity-type", "users", "--entity-name", "alice", "--add-config", &credentials]);
        let added = users.output().expect("the tool");
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }

    fn ca(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }
    /// A token that this broker takes: it believes what is not signed.
    fn token(&self, user: &str, seconds: i64) -> PathBuf {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
        let path = self.folder.path().join(format!("token-{}", uuid::Uuid::new_v4().simple()));
        fs::write(&path, unsigned(&format!(r#"{{"sub":"{user}","iat":{},"exp":{}}}"#, now - 60, now + seconds)))
            .expect("written");
        path
    }
    /// A properties file for a listener.
    fn properties(&self, name: &str, port: u16, lines: &[String]) -> PathBuf {
        let path = self.folder.path().join(format!("{name}-{}.properties", uuid::Uuid::new_v4().simple()));
        let mut file = fs::File::create(&path).expect("a file");
        writeln!(file, "bootstrap.servers=127.0.0.1:{port}").expect("written");
        lines.iter().for_each(|line| writeln!(file, "{line}").expect("written"));
        path
    }
    fn protocol(&self, protocol: &str) -> Vec<String> {
        let mut lines = vec![format!("security.protocol={protocol}")];
        if protocol.ends_with("SSL") {
            lines.push(format!("ssl.truststore.location={}", self.ca()));
        }
        lines
    }
    /// Settings of a mechanism as a Java client has them, for `user`.
    fn mechanism(&self, mechanism: &str, user: &str, password: &str) -> Vec<String> {
        let module = match mechanism {
            "PLAIN" => "plain.PlainLoginModule",
            "OAUTHBEARER" => "oauthbearer.OAuthBearerLoginModule",
            _ => "scram.ScramLoginModule",
        };
        let options = match mechanism {
            "OAUTHBEARER" => String::new(),
            _ => format!(" \\\n  username=\"{user}\" \\\n  password=\"{password}\""),
        };
        let mut lines = vec![
            format!("sasl.mechanism={mechanism}"),
            format!("sasl.jaas.config=org.apache.kafka.common.security.{module} required{options};"),
        ];
        if mechanism == "OAUTHBEARER" {
            let token = self.token(user, 3_600);
            lines.push(format!("sasl.oauthbearer.token.endpoint.url=file://{}", token.display()));
        }
        lines
    }
}

fn ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    held.each_ref().map(|held| held.local_addr().expect("bound").port())
}

/// A JSON web token without a signature.
fn unsigned(claims: &str) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(claims))
}

/// A command with the settings of a file and nothing else.
fn command(properties: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    command.args(arguments).arg("--kafka-config").arg(properties).stdin(Stdio::null());
    command
}
fn output(properties: &Path, arguments: &[&str]) -> Output {
    command(properties, arguments).output().expect("it runs")
}
/// `run` of an application's topology; what it says is in `run.log`.
fn start(app: &App, properties: &Path, more: &[&str]) -> app::Running {
    let log = fs::File::create(app.folder.path().join("run.log")).expect("a log");
    let mut run = command(properties, &["run", "--threads", "1", "--commit-interval-ms", "100"]);
    run.args(more).arg("--state-dir").arg(app.folder.path().join("state")).arg(app.topology()).stderr(log);
    app::Running(run.spawn().expect("run starts"))
}
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Publishes, runs, fetches, asks for the status and has the doctor look, all with one properties file.
fn goes_all_the_way(secured: &'static Secured, properties: &Path, name: &str) {
    let app = App::new(&secured.kafka, name, 1);
    let topology = app.topology();
    let topology = topology.to_str().expect("a path");
    let file = app.csv("a.csv", 50);
    let file = file.to_str().expect("a path");
    let published = output(properties, &["publish", "-t", topology, file]);
    assert!(published.status.success(), "{name}: {}", said(&published));
    let run = start(&app, properties, &[]);
    app.wait_for(&["a.csv"], "run");
    let out = app.folder.path().join("fetched.xlsx");
    let fetched = output(properties, &["fetch", "a.csv", "-t", topology, "--out", out.to_str().expect("a path")]);
    assert!(fetched.status.success(), "{name}: {}", said(&fetched));
    let status = output(properties, &["status", topology]);
    assert!(status.status.success() && said(&status).contains("a.csv"), "{name}: {}", said(&status));
    let doctor = output(properties, &["doctor", "-t", topology]);
    assert!(doctor.status.success(), "{name}: {}", said(&doctor));
    assert_eq!(run.stop(), Some(0), "{name}: {}", app.log("run"));
    for text in [said(&published), said(&fetched), said(&status), said(&doctor), app.log("run")] {
        assert!(!text.contains(PASSWORD), "{name}: a secret was printed: {text}");
    }
}

#[test]
fn tls_goes_all_the_way() {
    let Some(secured) = Secured::shared() else { return };
    tls(secured);
}

fn tls(secured: &'static Secured) {
    // Whoever comes by TLS without a certificate is anonymous.
    goes_all_the_way(secured, &secured.properties("ssl", secured.ssl, &secured.protocol("SSL")), "ssl");
}

#[test]
fn mutual_tls_goes_all_the_way() {
    let Some(secured) = Secured::shared() else { return };
    mutual_tls(secured);
}

fn mutual_tls(secured: &'static Secured) {
    let mut lines = secured.protocol("SSL");
    let pair = secured.folder.path().join("client.pem");
    lines.push(format!("ssl.keystore.location={}", pair.display()));
    goes_all_the_way(secured, &secured.properties("mutual", secured.mutual, &lines), "mutual");

    let without = secured.properties("mutual", secured.mutual, &secured.protocol("SSL"));
    let refused = output(&without, &["doctor"]);
    assert_eq!(refused.status.code(), Some(77), "{}", said(&refused));
    assert!(said(&refused).contains("set ssl.keystore.location"), "{}", said(&refused));
}

#[test]
fn sasl_plaintext_goes_all_the_way_with_every_mechanism() {
    let Some(secured) = Secured::shared() else { return };
    every_mechanism(secured, "SASL_PLAINTEXT", secured.sasl);
}

#[test]
fn sasl_ssl_goes_all_the_way_with_every_mechanism() {
    let Some(secured) = Secured::shared() else { return };
    every_mechanism(secured, "SASL_SSL", secured.sasl_ssl);
}

fn every_mechanism(secured: &'static Secured, protocol: &str, port: u16) {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] {
        if mechanism.starts_with("SCRAM") && !secured.has_scram {
            continue;
        }
        let lines = [secured.protocol(protocol), secured.mechanism(mechanism, "alice", PASSWORD)].concat();
        goes_all_the_way(secured, &secured.properties(mechanism, port, &lines), &mechanism.to_lowercase());
    }
}

/// Every protocol with every mechanism, and the least rights, on another version.
fn everything_works_on(version: &str) {
    let Some(secured) = Secured::start_version(version) else { return };
    let secured: &'static Secured = Box::leak(Box::new(secured));
    tls(secured);
    mutual_tls(secured);
    every_mechanism(secured, "SASL_PLAINTEXT", secured.sasl);
    every_mechanism(secured, "SASL_SSL", secured.sasl_ssl);
    least_rights(secured);
}

#[test]
fn every_protocol_mechanism_and_right_works_on_kafka_2_8_with_zookeeper() {
    everything_works_on("2.8.2");
}

#[test]
fn every_protocol_mechanism_and_right_works_on_kafka_3_3() {
    everything_works_on("3.3.2");
}

#[test]
fn every_protocol_mechanism_and_right_works_on_kafka_3_9() {
    everything_works_on("3.9.1");
}

#[test]
fn every_protocol_mechanism_and_right_works_on_kafka_4_0() {
    everything_works_on("4.0.0");
}

#[test]
fn wrong_credentials_end_at_once_and_are_named() {
    let Some(secured) = Secured::shared() else { return };
    let app = App::new(&secured.kafka, "wrong", 1);
    let (topology, file) = (app.topology(), app.csv("a.csv", 1));
    let (topology, file) = (topology.to_str().expect("a path"), file.to_str().expect("a path"));
    let state = app.folder.path().join("state");
    let commands: [&[&str]; 6] = [
        &["publish", "-t", topology, file],
        &["run", topology, "--state-dir", state.to_str().expect("a path")],
        &["fetch", "a.csv", "-t", topology],
        &["status", topology],
        &["topics", "list", "-t", topology],
        &["doctor", "-t", topology],
    ];
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let lines = [secured.protocol("SASL_SSL"), secured.mechanism(mechanism, "alice", "Zx9-marked-wrong")].concat();
        let properties = secured.properties("wrong", secured.sasl_ssl, &lines);
        for arguments in commands {
            let refused = output(&properties, arguments);
            assert_eq!(refused.status.code(), Some(77), "{arguments:?}: {}", said(&refused));
            let expected = format!("{mechanism} as alice was refused");
            assert!(said(&refused).contains(&expected), "{arguments:?}: {}", said(&refused));
            assert!(!said(&refused).contains("Zx9-marked"), "{arguments:?}: {}", said(&refused));
        }
    }
    let expired = secured.token("alice", -5);
    let token = vec![
        "sasl.mechanism=OAUTHBEARER".to_owned(),
        format!("sasl.oauthbearer.token.endpoint.url=file://{}", expired.display()),
    ];
    let lines = [secured.protocol("SASL_SSL"), token].concat();
    let refused = output(&secured.properties("expired", secured.sasl_ssl, &lines), &["topics", "list", "-t", topology]);
    assert_eq!(refused.status.code(), Some(77), "{}", said(&refused));
    assert!(said(&refused).contains("the token in this file expired"), "{}", said(&refused));
}

#[test]
fn a_listener_of_another_kind_is_recognised() {
    let Some(secured) = Secured::shared() else { return };
    let plain: u16 = secured.kafka.bootstrap.rsplit_once(':').expect("a port").1.parse().expect("a number");
    let scram = secured.mechanism("SCRAM-SHA-256", "alice", PASSWORD);
    let cases = [
        (secured.ssl, secured.protocol("PLAINTEXT"), "this listener speaks TLS: set security.protocol=SSL"),
        (plain, secured.protocol("SSL"), "this listener does not speak TLS: set security.protocol=PLAINTEXT"),
        (
            secured.sasl,
            secured.protocol("PLAINTEXT"),
            "this listener asks for SASL: set security.protocol=SASL_PLAINTEXT and sasl.mechanism to one of",
        ),
        (
            secured.sasl_ssl,
            secured.protocol("SSL"),
            "this listener asks for SASL: set security.protocol=SASL_SSL and sasl.mechanism to one of",
        ),
        (
            plain,
            [secured.protocol("SASL_PLAINTEXT"), scram.clone()].concat(),
            "this listener asks for no SASL: set security.protocol=PLAINTEXT",
        ),
        (
            secured.sasl_ssl,
            [secured.protocol("SASL_PLAINTEXT"), scram].concat(),
            "this listener speaks TLS: set security.protocol=SASL_SSL",
        ),
    ];
    for (port, lines, expected) in cases {
        let doctor = output(&secured.properties("other", port, &lines), &["doctor"]);
        assert!(said(&doctor).contains(expected), "{lines:?}: {expected} is not in: {}", said(&doctor));
        assert_eq!(doctor.status.code(), Some(77), "{lines:?}: {}", said(&doctor));
    }
}

#[test]
fn a_session_that_ends_is_renewed_without_a_word() {
    let Some(secured) = Secured::start(&["connections.max.reauth.ms=3000"]) else { return };
    let secured: &'static Secured = Box::leak(Box::new(secured));
    let app = App::new(&secured.kafka, "session", 1);
    let lines = [secured.protocol("SASL_SSL"), secured.mechanism("SCRAM-SHA-512", "alice", PASSWORD)].concat();
    let properties = secured.properties("session", secured.sasl_ssl, &lines);
    let run = start(&app, &properties, &[]);
    for upload in 0..4 {
        let name = format!("{upload}.csv");
        app.publish(&[&app.csv(&name, 20)]);
        app.wait_for(&[&name], "run");
        std::thread::sleep(std::time::Duration::from_millis(1_500)); // half a session
    }
    assert_eq!(run.stop(), Some(0), "{}", app.log("run"));
    let log = app.log("run");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

/// The commands that `doctor --acls` prints for a purpose.
fn grants(secured: &Secured, topology: &str, purpose: &str) -> Vec<String> {
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    doctor.args(["doctor", "--json", "--acls", "User:bob", "-t", topology, "--brokers", &secured.kafka.bootstrap]);
    let printed = doctor.output().expect("doctor");
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    let part = printed.as_array().expect("parts").iter().find(|part| part["for"] == purpose).expect("the purpose");
    let commands = part["commands"].as_array().expect("commands").iter();
    commands.map(|command| command.as_str().expect("text").to_owned()).collect()
}

/// Runs a printed command with Kafka's own tool.
fn grant(command: &str) {
    let arguments: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(arguments[0], "kafka-acls");
    let mut tool = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/script/kafka"));
    let granted = tool.args(["tool", "acls"]).args(&arguments[1..]).output().expect("the tool");
    assert!(granted.status.success(), "{command}: {}", said(&granted));
}

#[test]
fn the_least_rights_are_enough_and_each_one_that_is_missing_is_named() {
    let Some(secured) = Secured::shared() else { return };
    least_rights(secured);
}

fn least_rights(secured: &'static Secured) {
    let app = App::new(&secured.kafka, "rights", 1);
    let properties = secured.of_bob();
    let (topology, file) = (app.topology(), app.csv("a.csv", 50));
    let (topology, file) = (topology.to_str().expect("a path"), file.to_str().expect("a path"));
    let (state, out) = (app.folder.path().join("state"), app.folder.path().join("a.xlsx"));
    let (state, out) = (state.to_str().expect("a path"), out.to_str().expect("a path"));
    let run: &[&str] = &["run", topology, "--threads", "1", "--commit-interval-ms", "100", "--state-dir", state];

    // Everything that is still to be granted may be what is named.
    let refused = |arguments: &[&str], missing: &[String]| {
        let refused = output(&properties, arguments);
        assert_eq!(refused.status.code(), Some(77), "{arguments:?}: {}", said(&refused));
        let text = said(&refused);
        assert!(text.contains("the right to") && text.contains("kafka-acls --add"), "{arguments:?}: {text}");
        let name = |command: &String| command.rsplit(' ').next().expect("a name").to_owned();
        assert!(missing.iter().any(|command| text.contains(&name(command))), "{missing:?}: {text}");
    };
    let walk = |arguments: &[&str], purpose: &str| {
        let commands = grants(secured, topology, purpose);
        for (at, command) in commands.iter().enumerate() {
            refused(arguments, &commands[at..]);
            grant(command);
        }
    };
    walk(&["publish", "-t", topology, file], "publish");
    let published = output(&properties, &["publish", "-t", topology, file]);
    assert!(published.status.success(), "{}", said(&published));

    walk(run, "run");
    let log = fs::File::create(app.folder.path().join("run.log")).expect("a log");
    let running = app::Running(command(&properties, run).stderr(log).spawn().expect("run starts"));
    app.wait_for(&["a.csv"], "run");
    assert_eq!(running.stop(), Some(0), "{}", app.log("run"));

    // The workbook is now in its topic, which bob may write and not read.
    let fetch = ["fetch", "a.csv", "-t", topology, "--out", out];
    let commands = grants(secured, topology, "fetch");
    refused(&fetch, &commands);
    commands.iter().for_each(|command| grant(command));
    let fetched = output(&properties, &fetch);
    assert!(fetched.status.success(), "{}", said(&fetched));

    let status = output(&properties, &["status", topology]);
    assert!(status.status.success(), "{}", said(&status));
    let doctor = output(&properties, &["doctor", "-t", topology]);
    assert!(doctor.status.success(), "{}", said(&doctor));
}

#[test]
fn doctor_names_each_missing_right_of_run_with_the_command_that_grants_all_of_it() {
    let Some(secured) = Secured::shared() else { return };
    let app = App::new(&secured.kafka, "doctored", 1);
    let topology = app.topology();
    let text = fs::read_to_string(&topology).expect("the topology");
    fs::write(&topology, text.replacen("[[source]]", "[[source]]\nplacement = \"spread\"", 1)).expect("written");
    let topology = topology.to_str().expect("a path");
    let created = Command::new(env!("CARGO_BIN_EXE_sheetstream"))
        .args(["topics", "create", "-t", topology, "--brokers", &secured.kafka.bootstrap])
        .output()
        .expect("topics");
    assert!(created.status.success(), "{}", said(&created));
    let properties = secured.of_bob();
    let commands = grants(secured, topology, "run");
    commands.iter().for_each(|command| grant(command));
    let looked = output(&properties, &["doctor", "-t", topology]);
    assert!(looked.status.success(), "{}", said(&looked));
    assert_eq!(commands.len(), 7);
    for command in &commands {
        revoke(command);
        let looked = output(&properties, &["doctor", "-t", topology]);
        let (_, granted) = command.split_once("User:bob").expect("a principal");
        assert_eq!(looked.status.code(), Some(77), "{command}: {}", said(&looked));
        assert!(said(&looked).contains(&format!("User:NAME{granted}")), "{command}: {}", said(&looked));
        grant(command);
    }
    // Of the repartition topic, the right to delete what was consumed.
    let repartition = commands.iter().find(|command| command.contains("--operation Delete")).expect("a right");
    let delete = repartition.replace(" --operation Read --operation Write", "");
    revoke(&delete);
    let looked = output(&properties, &["doctor", "-t", topology]);
    assert!(said(&looked).contains("no right to delete records of"), "{}", said(&looked));
}

/// Takes back what a printed command grants.
fn revoke(command: &str) {
    grant(&command.replace("--add --allow-principal", "--remove --force --allow-principal"));
}

#[test]
fn a_right_that_is_taken_away_and_given_back_costs_nothing() {
    let Some(secured) = Secured::shared() else { return };
    let app = App::new(&secured.kafka, "revoked", 1);
    let properties = secured.of_bob();
    let topology = app.topology();
    let topology = topology.to_str().expect("a path");
    let commands = grants(secured, topology, "run");
    commands.iter().for_each(|command| grant(command));
    let run = start(&app, &properties, &[]);
    app.publish(&[&app.csv("0.csv", 20)]);
    app.wait_for(&["0.csv"], "run");
    for (number, resource) in ["--topic", "--group"].iter().enumerate() {
        // Of the topics, that of the workbooks.
        let name = if *resource == "--topic" { format!("{}.workbooks", app.name) } else { app.name.clone() };
        let right = commands.iter().find(|command| command.ends_with(&format!("{resource} {name}"))).expect("a right");
        revoke(right);
        let upload = format!("{}.csv", number + 1);
        app.publish(&[&app.csv(&upload, 20)]);
        let begun = std::time::Instant::now();
        while !app.log("run").contains(&format!("{} {name} is missing", resource.trim_start_matches('-'))) {
            assert!(begun.elapsed() < app::LIMIT, "{}", app.log("run"));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        grant(right);
        app.wait_for(&[&upload], "run");
    }
    assert_eq!(run.stop(), Some(0), "{}", app.log("run"));
}

/// At least once, it was sent before that was known.
#[test]
fn a_workbook_whose_status_may_not_be_written_is_not_sent_again_and_again() {
    let Some(secured) = Secured::shared() else { return };
    let app = App::new(&secured.kafka, "unsaid", 1);
    let properties = secured.of_bob();
    let topology = app.topology();
    let topology = topology.to_str().expect("a path");
    let commands = grants(secured, topology, "run");
    commands.iter().for_each(|command| grant(command));
    let run = start(&app, &properties, &["--guarantee", "at_least_once"]);
    app.publish(&[&app.csv("0.csv", 20)]);
    app.wait_for(&["0.csv"], "run");
    let status = commands.iter().find(|command| command.ends_with(".status")).expect("a right");
    let write = status.replace(" --operation Read", "");
    revoke(&write);
    app.publish(&[&app.csv("1.csv", 20)]);
    let begun = std::time::Instant::now();
    while app.log("run").matches("the right to Write topic").count() < 3 {
        assert!(begun.elapsed() < app::LIMIT, "{}", app.log("run"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let sent = |app: &App| app.workbooks().get("1.csv").map_or(0, Vec::len);
    assert!(sent(&app) <= 1, "{}", app.log("run"));
    grant(&write);
    app.wait_for(&["1.csv"], "run");
    assert!(sent(&app) <= 2);
    assert_eq!(run.stop(), Some(0), "{}", app.log("run"));
}

#[test]
fn a_token_that_expires_and_is_renewed_costs_nothing() {
    let Some(secured) = Secured::shared() else { return };
    let app = App::new(&secured.kafka, "token", 1);
    let token = secured.token("alice", 4);
    let lines = vec![
        "sasl.mechanism=OAUTHBEARER".to_owned(),
        format!("sasl.oauthbearer.token.endpoint.url=file://{}", token.display()),
    ];
    let properties = secured.properties("token", secured.sasl_ssl, &[secured.protocol("SASL_SSL"), lines].concat());
    let run = start(&app, &properties, &[]);
    let begun = std::time::Instant::now();
    while !app.log("run").contains("the token in this file expired") {
        assert!(begun.elapsed() < app::LIMIT, "{}", app.log("run"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    app.publish(&[&app.csv("a.csv", 20)]);
    fs::copy(secured.token("alice", 3_600), &token).expect("renewed");
    app.wait_for(&["a.csv"], "run");
    assert_eq!(run.stop(), Some(0), "{}", app.log("run"));
}

/// Passes connections on to a broker without TLS, counts how often credentials are shown, and can cut every connection.
struct Proxy {
    port: u16,
    broker: Arc<OnceLock<u16>>,
    shown: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let proxy = Proxy { port, broker: Arc::default(), shown: Arc::default(), open: Arc::default() };
        let (broker, shown, open) = (proxy.broker.clone(), proxy.shown.clone(), proxy.open.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a client");
                let server = TcpStream::connect(("127.0.0.1", *broker.wait())).expect("the broker");
                let copy = |stream: &TcpStream| stream.try_clone().expect("a handle");
                open.lock().expect("unpoisoned").extend([copy(&client), copy(&server)]);
                let (mut from_server, mut to_client) = (copy(&server), copy(&client));
                std::thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
                let shown = shown.clone();
                std::thread::spawn(move || pass(client, server, &shown));
            }
        });
        proxy
    }
    fn cut(&self) {
        for stream in self.open.lock().expect("unpoisoned").drain(..) {
            stream.shutdown(std::net::Shutdown::Both).ok(); // it may have ended by itself
        }
    }
}

/// Passes requests on, which are a length, an API key and the rest, until either end closes.
fn pass(mut client: TcpStream, mut server: TcpStream, shown: &AtomicUsize) -> std::io::Result<()> {
    const SASL_HANDSHAKE: [u8; 2] = [0, 17];
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut request)?;
        if request.starts_with(&SASL_HANDSHAKE) {
            shown.fetch_add(1, Ordering::SeqCst);
        }
        server.write_all(&[&length[..], &request].concat())?;
    }
}

#[test]
fn a_password_that_counts_no_more_is_shown_once_in_ten_seconds_until_it_counts_again() {
    let proxy = Proxy::start();
    let Some(secured) = Secured::start_behind(Some(proxy.port), &[]) else { return };
    let secured: &'static Secured = Box::leak(Box::new(secured));
    proxy.broker.set(secured.sasl).expect("once");
    let app = App::new(&secured.kafka, "password", 2);
    let lines = [secured.protocol("SASL_PLAINTEXT"), secured.mechanism("SCRAM-SHA-512", "alice", PASSWORD)].concat();
    let properties = secured.properties("password", proxy.port, &lines);
    let topology = app.topology();
    let log = fs::File::create(app.folder.path().join("run.log")).expect("a log");
    let mut run = command(&properties, &["run", "--threads", "2", "--commit-interval-ms", "100"]);
    run.arg("--state-dir").arg(app.folder.path().join("state")).arg(&topology).stderr(log);
    let run = app::Running(run.spawn().expect("run starts"));
    app.publish(&[&app.csv("0.csv", 20)]);
    app.wait_for(&["0.csv"], "run");

    secured.set_password("SCRAM-SHA-512", "Zx9-marked-other");
    // Connections that open within a second of a welcome do not wait for each other.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let before = proxy.shown.load(Ordering::SeqCst);
    let begun = std::time::Instant::now();
    proxy.cut();
    let tries = loop {
        let tries = proxy.shown.load(Ordering::SeqCst) - before;
        if tries >= 3 {
            break tries;
        }
        assert!(begun.elapsed() < app::LIMIT, "{tries} tries: {}", app.log("run"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    // The third came twenty seconds after the first, or later, however slow this machine is.
    let most = 1 + begun.elapsed().as_secs() as usize / 10;
    assert!(tries <= most, "{tries} tries in {:?}: {}", begun.elapsed(), app.log("run"));
    assert!(app.log("run").contains("SCRAM-SHA-512 as alice was refused"), "{}", app.log("run"));

    secured.set_password("SCRAM-SHA-512", PASSWORD);
    app.publish(&[&app.csv("1.csv", 20)]);
    app.wait_for(&["1.csv"], "run");
    assert_eq!(run.stop(), Some(0), "{}", app.log("run"));
}

#[test]
fn exactly_once_runs_by_the_rights_that_an_administrator_grants() {
    let Some(secured) = Secured::shared() else { return };
    let app = App::new(&secured.kafka, "granted", 1);
    let topology = app.topology();
    let topology = topology.to_str().expect("a path");
    let properties = secured.of_bob();
    let mut run = command(&properties, &["run", topology, "--threads", "1", "--commit-interval-ms", "100"]);
    run.arg("--state-dir").arg(app.folder.path().join("state"));
    let refused = run.output().expect("it runs");
    assert_eq!(refused.status.code(), Some(77), "{}", said(&refused));

    let grant = |more: &[&str]| {
        let mut grant = app.command(&["topics", "grant", "-t", topology, "--run", "User:bob"]);
        let granted = grant.args(more).output().expect("it runs");
        assert!(granted.status.success(), "{}", said(&granted));
        said(&granted)
    };
    let ids = format!("Write on transactional-id {}-*", app.name);
    assert!(grant(&["--dry-run"]).contains(&format!("User:bob: would be granted {ids}")));
    assert_eq!(run.output().expect("it runs").status.code(), Some(77), "a dry run grants nothing");
    for _ in 0..2 {
        assert!(grant(&[]).contains(&format!("User:bob: granted {ids}")));
    }
    let log = fs::File::create(app.folder.path().join("run.log")).expect("a log");
    let run = app::Running(run.stderr(log).spawn().expect("run starts"));
    app.publish(&[&app.csv("a.csv", 20)]);
    app.wait_for(&["a.csv"], "run");
    assert_eq!(run.stop(), Some(0), "{}", app.log("run"));
}

/// Bob may see neither the setting nor the topic.
#[test]
fn a_cluster_without_transactions_serves_a_user_of_least_rights_too() {
    let Some(secured) = Secured::start(&["transaction.state.log.replication.factor=3"]) else { return };
    let secured: &'static Secured = Box::leak(Box::new(secured));
    let app = App::new(&secured.kafka, "short", 1);
    let properties = secured.of_bob();
    let topology = app.topology();
    let topology = topology.to_str().expect("a path");
    grants(secured, topology, "run").iter().for_each(|command| grant(command));
    let run = start(&app, &properties, &[]);
    app.publish(&[&app.csv("a.csv", 20)]);
    app.wait_for(&["a.csv"], "run");
    assert_eq!(run.stop(), Some(0), "{}", app.log("run"));
    let log = app.log("run");
    assert!(log.contains("at least once") && log.contains("do not make __transaction_state"), "{log}");
}

/// An identity provider: answers every request with `answer`, and keeps what it was asked.
fn identity_provider(status: &'static str, answer: String) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/oauth/token", listener.local_addr().expect("bound"));
    let (asked, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let mut request = vec![0; 8_192];
            let length = std::io::Read::read(&mut stream, &mut request).expect("a request");
            asked.send(String::from_utf8_lossy(&request[..length]).into_owned()).ok();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
            stream.write_all((head + &answer).as_bytes()).expect("answered");
        }
    });
    (url, received)
}

#[test]
fn a_token_comes_from_an_identity_provider_by_client_credentials() {
    let Some(secured) = Secured::shared() else { return };
    let app = App::new(&secured.kafka, "provider", 1);
    let topology = app.topology();
    let arguments = ["topics", "list", "-t", topology.to_str().expect("a path")];
    let properties = |url: &str| {
        let jaas = format!(
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId=\"sheets\" clientSecret=\"{PASSWORD}\" scope=\"kafka write\";"
        );
        let lines = vec![
            "sasl.mechanism=OAUTHBEARER".to_owned(),
            format!("sasl.oauthbearer.token.endpoint.url={url}"),
            "sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler".to_owned(),
            format!("sasl.jaas.config={jaas}"),
        ];
        secured.properties("provider", secured.sasl_ssl, &[secured.protocol("SASL_SSL"), lines].concat())
    };
    let token = fs::read_to_string(secured.token("alice", 3_600)).expect("a token");
    let (url, asked) = identity_provider("200 OK", format!(r#"{{"access_token":"{token}","expires_in":3600}}"#));
    let listed = output(&properties(&url), &arguments);
    assert!(listed.status.success(), "{}", said(&listed));
    let request = asked.recv().expect("it was asked").to_lowercase();
    use base64::Engine;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("sheets:{PASSWORD}")).to_lowercase();
    for expected in ["post /oauth/token http/1.1", &format!("authorization: basic {basic}")] {
        assert!(request.contains(expected), "{expected} is not in {request}");
    }
    assert!(request.ends_with("grant_type=client_credentials&scope=kafka+write"), "{request}");
    assert!(asked.try_recv().is_err(), "one token serves every connection");

    let (url, _asked) = identity_provider("401 Unauthorized", r#"{"error":"invalid_client"}"#.into());
    let refused = output(&properties(&url), &arguments);
    assert_eq!(refused.status.code(), Some(77), "{}", said(&refused));
    assert!(said(&refused).contains("no token for client sheets: HTTP 401"), "{}", said(&refused));
    assert!(!said(&refused).contains(PASSWORD), "{}", said(&refused));
}

#[test]
fn no_secret_is_printed_anywhere_however_much_is_logged() {
    let Some(secured) = Secured::shared() else { return };
    let app = App::new(&secured.kafka, "leaks", 1);
    let (topology, file) = (app.topology(), app.csv("a.csv", 20));
    let (topology, file) = (topology.to_str().expect("a path"), file.to_str().expect("a path"));
    let out = app.folder.path().join("a.xlsx");
    let out = out.to_str().expect("a path");
    let token = secured.token("alice", 3_600);
    let token_text = fs::read_to_string(&token).expect("a token");
    for mechanism in ["PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"] {
        let mut lines = [secured.protocol("SASL_SSL"), secured.mechanism(mechanism, "alice", PASSWORD)].concat();
        if mechanism == "OAUTHBEARER" {
            lines.pop();
            lines.push(format!("sasl.oauthbearer.token.endpoint.url=file://{}", token.display()));
        }
        let properties = secured.properties("leaks", secured.sasl_ssl, &lines);
        let state = app.folder.path().join(mechanism);
        let mut run = command(&properties, &["run", topology, "--threads", "1", "--http", "127.0.0.1:0"]);
        let log = fs::File::create(app.folder.path().join(format!("{mechanism}.log"))).expect("a log");
        run.arg("--isolation").arg("read_uncommitted").arg("--state-dir").arg(state); // by rskafka, too
        let run = app::Running(run.env("SHEETSTREAM_LOG", "trace").stderr(log).spawn().expect("run starts"));
        let mut texts = Vec::new();
        let commands: [&[&str]; 6] = [
            &["publish", "-t", topology, file],
            &["fetch", "a.csv", "-t", topology, "--force", "--out", out],
            &["status", topology],
            &["topics", "list", "-t", topology],
            &["doctor", "-t", topology],
            &["config"],
        ];
        for arguments in commands {
            let spoken = command(&properties, arguments).env("SHEETSTREAM_LOG", "trace").output().expect("it runs");
            assert!(spoken.status.success(), "{arguments:?}: {}", said(&spoken));
            texts.push(said(&spoken));
        }
        let address = app.http_address(mechanism);
        for path in ["/metrics", "/readyz", "/healthz", "/version", "/topologies", "/uploads"] {
            let mut stream = std::net::TcpStream::connect(address).expect("HTTP");
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("asked");
            let mut answer = String::new();
            std::io::Read::read_to_string(&mut stream, &mut answer).expect("answered");
            texts.push(answer);
        }
        texts.push(fs::read_to_string(format!("/proc/{}/cmdline", run.0.id())).expect("a command line"));
        assert_eq!(run.stop(), Some(0), "{}", app.log(mechanism));
        texts.push(app.log(mechanism));
        for text in texts {
            let leak =
                text.lines().find(|line| line.contains(PASSWORD) || line.contains(token_text.trim_end_matches('.')));
            assert_eq!(leak, None, "{mechanism}");
        }
    }
}

#[test]
fn kafkas_own_tools_take_the_same_properties_file() {
    let Some(secured) = Secured::shared() else { return };
    let app = App::new(&secured.kafka, "tools", 1);
    let mut lines = [secured.protocol("SASL_SSL"), secured.mechanism("SCRAM-SHA-512", "alice", PASSWORD)].concat();
    lines.push("ssl.truststore.type=PEM".to_owned());
    let properties = secured.properties("tools", secured.sasl_ssl, &lines);
    let address = format!("127.0.0.1:{}", secured.sasl_ssl);
    let mut tool = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/script/kafka"));
    tool.args(["tool", "topics", "--list", "--bootstrap-server", &address, "--command-config"]).arg(&properties);
    let theirs = tool.output().expect("the tool");
    assert!(theirs.status.success(), "{}", said(&theirs));
    let topology = app.topology();
    let ours = output(&properties, &["topics", "list", "-t", topology.to_str().expect("a path")]);
    assert!(ours.status.success(), "{}", said(&ours));
    for topic in ["rows", "workbooks", "status", "dead-letters"].map(|topic| format!("{}.{topic}", app.name)) {
        assert!(said(&theirs).contains(&topic) && said(&ours).contains(&topic), "{}{}", said(&theirs), said(&ours));
    }
}

#[test]
fn who_may_not_create_topics_is_given_the_commands_for_an_administrator() {
    let Some(secured) = Secured::shared() else { return };
    let lines = [secured.protocol("SASL_SSL"), secured.mechanism("PLAIN", "bob", PASSWORD)].concat();
    let properties = secured.properties("admin", secured.sasl_ssl, &lines);
    let folder = tempfile::tempdir().expect("a folder");
    let topology = folder.path().join("t.toml");
    let name = format!("admin-{}", uuid::Uuid::new_v4().simple());
    let text = format!(
        "name = \"{name}\"\n[[source]]\nname = \"rows\"\nheader = \"first\"\n[[aggregate]]\nname = \"all\"\nsheet = \"kind\"\n[[sink]]\nname = \"workbooks\"\n"
    );
    fs::write(&topology, text).expect("written");
    for partitions in [&[][..], &["--partitions", "3"]] {
        let arguments = [&["topics", "create", "-t", topology.to_str().expect("a path")], partitions].concat();
        let refused = output(&properties, &arguments);
        assert_eq!(refused.status.code(), Some(77), "{}", said(&refused));
        let expected = format!("--create --if-not-exists --topic {name}.status --partitions");
        assert!(said(&refused).contains(&expected), "{}", said(&refused));
        assert!(said(&refused).contains("--config cleanup.policy=compact,delete"), "{}", said(&refused));
    }
}

#[test]
fn config_shows_what_is_in_force_and_no_secret() {
    let Some(secured) = Secured::shared() else { return };
    let lines = [secured.protocol("SASL_SSL"), secured.mechanism("PLAIN", "alice", PASSWORD)].concat();
    let lines = [lines, vec!["acks=all".to_owned(), "schema.registry.url=http://r".to_owned()]].concat();
    let properties = secured.properties("config", secured.sasl_ssl, &lines);
    let mut shown = command(&properties, &["config", "--brokers", "flag:1"]);
    let shown = shown.env("SHEETSTREAM_KAFKA_CLIENT_ID", "variable").output().expect("it runs");
    assert!(shown.status.success(), "{}", said(&shown));
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let file = properties.display();
    for expected in [
        "bootstrap.servers=flag:1  # --brokers".to_owned(),
        "client.id=variable  # SHEETSTREAM_KAFKA_CLIENT_ID".to_owned(),
        format!("security.protocol=SASL_SSL  # {file}:2"),
        format!("sasl.jaas.config=******  # {file}:5"),
        "request.timeout.ms=10000  # default".to_owned(),
        "has no effect: writes are idempotent".to_owned(),
        "has no effect: nobody here knows it".to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected} is not in\n{text}");
    }
    let json = output(&properties, &["config", "--json"]);
    assert!(!said(&json).contains(PASSWORD) && !text.contains(PASSWORD));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["without_effect"].as_array().map(Vec::len), Some(2));
}
