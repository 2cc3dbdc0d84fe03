//! Topology files on a command line: named one by one, or by the folder that they are in.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The files that `named` stand for: of a folder, its `*.toml` in the order of their names.
pub fn files(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        match path.is_dir() {
            true => files.extend(folder(path).with_context(|| path.display().to_string())?),
            false => files.push(path.clone()),
        }
    }
    Ok(files)
}

fn folder(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = path.read_dir()?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<_> =
        entries.into_iter().filter(|file| file.extension().is_some_and(|it| it == "toml")).collect();
    anyhow::ensure!(!files.is_empty(), "the folder has no topology file (*.toml)");
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_topologies() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let place = |name: &str| dir.path().join(name);
        assert!(files(&[dir.path().to_owned()]).is_err());
        for name in ["b.toml", "a.toml", "notes.txt"] {
            std::fs::write(place(name), "").expect("it takes a file");
        }
        let named = [place("z.toml"), dir.path().to_owned()];
        assert_eq!(files(&named).expect("a readable folder"), [place("z.toml"), place("a.toml"), place("b.toml")]);
    }
}
