//! Workbooks as files of a folder: named safely, written whole or not at all, and never in the place of another workbook unless that was
//! asked for.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::sink::digest::Digest;

/// Bytes of a file name.
const NAME_BYTES_MAX: usize = 200;
/// Bytes of an extension; what is longer is part of the name.
const EXTENSION_BYTES_MAX: usize = 16;
/// Names that are tried for one workbook.
const NAMES_MAX: u32 = 10_000;

/// How files are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As the publisher's file suggests: `places.xlsx`, and `places (2).xlsx` beside another workbook of that name.
    #[default]
    Name,
    /// By upload and revision: `<upload id>/r<revision>/places.xlsx`.
    Id,
}

/// The facts about a workbook besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Upload id as published.
    pub upload: String,
    /// Revision, from 1.
    pub revision: u32,
    /// Name the publisher's file suggests; not safe as a path.
    pub filename: String,
    /// SHA-256 of the file in hex, verified.
    pub sha256: String,
    /// How many rows were rejected, if that is all of them.
    pub all_rejected: Option<u64>,
}

/// The outcome of saving a workbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It was written.
    Written(PathBuf),
    /// The file was there already, with the same bytes.
    Same(PathBuf),
    /// Its name is that of another workbook: it was written beside it.
    Beside(PathBuf),
    /// It was written over a file that existed.
    Replaced(PathBuf),
}

impl Saved {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Saved::Written(path) | Saved::Same(path) | Saved::Beside(path) | Saved::Replaced(path) => path,
        }
    }
}

/// A folder that workbooks are saved into.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    layout: Layout,
    force: bool,
    /// By file: the upload of the workbook in it, as far as this run wrote it.
    written: HashMap<PathBuf, String>,
}

impl Folder {
    /// Makes the folder if it is missing. `force` replaces files that another program or an earlier run left, and earlier revisions.
    pub fn open(root: &Path, layout: Layout, force: bool) -> io::Result<Folder> {
        fs::create_dir_all(root)?;
        Ok(Folder { root: root.to_owned(), layout, force, written: HashMap::new() })
    }

    /// Saves a workbook whose bytes `write` brings: first beside its place, then renamed, so that nobody ever sees half of it.
    pub fn save(&mut self, label: &Label, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<Saved> {
        let folder = match self.layout {
            Layout::Name => self.root.clone(),
            Layout::Id => self.root.join(safe_file_name(&label.upload)).join(format!("r{}", label.revision)),
        };
        fs::create_dir_all(&folder)?;
        let part = folder.join(format!(".{}.{}.part", label.sha256, std::process::id()));
        let saved = (|| {
            let mut file = File::create(&part)?;
            write(&mut file)?;
            file.sync_all()?;
            self.place(label, &folder, &part)
        })();
        // Gone already when it was renamed.
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound && saved.is_ok() => Err(error),
            _ => saved,
        }
    }

    fn place(&mut self, label: &Label, folder: &Path, part: &Path) -> io::Result<Saved> {
        let name = safe_file_name(&label.filename);
        for number in 1..=NAMES_MAX {
            let path = folder.join(numbered(&name, number));
            let saved = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && number == 1 => Saved::Written(path.clone()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Saved::Beside(path.clone()),
                Err(error) => return Err(error),
                Ok(found) if found.is_file() && same_bytes(part, &path, found.len(), &label.sha256)? => {
                    self.written.insert(path.clone(), label.upload.clone());
                    return Ok(Saved::Same(path));
                }
                Ok(found) if found.is_file() && self.may_replace(&path, &label.upload) => Saved::Replaced(path.clone()),
                Ok(_) => continue,
            };
            fs::rename(part, &path)?;
            self.written.insert(path, label.upload.clone());
            return Ok(saved);
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{NAMES_MAX} files are named as {name}")))
    }

    fn may_replace(&self, path: &Path, upload: &str) -> bool {
        self.force && self.written.get(path).is_none_or(|owner| owner == upload)
    }
}

/// `name (2).xlsx` for the number 2; the name itself for 1.
pub(super) fn numbered(name: &str, number: u32) -> String {
    if number == 1 {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    format!("{stem} ({number}){extension}")
}

fn same_bytes(part: &Path, path: &Path, length: u64, sha256: &str) -> io::Result<bool> {
    if fs::metadata(part)?.len() != length {
        return Ok(false);
    }
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut HashWriter(&mut hash))?;
    Ok(Digest(hash.finalize().into()).to_string() == sha256)
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The name and its extension with the dot; a long one is none.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX => name.split_at(dot),
        _ => (name, ""),
    }
}

