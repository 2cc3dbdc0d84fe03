//! The commands for whoever writes topologies: `plan`, `graph`, `validate --against`, `test`; what they say, and how they end.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const FACILITIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/topology/facilities.toml");

const TOPOLOGY: &str = r#"name = "t"
[[source]]
name = "rows"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5186", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"], missing = "reject" }
[[aggregate]]
name = "by-city"
sheet = "city"
[[sink]]
name = "workbooks"
"#;

/// A folder with `topology.toml` and files; the binary runs in it.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(files: &[(&str, &str)]) -> Bench {
        let bench = Bench(tempfile::tempdir().expect("a temporary folder"));
        bench.write("topology.toml", TOPOLOGY);
        files.iter().for_each(|(name, text)| bench.write(name, text));
        bench
    }
    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null()).output().expect("the binary")
    }
    /// Exit code, standard output, standard error.
    fn output(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let ended = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ended.status.code(), text(&ended.stdout), text(&ended.stderr))
    }
    fn json(&self, arguments: &[&str]) -> Value {
        let (_, out, said) = self.output(arguments);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{said}"))
    }
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
    fn exists(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }
}

/// Rows of Seoul and Suwon in EPSG:5186, every tenth without a coordinate.
fn rows(count: u32) -> String {
    let mut text = "city,x,y\n".to_owned();
    for n in 0..count {
        let city = if n % 3 == 0 { "Suwon" } else { "Seoul" };
        let x = if n % 10 == 9 { String::new() } else { format!("{}.5", 198_000 + n % 900) };
        text += &format!("{city},{x},{}.25\n", 551_000 + n % 700);
    }
    text
}

