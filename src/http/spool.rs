//! The file of an upload on its way in: from a request's body into a temporary file without a name, hashed as it comes. Nothing of it is
//! known to Kafka before it is here whole.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;
use axum::http::StatusCode;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;
use crate::file::packed;
use crate::source::charset::Charset;
use crate::source::detect::detect_utf16;
use crate::source::{KIND_BYTES, file_kind};

/// Bytes that are collected before they are written: a client that sends little costs little, and no file. Hundreds of uploads may wait for
/// their next byte at once.
const BUFFER_BYTES: usize = 32 << 10;

/// Temporary files of all uploads and what they may hold together.
pub(super) struct SpoolRoom {
    folder: PathBuf,
    bytes_max: u64,
    left: AtomicU64,
}

impl SpoolRoom {
    pub(super) fn new(folder: PathBuf, bytes_max: u64) -> SpoolRoom {
        SpoolRoom { folder, bytes_max, left: AtomicU64::new(bytes_max) }
    }

    /// Bytes of the uploads that lie there now.
    pub(super) fn taken(&self) -> u64 {
        self.bytes_max - self.left.load(Ordering::Relaxed)
    }
}

/// A file that is being received.
pub(super) struct Spool {
    room: Arc<SpoolRoom>,
    buffer: Vec<u8>,
    /// `None` while a blocking thread has it.
    written: Option<Written>,
    /// Bytes of the room that are ours.
    taken: u64,
    is_begun: bool,
}

#[derive(Default)]
struct Written {
    file: Option<File>,
    hash: Sha256,
}

/// A file that was received whole, at its beginning. Its bytes count against the room as long as this lives.
pub(super) struct Spooled {
    pub file: File,
    pub bytes: u64,
    pub sha256: [u8; 32],
    _taken: Taken,
}

/// Gives the room back.
struct Taken(Arc<SpoolRoom>, u64);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.left.fetch_add(self.1, Ordering::Relaxed);
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.taken, Ordering::Relaxed);
    }
}

impl Spool {
    pub(super) fn new(room: Arc<SpoolRoom>) -> Spool {
        Spool { room, buffer: Vec::new(), written: Some(Written::default()), taken: 0, is_begun: false }
    }

    /// Takes the next bytes. A file that is not text is refused with its first bytes.
    pub(super) async fn push(&mut self, piece: &Bytes) -> Result<(), Problem> {
        let bytes = piece.len() as u64;
        let take = |left: u64| left.checked_sub(bytes);
        if self.room.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            let detail = "there is no room for more uploads at present; try again in a while";
            return Err(Problem::unavailable("no-room", detail));
        }
        self.taken += bytes;
        self.buffer.extend_from_slice(piece);
        if !self.is_begun && self.buffer.len() >= KIND_BYTES {
            self.is_begun = true;
            check_text(&self.buffer)?;
        }
        if self.buffer.len() >= BUFFER_BYTES { self.write().await } else { Ok(()) }
    }

    /// The whole file.
    pub(super) async fn finish(mut self) -> Result<Spooled, Problem> {
        self.write().await?;
        let Some(Written { file: Some(file), hash }) = self.written.take() else {
            return Err(Problem::unavailable("spool", "the upload could not be written"));
        };
        let bytes = std::mem::take(&mut self.taken);
        let taken = Taken(self.room.clone(), bytes);
        Ok(Spooled { file, bytes, sha256: hash.finalize().into(), _taken: taken })
    }

    async fn write(&mut self) -> Result<(), Problem> {
        let Some(mut written) = self.written.take() else {
            return Err(Problem::unavailable("spool", "the upload could not be written"));
        };
        let (bytes, room) = (std::mem::take(&mut self.buffer), self.room.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let file = match &mut written.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile_in(&room.folder)?),
            };
            written.hash.update(&bytes);
            file.write_all(&bytes)?;
            Ok::<_, io::Error>((written, bytes))
        });
        let outcome = writing.await.map_err(|_| io::Error::other("stopped")).and_then(|outcome| outcome);
        let (written, mut buffer) = outcome.map_err(|error| not_written(&error))?;
        buffer.clear();
        (self.written, self.buffer) = (Some(written), buffer);
        Ok(())
    }
}

impl Spooled {
    /// Another reader of the file, at its beginning; not at the same time as others.
    pub(super) fn reader(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }
}

/// 415 for what its first bytes say to be no text and nothing that is unpacked, whatever its media type says.
pub(super) fn check_text(beginning: &[u8]) -> Result<(), Problem> {
    let is_utf16 = Charset::of_bom(beginning).is_some() || detect_utf16(beginning).is_some();
    let is_packed = packed::is_packed(beginning);
    let Some(kind) = file_kind(beginning).filter(|_| !is_utf16 && !is_packed) else { return Ok(()) };
    let looks = if beginning.starts_with(b"PK") { "zip, " } else { "" };
    let detail = format!("the file looks like {looks}{kind}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-text", detail).in_field("file"))
}

fn not_written(error: &io::Error) -> Problem {
    tracing::error!(%error, "an upload cannot be written to a temporary file: make room, or give --spool-dir another disk");
    if error.kind() == ErrorKind::StorageFull {
        let detail = "the disk of temporary files is full (--spool-dir takes another)";
        return Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no-room", detail).retry_after(30);
    }
    Problem::unavailable("spool", "the upload could not be written to a temporary file; the log says why")
}
