//! `docker-compose.yml` and `Dockerfile` without an engine: the file keeps the Compose Specification, what it names is there, its services
//! agree with one another, and sheetstream runs by its lines.

#[path = "support/dashboards.rs"]
mod files;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/tool.rs"]
mod tool;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use files::{list, path, read, text};
use kafka::Kafka;
use serde_json::{Map, Value};

const LIMIT: Duration = Duration::from_secs(60);

/// Python with the schema of the Compose Specification and a reader of YAML.
fn python(arguments: &[&str]) -> Option<Output> {
    let mut python = tool::python("check_jsonschema, ruamel.yaml")?;
    Some(python.args(arguments).current_dir(path("")).output().expect("it runs"))
}

/// A YAML file as JSON, anchors and merges resolved.
fn yaml(name: &str) -> Option<Value> {
    const SCRIPT: &str = "import json, sys; from ruamel.yaml import YAML; \
                          json.dump(YAML(typ='safe', pure=True).load(open(sys.argv[1])), sys.stdout)";
    let output = python(&["-c", SCRIPT, name])?;
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// The compose file.
fn compose() -> Option<Value> {
    yaml("docker-compose.yml")
}

fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().expect("services")
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(text).collect()
}

/// Elements of a list that may be missing.
fn some(value: &Value) -> Vec<&str> {
    if value.is_null() { Vec::new() } else { texts(value) }
}

/// Source, target, and whether it is read only, of every mount of a service.
fn mounts<'a>(service: &'a Value) -> Vec<(&'a str, &'a str, bool)> {
    let parts = |mount: &'a str| {
        let parts: Vec<_> = mount.split(':').collect();
        match parts[..] {
            [source, target] => (source, target, false),
            [source, target, mode] => (source, target, mode == "ro"),
            _ => panic!("{mount} is no mount"),
        }
    };
    some(&service["volumes"]).into_iter().map(parts).collect()
}

/// Port on the host and in the container.
fn ports(service: &Value) -> Vec<(u16, u16)> {
    let number = |port: &str| port.parse().expect("a port");
    let publish = |port: &str| {
        let rest = port.strip_prefix("127.0.0.1:").unwrap_or_else(|| panic!("{port} is open to the network"));
        let (host, container) = rest.split_once(':').expect("two ports");
        (number(host), number(container))
    };
    some(&service["ports"]).into_iter().map(publish).collect()
}

fn environment<'a>(service: &'a Value, name: &str) -> &'a str {
    text(&service["environment"][name])
}

#[test]
fn the_file_keeps_the_compose_specification() {
    let schema = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"];
    let Some(checked) = python(&schema) else { return };
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let compose = compose().expect("it could be read");
    assert!(compose["version"].is_null(), "the key version is of the past");
}

#[test]
fn every_service_is_limited_and_has_no_rights_it_does_not_need() {
    let Some(compose) = compose() else { return };
    assert_eq!(services(&compose).len(), 8);
    for (name, service) in services(&compose) {
        let is_one_shot = name == "topics";
        assert_eq!(text(&service["restart"]), if is_one_shot { "no" } else { "unless-stopped" }, "{name}");
        assert!(service["mem_limit"].is_string(), "{name} may take all memory");
        assert_eq!(text(&service["stop_grace_period"]), "30s", "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: its log has no limit");
        assert_eq!(service["read_only"] == true, name != "broker", "{name}");
        let has_check = service["healthcheck"]["test"].is_array();
        assert!(has_check != is_one_shot, "{name}");
        let image = text(&service["image"]);
        let (_, tag) = image.rsplit_once(':').expect("a tag");
        let is_pinned =
            tag.trim_start_matches('v').split(['.', '-']).filter(|part| part.parse::<u32>().is_ok()).count() == 3;
        assert!(is_pinned || service["build"] == ".", "{name}: {image}");
    }
}

#[test]
fn ports_are_on_loopback_and_do_not_collide() {
    let Some(compose) = compose() else { return };
    let published: Vec<u16> = services(&compose).values().flat_map(ports).map(|(host, _)| host).collect();
    assert_eq!(published.iter().collect::<BTreeSet<_>>().len(), published.len(), "{published:?}");
    assert_eq!(BTreeSet::from_iter(published), BTreeSet::from([3000, 8000, 8080, 9090, 9092, 9093, 9095]));
}

