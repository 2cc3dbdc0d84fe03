//! How a file is read: as the source of a topology would read its rows, unless a person says otherwise.

use std::sync::Arc;

use crate::source::charset::Charset;
use crate::source::{Format, SourceConfig};

/// How to read a file. Settings that neither a person nor the topology gives are found out.
#[derive(Clone, Debug)]
pub struct Options {
    /// The source that the rows are for.
    pub source: Arc<SourceConfig>,
    /// Whether it is CSV or JSON.
    pub format: Option<Format>,
    /// Its charset.
    pub charset: Option<Charset>,
    /// Its delimiter, an ASCII byte.
    pub delimiter: Option<u8>,
    /// Whether its first row is data, whatever it looks like.
    pub no_header: bool,
    /// Lines above its header.
    pub skip_lines: Option<u32>,
    /// The sheet of a workbook whose rows are taken; without it the first one.
    pub worksheet: Option<String>,
    /// Size of a block; a larger row is a block by itself.
    pub block_bytes: usize,
}

impl Options {
    /// Reads a file as this source wants it.
    pub fn for_source(source: &SourceConfig) -> Options {
        Options {
            source: Arc::new(source.clone()),
            format: None,
            charset: None,
            delimiter: None,
            no_header: false,
            skip_lines: None,
            worksheet: None,
            block_bytes: 64 << 10,
        }
    }

    /// Reads a file for a topic whose topology is not known: what is wrong with its rows is for that topology to say.
    pub fn for_topic(topic: &str) -> Options {
        let source = SourceConfig { lenient_quotes: true, strip_control: true, ..SourceConfig::of_topic(topic) };
        Options::for_source(&source)
    }
}
