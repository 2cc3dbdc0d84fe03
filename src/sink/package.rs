//! A workbook as the bytes of a file: the parts that were made for it, and between them the pages from the store. Memory does not grow with
//! the rows.

use std::sync::Arc;

use crc32fast::Hasher;
use sha2::{Digest as _, Sha256};

use crate::page::{CutPage, END};
use crate::record::UploadHash;
use crate::sink::CompletePage;
use crate::sink::zip::{Method, PartFacts, ZipWriter};
use crate::state::{PagePosition, StateError, StateStore};

/// A finished workbook. It reads the same any number of times, as long as its pages stay in the store.
#[derive(Debug)]
pub struct Workbook {
    pieces: Vec<Piece>,
    length: u64,
}

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Stored(UploadHash, PagePosition),
    Inline(Arc<CutPage>),
}

impl Workbook {
    /// Length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of the file. Reads all of its pages.
    pub fn sha256(&self, store: &dyn StateStore) -> Result<[u8; 32], StateError> {
        let mut sha256 = Sha256::new();
        self.write(store, &mut |bytes| {
            sha256.update(bytes);
            Ok::<(), StateError>(())
        })?;
        Ok(sha256.finalize().into())
    }

    /// Hands the file to `each`, piece by piece, holding one page at a time. Stops at the first error.
    pub fn write<E: From<StateError>>(
        &self,
        store: &dyn StateStore,
        each: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = self.read(store);
        while let Some(bytes) = reader.next()? {
            each(bytes)?;
        }
        Ok(())
    }

    /// The file from its start.
    pub(super) fn read<'a>(&'a self, store: &'a dyn StateStore) -> WorkbookReader<'a> {
        WorkbookReader { pieces: self.pieces.iter(), store, page: Vec::new() }
    }
}

/// Reads a workbook piece by piece.
pub(super) struct WorkbookReader<'a> {
    pieces: std::slice::Iter<'a, Piece>,
    store: &'a dyn StateStore,
    page: Vec<u8>,
}

impl WorkbookReader<'_> {
    /// The next piece, `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, StateError> {
        match self.pieces.next() {
            None => Ok(None),
            Some(Piece::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Piece::Inline(page)) => Ok(Some(&page.bytes)),
            Some(Piece::Stored(upload, at)) => {
                self.store.read(*upload, *at, &mut self.page)?;
                Ok(Some(&self.page))
            }
        }
    }
}

impl CompletePage {
    /// Its rows.
    pub(super) fn rows(&self) -> u32 {
        match self {
            CompletePage::Stored(_, page) => page.rows,
            CompletePage::Inline(page) => page.rows,
        }
    }
    /// CRC-32 and length of its XML, and the length of its bytes.
    fn facts(&self) -> (u32, u32, u64) {
        match self {
            CompletePage::Stored(_, page) => (page.xml_crc, page.xml_length, page.at.length.into()),
            CompletePage::Inline(page) => cut_facts(page),
        }
    }
}

fn cut_facts(page: &CutPage) -> (u32, u32, u64) {
    (page.xml_crc, page.xml_length, page.bytes.len() as u64)
}

/// A workbook that grows by one part after the other.
#[derive(Debug, Default)]
pub(super) struct Package {
    zip: ZipWriter,
    pieces: Vec<Piece>,
    /// Bytes behind the last piece.
    open: Vec<u8>,
}

impl Package {
    /// A part that is compressed already.
    pub(super) fn raw(&mut self, name: &str, facts: &PartFacts, bytes: &[u8]) {
        self.zip.part(name, facts, &mut self.open);
        self.open.extend_from_slice(bytes);
    }

    /// A part of one segment.
    pub(super) fn xml(&mut self, name: &str, xml: &CutPage) {
        self.sheet(name, &[xml], &[], &[]);
    }

    /// A worksheet: segments before its rows, its pages, segments behind them.
    pub(super) fn sheet(&mut self, name: &str, before: &[&CutPage], pages: &[CompletePage], behind: &[&CutPage]) {
        let mut crc = Hasher::new();
        let (mut compressed, mut size) = (END.len() as u64, 0);
        let facts = |pages: &[&CutPage]| pages.iter().map(|page| cut_facts(page)).collect::<Vec<_>>();
        let all = facts(before).into_iter().chain(pages.iter().map(CompletePage::facts)).chain(facts(behind));
        for (xml_crc, xml_length, length) in all {
            crc.combine(&Hasher::new_with_initial_len(xml_crc, xml_length.into()));
            compressed += length;
            size += u64::from(xml_length);
        }
        let facts = PartFacts { method: Method::Deflated, crc: crc.finalize(), compressed, size };
        self.zip.part(name, &facts, &mut self.open);
        before.iter().for_each(|segment| self.open.extend_from_slice(&segment.bytes));
        for page in pages {
            self.close_piece();
            self.pieces.push(match page {
                CompletePage::Stored(upload, page) => Piece::Stored(*upload, page.at),
                CompletePage::Inline(page) => Piece::Inline(Arc::clone(page)),
            });
        }
        behind.iter().for_each(|segment| self.open.extend_from_slice(&segment.bytes));
        self.open.extend_from_slice(&END);
    }

    fn close_piece(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(Piece::Bytes(std::mem::take(&mut self.open)));
        }
    }

    /// The workbook.
    pub(super) fn finish(mut self) -> Workbook {
        std::mem::take(&mut self.zip).finish(&mut self.open);
        self.close_piece();
        let length = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Inline(page) => page.bytes.len() as u64,
            Piece::Stored(_, at) => at.length.into(),
        };
        Workbook { length: self.pieces.iter().map(length).sum(), pieces: self.pieces }
    }
}
