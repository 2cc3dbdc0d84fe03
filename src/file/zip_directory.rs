//! Opens a zip archive, which may be of a stranger: its directory, all of which is held in memory, has a limit.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;

use zip::ZipArchive;
use zip::result::ZipResult;

/// Bytes of a directory. Each of its files takes 46 of them, and some 500 of memory.
const DIRECTORY_BYTES_MAX: u64 = 4 << 20;

/// The part that a workbook has and no other container.
pub(super) const WORKBOOK_PART: &str = "xl/workbook.xml";

/// An archive, from the beginning of a file on.
pub(super) fn open(file: &File) -> ZipResult<ZipArchive<impl Read + Seek + use<>>> {
    let mut file = BufReader::new(file.try_clone()?);
    file.rewind()?;
    let left = Rc::new(Cell::new(DIRECTORY_BYTES_MAX));
    let archive = ZipArchive::new(Measured { file, left: Rc::clone(&left) })?;
    left.set(u64::MAX);
    Ok(archive)
}

/// Reads no more than what is left.
struct Measured<R> {
    file: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left.set(left.ok_or_else(|| io::Error::other("the directory of the archive is too large"))?);
        Ok(read)
    }
}

impl<R: Seek> Seek for Measured<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An archive of empty files with names of so many bytes.
    fn archive(files: usize, name_bytes: usize) -> File {
        let mut zip = zip::ZipWriter::new(tempfile::tempfile().expect("a file"));
        for file in 0..files {
            let name = format!("{file:0>name_bytes$}");
            zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("a part");
        }
        zip.finish().expect("an archive")
    }

    #[test]
    fn a_directory_that_is_too_large_is_refused_before_it_is_held() {
        assert_eq!(open(&archive(1_000, 20)).expect("an archive").len(), 1_000);
        for (files, name_bytes) in [(70_000, 20), (80, 60_000)] {
            let refused = open(&archive(files, name_bytes)).map(|archive| archive.len()).expect_err("too large");
            assert!(refused.to_string().contains("too large"), "{refused}");
        }
    }

    #[test]
    fn files_are_read_whatever_their_size() {
        let mut zip = zip::ZipWriter::new(tempfile::tempfile().expect("a file"));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file("a", stored).expect("a part");
        zip.write_all(&vec![7; 9 << 20]).expect("room");
        let mut archive = open(&zip.finish().expect("an archive")).expect("an archive");
        let mut bytes = Vec::new();
        archive.by_index(0).expect("a part").read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes.len(), 9 << 20);
    }
}