#[test]
fn what_is_mounted_is_there() {
    let Some(compose) = compose() else { return };
    let declared: BTreeSet<&str> =
        compose["volumes"].as_object().expect("volumes").keys().map(String::as_str).collect();
    let mut used = BTreeSet::new();
    for (name, service) in services(&compose) {
        for (source, target, is_read_only) in mounts(service) {
            match source.strip_prefix("./") {
                Some(folder) => {
                    assert!(path(folder).is_dir(), "{name}: {source} is not there");
                    assert!(is_read_only, "{name} may write {source}");
                }
                None => assert!(used.insert(source), "{name}: {source} has two masters"),
            }
            assert!(target.starts_with('/'), "{name}: {target}");
        }
    }
    assert_eq!(used, declared);
}

#[test]
fn services_wait_for_services_that_can_be_waited_for() {
    let Some(compose) = compose() else { return };
    for (name, service) in services(&compose) {
        let Some(awaited) = service["depends_on"].as_object() else { continue };
        for (other, how) in awaited {
            let target = &services(&compose).get(other).unwrap_or_else(|| panic!("{name}: {other} is no service"));
            match text(&how["condition"]) {
                "service_healthy" => assert!(target["healthcheck"]["test"].is_array(), "{name}: {other}"),
                "service_completed_successfully" => assert_eq!(text(&target["restart"]), "no", "{name}: {other}"),
                condition => panic!("{name}: {condition}"),
            }
            let profiles = some(&target["profiles"]);
            assert!(profiles.is_empty() || profiles == some(&service["profiles"]), "{name}: {other} may not be there");
        }
    }
}

#[test]
fn the_broker_is_the_version_that_is_tested_and_advertises_where_it_is_reached() {
    let Some(compose) = compose() else { return };
    let broker = &compose["services"]["broker"];
    let pom = read("tests/support/kafka/pom.xml");
    let (_, version) = pom.split_once("<kafka.version>").expect("a version");
    let (version, _) = version.split_once('<').expect("a version");
    assert_eq!(text(&broker["image"]), format!("apache/kafka:{version}"));

    let listeners = |key: &str| -> Vec<(String, String, u16)> {
        let listener = |listener: &str| {
            let (name, address) = listener.split_once("://").expect("a listener");
            let (host, port) = address.rsplit_once(':').expect("a port");
            (name.to_owned(), host.to_owned(), port.parse().expect("a port"))
        };
        environment(broker, key).split(',').map(listener).collect()
    };
    let bound = listeners("KAFKA_LISTENERS");
    let protocols = environment(broker, "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP");
    for (name, host, port) in &bound {
        assert!(host.is_empty() && protocols.split(',').any(|of| of == format!("{name}:PLAINTEXT")), "{name} {port}");
    }
    for (name, host, port) in listeners("KAFKA_ADVERTISED_LISTENERS") {
        assert!(bound.iter().any(|(bound, _, on)| *bound == name && *on == port), "{name}");
        if name == "PLAINTEXT_HOST" {
            assert_eq!((host.as_str(), ports(broker)), ("localhost", vec![(port, port)]));
            assert!(texts(&broker["healthcheck"]["test"]).contains(&format!("localhost:{port}").as_str()));
        } else {
            assert_eq!(host, "broker");
            let inside = format!("{host}:{port}");
            for client in ["topics", "sheetstream"] {
                assert_eq!(environment(&compose["services"][client], "SHEETSTREAM_BROKERS"), inside);
            }
            let ui = &compose["services"]["kafka-ui"];
            assert_eq!(environment(ui, "KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"), inside);
        }
    }
    let controller = environment(broker, "KAFKA_CONTROLLER_QUORUM_VOTERS");
    let (_, _, port) = bound.iter().find(|(name, ..)| name == "CONTROLLER").expect("a controller");
    assert_eq!(controller, format!("1@{}:{port}", text(&broker["hostname"])));
    assert!(mounts(broker).iter().any(|(_, target, _)| *target == environment(broker, "KAFKA_LOG_DIRS")));
}

