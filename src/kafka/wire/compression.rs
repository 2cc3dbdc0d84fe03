//! The codecs of record batches. Producers choose them, so a reader must know all; we write lz4 or none.

use std::io::{self, Read, Write};

use bytes::Bytes;
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// Largest batch after decompression: beyond it the batch is refused, however small it came over the wire. Producers that compress fill
/// batches of 16 KiB to a few MiB.
pub const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// How the records of a batch are packed. The low bits of the batch attributes contain the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip.
    Gzip = 1,
    /// Snappy, raw or in the blocks of Java's library.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// Zstandard.
    Zstd = 4,
}

impl Compression {
    /// The codec of batch attributes; `Err` for one that Kafka has not yet.
    pub fn of(attributes: i16) -> Result<Compression, String> {
        match attributes & 7 {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            other => Err(format!("unknown compression codec {other}")),
        }
    }
}

/// Why a batch cannot be unpacked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// It would become larger than [`UNPACKED_BYTES_MAX`].
    #[error("more than {UNPACKED_BYTES_MAX} bytes when unpacked")]
    TooLarge,
    /// It is not what its codec writes.
    #[error("{0:?} data is damaged: {1}")]
    Damaged(Compression, String),
}

/// Unpacks the records of a batch; uncompressed ones are handed back as they are. Memory is taken as bytes come, never as a header claims.
pub fn unpack(codec: Compression, packed: Bytes) -> Result<Bytes, UnpackError> {
    match codec {
        Compression::None => return Ok(packed),
        Compression::Gzip => read_limited(flate2::read::MultiGzDecoder::new(&packed[..])),
        Compression::Snappy => unpack_snappy(&packed),
        Compression::Lz4 => read_limited(FrameDecoder::new(&packed[..])),
        Compression::Zstd => zstd::stream::read::Decoder::with_buffer(&packed[..]).and_then(read_limited),
    }
    .map(Bytes::from)
    .map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => UnpackError::TooLarge,
        _ => UnpackError::Damaged(codec, error.to_string()),
    })
}

/// Packs as LZ4 frames of 64 KiB blocks, as the Java client does.
pub fn pack_lz4(records: &[u8]) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new().block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(records.len() / 2));
    encoder.write_all(records)?;
    Ok(encoder.finish()?)
}

fn too_large() -> io::Error {
    io::ErrorKind::FileTooLarge.into()
}

fn read_limited(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    reader.take(UNPACKED_BYTES_MAX as u64 + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() > UNPACKED_BYTES_MAX { Err(too_large()) } else { Ok(unpacked) }
}

/// Java's snappy-java frames blocks with a 16-byte header and 4-byte lengths; other clients write one raw block.
fn unpack_snappy(packed: &[u8]) -> io::Result<Vec<u8>> {
    const MAGIC: &[u8] = b"\x82SNAPPY\0";
    let mut unpacked = Vec::new();
    let mut block = |block: &[u8]| {
        let length = snap::raw::decompress_len(block)?;
        let from = unpacked.len();
        if from + length > UNPACKED_BYTES_MAX {
            return Err(too_large());
        }
        unpacked.resize(from + length, 0);
        snap::raw::Decoder::new().decompress(block, &mut unpacked[from..])?;
        Ok(())
    };
    match packed.strip_prefix(MAGIC) {
        None => block(packed)?,
        Some(framed) => {
            let mut rest = framed.get(8..).ok_or(io::ErrorKind::UnexpectedEof)?; // two version numbers
            while let Some((length, behind)) = rest.split_first_chunk() {
                let length = u32::from_be_bytes(*length) as usize;
                block(behind.get(..length).ok_or(io::ErrorKind::UnexpectedEof)?)?;
                rest = &behind[length..];
            }
        }
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"127.0276,37.4979,127.0276,37.4979,127.0276,37.4979,127.0276,37.4979";

    #[test]
    fn every_codec_is_read() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(TEXT).expect("in memory");
        let raw = snap::raw::Encoder::new().compress_vec(TEXT).expect("short");
        let framed = [b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01", &(raw.len() as u32).to_be_bytes()[..], &raw].concat();
        for (codec, packed) in [
            (Compression::None, TEXT.to_vec()),
            (Compression::Gzip, gzip.finish().expect("in memory")),
            (Compression::Snappy, raw),
            (Compression::Snappy, framed),
            (Compression::Lz4, pack_lz4(TEXT).expect("in memory")),
            (Compression::Zstd, zstd::stream::encode_all(TEXT, 1).expect("in memory")),
        ] {
            assert_eq!(unpack(codec, packed.into()).as_deref(), Ok(TEXT), "{codec:?}");
        }
    }

    #[test]
    fn damaged_data_is_an_error_and_a_bomb_is_refused() {
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            assert!(unpack(codec, Bytes::from_static(b"\xff\xfe\xfdnonsense")).is_err(), "{codec:?}");
        }
        let bomb = || io::repeat(0).take(UNPACKED_BYTES_MAX as u64 + 1);
        let zstd = zstd::stream::encode_all(bomb(), 1).expect("in memory");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::copy(&mut bomb(), &mut gzip).expect("in memory");
        let mut zeros = Vec::new();
        bomb().read_to_end(&mut zeros).expect("in memory");
        let snappy = snap::raw::Encoder::new().compress_vec(&zeros).expect("short enough");
        for (codec, packed) in [
            (Compression::Zstd, zstd),
            (Compression::Gzip, gzip.finish().expect("in memory")),
            (Compression::Lz4, pack_lz4(&zeros).expect("in memory")),
            (Compression::Snappy, snappy),
        ] {
            assert_eq!(unpack(codec, packed.into()), Err(UnpackError::TooLarge), "{codec:?}");
        }
    }
}
