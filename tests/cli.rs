//! The command line where nothing but the binary is needed: what it says, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const TOPOLOGY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/topology/facilities.toml");

fn sheetstream(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    command.args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn a_missing_file_is_named_once_with_its_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out.xlsx");
    let mut convert = sheetstream(&["convert", "no-such-file.csv", "-t", TOPOLOGY, "-o"]);
    let failed = convert.arg(&out).output().expect("convert");
    let message = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(74));
    assert_eq!(message.matches("No such file").count(), 1, "{message}");
    assert!(message.contains("no-such-file.csv"), "{message}");
}

#[test]
fn a_file_is_inspected_and_becomes_a_topology_that_converts_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    let mut text = "현황;;;;\n\n번호;자치구;좌표정보x(epsg5174);좌표정보y(epsg5174);개업일\n".to_owned();
    for n in 0..40 {
        text.push_str(&format!("00{n};마포구;{}.5;{}.25;2024-01-05\n", 192_500 + n * 10, 450_700 + n * 7));
    }
    std::fs::write(place("shops 2024.csv"), encoding_rs::EUC_KR.encode(&text).0).expect("a file");
    let run = |arguments: &[&str]| {
        let ended = sheetstream(arguments).current_dir(folder.path()).output().expect("the binary");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{arguments:?}: {said}");
        String::from_utf8(ended.stdout).expect("UTF-8")
    };
    let said = run(&["inspect", "shops 2024.csv"]);
    for fact in ["EUC-KR", "\";\"", "line 3", "x 좌표정보x(epsg5174)", "places:", "EPSG:5174", "Seoul 40"] {
        assert!(said.contains(fact), "{fact}: {said}");
    }
    let found: serde_json::Value = serde_json::from_str(&run(&["inspect", "shops 2024.csv", "--json"])).expect("JSON");
    assert_eq!((&found["file"]["header_line"], &found["columns"]["sheet"]), (&3.into(), &"자치구".into()));

    run(&["new", "--from", "shops 2024.csv", "-o", "shops.toml"]);
    let topology = std::fs::read_to_string(place("shops.toml")).expect("a topology");
    assert!(topology.contains("# EPSG:5174: ") && topology.contains("\"개업일\" = \"date\""), "{topology}");
    run(&["validate", "shops.toml"]);
    run(&["convert", "shops 2024.csv", "-t", "shops.toml", "-o", "shops.xlsx", "--strict"]);
    run(&["convert", "shops 2024.csv", "-o", "found.xlsx"]);
    let bytes = |name: &str| std::fs::read(place(name)).expect("a workbook");
    assert!(bytes("found.xlsx") == bytes("shops.xlsx"), "without a topology it is the one that `new` writes");
    assert_eq!(run(&["new", "--from", "shops 2024.csv"]), topology, "standard output has the same");
    let again =
        sheetstream(&["new", "--from", "shops 2024.csv", "-o", "shops.toml"]).current_dir(folder.path()).output();
    assert_eq!(again.expect("the binary").status.code(), Some(74), "nothing is replaced");
    let other = run(&[
        "new",
        "--from",
        "shops 2024.csv",
        "--crs",
        "EPSG:5181",
        "--header-line",
        "1",
        "--delimiter",
        ";",
        "--charset",
        "cp949",
    ]);
    assert!(other.contains("encoding = \"EUC-KR\"") && !other.contains("skip_lines"), "{other}");
}