#[test]
fn prometheus_and_grafana_find_what_they_watch() {
    let Some(compose) = compose() else { return };
    let sheetstream = &compose["services"]["sheetstream"];
    let [(_, port)] = ports(sheetstream)[..] else { panic!("one port") };
    let config = yaml("prometheus/prometheus.yml").expect("it could be read");
    let target = text(&config["scrape_configs"][0]["static_configs"][0]["targets"][0]).to_owned();
    assert_eq!(target, format!("sheetstream:{port}"));
    assert_eq!(environment(sheetstream, "SHEETSTREAM_HTTP_HOSTS"), "sheetstream");
    assert_eq!(environment(sheetstream, "SHEETSTREAM_HTTP"), format!("0.0.0.0:{port}"));

    let prometheus = &compose["services"]["prometheus"];
    let flags = texts(&prometheus["command"]);
    let flag = |name: &str| flags.iter().find_map(|flag| flag.strip_prefix(name)).expect("the flag");
    let mounted = mounts(prometheus);
    let source = |target: &str| mounted.iter().find(|mount| mount.1 == target).map(|mount| mount.0);
    assert_eq!(source(flag("--storage.tsdb.path=")), Some("prometheus"));
    let config = flag("--config.file=").strip_prefix("/etc/prometheus/").expect("below the mount");
    assert!(source("/etc/prometheus") == Some("./prometheus") && path("prometheus").join(config).is_file());

    let alerting = yaml("prometheus/prometheus.yml").expect("it could be read")["alerting"].take();
    let sends_to = text(&alerting["alertmanagers"][0]["static_configs"][0]["targets"][0]).to_owned();
    let alertmanager = &compose["services"]["alertmanager"];
    assert_eq!(sends_to, format!("alertmanager:{}", ports(alertmanager)[0].1));
    let config = yaml("prometheus/alertmanager.yml").expect("it could be read");
    let webhook = text(&config["receivers"][0]["webhook_configs"][0]["url_file"]).to_owned();
    let line = text(&alertmanager["command"][0]);
    assert!(line.starts_with(&format!("echo \"$$SHEETSTREAM_ALERT_WEBHOOK\" >{webhook} && exec ")), "{line}");
    assert!(line.contains("--config.file=/etc/prometheus/alertmanager.yml "), "{line}");
    let alerts = &compose["services"]["alerts"];
    let [(on_host, port)] = ports(alerts)[..] else { panic!("one port") };
    let receiver = format!("${{SHEETSTREAM_ALERT_WEBHOOK:-http://alerts:{port}/}}");
    assert_eq!(environment(alertmanager, "SHEETSTREAM_ALERT_WEBHOOK"), receiver);
    let runbooks = format!("${{SHEETSTREAM_RUNBOOKS:-http://localhost:{on_host}/runbooks}}");
    assert_eq!(environment(prometheus, "SHEETSTREAM_RUNBOOKS"), runbooks);

    let grafana = &compose["services"]["grafana"];
    let source = yaml("grafana/provisioning/datasources/prometheus.yml").expect("it could be read");
    assert_eq!(text(&source["datasources"][0]["url"]), format!("http://prometheus:{}", ports(prometheus)[0].1));
    let provider = yaml("grafana/provisioning/dashboards/sheetstream.yml").expect("it could be read");
    let folder = text(&provider["providers"][0]["options"]["path"]);
    let mounted = mounts(grafana);
    let (source, ..) = mounted.iter().find(|(_, target, _)| *target == folder).expect("dashboards");
    let home = environment(grafana, "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH");
    assert!(path(source).join(home.strip_prefix(folder).expect("below").trim_start_matches('/')).is_file());
}

