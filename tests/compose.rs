//! `docker-compose.yml` and `Dockerfile` without an engine: the file keeps the Compose Specification, what it names is there, its services
//! agree with one another, and Kafka and sheetstream run by its lines, in every profile.

#[path = "support/compose.rs"]
mod containers;
#[path = "support/dashboards.rs"]
mod files;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/tool.rs"]
mod tool;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use containers::{
    KafkaContainer, LIMIT, Places, Run, compose, environment, free_port, mounts, ports, python, service, services,
    some, texts, yaml,
};
use files::{list, path, read, text};
use kafka::Kafka;
use serde_json::Value;

/// The page's user.
const AUTHORIZATION: (&str, &str) = ("authorization", "Bearer a secret of the office");

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
    assert_eq!(services(&compose).len(), 18);
    for (name, service) in services(&compose) {
        let is_one_shot = ["topics", "secrets", "rights", "topics-secure", "topics-cluster"].contains(&name.as_str());
        assert_eq!(text(&service["restart"]), if is_one_shot { "no" } else { "unless-stopped" }, "{name}");
        assert!(service["mem_limit"].is_string(), "{name} may take all memory");
        assert_eq!(text(&service["stop_grace_period"]), "30s", "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: its log has no limit");
        assert_eq!(service["read_only"] == true, !name.starts_with("broker"), "{name}");
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
    assert_eq!(
        BTreeSet::from_iter(published),
        BTreeSet::from([3000, 8000, 8001, 8002, 8080, 9090, 9092, 9093, 9094, 9095, 9192, 9193, 9194])
    );
}

