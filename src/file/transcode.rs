//! The bytes of a file as UTF-8 text, piece by piece. What cannot be decoded becomes the byte FF, which no reader takes for text: it is for
//! the row to be rejected, never for us to guess.

use std::io::{ErrorKind, Read};

use encoding_rs::{Decoder, DecoderResult};

use super::FileError;
use crate::source::binary_kind;
use crate::source::encoding::{CHARSET_SAMPLE_BYTES, Charset};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Bytes that tell a byte order mark, or a file that is no text.
const BEGINNING_BYTES: usize = 4;
/// Stands for bytes that are not of the charset.
const BROKEN: u8 = 0xFF;

pub(super) struct Transcoder {
    input: Box<dyn Read + Send>,
    /// Bytes that are read and not yet text.
    raw: Vec<u8>,
    state: State,
    charset: Option<Charset>,
    ended: bool,
}

enum State {
    /// Nothing is known.
    Beginning,
    /// Only ASCII so far, which is the same in UTF-8 and in EUC-KR: not decided.
    Ascii,
    /// Already what it shall be.
    Utf8,
    Decoding(Box<Decoder>),
}

impl Transcoder {
    /// `charset` decides if it is given.
    pub(super) fn new(input: Box<dyn Read + Send>, charset: Option<Charset>) -> Transcoder {
        Transcoder { input, raw: Vec::new(), state: State::Beginning, charset, ended: false }
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
        self.read_chunk()?;
        if matches!(self.state, State::Beginning) {
            if self.raw.len() < BEGINNING_BYTES && !self.ended {
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
            self.decide(Charset::of_sample(sample, cut));
        }
        match &mut self.state {
            State::Beginning | State::Ascii => {}
            State::Utf8 => text.append(&mut self.raw),
            State::Decoding(decoder) => {
                decode(decoder, &self.raw, self.ended, text);
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
        match (Charset::of_bom(&self.raw), self.charset) {
            (Some((found, length)), None) => {
                self.raw.drain(..length);
                self.decide(found);
            }
            (bom, Some(told)) => {
                if let Some((_, length)) = bom.filter(|(found, _)| *found == told) {
                    self.raw.drain(..length);
                }
                self.decide(told);
            }
            (None, None) => match binary_kind(&self.raw) {
                Some(kind) => return Err(FileError::NotText(kind)),
                None => self.state = State::Ascii,
            },
        }
        Ok(())
    }

    fn decide(&mut self, charset: Charset) {
        self.charset = Some(charset);
        self.state = match charset {
            Charset::Utf8 => State::Utf8,
            Charset::EucKr | Charset::Utf16Le | Charset::Utf16Be => {
                State::Decoding(Box::new(charset.encoding().new_decoder_without_bom_handling()))
            }
        };
    }
}

fn decode(decoder: &mut Decoder, mut raw: &[u8], last: bool, text: &mut Vec<u8>) {
    loop {
        let start = text.len();
        // Room for what comes of this many bytes at most; a text that is too large for memory is caught by the allocator.
        let room = decoder.max_utf8_buffer_length_without_replacement(raw.len()).unwrap_or(raw.len());
        text.resize(start + room, 0);
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(raw, &mut text[start..], last);
        text.truncate(start + written);
        raw = &raw[read..];
        match result {
            DecoderResult::InputEmpty => return,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => text.push(BROKEN),
        }
    }
}
