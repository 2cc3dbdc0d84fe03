//! The file of rows in a zip archive, as portals give large tables: read as it is unpacked, and nothing of it kept.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use encoding_rs::EUC_KR;
use flate2::CrcReader;
use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::book::{Book, Several};
use super::{FileError, zip_directory};

/// Names of files that have rows, the likelier first. A file of the first kind of which there is one is taken.
const ROWS: [&[&str]; 3] = [&[".csv", ".tsv"], &[".json", ".geojson", ".ndjson", ".jsonl", ".xlsx", ".xls"], &[".txt"]];
/// Names that a message lists.
const LISTED_MAX: usize = 10;

/// A file in an archive.
struct Member {
    name: String,
    place: usize,
}

/// The file of rows in an archive.
pub(super) struct Opened {
    pub(super) archive: Book,
    pub(super) rows: Box<dyn Read + Send>,
}

/// Opens the file of rows in an archive; `None` for an archive that has none.
///
/// # Errors
/// Several such files, of which `asked` is none; a password; a way of packing that is not read.
pub(super) fn open(file: &File, asked: Option<&str>, several: Several) -> Result<Option<Opened>, FileError> {
    let Ok(mut archive) = zip_directory::open(file) else { return Ok(None) };
    let Some((Member { name, place }, sheets)) = choose(members(&mut archive)?, asked, several)? else {
        return Ok(None);
    };
    let member = archive.by_index_raw(place).map_err(unreadable)?;
    if member.encrypted() {
        return Err(FileError::Packed(format!("{name} in the archive has a password: unpack it first")));
    }
    let (method, packed, sum) = (member.compression(), member.compressed_size(), member.crc32());
    let start = member.data_start();
    drop(member);
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(start.ok_or_else(|| unreadable("its directory has no such file"))?))?;
    let packed = BufReader::new(file).take(packed);
    let rows: Box<dyn Read + Send> = match method {
        CompressionMethod::Stored => Box::new(packed),
        CompressionMethod::Deflated => Box::new(DeflateDecoder::new(packed)),
        other => return Err(FileError::Packed(format!("{name} in the archive is packed by {other}: unpack it first"))),
    };
    let rows = Box::new(Checked { rows: CrcReader::new(rows), sum });
    Ok(Some(Opened { archive: Book { sheets, sheet: name }, rows }))
}

fn unreadable(error: impl std::fmt::Display) -> FileError {
    FileError::Packed(error.to_string())
}

/// The files of an archive that people have put there.
fn members<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<Vec<Member>, FileError> {
    let mut members = Vec::new();
    for place in 0..archive.len() {
        let member = archive.by_index_raw(place).map_err(unreadable)?;
        let raw = member.name_raw();
        // Windows in Korea writes names in its own charset and does not say so.
        let name = std::str::from_utf8(raw).map_or_else(|_| EUC_KR.decode(raw).0.into_owned(), str::to_owned);
        let is_of_a_system =
            name.starts_with("__MACOSX/") || name.ends_with(".DS_Store") || name.ends_with("Thumbs.db");
        if !member.is_dir() && !is_of_a_system {
            members.push(Member { name, place });
        }
    }
    Ok(members)
}