#[test]
fn the_image_is_built_from_what_is_let_in_and_runs_as_the_file_says() {
    let Some(compose) = compose() else { return };
    let dockerfile = read("Dockerfile");
    let line = |begin: &str| {
        let line = dockerfile.lines().find_map(|line| line.strip_prefix(begin));
        line.unwrap_or_else(|| panic!("the Dockerfile has no {begin}"))
    };
    let manifest = read("Cargo.toml");
    let (_, rust) = manifest.split_once("rust-version = \"").expect("a version");
    let (rust, _) = rust.split_once('"').expect("a version");
    assert!(line("FROM rust:").starts_with(&format!("{rust}.")), "the base is of another Rust");
    assert!(line("USER ").split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)));

    let sheetstream = &compose["services"]["sheetstream"];
    let (_, check) = line("HEALTHCHECK ").split_once("CMD ").expect("a command");
    let check: Value = serde_json::from_str(check).expect("a list");
    assert_eq!(texts(&check), texts(&sheetstream["healthcheck"]["test"])[1..]);
    let mut settings = line("ENV SHEETSTREAM_").split(' ').map(|setting| setting.split_once('=').expect("a value"));
    assert!(settings.all(|(name, value)| {
        value == environment(sheetstream, &format!("SHEETSTREAM_{}", name.trim_start_matches("SHEETSTREAM_")))
    }));
    let (state, ..) = mounts(sheetstream)[1];
    assert_eq!(state, "state");
    assert!(dockerfile.contains(" /var/lib/sheetstream\n"), "a new volume would belong to root");

    // Files outside of src/ that the binary holds, and what cargo reads.
    let let_in = read(".dockerignore");
    let let_in: Vec<&str> = let_in.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let is_let_in = |file: &str| let_in.iter().any(|prefix| Path::new(file).starts_with(prefix));
    let sample = read("src/cli/sample.rs");
    let held = sample.match_indices("(\"../../").map(|(at, begin)| &sample[at + begin.len()..]);
    let held: Vec<&str> = held.filter_map(|rest| rest.split('"').next()).collect();
    assert!(held.len() >= 2);
    for file in held.into_iter().chain([".cargo/config.toml", "Cargo.toml", "Cargo.lock", "src/main.rs"]) {
        assert!(path(file).is_file() && is_let_in(file), "{file} is kept out of the build");
    }
    assert!(read(".gitignore").lines().any(|line| line == "/.env") && !is_let_in(".env"));
}

#[test]
fn the_unit_for_systemd_is_hardened() {
    let unit = "deploy/systemd/sheetstream.service";
    let Some(mut analyze) = tool::tool("systemd-analyze", &["--version"]) else { return };
    // 0 to 100: ten times what is printed.
    let asked = analyze.args(["security", "--offline=yes", "--threshold=20", unit]).current_dir(path("")).output();
    let analysis = asked.expect("systemd-analyze");
    assert!(analysis.status.success(), "{}", String::from_utf8_lossy(&analysis.stdout));
    let unit = read(unit);
    for exit in ["77", "78"] {
        assert!(unit.lines().any(|line| line.starts_with("RestartPreventExitStatus=") && line.contains(exit)));
    }
}

