//! Topology files: what is accepted, what is refused and in which words, and what `validate` and `describe` make of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use proptest::prelude::*;
use sheetstream::aggregate::{SheetKey, SheetOrder};
use sheetstream::map::MapConfig;
use sheetstream::sink::{Lang, WorkbookConfig};
use sheetstream::source::{HeaderFrom, Incomplete, Markers, OnError, UploadFrom};
use sheetstream::topology::{FILE_BYTES_MAX, Problems, Topology};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const MINIMAL: &str = include_str!("topology/minimal.toml");
const MARKETS: &str = include_str!("../topology/seoul-markets.toml");

fn parse(text: &str) -> Result<Topology, Problems> {
    Topology::parse(text, "t.toml", &|_| None)
}

fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join(dir)).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

/// The message for a file of these bytes, without its path.
fn refusal(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let path = dir.path().join("t.toml");
    fs::write(&path, bytes).expect("a file can be written");
    let problems = Topology::load(&path).expect_err("it must be refused").to_string();
    problems.replace(&path.display().to_string(), "t.toml")
}

#[test]
fn every_example_compiles() {
    let examples = files("topology", "toml");
    assert!(examples.len() >= 3);
    for path in examples {
        let topology = Topology::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(path.file_stem().expect("it has a name"), &*topology.name, "an example is named as its file");
    }
}

#[test]
fn broken_files_are_refused_word_for_word() {
    let expected = files("tests/topology", "txt").into_iter().filter(|path| path.with_extension("toml").exists());
    let expected: Vec<PathBuf> = expected.collect();
    assert!(expected.len() >= 10);
    for path in expected {
        let text = fs::read_to_string(path.with_extension("toml")).expect("it is beside its messages");
        let name = path.with_extension("toml").file_name().expect("it has a name").display().to_string();
        let problems = Topology::parse(&text, &name, &|_| None).expect_err(&name);
        assert_eq!(format!("{problems}\n"), fs::read_to_string(&path).expect("it can be read"), "{name}");
    }
}

#[test]
fn a_minimal_file_gets_the_defaults() {
    let topology = parse(MINIMAL).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(&*topology.name, "minimal");
    assert_eq!(topology.hash.len(), 16);
    assert_eq!(topology.maps, []);

    let source = topology.source;
    assert_eq!((&*source.node, &*source.topic), ("in", "minimal.rows"));
    assert_eq!((source.header, source.upload, source.markers), (HeaderFrom::First, UploadFrom::Auto, Markers::All));
    assert_eq!((source.on_error, source.incomplete), (OnError::Continue, Incomplete::Hold));
    assert_eq!((source.delimiter, source.idle_timeout), (None, Duration::from_secs(86_400)));
    assert!(source.columns.is_empty());
    assert!(!source.lenient_quotes && !source.pad_fields && !source.strip_control && !source.truncate_cells);

    assert_eq!(topology.aggregate.sheet, SheetKey::Column("district".into()));
    assert_eq!((topology.aggregate.sheet_order, topology.aggregate.sheets_max), (SheetOrder::First, 2_048));

    let sink = topology.sink;
    assert_eq!((&*sink.topic, sink.partitions, sink.record_bytes_max), ("minimal.workbooks", None, 921_600));
    assert_eq!((&*sink.status_topic, &*sink.dead_letter_topic), ("minimal.status", "minimal.dead-letters"));
    let look = WorkbookConfig {
        freeze_header: true,
        autofilter: true,
        cell_refs: true,
        about: true,
        summary: false,
        summary_numbers: Vec::new(),
        lang: Lang::En,
    };
    assert_eq!(sink.workbook, look);
}

