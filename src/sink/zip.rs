//! The ZIP container: parts of known size and CRC, zip64 where needed (APPNOTE 6.3.10).
