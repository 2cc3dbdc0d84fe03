//! The samples of `demo` and `dev`: a topology and a file of made-up places for it, and a topology for any other file.

use std::io::Cursor;

use sheetstream::file::reader::CsvFile;
use sheetstream::file::{FileError, Options};
use sheetstream::source::SourceConfig;
use sheetstream::topology::{Problems, Topology};

/// Path of the topology in the repository.
pub(super) const TOPOLOGY_FILE: &str = "topology/facilities.toml";
/// Name of the file, and so of its upload.
pub(super) const FILE_NAME: &str = "places-cp949.csv";

/// The topologies for any file, one for readers of each language.
const ANY_FILE: &str = include_str!("../../topology/any-file.toml");
const ANY_FILE_KO: &str = include_str!("../../topology/any-file-ko.toml");
const TOPOLOGY: &str = include_str!("../../topology/facilities.toml");
/// 3,000 rows in CP949 with coordinates in EPSG:5179, five of them wrong.
const FILE: &[u8] = include_bytes!("../../examples/data/places-cp949.csv");

/// The topology.
pub(super) fn topology() -> Result<Topology, Problems> {
    Topology::parse(TOPOLOGY, TOPOLOGY_FILE, &|_| None)
}

/// The topologies of a page on which anybody may drop anything.
pub(super) fn topologies() -> Result<Vec<Topology>, Problems> {
    let korean = Topology::parse(ANY_FILE_KO, "any-file-ko.toml", &|_| None)?;
    Ok(vec![topology()?, any_file()?, korean])
}

/// The topology for any file.
pub(super) fn any_file() -> Result<Topology, Problems> {
    Topology::parse(ANY_FILE, "any-file.toml", &|_| None)
}

/// The file, as if it were opened for this source.
pub(super) fn file(source: &SourceConfig) -> Result<CsvFile, FileError> {
    CsvFile::from_reader(Box::new(Cursor::new(FILE)), Options::for_source(source))
}