/// A file name that cannot leave its folder or surprise an operating system: separators, control characters, marks that change the
/// direction of writing, characters and names that Windows reserves are replaced, 200 bytes at most.
pub fn safe_file_name(name: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let forbidden = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c) || turns(c);
    let cleaned: String = name.chars().map(|c| if forbidden(c) { '_' } else { c }).collect();
    let (stem, extension) = split_extension(cleaned.trim_matches([' ', '.']));
    let mut stem = if stem.is_empty() { "workbook".to_owned() } else { stem.to_owned() };
    // Windows takes the text before the first dot as the name of a device, and the digits 1 to 3 also as superscripts.
    let device = stem.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let is_digit =
        |text: &str| matches!(text, "¹" | "²" | "³") || (text.len() == 1 && text.as_bytes()[0].is_ascii_digit());
    let is_port = |prefix: &str| device.strip_prefix(prefix).is_some_and(is_digit);
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&device.as_str()) || is_port("COM") || is_port("LPT")
    {
        stem.insert(stem.find('.').unwrap_or(stem.len()), '_');
    }
    while stem.len() + extension.len() > NAME_BYTES_MAX && stem.pop().is_some() {}
    stem + extension
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(folder: &mut Folder, upload: &str, filename: &str, bytes: &[u8]) -> Saved {
        let sha256 = Digest(Sha256::digest(bytes).into()).to_string();
        let label = Label { upload: upload.into(), revision: 1, filename: filename.into(), sha256, all_rejected: None };
        folder.save(&label, |file| file.write_all(bytes)).expect("saved")
    }

    #[test]
    fn another_workbook_of_a_name_is_written_beside_it_and_the_same_one_is_not_written_again() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| root.path().join(name);
        let mut folder = Folder::open(root.path(), Layout::Name, false).expect("a folder");
        assert_eq!(save(&mut folder, "a/d.csv", "d.xlsx", b"one"), Saved::Written(at("d.xlsx")));
        assert_eq!(save(&mut folder, "b/d.csv", "d.xlsx", b"two"), Saved::Beside(at("d (2).xlsx")));
        assert_eq!(save(&mut folder, "a/d.csv", "d.xlsx", b"one"), Saved::Same(at("d.xlsx")));
        assert_eq!(save(&mut folder, "b/d.csv", "d.xlsx", b"two"), Saved::Same(at("d (2).xlsx")));
        fs::create_dir(at("e.xlsx")).expect("a folder in the way");
        assert_eq!(save(&mut folder, "e", "e.xlsx", b"one"), Saved::Beside(at("e (2).xlsx")));
        assert_eq!(fs::read(at("d.xlsx")).expect("kept"), b"one");
        assert_eq!(fs::read_dir(root.path()).expect("the folder").count(), 4, "nothing is left beside them");
    }

    #[test]
    fn force_replaces_what_was_there_before_and_newer_revisions_but_no_other_upload() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| root.path().join(name);
        fs::write(at("d.xlsx"), b"of an earlier run").expect("written");
        let mut folder = Folder::open(root.path(), Layout::Name, true).expect("a folder");
        assert_eq!(save(&mut folder, "a/d.csv", "d.xlsx", b"one"), Saved::Replaced(at("d.xlsx")));
        assert_eq!(save(&mut folder, "b/d.csv", "d.xlsx", b"two"), Saved::Beside(at("d (2).xlsx")));
        assert_eq!(save(&mut folder, "a/d.csv", "d.xlsx", b"three"), Saved::Replaced(at("d.xlsx")));
        assert_eq!(fs::read(at("d.xlsx")).expect("there"), b"three");
    }

    #[test]
    fn by_id_every_upload_and_revision_has_a_place_of_its_own() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut folder = Folder::open(root.path(), Layout::Id, false).expect("a folder");
        for upload in ["team-a/d.csv", "team-b/d.csv"] {
            let saved = save(&mut folder, upload, "d.xlsx", upload.as_bytes());
            assert_eq!(saved.path(), root.path().join(safe_file_name(upload)).join("r1/d.xlsx"));
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut folder = Folder::open(root.path(), Layout::Name, false).expect("a folder");
        let label = Label {
            upload: "a".into(),
            revision: 1,
            filename: "a.xlsx".into(),
            sha256: "0".into(),
            all_rejected: None,
        };
        let failed = folder.save(&label, |_| Err(io::Error::other("the broker is gone")));
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(root.path()).expect("the folder").count(), 0);
    }

    #[test]
    fn file_names_stay_in_their_folder() {
        let cases = [
            ("seoul.xlsx", "seoul.xlsx"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "workbook"),
            ("", "workbook"),
            ("CON.xlsx", "CON_.xlsx"),
            ("lpt1.xlsx", "lpt1_.xlsx"),
            ("aux.tar.xlsx", "aux_.tar.xlsx"),
            ("com¹.xlsx", "com¹_.xlsx"),
            ("a:b*c?.xlsx", "a_b_c_.xlsx"),
            ("\u{202e}xslx.exe", "_xslx.exe"),
            ("a\u{2066}b\u{200f}c\u{61c}.xlsx", "a_b_c_.xlsx"),
            ("서울 시장.xlsx", "서울 시장.xlsx"),
        ];
        for (name, safe) in cases {
            assert_eq!(safe_file_name(name), safe, "{name:?}");
        }
        let long = safe_file_name(&format!("{}.xlsx", "가".repeat(300)));
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with(".xlsx"));
        assert!(safe_file_name(&format!("a.{}", "e".repeat(300))).len() <= NAME_BYTES_MAX);
    }
}
