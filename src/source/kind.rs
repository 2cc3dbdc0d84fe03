//! Recognizes files and records that are not rows of text by their first bytes.

use crate::record::{Binary, MapFormat};

/// Length of the beginning that is looked at, in bytes.
pub const KIND_BYTES: usize = 4 << 10;

/// Compressed forms by their first bytes, and what unpacks them.
const PACKED: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "gzip", "gunzip -c"),
    (b"BZh91AY&SY", "bzip2", "bunzip2 -c"),
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", "7z x -so"),
    (b"Rar!\x1a\x07", "RAR", "unrar p -inul"),
];

/// Other formats by their first bytes.
const OTHER: &[(&[u8], &str)] = &[
    (b"PAR1\x15", "Parquet"),
    (b"Obj\x01", "Avro"),
    (b"SQLite format 3\0", "SQLite"),
    (b"%PDF-", "PDF"),
    (b"{\\rtf", "RTF"),
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF89a", "GIF image"),
    (b"GIF87a", "GIF image"),
    (b"II*\0", "TIFF image"),
    (b"MM\0*", "TIFF image"),
    (b"\x7fELF", "ELF"),
    (b"\x80\x04\x95", "Python pickle"),
    (b"\x80\x05\x95", "Python pickle"),
    (b"\xac\xed\0\x05", "serialized Java"),
];

/// Formats that files have and records do not, by their first bytes.
const FILES: &[(&[u8], Binary)] = &[
    (b"\xff\xfe\0\0", Binary::Utf32 {}),
    (b"\0\0\xfe\xff", Binary::Utf32 {}),
    (b"\0\0\x27\x0a\0\0\0\0", Binary::Map { format: MapFormat::Shapefile {} }),
];

/// The kind of a file that is no text at all; `None` for text.
pub fn file_kind(beginning: &[u8]) -> Option<Binary> {
    if let Some((_, kind)) = FILES.iter().find(|(magic, _)| beginning.starts_with(magic)) {
        return Some(kind.clone());
    }
    if beginning.get(257..262) == Some(b"ustar") {
        return Some(Binary::Packed { with: "tar".to_owned(), command: "tar -xOf".to_owned() });
    }
    if is_dbase(beginning) {
        return Some(Binary::Map { format: MapFormat::DBase {} });
    }
    match binary_kind(beginning)? {
        // In a file a zero byte is no sign of a registry.
        Binary::Registry { .. } => Some(Binary::ZeroByte {}),
        Binary::Other { .. } if beginning.starts_with(b"SQLite") && beginning.get(68..72) == Some(b"GPKG") => {
            Some(Binary::Map { format: MapFormat::GeoPackage {} })
        }
        kind => Some(kind),
    }
}

/// The table of a dBASE file, as shapefiles have one: version, a date of its last change, and zeros that are reserved.
fn is_dbase(beginning: &[u8]) -> bool {
    let Some([version, _, month, day, ..]) = beginning.first_chunk::<32>() else { return false };
    let is_reserved = |from: usize, until: usize| beginning[from..until].iter().all(|byte| *byte == 0);
    matches!(version, 3 | 0x83 | 0x8B) && (1..=12).contains(month) && (1..=31).contains(day) && is_reserved(12, 28)
}

/// The kind of bytes that are no text at all; `None` for text.
pub(super) fn binary_kind(beginning: &[u8]) -> Option<Binary> {
    match beginning {
        // The wire format of schema registries: a zero byte and the id of the schema.
        [0, a, b, c, d, ..] => return Some(Binary::Registry { schema: u32::from_be_bytes([*a, *b, *c, *d]) }),
        [0, ..] => return Some(Binary::ZeroByte {}),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => return Some(Binary::Utf16 {}),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => return Some(Binary::OldOffice {}),
        [b'P', b'K', 3, 4, ..] => return Some(zip_kind(beginning)),
        _ => {}
    }
    if beginning.starts_with(b"RIFF") && beginning.get(8..12) == Some(b"WEBP") {
        return Some(Binary::Other { format: "WebP image".to_owned() });
    }
    if let Some((_, with, command)) = PACKED.iter().find(|(magic, ..)| beginning.starts_with(magic)) {
        return Some(Binary::Packed { with: (*with).to_owned(), command: (*command).to_owned() });
    }
    let (_, format) = OTHER.iter().find(|(magic, _)| beginning.starts_with(magic))?;
    Some(Binary::Other { format: (*format).to_owned() })
}

/// Office documents are zip archives whose first entries say what they are (ECMA-376 part 2, ODF 1.3 part 2).
fn zip_kind(beginning: &[u8]) -> Binary {
    let names = |entry: &[u8]| memchr::memmem::find(beginning, entry).is_some();
    if names(b"xl/workbook.bin") {
        Binary::BinaryWorkbook {}
    } else if names(b"xl/") {
        Binary::Workbook {}
    } else if names(b"opendocument.spreadsheet") {
        Binary::OpenDocument {}
    } else if names(b"word/") || names(b"ppt/") || names(b"[Content_Types].xml") {
        Binary::Office {}
    } else {
        Binary::Zip {}
    }
}

