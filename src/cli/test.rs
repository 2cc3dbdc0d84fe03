//! `test`: runs a folder of cases, each a file and its expected outcome.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use sheetstream::file::Options;
use sheetstream::file::reader::CsvFile;
use sheetstream::inspect::outcome::{difference, outcome};
use sheetstream::record::counted;
use sheetstream::topology::Topology;

use super::out::say;
use super::shown::{escaped, json};
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream test cases                           each folder with a file in.csv is a case
  sheetstream test cases -t topology/my.toml       of this topology, where a case has none of its own
  sheetstream test cases --update                  write what is found as what is expected; read it before you keep it
  sheetstream test cases --junit report.xml        for GitHub, GitLab, Jenkins

A case is a folder:
  in.csv           the file; any ending, such as in.json
  topology.toml    its topology; without one that of a folder above it, or -t
  expected.txt     its outcome: status, rows, rejects, every cell; a line ... matches any lines
";

const EXPECTED: &str = "expected.txt";
const TOPOLOGY: &str = "topology.toml";
/// Name of the file of a case, without its ending.
const INPUT: &str = "in";

/// Run a folder of cases: files with their expected outcomes; exits with 1 when one is not met
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Test {
    /// Folder of cases, or of folders of them; or a case
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Topology of the cases that have none of their own
    #[arg(short, long, value_name = "TOPOLOGY")]
    topology: Option<PathBuf>,
    /// Write expected.txt of every case that is not met or has none
    #[arg(long)]
    update: bool,
    /// Write a report as JUnit XML
    #[arg(long, value_name = "REPORT.xml")]
    junit: Option<PathBuf>,
}

/// A folder with a file, and the topology that it is for.
struct Case {
    name: String,
    folder: PathBuf,
    input: PathBuf,
    topology: Option<PathBuf>,
}

/// How a case went.
struct Verdict {
    name: String,
    /// Why it is not met.
    failure: Option<String>,
    is_updated: bool,
    took: Duration,
}

impl Test {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let cases = find(&self.folder, self.topology.as_deref())?;
        anyhow::ensure!(!cases.is_empty(), "{}: no folder there has a file in.csv", self.folder.display());
        let mut verdicts = Vec::new();
        for case in &cases {
            let begun = Instant::now();
            let outcome = self.judge(case).with_context(|| case.name.clone());
            let (failure, is_updated) = match outcome {
                Ok(judged) => judged,
                Err(error) => (Some(super::sentence(&error)), false),
            };
            let verdict = Verdict { name: case.name.clone(), failure, is_updated, took: begun.elapsed() };
            if !global.json {
                report(&verdict)?;
            }
            verdicts.push(verdict);
        }
        if let Some(path) = &self.junit {
            fs::write(path, junit(&verdicts)).with_context(|| path.display().to_string())?;
        }
        let failed = verdicts.iter().filter(|verdict| verdict.failure.is_some()).count();
        if global.json {
            let all = verdicts.iter().map(|verdict| {
                let Verdict { name, failure, is_updated, took } = verdict;
                json!({ "case": name, "failure": failure, "updated": is_updated, "seconds": took.as_secs_f64() })
            });
            writeln!(out::stdout(), "{}", json(&all.collect::<Vec<_>>()))?;
        } else {
            writeln!(out::stdout(), "{}, {failed} failed", counted(verdicts.len() as u64, "case"))?;
        }
        Ok(if failed > 0 { Exit::Failure } else { Exit::Ok })
    }

    /// Why a case is not met, and whether its expectation was written.
    fn judge(&self, case: &Case) -> anyhow::Result<(Option<String>, bool)> {
        let Some(topology) = &case.topology else {
            anyhow::bail!("it has no {TOPOLOGY}, no folder above it has one, and there is no -t");
        };
        let topology = Topology::load(topology)?;
        let file = CsvFile::open(&case.input, Options::for_source(&topology.source));
        let name = case.input.file_name().unwrap_or_default().to_string_lossy();
        let found = outcome(&topology, file, &name)?;
        let path = case.folder.join(EXPECTED);
        let expected = match fs::read_to_string(&path) {
            Ok(expected) => Some(expected),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let failure = match &expected {
            Some(expected) => difference(expected, &found),
            None => Some(format!("it has no {EXPECTED}; --update writes it\n")),
        };
        if self.update && failure.is_some() {
            fs::write(&path, found).with_context(|| path.display().to_string())?;
            return Ok((None, true));
        }
        Ok((failure, false))
    }
}

/// The cases below a folder in the order of their names. `topology` is that of the folder above.
fn find(folder: &Path, topology: Option<&Path>) -> anyhow::Result<Vec<Case>> {
    let own = folder.join(TOPOLOGY);
    let topology = if own.is_file() { Some(own.as_path()) } else { topology };
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries: Vec<PathBuf> =
        entries.with_context(|| folder.display().to_string())?.iter().map(fs::DirEntry::path).collect();
    entries.sort();
    let mut cases = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            cases.extend(find(&entry, topology)?);
        } else if entry.file_stem().is_some_and(|stem| stem == INPUT) {
            cases.push(Case {
                name: folder.display().to_string(),
                folder: folder.to_owned(),
                input: entry,
                topology: topology.map(Path::to_owned),
            });
        }
    }
    Ok(cases)
}

fn report(verdict: &Verdict) -> std::io::Result<()> {
    let word = match verdict {
        Verdict { is_updated: true, .. } => "written",
        Verdict { failure: None, .. } => "ok",
        Verdict { failure: Some(_), .. } => "FAILED",
    };
    writeln!(out::stdout(), "{word:<7} {}", escaped(&verdict.name))?;
    for line in verdict.failure.iter().flat_map(|failure| failure.lines()) {
        say!("        {}", escaped(line));
    }
    Ok(())
}

/// The report in the form that Jenkins, GitLab and others read (<https://github.com/testmoapp/junitxml>).
fn junit(verdicts: &[Verdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| verdict.failure.is_some()).count();
    let total: f64 = verdicts.iter().map(|verdict| verdict.took.as_secs_f64()).sum();
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let counts = format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{total:.3}\"", verdicts.len());
    xml.push_str(&format!("<testsuites {counts}>\n  <testsuite name=\"sheetstream\" {counts}>\n"));
    for Verdict { name, failure, took, .. } in verdicts {
        xml.push_str(&format!(
            "    <testcase classname=\"sheetstream\" name=\"{}\" time=\"{:.3}\"",
            in_xml(name),
            took.as_secs_f64()
        ));
        match failure {
            None => xml.push_str("/>\n"),
            Some(failure) => xml.push_str(&format!(
                ">\n      <failure message=\"not as expected\">{}</failure>\n    </testcase>\n",
                in_xml(failure)
            )),
        }
    }
    xml + "  </testsuite>\n</testsuites>\n"
}

/// Text for XML 1.0, which has no place for most control characters.
fn in_xml(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_xml_whatever_the_cells_are() {
        let verdict = |failure: Option<&str>| Verdict {
            name: "a \"b\" & c".to_owned(),
            failure: failure.map(str::to_owned),
            is_updated: false,
            took: Duration::from_millis(1_500),
        };
        let report = junit(&[verdict(None), verdict(Some("- <x>\u{1b}\n+ ]]>"))]);
        assert!(report.contains("tests=\"2\" failures=\"1\" errors=\"0\" time=\"3.000\""), "{report}");
        assert!(report.contains("name=\"a &quot;b&quot; &amp; c\" time=\"1.500\"/>"), "{report}");
        assert!(report.contains(">- &lt;x&gt;\u{fffd}\n+ ]]&gt;</failure>"), "{report}");
    }
}
