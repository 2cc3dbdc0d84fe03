//! Bodies of `POST /uploads`, in pieces of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, body) = input;
    sheetstream::http::read_any_form(body, 1 + usize::from(piece));
});