#[test]
fn what_is_mounted_is_there() {
    let Some(compose) = compose() else { return };
    let declared: BTreeSet<&str> =
        compose["volumes"].as_object().expect("volumes").keys().map(String::as_str).collect();
    let (mut used, mut readers) = (BTreeSet::new(), BTreeMap::new());
    for (name, service) in services(&compose) {
        for (source, target, is_read_only) in mounts(service) {
            match source.strip_prefix("./") {
                Some(folder) => {
                    assert!(path(folder).is_dir(), "{name}: {source} is not there");
                    assert!(is_read_only, "{name} may write {source}");
                }
                None if is_read_only => {
                    assert!(readers.insert(source, name).is_none(), "{name}: {source} has two readers");
                }
                None => assert!(used.insert(source), "{name}: {source} has two masters"),
            }
            assert!(target.starts_with('/'), "{name}: {target}");
        }
    }
    assert_eq!(used, declared);
    // What is secret is made by one service, and each part is read by one other.
    let secrets: BTreeSet<&str> = mounts(&services(&compose)["secrets"]).iter().skip(1).map(|mount| mount.0).collect();
    assert_eq!(readers.keys().copied().collect::<BTreeSet<_>>(), secrets);
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
    for other in ["sheetstream-secure", "sheetstream-cluster"] {
        let aliases = texts(&compose["services"][other]["networks"]["default"]["aliases"]);
        assert_eq!(aliases, ["sheetstream"], "Prometheus does not find it");
    }
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

#[test]
fn every_broker_is_the_same_version_and_says_where_it_is_reached() {
    let Some(compose) = compose() else { return };
    let image = text(&compose["services"]["broker"]["image"]).to_owned();
    for (name, service) in services(&compose).iter().filter(|(name, _)| name.starts_with("broker")) {
        assert_eq!(text(&service["image"]), image, "{name}");
        let advertised = environment(service, "KAFKA_ADVERTISED_LISTENERS");
        assert!(advertised.contains(&format!("://{name}:19092,")), "{name}: {advertised}");
        let [(host, inside)] = ports(service)[..] else { panic!("{name}: one port") };
        assert!(host == inside && advertised.ends_with(&format!("://localhost:{host}")), "{name}: {advertised}");
        let voters = environment(service, "KAFKA_CONTROLLER_QUORUM_VOTERS");
        let voter = format!("{}@{name}:29093", environment(service, "KAFKA_NODE_ID"));
        assert!(voters.split(',').any(|one| one == voter), "{name}: {voters}");
        // The image's start script asks for stores of its own kind where a listener's name ends so.
        assert!(!advertised.contains("SSL://") && !advertised.contains("SASL_"), "{name}: {advertised}");
    }
}

#[test]
fn sheetstream_runs_by_the_lines_of_its_services() {
    let Some(compose) = compose() else { return };
    let Some(kafka) = Kafka::shared() else { return };
    let volume = tempfile::tempdir().expect("a temporary folder");
    let places = Places::default().with("broker:19092", &kafka.bootstrap);
    for _ in 0..2 {
        succeed(service(&compose, "topics", &places, volume.path()));
    }
    let run = Run::start(&compose, "sheetstream", &places, volume.path());
    let address = run.address();
    let check = texts(&compose["services"]["sheetstream"]["healthcheck"]["test"]);
    assert_eq!(check[..2], ["CMD", "/usr/local/bin/sheetstream"]);
    let mut health = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    health.args(&check[2..]).env("SHEETSTREAM_HEALTH_URL", format!("http://{address}/healthz"));
    succeed(health);
    run.until_ready();
    // As Prometheus comes, and as others do.
    let of = |path: &str, host: &str| http::request(address, "GET", path, &[("host", host)]).status;
    assert_eq!(of("/metrics", "sheetstream:8080"), 200);
    assert_eq!(of("/metrics", "elsewhere:8080"), 421);
    assert_eq!(of("/topologies", "localhost:8000"), 401);
    let answer = http::request(address, "GET", "/topologies", &[AUTHORIZATION]);
    let shipped = std::fs::read_dir(path("topology")).expect("topologies").map(|entry| entry.expect("an entry").path());
    let shipped = shipped.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    assert_eq!(list(&answer.json()).len(), shipped.count());
}

fn succeed(mut command: Command) -> Output {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The sample goes in by the page, its last row so many times, and a workbook comes out.
fn upload(run: &Run, times: usize) {
    let mut file = std::fs::read(path("examples/data/places-cp949.csv")).expect("the sample");
    let last = file.trim_ascii_end().iter().rposition(|byte| *byte == b'\n').expect("several rows");
    let row = file[last + 1..].to_vec();
    (1..times).for_each(|_| file.extend_from_slice(&row));
    let path = format!("/uploads?topology=facilities&name={times}.csv");
    let answer = http::send(run.address(), "POST", &path, &[AUTHORIZATION], &file);
    assert!(answer.status == 200 || answer.status == 201, "{}\n{}", answer.text(), run.log());
    let id = text(&answer.json()["id"]).to_owned();
    let begun = Instant::now();
    loop {
        let answer = http::request(run.address(), "GET", &format!("/uploads/{id}"), &[AUTHORIZATION]);
        if answer.json()["state"] == "PUBLISHED" {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{}\n{}", answer.text(), run.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Brokers by their lines on ports of this machine, and where they are.
fn brokers(compose: &Value, names: &[&str], places: Places, folder: &Path) -> (Vec<KafkaContainer>, Places) {
    let mut inside = places;
    let listeners = names.iter().map(|name| {
        let [reached, controller, host] = [free_port(), free_port(), free_port()];
        inside = inside.with(format!("{name}:19092"), format!("localhost:{reached}"));
        inside = inside.with(format!("{name}:29093"), format!("localhost:{controller}"));
        (*name, reached, controller, host)
    });
    let listeners: Vec<_> = listeners.collect();
    let start = |(name, reached, controller, host): &(&str, u16, u16, u16)| {
        let [(published, _)] = ports(&compose["services"][*name])[..] else { panic!("{name}: one port") };
        let own = inside.with("://:19092", format!("://localhost:{reached}"));
        let own = own.with("://:29093", format!("://localhost:{controller}"));
        let own = own.with(format!("://:{published}"), format!("://localhost:{host}"));
        let own = own.with(format!("://localhost:{published}"), format!("://localhost:{host}"));
        KafkaContainer::start(compose, name, &own, folder)
    };
    let started: Vec<_> = listeners.iter().map(start).collect();
    started.iter().for_each(KafkaContainer::until_started);
    (started, inside)
}

#[test]
fn the_secure_profile_gives_everybody_what_they_need_and_no_more() {
    let Some(compose) = compose() else { return };
    if kafka::library().is_none() || tool::tool("keytool", &["-help"]).is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secrets = folder.path().join("secrets");
    let entry = texts(&compose["services"]["secrets"]["entrypoint"]);
    let [shell, script, target, host] = entry[..] else { panic!("{entry:?}") };
    for _ in 0..2 {
        let mut made = Command::new(shell);
        made.arg(path(&script.replace("/secure/", "deploy/secure/")));
        made.arg(target.replace("/secrets", secrets.to_str().expect("a path"))).arg(host);
        succeed(made);
    }
    // Where a service has what is secret, by the volume that it mounts.
    let mounted = |name: &str, places: &Places| {
        let at = |(source, target, _): (&str, &str, bool)| {
            let user = source.strip_prefix("secrets-")?;
            Some(places.with(target, secrets.join(user).display()))
        };
        mounts(&compose["services"][name]).into_iter().find_map(at).expect("secrets")
    };
    let places = mounted("broker-secure", &Places::default());
    let (_brokers, places) = brokers(&compose, &["broker-secure"], places, folder.path());
    for name in ["rights", "topics-secure"] {
        succeed(service(&compose, name, &mounted(name, &places), folder.path()));
    }
    let name = "sheetstream-secure";
    let places = mounted(name, &places);
    let run = Run::start(&compose, name, &places, folder.path());
    run.until_ready();
    upload(&run, 1);

    // Who makes topics reads none, and who runs makes none.
    let environment = |name: &str| {
        let places = mounted(name, &places);
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        for key in ["SHEETSTREAM_BROKERS", "SHEETSTREAM_KAFKA_CONFIG"] {
            command.env(key, places.here(containers::environment(&compose["services"][name], key)));
        }
        command
    };
    let refused = |mut command: Command, arguments: &[&str], said: &str| {
        let output = command.args(arguments).current_dir(path("")).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(77) && text.contains(said), "{arguments:?}: {text}");
    };
    let topology = "topology/facilities.toml";
    refused(environment("topics-secure"), &["status", topology], "the right to");
    refused(
        environment(name),
        &["topics", "create", "-t", "tests/topology/minimal.toml"],
        "the right to Describe topic minimal.rows",
    );
    refused(
        environment(name),
        &["topics", "grant", "--run", "User:topics", "-t", topology],
        "the right to Alter cluster",
    );
}

#[test]
fn the_cluster_profile_loses_a_broker_and_nothing_else_and_reads_the_nearest_copy() {
    let Some(compose) = compose() else { return };
    if kafka::library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let names = ["broker-1", "broker-2", "broker-3"];
    let (mut started, places) = brokers(&compose, &names, Places::default(), folder.path());
    succeed(service(&compose, "topics-cluster", &places, folder.path()));
    let run = Run::start(&compose, "sheetstream-cluster", &places, folder.path());
    run.until_ready();
    upload(&run, 1);
    // Of so many topics the leaders are spread, so some are in other racks.
    let says = |text: &str| run.log().contains(text);
    assert!(says("the nearest copy is read"), "{}", run.log());
    let rack = environment(&compose["services"]["sheetstream-cluster"], "SHEETSTREAM_KAFKA_CLIENT_RACK");
    let near = names.iter().position(|name| environment(&compose["services"][*name], "KAFKA_BROKER_RACK") == rack);
    started[near.expect("a broker in that rack")].kill();
    upload(&run, 2);
    assert!(says("the nearest copy does not serve"), "{}", run.log());
}

on_the_in_process_broker! {
    sheetstream_runs_by_the_lines_of_its_services,
}
