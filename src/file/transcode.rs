//! The bytes of a file as UTF-8 text, piece by piece.

use std::io::{ErrorKind, Read};

use super::FileError;
use crate::record::Binary;
use crate::source::charset::{Charset, TextDecoder};
use crate::source::csv::Unescaper;
use crate::source::detect::{CHARSET_SAMPLE_BYTES, Detected, detect, detect_utf16};
use crate::source::{KIND_BYTES, file_kind};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Characters of a sample line.
const SAMPLE_CHARS: usize = 60;

pub(super) struct Transcoder {
    input: Box<dyn Read + Send>,
    /// Bytes that are read and not yet text.
    raw: Vec<u8>,
    state: State,
    charset: Option<Charset>,
    /// The charset if neither a person nor a byte order mark names another one.
    usual: Option<Charset>,
    ended: bool,
    /// Takes backslash escapes out of the text.
    unescaper: Option<Unescaper>,
}

enum State {
    /// Nothing is known.
    Beginning,
    /// Only ASCII so far, which is the same in nearly every charset: not decided.
    Ascii,
    /// Already what it shall be.
    Utf8,
    Decoding(Box<TextDecoder>),
}

impl Transcoder {
    /// `charset` decides if it is given, then a byte order mark, then `usual`, then the bytes.
    pub(super) fn new(input: Box<dyn Read + Send>, charset: Option<Charset>, usual: Option<Charset>) -> Transcoder {
        Transcoder { input, raw: Vec::new(), state: State::Beginning, charset, usual, ended: false, unescaper: None }
    }

    /// Rewrites backslash escapes as quotes.
    pub(super) fn with_escapes(self, unescaper: Option<Unescaper>) -> Transcoder {
        Transcoder { unescaper, ..self }
    }

    /// The charset, once a byte that is not ASCII has decided it.
    pub(super) fn charset(&self) -> Option<Charset> {
        self.charset
    }

    /// True when all has been read and handed over.
    pub(super) fn has_ended(&self) -> bool {
        self.ended && self.raw.is_empty()
    }

    /// Reads once and appends the text that came of it, which may be none.
    pub(super) fn read_into(&mut self, text: &mut Vec<u8>) -> Result<(), FileError> {
        let Some(mut unescaper) = self.unescaper.take() else { return self.decode_into(text) };
        let mut decoded = Vec::new();
        self.decode_into(&mut decoded)?;
        unescaper.push(&decoded, text);
        match self.has_ended() {
            true => unescaper.finish(text),
            false => self.unescaper = Some(unescaper),
        }
        Ok(())
    }

    fn decode_into(&mut self, text: &mut Vec<u8>) -> Result<(), FileError> {
        self.read_chunk()?;
        if matches!(self.state, State::Beginning) {
            if self.raw.len() < KIND_BYTES && !self.ended {
                return Ok(());
            }
            self.begin()?;
        }
        if matches!(self.state, State::Ascii) {
            let ascii = self.raw.iter().position(|byte| !byte.is_ascii()).unwrap_or(self.raw.len());
            text.extend(self.raw.drain(..ascii));
            if self.raw.is_empty() || (self.raw.len() < CHARSET_SAMPLE_BYTES && !self.ended) {
                return Ok(());
            }
            let sample = &self.raw[..self.raw.len().min(CHARSET_SAMPLE_BYTES)];
            let cut = !self.ended || sample.len() < self.raw.len();
            match detect(sample, cut) {
                Detected::Sure(charset) => self.decide(charset),
                Detected::Unclear(fitting) => return Err(FileError::Charset(unclear(&fitting, text, sample))),
            }
        }
        match &mut self.state {
            State::Beginning | State::Ascii => {}
            State::Utf8 => text.append(&mut self.raw),
            State::Decoding(decoder) => {
                decoder.decode(&self.raw, self.ended, text);
                self.raw.clear();
            }
        }
        Ok(())
    }

    fn read_chunk(&mut self) -> Result<(), FileError> {
        let held = self.raw.len();
        self.raw.resize(held + CHUNK_BYTES, 0);
        let read = loop {
            match self.input.read(&mut self.raw[held..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.raw.truncate(held + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }

    fn begin(&mut self) -> Result<(), FileError> {
        let is_utf32 = file_kind(&self.raw) == Some(Binary::Utf32 {});
        let bom = Charset::of_bom(&self.raw).filter(|_| !is_utf32);
        if let Some((found, length)) = bom.filter(|(found, _)| self.charset.is_none_or(|given| given == *found)) {
            self.raw.drain(..length);
            self.decide(found);
            return Ok(());
        }
        let utf16 = detect_utf16(&self.raw[..self.raw.len().min(KIND_BYTES)]);
        let found = self.charset.or(self.usual).or(utf16);
        let is_utf16 = found.is_some_and(|charset| [Charset::UTF_16LE, Charset::UTF_16BE].contains(&charset));
        if let Some(kind) = file_kind(&self.raw).filter(|_| !is_utf16) {
            return Err(FileError::NotText(kind));
        }
        match found {
            Some(charset) => self.decide(charset),
            None => self.state = State::Ascii,
        }
        Ok(())
    }

    fn decide(&mut self, charset: Charset) {
        self.charset = Some(charset);
        self.state =
            if charset == Charset::UTF_8 { State::Utf8 } else { State::Decoding(Box::new(TextDecoder::new(charset))) };
    }
}

/// A message that helps a person to decide: the line with the first byte that is not ASCII, as each charset reads it.
fn unclear(fitting: &[Charset], before: &[u8], sample: &[u8]) -> String {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let start = before.iter().rposition(is_end).map_or(0, |end| end + 1);
    let end = sample.iter().position(is_end).unwrap_or(sample.len());
    let reading = |charset: &Charset| {
        let line = [&before[start..], &charset.decode(&sample[..end])].concat();
        let line: String = String::from_utf8_lossy(&line).chars().take(SAMPLE_CHARS).collect();
        format!("as {charset} it reads '{}'", line.escape_debug())
    };
    let readings: Vec<_> = fitting.iter().map(reading).collect();
    format!(
        "its charset is not clear from its bytes; the first line that is not ASCII: {}; --charset names the right one",
        readings.join(", ")
    )
}
