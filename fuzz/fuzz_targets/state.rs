//! Keys and values of the state store: what is read back is what was written, and anything else is damage and no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sheetstream::record::LedgerEntry;
use sheetstream::state::keys::{
    ErrorState, IndexKey, OpenUploadState, PageState, SealState, SheetState, StateKey, TaskState, decode, encode,
    unguard,
};

macro_rules! reads_back {
    ($bytes:expr, $($kind:ty),+) => {
        $(if let Some(value) = decode::<$kind>($bytes) {
            let again: $kind = decode(&encode(&value)).expect("what was encoded");
            assert_eq!(encode(&again), encode(&value));
        })+
    };
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (key, value) = input;
    if let Some(found) = StateKey::decode(key) {
        assert_eq!(StateKey::decode(&found.encode()), Some(found));
    }
    IndexKey::decode(key);
    unguard(key, value);
    reads_back!(value, LedgerEntry, ErrorState, OpenUploadState, PageState, SealState, SheetState, TaskState);
});