#[test]
fn a_plan_says_what_convert_would_make_and_leaves_nothing() {
    let bench = Bench::new(&[("a.csv", &rows(1_000))]);
    let (code, out, said) = bench.output(&["plan", "a.csv", "-t", "topology.toml"]);
    assert_eq!(code, Some(0), "{said}");
    for part in
        ["rows      1000: 900 written, 100 rejected", "100 coord.missing: ", "Seoul: 600 rows", "in 1 record of"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
    let plan = bench.json(&["plan", "a.csv", "-t", "topology.toml", "--json"]);
    assert_eq!((&plan["status"]["state"], &plan["rejected"]["coord.missing"]), (&"PUBLISHED".into(), &100.into()));
    let sheets: Vec<_> =
        plan["sheets"].as_array().expect("sheets").iter().map(|sheet| sheet["rows"].as_u64()).collect();
    assert_eq!(sheets, [Some(300), Some(600)]);
    assert_eq!(fs::read_dir(bench.0.path()).expect("the folder").count(), 2, "nothing is left");
    bench.run(&["convert", "a.csv", "-t", "topology.toml", "-o", "a.xlsx"]);
    let length = fs::metadata(bench.0.path().join("a.xlsx")).expect("a workbook").len();
    assert_eq!(plan["status"]["workbook"]["bytes"].as_u64(), Some(length));

    assert_eq!(bench.output(&["plan", "a.csv", "-t", "topology.toml", "--strict"]).0, Some(65));
    bench.write("b.csv", "city,a,b\nx,1,2\n");
    let (code, out, _) = bench.output(&["plan", "b.csv", "-t", "topology.toml"]);
    assert_eq!(code, Some(65));
    assert!(out.contains("fails     column.missing: "), "{out}");
}

#[test]
fn a_topology_is_drawn() {
    let bench = Bench::new(&[]);
    let (code, mermaid, said) = bench.output(&["graph", FACILITIES]);
    assert_eq!(code, Some(0), "{said}");
    assert!(mermaid.starts_with("flowchart LR\n") && mermaid.contains("n0[(\"facilities.rows\")]"), "{mermaid}");
    let (_, dot, _) = bench.output(&["graph", "-t", FACILITIES, "--format", "dot"]);
    assert!(dot.starts_with("digraph \"facilities\" {") && dot.contains("shape=cylinder"), "{dot}");
    let boxes = bench.json(&["graph", FACILITIES, "--json"])["boxes"].as_array().expect("boxes").len();
    assert_eq!(
        mermaid.matches("\n  n").count(),
        boxes + bench.json(&["graph", FACILITIES, "--json"])["arrows"].as_array().expect("arrows").len()
    );
}

#[test]
fn a_topology_is_validated_against_a_file() {
    let bench =
        Bench::new(&[("fits.csv", &rows(50)), ("other.csv", "a,b\n1,2\n"), ("blank.csv", "city,x,y\nSeoul,,\n")]);
    let (code, out, _) = bench.output(&["validate", "topology.toml", "--against", "fits.csv"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("of its first 50 rows 45 fit and 5 are rejected") && out.contains("5 coord.missing"), "{out}");
    for (file, why) in [("other.csv", "column.missing"), ("blank.csv", "")] {
        let (code, out, said) = bench.output(&["validate", "topology.toml", "--against", file]);
        assert!(code == Some(65) && said.contains(why), "{file}: {code:?} {out}{said}");
    }
    // The same points, where the topology names a system that puts them into the sea.
    bench.write("wrong.toml", &TOPOLOGY.replace("EPSG:5186", "EPSG:5185"));
    let checked = bench.json(&["validate", "wrong.toml", "--against", "fits.csv", "--json"]);
    let notes = checked[0]["against"]["notes"].to_string();
    assert!(notes.contains("EPSG:5186") && notes.contains("EPSG:5185"), "{checked:#}");
}

#[test]
fn a_cluster_that_is_not_there_fails_validate_online_as_it_fails_doctor() {
    let bench = Bench::new(&[]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").to_string();
    let (code, out, _) = bench.output(&["validate", "topology.toml", "--online", "--brokers", &nobody]);
    assert_eq!(code, Some(69), "{out}");
    assert!(out.contains("topology.toml: ok") && out.contains("FAIL") && out.contains("sheetstream broker"), "{out}");
}

#[test]
fn what_is_wrong_is_shown_in_its_line() {
    let bench = Bench::new(&[("wrong.toml", &TOPOLOGY.replace("sheet = \"city\"", "shet = \"city\""))]);
    for arguments in [&["validate", "wrong.toml"][..], &["plan", "a.csv", "-t", "wrong.toml"]] {
        let (code, _, said) = bench.output(arguments);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("wrong.toml:9:1: ") && said.contains("  9 | shet = \"city\"\n    | ^^^^\n"), "{said}");
    }
}

#[test]
fn cases_are_met_or_their_difference_is_shown() {
    let bench = Bench::new(&[("cases/seoul/in.csv", &rows(4)), ("cases/deep/er/in.csv", "city,x,y\n")]);
    fs::rename(bench.0.path().join("topology.toml"), bench.0.path().join("cases/topology.toml")).expect("moved");
    let (code, out, said) = bench.output(&["test", "cases"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(said.contains("it has no expected.txt; --update writes it"), "{said}");

    let (code, out, _) = bench.output(&["test", "cases", "--update"]);
    assert!(code == Some(0) && out.contains("written cases/seoul"), "{out}");
    let expected = bench.read("cases/seoul/expected.txt");
    assert!(expected.contains("status: PUBLISHED\nrows: 4 in, 4 written, 0 rejected\n"), "{expected}");
    assert!(expected.contains("[Seoul]\ncity | x | y | lon | lat\n"), "{expected}");
    let (code, out, _) = bench.output(&["test", "cases"]);
    assert_eq!((code, out.as_str()), (Some(0), "ok      cases/deep/er\nok      cases/seoul\n2 cases, 0 failed\n"));

    bench.write("cases/seoul/in.csv", &rows(5));
    let (code, out, said) = bench.output(&["test", "cases", "--junit", "report.xml"]);
    assert!(code == Some(1) && out.contains("FAILED  cases/seoul\n2 cases, 1 failed\n"), "{out}");
    assert!(said.contains("- rows: 4 in") && said.contains("+ rows: 5 in"), "{said}");
    let report = bench.read("report.xml");
    assert!(report.contains("tests=\"2\" failures=\"1\"") && report.contains("name=\"cases/seoul\""), "{report}");
    bench.write("cases/seoul/expected.txt", "...\n[Seoul]\n...\n");
    assert_eq!(bench.output(&["test", "cases"]).0, Some(0), "dots match any lines");
    let all = bench.json(&["test", "cases", "--json"]);
    assert!(all[1]["case"] == "cases/seoul" && all[1]["failure"].is_null(), "{all:#}");
}

#[test]
fn what_is_shipped_is_tested_by_its_own_cases() {
    let bench = Bench::new(&[]);
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cases");
    let (code, out, said) = bench.output(&["test", &cases.display().to_string()]);
    assert_eq!(code, Some(0), "{out}{said}");
}

#[test]
fn like_things_end_alike() {
    let bench = Bench::new(&[("a.csv", &rows(4)), ("empty.csv", ""), ("there.xlsx", "")]);
    let convert = |file: &str, out: &str| bench.output(&["convert", file, "-t", "topology.toml", "-o", out]);
    for (file, out, code) in [
        ("gone.csv", "a.xlsx", 74),
        (".", "a.xlsx", 74),
        ("a.csv", "there.xlsx", 74),
        ("a.csv", "nowhere/a.xlsx", 74),
        ("empty.csv", "a.xlsx", 65),
        ("a.csv", "a.xls", 2),
        ("a.csv", "a.xlsx", 0),
    ] {
        let (found, _, said) = convert(file, out);
        assert_eq!(found, Some(code), "{file} to {out}: {said}");
    }
    assert!(!bench.exists("a.xls"));
    for command in ["inspect", "plan"] {
        let with = |file: &str| match command {
            "plan" => bench.output(&["plan", file, "-t", "topology.toml"]).0,
            command => bench.output(&[command, file]).0,
        };
        assert_eq!((with("gone.csv"), with("."), with("empty.csv")), (Some(74), Some(74), Some(65)), "{command}");
    }
}

#[test]
fn a_closed_pipe_turns_no_failure_into_success() {
    let bench = Bench::new(&[("wrong.toml", "name = 1\n"), ("blank.csv", "city,x,y\nSeoul,,\n"), ("a.csv", &rows(9))]);
    let cases: [(&[&str], i32); 5] = [
        (&["validate", "topology.toml", "wrong.toml"], 78),
        (&["plan", "blank.csv", "-t", "topology.toml"], 65),
        (&["convert", "blank.csv", "-t", "topology.toml", "--force", "-o", "a.xlsx", "--json"], 65),
        (&["plan", "a.csv", "-t", "topology.toml"], 0),
        (&["describe", "topology.toml"], 0),
    ];
    for (arguments, code) in cases {
        // Its output and its messages go to a pipe whose reader is gone before it begins.
        let script = "exec 3>&1; { sleep 0.2; \"$@\"; echo $? >&3; } 2>&1 | true";
        let mut shell = Command::new("bash");
        shell.args(["-c", script, "bash", env!("CARGO_BIN_EXE_sheetstream")]).args(arguments);
        let ended = shell.current_dir(bench.0.path()).output().expect("bash");
        assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), code.to_string(), "{arguments:?}");
    }
}

#[test]
fn the_topology_is_named_by_the_same_option_everywhere() {
    let bench = Bench::new(&[]);
    for command in [
        "run", "dev", "status", "validate", "describe", "graph", "publish", "fetch", "watch", "convert", "plan",
        "test", "doctor",
    ] {
        let (code, help, _) = bench.output(&[command, "--help"]);
        assert!(code == Some(0) && help.contains("-t, --topology <TOPOLOGY>"), "{command}: {help}");
    }
    for heading in ["Kafka:", "How files are read:", "For every command:"] {
        assert!(bench.output(&["publish", "--help"]).1.contains(heading), "{heading}");
    }
    let bare = bench.output(&["describe", "topology.toml"]);
    assert_eq!(bare, bench.output(&["describe", "-t", "topology.toml"]));
    assert_eq!(bench.output(&["describe", "topology.toml", "-t", "topology.toml"]).0, Some(2), "named twice");
    assert_eq!(bench.output(&["validate"]).0, Some(2));
}