#[test]
fn without_a_topology_only_what_is_beyond_doubt_is_converted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    std::fs::write(place("list.csv"), "이름,주소,전화\n가,서울 중구,02-1\n나,부산 동구,051-2\n").expect("a file");
    std::fs::write(place("points.csv"), "name,x,y\nA,200000.5,450000.5\nB,201000.5,451000.5\n").expect("a file");
    let run = |arguments: &[&str]| {
        let ended = sheetstream(arguments).current_dir(folder.path()).output().expect("the binary");
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let (code, said) = run(&["convert", "list.csv", "-o", "list.xlsx"]);
    assert!(code == Some(0) && said.contains("no coordinates, one sheet; `sheetstream new --from list.csv`"), "{said}");
    let (code, said) = run(&["convert", "points.csv", "-o", "points.xlsx"]);
    assert!(code == Some(2) && said.contains("EPSG:5186 or EPSG:5181") && said.contains("--crs"), "{said}");
    let (code, said) = run(&["convert", "points.csv", "-o", "points.xlsx", "--crs", "EPSG:5181"]);
    assert!(code == Some(0) && said.contains("EPSG:5181"), "{said}");
    std::fs::write(place("Berlin.csv"), "name;lon;lat\nA;13,4050;52,5200\n").expect("a file");
    let (code, said) = run(&["convert", "Berlin.csv", "-o", "Berlin.xlsx", "--strict"]);
    assert!(code == Some(0) && said.contains("13,4050 52,5200 is read as 13.405 52.52"), "{said}");
    std::fs::write(place("pins.csv"), "이름,좌표\n가,\"37.5665, 126.978\"\n나,\"35.18, 129.075\"\n").expect("a file");
    let (code, said) = run(&["convert", "pins.csv", "-o", "pins.xlsx", "--strict"]);
    assert!(code == Some(0) && said.contains("coordinates in \"좌표\", EPSG:4326"), "{said}");
    std::fs::write(place("some.csv"), "이름,경도,위도\n가,126.978,37.5665\n나,-,-\n다,없음,NULL\n라,0,0.0\n")
        .expect("a file");
    let (code, said) = run(&["convert", "some.csv", "-o", "some.xlsx", "--strict"]);
    assert!(code == Some(0) && said.contains("  3 rows have no coordinates"), "{said}");
    std::fs::write(place("angles.csv"), "이름,좌표\n가,\"37°33′59″N 126°58′40″E\"\n나,-\n").expect("a file");
    let (code, said) = run(&["convert", "angles.csv", "-o", "angles.xlsx", "--strict"]);
    assert!(code == Some(0) && said.contains("  1 row has no coordinates"), "{said}");
    std::fs::write(place("wkt.csv"), "이름,구,geom\n가,서울특별시 마포구,POINT (192500.5 550700.25)\n")
        .expect("a file");
    let (code, said) = run(&["convert", "wkt.csv", "-o", "wkt.xlsx", "--strict"]);
    assert!(code == Some(0) && said.contains("coordinates in \"geom\", EPSG:5186"), "{said}");
    std::fs::write(place("excel.csv"), "sep=;\r\nid;name;x;y\r\n=\"01\";24\" Pizza;=\"200000.5\";450000.5\r\n")
        .expect("a file");
    let (code, said) = run(&["convert", "excel.csv", "-o", "excel.xlsx", "--crs", "EPSG:5181", "--strict"]);
    assert!(code == Some(0) && said.contains("1 row written, 0 rejected"), "{said}");
    let (code, said) = run(&["convert", "list.csv", "-o", "none.xlsx", "--crs", "EPSG:5181"]);
    assert!(code == Some(2) && said.contains("no column has coordinates for --crs"), "{said}");
    for files in [&["list.csv", "list.csv"][..], &["-"]] {
        let (code, said) = run(&[&["convert"], files, &["-o", "x.xlsx"]].concat());
        assert!(code == Some(2) && said.contains("--topology"), "{said}");
    }
}

/// The sample under a name that a terminal would obey, and its topology.
fn sample(folder: &std::path::Path) -> std::path::PathBuf {
    let file = folder.join("a\u{1b}]0;pwned\u{7}\u{202e}.csv");
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/places-cp949.csv");
    std::fs::copy(data, &file).expect("copied");
    file
}

#[test]
fn a_workbook_replaces_no_device_and_goes_to_standard_output() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, fifo, book) = (sample(folder.path()), folder.path().join("fifo"), folder.path().join("book.xlsx"));
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let convert = |out: &std::path::Path| {
        let mut convert = sheetstream(&["convert", "-t", TOPOLOGY, "--force", "-o"]);
        convert.arg(out).arg(&file).output().expect("convert")
    };
    let refused = convert(&fifo);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("no regular file"));
    let kind = std::fs::symlink_metadata(&fifo).expect("it is there").file_type();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&kind));

    assert!(convert(&book).status.success());
    let piped = convert(std::path::Path::new("-"));
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    assert!(piped.stdout == std::fs::read(&book).expect("the workbook"), "standard output holds the workbook alone");
    assert!(!std::path::Path::new("-").exists());
}

#[test]
fn a_name_of_a_file_cannot_steer_the_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, book) = (sample(folder.path()), folder.path().join("book.xlsx"));
    let missing = folder.path().join("gone\u{1b}[2J.csv");
    for (files, succeeds) in [(vec![&file], true), (vec![&missing], false), (vec![&file, &missing], false)] {
        let ran = sheetstream(&["convert", "-t", TOPOLOGY, "--force", "-o"]).arg(&book).args(files).output();
        let ran = ran.expect("convert");
        assert_eq!(ran.status.success(), succeeds);
        let stderr = String::from_utf8_lossy(&ran.stderr);
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!stderr.contains(steers) && stderr.contains("\\u{1b}"), "{stderr:?}");
    }
}

