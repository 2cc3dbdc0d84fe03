//! `bundle`: one archive for a person who helps from afar, without a row and without a secret.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sheetstream::client::doctor;
use sheetstream::topology::Topology;

use super::broker::Broker;
use super::patience::quick_client;
use super::server::Server;
use super::topologies::OptionalTopologies;
use super::{EXAMPLES_FIRST, Exit, Global, io_runtime, out};

const EXAMPLES: &str = "Examples:
  sheetstream bundle -t topology/seoul-markets.toml
  sheetstream bundle -t topology/*.toml --state-dir /var/lib/sheetstream -o support.tar.gz

Look into it before you send it: tar -tzf support.tar.gz. No row, no upload id, no file name, no
password and no token is in it; names of topics, columns, hosts and users are.
";

/// Write a support archive: versions, settings, topologies, findings of `doctor`, health and metrics; no rows, no secrets
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Bundle {
    #[command(flatten)]
    topologies: OptionalTopologies,
    /// Archive to write
    #[arg(short, long, default_value = "sheetstream-bundle.tar.gz", value_name = "FILE")]
    out: PathBuf,
    /// State directory; the archive lists names and sizes of its files
    #[arg(long, env = "SHEETSTREAM_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    broker: Broker,
}

/// A gzipped tar that grows.
struct Archive {
    tar: tar::Builder<GzEncoder<File>>,
    now: u64,
}

impl Archive {
    fn add(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.now);
        self.tar.append_data(&mut header, format!("sheetstream-bundle/{name}"), text.as_bytes())
    }

    /// Adds a file; if its content could not be had, the file contains the error.
    fn add_found(&mut self, name: &str, found: anyhow::Result<String>) -> io::Result<()> {
        match found {
            Ok(text) => self.add(name, &text),
            Err(error) => self.add(&format!("{name}.missing"), &format!("{error:#}\n")),
        }
    }
}

impl Bundle {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        let file = File::create_new(&self.out)
            .with_context(|| format!("{}: give another name with -o, or remove what is there", self.out.display()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut archive = Archive { tar: tar::Builder::new(GzEncoder::new(file, Compression::default())), now };
        archive.add("version.json", &format!("{:#}\n", version()))?;
        archive.add_found("settings.json", self.settings())?;
        let mut topologies = Vec::new();
        for path in self.topologies.files()? {
            let name = path.file_stem().map_or_else(|| "topology".into(), |stem| stem.to_string_lossy());
            match Topology::load(&path) {
                Ok(topology) => {
                    archive.add(&format!("topologies/{name}.txt"), &topology.describe().to_string())?;
                    topologies.push(topology);
                }
                Err(problems) => archive.add(&format!("topologies/{name}.problems"), &format!("{problems}\n"))?,
            }
        }
        archive.add_found("doctor.json", self.doctor(&topologies))?;
        for path in ["version", "healthz", "readyz", "metrics", "topologies"] {
            archive.add_found(&format!("server/{path}"), self.server.ask("GET", &format!("/{path}")))?;
        }
        archive.add_found("server/uploads.json", self.uploads())?;
        if let Some(dir) = &self.state_dir {
            let mut listed = String::new();
            archive.add_found("state.txt", list(dir, dir, &mut listed).map(|()| listed).map_err(Into::into))?;
        }
        archive.tar.into_inner()?.finish()?.sync_all()?;
        writeln!(out::stdout(), "{}", self.out.display())?;
        Ok(Exit::Ok)
    }

    fn settings(&self) -> anyhow::Result<String> {
        let settings = self.broker.settings(vec![])?;
        let shown: Vec<_> = settings.shown().collect();
        Ok(format!("{:#}\n", json!(shown)))
    }

    fn doctor(&self, topologies: &[Topology]) -> anyhow::Result<String> {
        let runtime = io_runtime()?;
        let client = quick_client(runtime.handle(), self.broker.config("sheetstream-bundle")?);
        Ok(format!("{:#}\n", json!(doctor::examine(&client, topologies, self.state_dir.as_deref()))))
    }

    /// The states of the uploads, with counts and reasons, and without any text that a publisher wrote.
    fn uploads(&self) -> anyhow::Result<String> {
        let uploads: Value = serde_json::from_str(&self.server.ask("GET", "/uploads?limit=1000")?)?;
        let bare = |upload: &Value| {
            json!({
                "topology": upload["topology"],
                "revision": upload["revision"],
                "state": upload["state"],
                "accounting": upload["accounting"],
                "rows_announced": upload["rows_announced"],
                "updated_at_ms": upload["updated_at_ms"],
                "reason": upload["failure"]["reason"],
            })
        };
        let uploads: Vec<Value> = uploads["uploads"].as_array().into_iter().flatten().map(bare).collect();
        Ok(format!("{:#}\n", json!(uploads)))
    }
}

fn version() -> Value {
    let system = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    json!({
        "sheetstream": env!("CARGO_PKG_VERSION"),
        "system": text(system.sysname()),
        "release": text(system.release()),
        "machine": text(system.machine()),
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
    })
}

/// Names and sizes of all files below `dir`. Names in the state are hashes.
fn list(root: &Path, dir: &Path, into: &mut String) -> io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            list(root, &path, into)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            into.push_str(&format!("{:>14}  {name}\n", metadata.len()));
        }
    }
    Ok(())
}