#[test]
fn decimals_follow_the_unit_of_the_target() {
    let decimals = |to: &str| {
        let map = format!(
            "[[map]]\nname = \"m\"\nreproject = {{ from = \"EPSG:5181\", to = \"{to}\", x = \"x\", y = \"y\", into = [\"a\", \"b\"] }}\n"
        );
        let text = MINIMAL.replace("[[aggregate]]", &format!("{map}[[aggregate]]"));
        match &parse(&text).unwrap_or_else(|problems| panic!("{problems}")).maps[..] {
            [MapConfig::Reproject(config)] => config.decimals,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(decimals("EPSG:4326"), 9);
    assert_eq!(decimals("EPSG:5179"), 6);
}

#[test]
fn variables_of_the_environment_are_filled_in() {
    let text = MINIMAL.replace("\"minimal\"", "\"${APP}-${STAGE:-test}\"");
    let env = |name: &str| (name == "APP").then(|| "markets".to_owned());
    let topology = Topology::parse(&text, "t.toml", &env).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((&*topology.name, &*topology.source.topic), ("markets-test", "markets-test.rows"));
}

#[test]
fn a_byte_order_mark_and_crlf_change_nothing() {
    let text = format!("\u{feff}{}", MARKETS.replace('\n', "\r\n"));
    assert_eq!(parse(&text), parse(MARKETS));
    assert_eq!(parse("\u{feff}nam = 1").expect_err("it is wrong").to_string().lines().count(), 4);
    assert!(refusal("\u{feff}name = 1".as_bytes()).contains("t.toml:1:8: \"name\" is an integer"));
}

#[test]
fn files_that_are_no_text_are_refused_without_being_parsed() {
    let korean = b"name = \"markets\"\n# \xbc\xad\xbf\xef\n"; // "Seoul" in CP949
    let not_utf8 = "is not UTF-8; save the file as UTF-8; it looks like another encoding, such as CP949";
    assert_eq!(refusal(korean), format!("t.toml:2:3: the byte 0xbc {not_utf8}"));
    assert_eq!(refusal(b"\xff\xfen\0"), format!("t.toml:1:1: the byte 0xff {not_utf8}"));
    let large = vec![b'#'; FILE_BYTES_MAX + 1];
    assert_eq!(refusal(&large), "t.toml: the file is too large; a topology has 1 MiB at most; is this a data file?");
    let missing = Topology::load(Path::new("no/such.toml")).expect_err("there is none").to_string();
    assert!(missing.starts_with("no/such.toml: the file cannot be read; "), "{missing}");
}

#[test]
fn more_nodes_or_columns_than_a_workbook_needs_are_refused() {
    let map = |n| format!("[[map]]\nname = \"m{n}\"\nselect = [\"district\"]\n");
    let maps = |count| MINIMAL.replace("[[aggregate]]", &((0..count).map(map).collect::<String>() + "[[aggregate]]"));
    assert!(parse(&maps(61)).is_ok());
    let refused = parse(&maps(62)).expect_err("these are 65 nodes").to_string();
    assert_eq!(refused, "t.toml:193:1: a topology of 65 nodes; it has 64 at most");

    let names = |count| (0..count).map(|n| format!("\"c{n}\", ")).collect::<String>();
    let header = |count| MINIMAL.replace("\"in\"", &format!("\"in\"\nheader = [{}\"district\"]", names(count)));
    assert!(parse(&header(16_383)).is_ok());
    let refused = parse(&header(16_384)).expect_err("these are 16,385 columns").to_string();
    assert!(refused.ends_with("16385 columns in \"header\"; a sheet of Excel has 16384 at most"), "{refused}");
}

#[test]
fn the_largest_file_is_read() {
    let mut text = format!("{MINIMAL}#");
    text.extend(std::iter::repeat_n('x', FILE_BYTES_MAX - text.len()));
    let dir = tempfile::tempdir().expect("a directory can be made");
    fs::write(dir.path().join("t.toml"), text).expect("a file can be written");
    assert!(Topology::load(&dir.path().join("t.toml")).is_ok());
}

/// Each change: what is replaced in the example, and by what.
fn hash_after(change: (&str, &str)) -> String {
    assert!(change.0.is_empty() || MARKETS.matches(change.0).count() == 1, "{change:?}");
    let changed = parse(&MARKETS.replacen(change.0, change.1, 1));
    changed.unwrap_or_else(|problems| panic!("{change:?}: {problems}")).hash.to_string()
}

#[test]
fn what_shapes_a_workbook_changes_the_hash() {
    let changes = [
        ("", ""),
        ("name = \"seoul-markets\"", "name = \"busan-markets\""),
        ("header = \"first\"", "header = [\"x\", \"y\", \"자치구명\", \"시장코드\", \"개설연도\"]"),
        ("\"시장코드\" = \"text\"", "\"시장코드\" = \"integer\""),
        ("upload = \"key\"", "upload = \"header:key\""),
        ("upload = \"key\"", "upload = \"partition\""),
        ("upload = \"key\"", "markers = \"headers\""),
        ("upload = \"key\"", "upload = \"key\"\nmarkers = \"headers\""),
        ("upload = \"key\"", "upload = \"key\"\ndelimiter = \";\""),
        ("upload = \"key\"", "upload = \"key\"\nquotes = \"lenient\""),
        ("upload = \"key\"", "upload = \"key\"\nfield_count = \"pad\""),
        ("upload = \"key\"", "upload = \"key\"\ncontrol = \"strip\""),
        ("upload = \"key\"", "upload = \"key\"\nlong_cells = \"truncate\""),
        ("on_error = \"continue\"", "on_error = \"fail\""),
        ("incomplete = \"hold\"", "incomplete = \"emit\""),
        ("from = \"EPSG:5181\"", "from = \"EPSG:5186\""),
        ("EPSG:4326", "EPSG:5179"),
        ("\"x\", \"X좌표\"", "\"X좌표\", \"x\""),
        ("x = [\"x\", \"X좌표\", \"엑스좌표_값\"], y = [\"y\", \"Y좌표\", \"와이좌표_값\"]", "geometry = \"geom\""),
        ("[\"lon\", \"lat\"]", "[\"경도\", \"위도\"]"),
        ("[\"lon\", \"lat\"]", "[\"lon\", \"lat\"], decimals = 6"),
        ("[\"lon\", \"lat\"]", "[\"lon\", \"lat\"], check_area = false"),
        ("sheet = \"자치구명\"", "sheet = \"서울 {자치구명}\""),
        ("sheet_order = \"first\"", "sheet_order = \"name\""),
        ("sheet_order = \"first\"", "sheets_max = 25"),
        ("freeze_header = true", "freeze_header = false"),
        ("autofilter = true", "autofilter = false"),
        ("autofilter = true", "cell_refs = false"),
        ("autofilter = true", "about = false"),
        ("lang = \"ko\"", "lang = \"en\""),
        ("[[aggregate]]", "[[map]]\nname = \"m\"\nselect = [\"자치구명\", \"lon\"]\n[[aggregate]]"),
        ("[[aggregate]]", "[[map]]\nname = \"m\"\nselect = [\"lon\", \"자치구명\"]\n[[aggregate]]"),
    ];
    let mut hashes: Vec<_> = changes.into_iter().map(|change| (hash_after(change), change)).collect();
    hashes.sort();
    for pair in hashes.windows(2) {
        assert_ne!(pair[0].0, pair[1].0, "{:?} and {:?}", pair[0].1, pair[1].1);
    }
}

#[test]
fn what_does_not_shape_a_workbook_leaves_the_hash() {
    let changes = [
        ("topic = \"seoul-markets.rows\"", "topic = \"markets\""),
        ("topic = \"seoul-markets.workbooks\"", "topic = \"books\""),
        ("status_topic = \"seoul-markets.status\"", ""),
        ("\"seoul-markets.dead-letters\"", "\"dlq\""),
        ("partitions = 3", "partitions = 12"),
        ("record_bytes_max = 921600", "record_bytes_max = 100_000"),
        ("idle_timeout = \"24h\"", "idle_timeout = \"500ms\""),
        ("idle_timeout = \"24h\"", "open_uploads_max = 7"),
        ("name = \"wgs84\"", "name = \"degrees\"\ninput = \"rows\""),
        ("name = \"by-district\"", "name = \"sheets\""),
        ("header = \"first\"", ""),
        ("from = \"EPSG:5181\"", "from = \"${CRS:-EPSG:5181}\""),
        ("# Traditional", "# Other"),
    ];
    for change in changes {
        assert_eq!(hash_after(change), hash_after(("", "")), "{change:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_text_makes_the_compiler_panic(text in "(?s).{0,200}") {
        parse(&text).ok();
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_in_place(from in 0usize..3_000, length in 0usize..40, insert in "[\\]\\[{}\"$#=, a-z0-9\n가]{0,6}") {
        let chars: Vec<char> = MARKETS.chars().collect();
        let from = from.min(chars.len());
        let until = (from + length).min(chars.len());
        let damaged: String = chars[..from].iter().copied().chain(insert.chars()).chain(chars[until..].iter().copied()).collect();
        if let Err(problems) = parse(&damaged) {
            prop_assert!(!problems.problems.is_empty());
            let lines = damaged.matches('\n').count() + 1;
            for problem in problems.problems {
                let at = problem.at.expect("the text was read");
                prop_assert!((1..=lines).contains(&at.line), "{:?} of {lines} lines", at);
            }
        }
    }
}

fn sheetstream(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sheetstream")).current_dir(ROOT).args(arguments).output().expect("it starts")
}

#[test]
fn describe_prints_the_form_of_kafka_streams() {
    let output = sheetstream(&["describe", "topology/seoul-markets.toml"]);
    let expected = include_str!("topology/describe-seoul-markets.txt");
    let hash = parse(MARKETS).unwrap_or_else(|problems| panic!("{problems}")).hash;
    assert_eq!(String::from_utf8_lossy(&output.stdout).replace(&*hash, "HASH"), expected);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn describe_of_a_broken_file_exits_with_78_and_all_problems() {
    let output = sheetstream(&["describe", "tests/topology/missing.toml"]);
    let stderr = String::from_utf8_lossy(&output.stderr).replace("tests/topology/", "");
    // Each problem is followed by its line and a mark below it.
    let (excerpts, problems): (Vec<&str>, Vec<&str>) = stderr.lines().partition(|line| line.starts_with("  "));
    assert_eq!(problems.join("\n"), include_str!("topology/missing.txt").trim_end());
    assert!(excerpts.len() > 8 && excerpts[1].contains("| ^"), "{excerpts:?}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(78), 0));
}

#[test]
fn validate_puts_results_on_stdout_and_problems_on_stderr() {
    let good = sheetstream(&["validate", "topology/seoul-markets.toml", "tests/topology/minimal.toml"]);
    assert_eq!((good.status.code(), good.stderr.len()), (Some(0), 0));
    let stdout = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(stdout.starts_with("topology/seoul-markets.toml: ok, topology seoul-markets "), "{stdout}");

    let mixed = sheetstream(&["validate", "tests/topology/minimal.toml", "tests/topology/crs.toml", "no/such.toml"]);
    assert_eq!(mixed.status.code(), Some(78));
    assert_eq!(String::from_utf8_lossy(&mixed.stdout).lines().count(), 1);
    let stderr = String::from_utf8_lossy(&mixed.stderr).into_owned();
    assert!(stderr.contains("tests/topology/crs.toml:8:22: ") && stderr.contains("no/such.toml: "), "{stderr}");
}

#[test]
fn topologies_of_one_command_have_names_and_ledgers_of_their_own() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let file = |name: &str| dir.path().join(name);
    let write = |path: &str, name: &str, source: &str, sink: &str| {
        let text = format!(
            "name = \"{name}\"\n[[source]]\nname = \"in\"\n{source}\n[[aggregate]]\nname = \"sheets\"\nsheet = \"city\"\n[[sink]]\nname = \"out\"\n{sink}\n"
        );
        fs::write(file(path), text).expect("a file can be written");
    };
    let run = |command: &[&str]| {
        let output = sheetstream(&[command, &[dir.path().to_str().expect("UTF-8")]].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let shared = |key: &str| format!("{key} = \"y.shared\"");
    write("a.toml", "ya", "", &shared("status_topic"));
    fs::write(file(".a.toml"), "of an editor").expect("a file can be written");
    for (name, sink) in [("yb", ""), ("yb", "topic = \"ya.workbooks\"\ndead_letter_topic = \"ya.dead-letters\"")] {
        write("b.toml", name, "", sink);
        assert_eq!(run(&["validate"]).0, Some(0), "{sink}");
    }
    for (name, sink, key) in [
        ("ya", String::new(), "\"name\""),
        ("yb", shared("status_topic"), "\"status_topic\""),
        ("yb", shared("dead_letter_topic"), "\"dead_letter_topic\""),
        ("yb", shared("topic"), "\"topic\" of the sink"),
    ] {
        write("b.toml", name, "topic = \"b.rows\"", &sink);
        let commands: [&[&str]; 6] =
            [&["validate"], &["run"], &["dev"], &["doctor"], &["topics", "list"], &["status", "--timeout", "1"]];
        for command in commands {
            let (code, said) = run(command);
            assert_eq!(code, Some(78), "{command:?}: {said}");
            let names_both = ["a.toml", "b.toml"].iter().all(|name| said.contains(file(name).to_str().expect("UTF-8")));
            assert!(names_both && said.contains(key) && said.contains("another"), "{command:?}: {said}");
        }
    }
    // Their repartition topics are of the same name.
    write("a.toml", "y-a", "placement = \"spread\"", "");
    fs::write(file("b.toml"), fs::read_to_string(file("a.toml")).expect("text").replace("y-a", "y")).expect("written");
    assert_eq!(run(&["validate"]).0, Some(0));
    let text = fs::read_to_string(file("b.toml")).expect("text").replace("\"sheets\"", "\"a-sheets\"");
    fs::write(file("b.toml"), text).expect("written");
    let (code, said) = run(&["validate"]);
    assert!(code == Some(78) && said.contains("the repartition topic"), "{said}");
}

#[test]
fn validate_json_gives_places_and_nearest_names() {
    let output =
        sheetstream(&["validate", "--json", "tests/topology/minimal.toml", "tests/topology/unknown-keys.toml"]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(78), 0));
    let verdicts: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(verdicts[0]["name"], "minimal");
    assert_eq!(verdicts[0]["problems"], serde_json::json!([]));
    let problem = &verdicts[1]["problems"][1];
    assert_eq!((&problem["line"], &problem["column"]), (&6.into(), &1.into()));
    assert_eq!(problem["nearest"], "topic");
}

#[test]
fn wrong_usage_exits_with_2_and_help_begins_with_examples() {
    assert_eq!(sheetstream(&["validate"]).status.code(), Some(2));
    let typo = sheetstream(&["validat", "x.toml"]);
    assert_eq!(typo.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&typo.stderr).contains("'validate'"));
    for command in [&["--help"][..], &["validate", "--help"], &["describe", "--help"]] {
        let help = String::from_utf8_lossy(&sheetstream(command).stdout).into_owned();
        let (examples, usage) = (help.find("Examples:"), help.find("Usage:"));
        assert!(examples.is_some() && examples < usage, "{help}");
    }
}

/// The page and the schema in `docs/` are what the program prints: `sheetstream schema --markdown > docs/topology.md`.
#[test]
fn the_documented_keys_and_reasons_are_those_of_the_program() {
    for (arguments, page) in [
        (&["schema"][..], include_str!("../docs/topology.schema.json")),
        (&["schema", "--markdown"], include_str!("../docs/topology.md")),
        (&["reasons", "--markdown"], include_str!("../docs/reasons.md")),
    ] {
        let printed = sheetstream(arguments);
        assert_eq!(String::from_utf8_lossy(&printed.stdout), page, "print it into docs/ again: {arguments:?}");
    }
    let long = include_str!("../docs/topology.md").lines().filter(|line| line.chars().count() > 100);
    assert_eq!(long.filter(|line| !line.contains(" = ")).count(), 0, "prose is wrapped");
}

#[test]
fn every_example_is_checked_by_editors_too() {
    for path in files("topology", "toml") {
        let text = fs::read_to_string(&path).expect("an example");
        let schema = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).expect("a schema line");
        assert!(path.with_file_name(schema).exists(), "{schema}");
    }
}

/// Each key of the schema is in an example or in a file of `tests/topology/`, and each example of the schema is a value that is read.
#[test]
fn every_key_occurs_in_a_topology_and_its_example_is_of_its_type() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../docs/topology.schema.json")).expect("a schema");
    let paths = [files("topology", "toml"), files("tests/topology", "toml")].concat();
    let texts: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).expect("a topology")).collect();
    let mut keys = 0;
    each_property(&schema, &mut |key, about| {
        let is_key = |text: &String| {
            let mut places = text.match_indices(key);
            places.any(|(at, _)| {
                let before = text[..at].chars().next_back();
                let behind = text[at + key.len()..].trim_start();
                before.is_none_or(|c| " {[\n".contains(c)) && behind.starts_with(['=', ']'])
            })
        };
        assert!(texts.iter().any(is_key), "no topology has {key}");
        assert!(about["description"].is_string() && !about["examples"][0].is_null(), "{key}");
        keys += 1;
    });
    assert!(keys > 40, "{keys}");
}

fn each_property(schema: &serde_json::Value, found: &mut impl FnMut(&str, &serde_json::Value)) {
    match schema {
        serde_json::Value::Object(object) => {
            if let Some(properties) = object.get("properties").and_then(|properties| properties.as_object()) {
                properties.iter().for_each(|(key, about)| found(key, about));
            }
            object.iter().filter(|(key, _)| *key != "examples").for_each(|(_, inner)| each_property(inner, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| each_property(item, found)),
        _ => {}
    }
}