#[test]
fn a_run_that_finds_no_broker_stops_in_order_on_a_signal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = sheetstream(&["run", TOPOLOGY, "--brokers", "127.0.0.1:1", "--state-dir"]);
    let mut run = run.arg(folder.path().join("state")).stderr(Stdio::piped()).spawn().expect("run");
    let mut log = BufReader::new(run.stderr.take().expect("piped")).lines();
    let retrying = log.by_ref().map(|line| line.expect("text")).find(|line| line.contains("retrying"));
    assert!(retrying.is_some(), "it says what it waits for");
    let signalled = Command::new("kill").arg(run.id().to_string()).status().expect("kill");
    assert!(signalled.success());
    let rest: Vec<String> = log.map(|line| line.expect("text")).collect();
    assert_eq!(run.wait().expect("gone").code(), Some(0), "{rest:?}");
}

#[test]
fn a_topology_that_does_not_read_the_key_takes_no_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(place("a.csv"), "city,x\nBusan,1\n").expect("a file");
    std::fs::create_dir(place("inbox")).expect("a folder");
    for upload in ["header:x-file", "partition"] {
        let text = format!(
            "name = \"h1\"\n[[source]]\nname = \"in\"\nupload = \"{upload}\"\n[[aggregate]]\nname = \"sheets\"\nsheet = \"city\"\n[[sink]]\nname = \"out\"\n"
        );
        std::fs::write(place("h1.toml"), text).expect("a topology");
        for arguments in [["publish", &place("a.csv")], ["watch", &place("inbox")]] {
            let mut command = sheetstream(&arguments);
            let refused = command.args(["--topology", &place("h1.toml"), "--brokers", "127.0.0.1:1"]).output();
            let refused = refused.expect("the binary");
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(said.contains("topology \"h1\" takes no files: `upload` of its source"), "{said}");
        }
    }
}

#[test]
fn each_problem_of_the_settings_is_a_line() {
    let mut doctor = sheetstream(&["doctor", "--brokers", "127.0.0.1:1"]);
    doctor.envs([
        ("SHEETSTREAM_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("SHEETSTREAM_KAFKA_SASL_MECHANISM", "PLAIN"),
    ]);
    let refused = doctor.output().expect("the binary");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.lines().count() == 2 && !said.contains("\\n"), "{said}");
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let help = sheetstream(&["--help"]).output().expect("help");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|command| !command.is_empty() && *command != "help")
        .collect();
    assert!(commands.contains(&"publish") && commands.contains(&"man"), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let script = sheetstream(&["completions", shell]).output().expect("completions");
        assert!(script.status.success());
        let script = String::from_utf8(script.stdout).expect("text");
        let missing: Vec<&&str> = commands.iter().filter(|command| !script.contains(**command)).collect();
        assert!(missing.is_empty(), "{shell}: {missing:?}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(sheetstream(&["man"]).arg(folder.path().join("man1")).status().expect("man").success());
    for command in commands {
        let page = folder.path().join(format!("man1/sheetstream-{command}.1"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{command}: {error}"));
        assert!(page.contains("Examples:") || ["help", "topics"].contains(&command), "{command}: {page}");
    }
    let whole = sheetstream(&["man"]).output().expect("man");
    assert!(String::from_utf8_lossy(&whole.stdout).contains(".TH sheetstream 1"), "{whole:?}");
}

#[test]
fn without_a_broker_commands_give_up_in_time_and_say_what_doctor_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a.csv");
    std::fs::write(&file, "a,b\n1,2\n").expect("a file");
    let (file, out) = (file.to_str().expect("UTF-8"), folder.path().to_str().expect("UTF-8"));
    let commands: [&[&str]; 4] = [
        &["publish", file, "-t", TOPOLOGY],
        &["status", TOPOLOGY],
        &["topics", "list", "-t", TOPOLOGY],
        &["fetch", "a.csv", "-t", TOPOLOGY, "--out", out],
    ];
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = reserved.local_addr().expect("bound").to_string();
    drop(reserved);
    for arguments in commands {
        let ended = sheetstream(arguments).args(["--timeout", "1", "--brokers", &nobody]).output().expect("the binary");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(69), "{arguments:?}: {said}");
        assert!(said.contains(&nobody) && said.contains("is the broker running"), "{arguments:?}: {said}");
        assert!(!said.contains("\\n"), "{arguments:?}: a line end is shown escaped: {said}");
    }
}