#[test]
fn the_pods_are_restricted_and_watched() {
    const SCRIPT: &str = "import json, sys; from ruamel.yaml import YAML; \
                          json.dump(list(YAML(typ='safe', pure=True).load_all(open(sys.argv[1]))), sys.stdout)";
    let Some(read) = python(&["-c", SCRIPT, "deploy/kubernetes/sheetstream.yaml"]) else { return };
    let objects: Vec<Value> = serde_json::from_slice(&read.stdout).expect("JSON");
    let kinds: Vec<&str> = objects.iter().map(|object| text(&object["kind"])).collect();
    assert_eq!(kinds, ["Service", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"]);
    let pod = &objects[1]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(
        (&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"]),
        (&true.into(), &false.into())
    );
    assert_eq!(texts(&security["capabilities"]["drop"]), ["ALL"]);
    assert!(container["resources"]["limits"]["memory"].is_string());
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"), ("startupProbe", "/healthz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
    }
    // Every variable that it sets is one that the program has.
    let mut run = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    let help = String::from_utf8(run.args(["run", "--help"]).output().expect("help").stdout).expect("UTF-8");
    for variable in list(&container["env"]) {
        assert!(help.contains(text(&variable["name"])), "{variable}");
    }
}

#[test]
fn every_limit_in_the_table_names_its_test() {
    let operations = read("docs/operations.md");
    let (_, table) = operations.split_once("\n## Limits\n").expect("the section");
    let (table, _) = table.split_once("\n## ").expect("another section");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() > 15);
    let mut folders = vec![path("src"), path("tests")];
    let mut sources = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "rs" => sources += &std::fs::read_to_string(path).expect("a source"),
                _ => {}
            }
        }
    }
    for row in rows {
        let test = row.trim_end_matches([' ', '|', '`']).rsplit('`').next().expect("a test");
        assert!(sources.contains(&format!("fn {test}(")), "{row}");
    }
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service of sheetstream's by its line and environment, with what a container has elsewhere put where it is here.
fn service(compose: &Value, name: &str, kafka: &Kafka, volume: &Path) -> Command {
    let service = &compose["services"][name];
    let here = |value: &str| {
        let value = value.replace("broker:19092", &kafka.bootstrap).replace("0.0.0.0:8080", "127.0.0.1:0");
        let value = value.replace("/var/lib/sheetstream", &volume.display().to_string());
        if value == "/topology" { path("topology").display().to_string() } else { value }
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    command.args(texts(&service["command"]).into_iter().map(here)).stdin(Stdio::null());
    for (key, value) in service["environment"].as_object().expect("an environment") {
        // Interpolated from .env.
        let value = if text(value).starts_with("${SHEETSTREAM_HTTP_TOKEN:?") {
            "a secret of the office".into()
        } else {
            here(text(value))
        };
        command.env(key, value);
    }
    command
}

#[test]
fn sheetstream_runs_by_the_lines_of_its_services() {
    let Some(compose) = compose() else { return };
    let Some(kafka) = Kafka::shared() else { return };
    let volume = tempfile::tempdir().expect("a temporary folder");
    for _ in 0..2 {
        let topics = service(&compose, "topics", kafka, volume.path()).output().expect("topics");
        assert!(topics.status.success(), "{}", String::from_utf8_lossy(&topics.stderr));
    }
    let log = volume.path().join("log");
    let mut run = service(&compose, "sheetstream", kafka, volume.path());
    let run = run.stderr(std::fs::File::create(&log).expect("a log")).spawn().expect("run");
    let _run = Ends(run);
    let begun = Instant::now();
    let address = loop {
        let log = std::fs::read_to_string(&log).expect("a log");
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(served) = lines.find(|line| line["message"] == "HTTP is served") {
            break text(&served["address"]).parse().expect("an address");
        }
        assert!(begun.elapsed() < LIMIT, "{log}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let check = texts(&compose["services"]["sheetstream"]["healthcheck"]["test"]);
    assert_eq!(check[..2], ["CMD", "/usr/local/bin/sheetstream"]);
    let mut health = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    health.args(&check[2..]).env("SHEETSTREAM_HEALTH_URL", format!("http://{address}/healthz"));
    let health = health.output().expect("health");
    assert!(health.status.success(), "{}", String::from_utf8_lossy(&health.stderr));
    while http::get(address, "/readyz").status != 200 {
        assert!(begun.elapsed() < LIMIT, "{}", http::get(address, "/readyz").text());
        std::thread::sleep(Duration::from_millis(100));
    }
    // As Prometheus comes, and as others do.
    let of = |path: &str, host: &str| http::request(address, "GET", path, &[("host", host)]).status;
    assert_eq!(of("/metrics", "sheetstream:8080"), 200);
    assert_eq!(of("/metrics", "elsewhere:8080"), 421);
    assert_eq!(of("/topologies", "localhost:8000"), 401);
    let answer = http::request(address, "GET", "/topologies", &[("authorization", "Bearer a secret of the office")]);
    let shipped = std::fs::read_dir(path("topology")).expect("topologies").map(|entry| entry.expect("an entry").path());
    let shipped = shipped.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    assert_eq!(list(&answer.json()).len(), shipped.count());
}

on_the_in_process_broker! {
    sheetstream_runs_by_the_lines_of_its_services,
}
