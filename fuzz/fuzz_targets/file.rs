//! Files of any bytes, as `convert`, `publish` and the page read them: the blocks hold the rows that are counted.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use sheetstream::file::Options;
use sheetstream::file::reader::CsvFile;
use sheetstream::source::SourceConfig;

fuzz_target!(|input: (u8, &[u8])| {
    let (block_bytes, bytes) = input;
    let options = Options {
        block_bytes: 1 + usize::from(block_bytes),
        no_header: block_bytes % 7 == 0,
        ..Options::for_source(&SourceConfig::of_topic("rows"))
    };
    let Ok(mut file) = CsvFile::from_reader(Box::new(Cursor::new(bytes.to_vec())), options) else { return };
    let mut rows = 0;
    while let Ok(Some(block)) = file.next_block() {
        assert_eq!(block.first_row, rows + 1);
        rows += u64::from(block.rows);
    }
    assert_eq!(rows, file.rows());
});
