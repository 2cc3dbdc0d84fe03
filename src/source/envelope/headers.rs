//! The headers of a record that mean something to the source.

use super::connect::FILE_HEADERS;
use crate::record::Header;
use crate::source::{SourceConfig, UploadFrom};

/// The headers that mean something here.
#[derive(Default)]
pub(in crate::source) struct ControlHeaders<'a> {
    /// The header that names the upload, and its value.
    pub(super) upload: Option<(&'a str, &'a [u8])>,
    pub(super) kind: Option<&'a [u8]>,
    pub(super) row: Option<&'a [u8]>,
    pub(super) attempt: Option<&'a [u8]>,
    pub(super) rows: Option<&'a [u8]>,
    pub(super) sha256: Option<&'a [u8]>,
    pub(super) name: Option<&'a [u8]>,
    pub(super) crs: Option<&'a [u8]>,
    pub(super) summary: Option<&'a [u8]>,
    pub(super) map_link: Option<&'a [u8]>,
    pub(super) coordinates: Option<&'a [u8]>,
    pub(super) titles: Option<&'a [u8]>,
    pub(super) partitions: Option<&'a [u8]>,
    pub(super) delimiter: Option<&'a [u8]>,
    pub(super) encoding: Option<&'a [u8]>,
    pub(super) escape: Option<&'a [u8]>,
    pub(super) format: Option<&'a [u8]>,
    pub(super) traceparent: Option<&'a [u8]>,
}

impl<'a> ControlHeaders<'a> {
    pub(in crate::source) fn among(headers: &'a [Header], config: &SourceConfig) -> ControlHeaders<'a> {
        let upload_header = match &config.upload {
            UploadFrom::Header(name) => &**name,
            UploadFrom::Auto | UploadFrom::Key | UploadFrom::Partition => "ss-upload",
        };
        let mut found = ControlHeaders::default();
        let mut file: Option<(usize, &'a str, &'a [u8])> = None;
        for header in headers {
            let Some(value) = header.value.as_deref() else { continue };
            let slot = match &*header.name {
                name if name == upload_header => {
                    found.upload = Some((name, value));
                    continue;
                }
                "ss-type" => &mut found.kind,
                "ss-row" => &mut found.row,
                "ss-attempt" => &mut found.attempt,
                "ss-rows" => &mut found.rows,
                "ss-sha256-rows" => &mut found.sha256,
                "ss-name" => &mut found.name,
                "ss-crs" => &mut found.crs,
                "ss-summary" => &mut found.summary,
                "ss-map-link" => &mut found.map_link,
                "ss-coordinates" => &mut found.coordinates,
                "ss-titles" => &mut found.titles,
                "ss-partitions" => &mut found.partitions,
                "ss-delimiter" => &mut found.delimiter,
                "ss-encoding" => &mut found.encoding,
                "ss-escape" => &mut found.escape,
                "ss-format" => &mut found.format,
                "traceparent" => &mut found.traceparent,
                name => {
                    let rank = FILE_HEADERS.iter().position(|known| *known == name);
                    if let Some(rank) = rank.filter(|rank| file.is_none_or(|(best, ..)| *rank <= best)) {
                        file = Some((rank, name, value));
                    }
                    continue;
                }
            };
            *slot = Some(value);
        }
        if config.upload == UploadFrom::Auto {
            found.upload = found.upload.or(file.map(|(_, name, value)| (name, value)));
        }
        found
    }
}
