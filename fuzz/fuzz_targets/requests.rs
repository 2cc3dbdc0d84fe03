//! Requests of any bytes to the broker in the process.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
}

// API key and version in front of each body; the rest of the header is the same.
fuzz_target!(|requests: Vec<(u8, u8, &[u8])>| {
    let mut bytes = Vec::new();
    for (api, version, body) in requests {
        let head = [0, api, 0, version % 20, 0, 0, 0, 7];
        bytes.extend(((head.len() + body.len()) as i32).to_be_bytes());
        bytes.extend(head);
        bytes.extend(body);
    }
    RUNTIME.with(|runtime| runtime.block_on(sheetstream::broker::answer_any(&bytes)));
});