/// The file that is asked for, or the only one that has rows by its name; and the names of all such files.
fn choose(
    mut members: Vec<Member>,
    asked: Option<&str>,
    several: Several,
) -> Result<Option<(Member, Vec<String>)>, FileError> {
    let has_rows = |member: &Member, endings: &[&str]| {
        let name = member.name.to_lowercase();
        endings.iter().any(|ending| name.ends_with(ending))
    };
    let of_kind = |endings: &[&str]| members.iter().any(|member| has_rows(member, endings));
    let likeliest = ROWS.into_iter().find(|endings| of_kind(endings)).unwrap_or_default();
    let all = ROWS.concat();
    let names = members.iter().filter(|member| has_rows(member, &all)).map(|member| member.name.clone()).collect();
    if let Some(asked) = asked.and_then(|asked| members.iter().position(|member| member.name == asked)) {
        return Ok(Some((members.swap_remove(asked), names)));
    }
    members.retain(|member| has_rows(member, likeliest));
    match members.len() {
        0 => Ok(None),
        count if count > 1 && several == Several::Refused => {
            let mut listed: Vec<_> = members.iter().take(LISTED_MAX).map(|member| member.name.as_str()).collect();
            if count > LISTED_MAX {
                listed.push("...");
            }
            let listed = listed.join(", ");
            Err(FileError::Packed(format!(
                "the archive holds {count} files of rows ({listed}): --worksheet names the one to take"
            )))
        }
        _ => Ok(Some((members.swap_remove(0), names))),
    }
}

/// Rows whose checksum has to be that of the archive's directory.
struct Checked<R> {
    rows: CrcReader<R>,
    sum: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.rows.read(into)?;
        if read == 0 && !into.is_empty() && self.rows.crc().sum() != self.sum {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the archive is damaged: a checksum differs"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use crate::file::reader::CsvFile;
    use crate::file::{FileError, Options};
    use crate::source::tests::config;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            zip.start_file(*name, SimpleFileOptions::default()).expect("a file");
            zip.write_all(bytes).expect("memory");
        }
        zip.finish().expect("an archive").into_inner()
    }

    fn open(bytes: Vec<u8>, worksheet: Option<&str>) -> Result<CsvFile, FileError> {
        let options = Options { worksheet: worksheet.map(str::to_owned), ..Options::for_source(&config()) };
        CsvFile::from_reader(Box::new(Cursor::new(bytes)), options)
    }

    fn rows(bytes: Vec<u8>, worksheet: Option<&str>) -> Result<String, FileError> {
        let mut file = open(bytes, worksheet)?;
        let mut text = file.header().join("|") + "\n";
        while let Some(block) = file.next_block()? {
            text.push_str(&String::from_utf8_lossy(&block.text));
        }
        Ok(text)
    }

    #[test]
    fn the_only_file_of_rows_is_read() {
        let korean = encoding_rs::EUC_KR.encode("구분,값\n서울,1\n").0;
        let files: [(&str, &[u8]); 4] =
            [("__MACOSX/._a.csv", b"\0\x05"), ("folder/", b""), ("자료.csv", &korean), ("readme.txt", b"read me")];
        let bytes = archive(&files);
        assert_eq!(rows(bytes.clone(), None).expect("rows"), "구분|값\n서울,1\n");
        let note = open(bytes, None).expect("rows").notes().join(" ");
        assert!(note.contains("자료.csv"), "{note}");
        let book = archive(&[("list.json", b"[{\"k\":\"a\"}]")]);
        assert_eq!(rows(book, None).expect("rows"), "k\na\n");
    }

    #[test]
    fn of_several_files_one_is_named() {
        let bytes = archive(&[("a.csv", b"k\n1\n"), ("b.csv", b"k\n2\n")]);
        let refused = rows(bytes.clone(), None).expect_err("two files").to_string();
        assert!(refused.contains("a.csv, b.csv") && refused.contains("--worksheet"), "{refused}");
        assert_eq!(rows(bytes, Some("b.csv")).expect("rows"), "k\n2\n");
    }

    #[test]
    fn an_archive_that_is_damaged_or_has_no_rows_is_refused() {
        let text = "k\n".to_owned() + &"some text\n".repeat(50);
        let mut bytes = archive(&[("a.csv", text.as_bytes())]);
        // In its packed bytes, behind a header of 30 bytes and the name.
        bytes[30 + "a.csv".len() + 4] ^= 1;
        assert!(rows(bytes, None).is_err());
        assert!(matches!(rows(archive(&[("a.pdf", b"%PDF")]), None), Err(FileError::NotText(_))));
    }
}
