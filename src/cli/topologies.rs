//! Topology files on a command line. `-t` names them in every command; in one that is about nothing else `-t` may be left out. They are named
//! one by one, or by the folder that they are in.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use sheetstream::topology::{Together, Topology};

/// The topologies of a command that is about them alone.
#[derive(Args, Debug)]
pub(super) struct Topologies {
    /// Topology files, or folders of them
    #[arg(value_name = "TOPOLOGY", required_unless_present = "topology")]
    bare: Vec<PathBuf>,
    /// The same by an option, as other commands take them
    #[arg(short, long, value_name = "TOPOLOGY")]
    topology: Vec<PathBuf>,
}

/// The same for a command that can do without.
#[derive(Args, Debug)]
#[group(id = "topologies", multiple = true)]
pub(super) struct OptionalTopologies {
    /// Topology files, or folders of them
    #[arg(value_name = "TOPOLOGY")]
    bare: Vec<PathBuf>,
    /// The same by an option, as other commands take them
    #[arg(short, long, value_name = "TOPOLOGY")]
    topology: Vec<PathBuf>,
}

/// The topology of a command that is about it alone.
#[derive(Args, Debug)]
pub(super) struct OneTopology {
    /// Topology file
    #[arg(value_name = "TOPOLOGY", required_unless_present = "topology", conflicts_with = "topology")]
    bare: Option<PathBuf>,
    /// The same by an option, as other commands take it
    #[arg(short, long, value_name = "TOPOLOGY")]
    topology: Option<PathBuf>,
}

impl Topologies {
    /// The files.
    pub(super) fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        files(self.bare.iter().chain(&self.topology))
    }
    /// The topologies.
    pub(super) fn load(&self) -> anyhow::Result<Vec<Topology>> {
        load(&self.files()?)
    }
}

impl OptionalTopologies {
    /// The files.
    pub(super) fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        files(self.bare.iter().chain(&self.topology))
    }
    /// The topologies.
    pub(super) fn load(&self) -> anyhow::Result<Vec<Topology>> {
        load(&self.files()?)
    }
}

impl OneTopology {
    /// The file.
    pub(super) fn path(&self) -> &Path {
        self.bare.as_deref().or(self.topology.as_deref()).unwrap_or(Path::new(""))
    }
}

/// The files behind `named`, each of them once: for a folder, its `*.toml` in the order of their names, without hidden ones.
fn files<'a>(named: impl IntoIterator<Item = &'a PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        match path.is_dir() {
            true => files.extend(folder(path).with_context(|| path.display().to_string())?),
            false => files.push(path.clone()),
        }
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    Ok(files)
}

fn load(files: &[PathBuf]) -> anyhow::Result<Vec<Topology>> {
    let mut together = Together::default();
    for file in files {
        together.load(file)?;
    }
    Ok(together.into_topologies())
}

fn folder(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = path.read_dir()?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_hidden = |file: &PathBuf| file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let is_topology = |file: &PathBuf| file.extension().is_some_and(|it| it == "toml") && !is_hidden(file);
    let mut files: Vec<_> = entries.into_iter().filter(is_topology).collect();
    anyhow::ensure!(!files.is_empty(), "the folder has no topology file (*.toml)");
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_its_topologies() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let place = |name: &str| dir.path().join(name);
        assert!(files([&dir.path().to_owned()]).is_err());
        for name in ["b.toml", "a.toml", "notes.txt", ".a.toml", ".#b.toml"] {
            std::fs::write(place(name), "").expect("it takes a file");
        }
        let named = [place("z.toml"), dir.path().to_owned(), dir.path().join("./a.toml"), place("z.toml")];
        assert_eq!(files(&named).expect("a readable folder"), [place("z.toml"), place("a.toml"), place("b.toml")]);
    }
}