/// The kind of text that is not a table but a page or a document; `None` for other text.
pub fn text_kind(beginning: &[u8]) -> Option<Binary> {
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let holds = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    let pages: [&[u8]; 5] = [b"<!doctype html", b"<html", b"<head", b"<table", b"<body"];
    let is_archive_of_a_page = begins(b"MIME-Version:") && holds(b"multipart/related");
    if is_archive_of_a_page || pages.iter().any(|word| begins(word)) || (begins(b"<?xml") && holds(b"<html")) {
        return Some(Binary::Html {});
    }
    if begins(b"<?xml") && holds(b"urn:schemas-microsoft-com:office:spreadsheet") {
        return Some(Binary::OldXmlWorkbook {});
    }
    let maps: [(&[u8], MapFormat); 3] =
        [(b"<kml", MapFormat::Kml {}), (b"<gpx", MapFormat::Gpx {}), (b"opengis.net/gml", MapFormat::Gml {})];
    if let Some((_, format)) = maps.into_iter().find(|(word, _)| begins(word) || (begins(b"<?xml") && holds(word))) {
        return Some(Binary::Map { format });
    }
    let scripts: [&[u8]; 5] =
        [b"INSERT INTO ", b"CREATE TABLE ", b"DROP TABLE ", b"-- MySQL dump", b"--\n-- PostgreSQL database dump"];
    if scripts.iter().any(|word| begins(word)) {
        return Some(Binary::Sql {});
    }
    if is_script_around_json(text) {
        return Some(Binary::JavaScript {});
    }
    (begins(b"<?xml") || begins(b"<!doctype")).then_some(Binary::Xml {})
}

/// Whether a text begins as `callback([{"a": 1}])` or `var rows = [{"a": 1}]` do.
fn is_script_around_json(text: &[u8]) -> bool {
    let Some(bracket) = memchr::memchr2(b'[', b'{', text) else { return false };
    let (before, json) = text.split_at(bracket);
    let is_of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b' ');
    let name = before.trim_ascii_end().strip_suffix(b"(").or_else(|| before.trim_ascii_end().strip_suffix(b"="));
    let mut inside = json.iter().filter(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'[' | b'{'));
    name.is_some_and(|name| !name.trim_ascii().is_empty() && name.iter().all(is_of_a_name))
        && inside.next() == Some(&b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named_as_what_they_are() {
        for (beginning, name) in [
            (&b"\x1f\x8b\x08\0"[..], "gzip"),
            (b"PK\x03\x04....[Content_Types].xml....xl/workbook.xml", "Excel workbook"),
            (b"PK\x03\x04....mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "OpenDocument"),
            (b"PK\x03\x04....a.csv", "zip archive"),
            (b"%PDF-1.7\n", "PDF"),
            (b"\x89PNG\r\n", "PNG"),
            (b"RIFF\0\0\0\0WEBPVP8", "WebP"),
            (b"\0\0\0\0\x07abc", "schema id 7"),
            (b"\0\x01", "zero byte"),
            (b"PK\x03\x04....xl/workbook.bin", ".xlsb"),
        ] {
            let kind = binary_kind(beginning).map_or(String::new(), |kind| kind.to_string());
            assert!(kind.contains(name), "{kind}");
        }
        let tar = [&[b'a'; 257][..], b"ustar\0"].concat();
        let dbase = [&[3, 124, 1, 5, 2, 0, 0, 0, 97, 0, 32, 0][..], &[0; 20]].concat();
        for (beginning, name) in [
            (&b"\0\0\x27\x0a\0\0\0\0\0"[..], "shapefile"),
            (b"\xff\xfe\0\0k\0\0\0", "UTF-32"),
            (b"\0\0\0\0\x07abc", "zero byte"),
            (&tar, "tar -xOf"),
            (&dbase, ".dbf"),
        ] {
            let kind = file_kind(beginning).map_or(String::new(), |kind| kind.to_string());
            assert!(kind.contains(name), "{kind}");
        }
        for (beginning, name) in [
            (&b"<?xml version=\"1.0\"?>\n<kml xmlns=\"http://www.opengis.net/kml/2.2\">"[..], "KML"),
            (b"<?xml version=\"1.0\"?><gpx>", "GPX"),
            (b"INSERT INTO shops VALUES (1);", "SQL"),
            (b"window.rows = [\n  {\"a\": 1}];", "JavaScript"),
            (b"callback({\"a\": 1});", "JavaScript"),
            (b"MIME-Version: 1.0\nContent-Type: multipart/related", "HTML"),
            (&b"<!DOCTYPE html>\n<html>"[..], "HTML"),
            (b"\xef\xbb\xbf  <HTML><body>", "HTML"),
            (b"<?xml version=\"1.0\"?><rows/>", "XML document"),
            (b"<?xml version=\"1.0\"?><Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\">", "Excel 2003"),
        ] {
            assert!(text_kind(beginning).is_some_and(|kind| kind.to_string().contains(name)), "{name}");
        }
        for text in ["a,b\n1,2", "<b>,c", "Ready,x", "{x,y}", "", "f([x]),b", "a=\"b\",c", "k,v\n1,f({\"a\":1})"] {
            assert_eq!((binary_kind(text.as_bytes()), text_kind(text.as_bytes())), (None, None), "{text}");
        }
    }
}
