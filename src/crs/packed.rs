//! PROJ's database and its small files, as `build.rs` packs them. PROJ asks for what is linked with it by two functions
//! (`embedded_resources.h`). A linker that has these leaves out PROJ's own, and with them the plain copies.

use std::ffi::{CStr, c_char, c_uchar, c_uint};
use std::io::Read;
use std::ptr;
use std::sync::OnceLock;

use flate2::read::DeflateDecoder;

include!(concat!(env!("OUT_DIR"), "/proj_files.rs"));
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/proj.db.deflate"));
/// Unpacked when the first CRS is looked up: some 20 ms and nine megabytes, once.
static DATABASE: OnceLock<Vec<u8>> = OnceLock::new();

/// The database, and its length in `size`.
#[unsafe(no_mangle)]
extern "C" fn pj_get_embedded_proj_db(size: *mut c_uint) -> *const c_uchar {
    let database = DATABASE.get_or_init(|| {
        let mut database = Vec::with_capacity(DATABASE_BYTES);
        DeflateDecoder::new(PACKED).read_to_end(&mut database).expect("what the build packed can be unpacked");
        assert_eq!(database.len(), DATABASE_BYTES, "the database is whole");
        database
    });
    give(database, size)
}

/// The file of this name, and its length in `size`; null if there is none.
#[unsafe(no_mangle)]
extern "C" fn pj_get_embedded_resource(name: *const c_char, size: *mut c_uint) -> *const c_uchar {
    // SAFETY: PROJ gives a text that ends with a zero.
    let name = unsafe { CStr::from_ptr(name) };
    match FILES.iter().find(|(file, _)| file.as_bytes() == name.to_bytes()) {
        Some((_, bytes)) => give(bytes, size),
        None => ptr::null(),
    }
}

fn give(bytes: &'static [u8], size: *mut c_uint) -> *const c_uchar {
    // SAFETY: PROJ gives the place of an `unsigned int` of its own.
    unsafe { *size = c_uint::try_from(bytes.len()).expect("files of PROJ are below 4 GiB") };
    bytes.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crs::proj_version;

    #[test]
    fn proj_reads_the_packed_database() {
        crate::crs::systems::systems().expect("the database has systems");
        assert!(DATABASE.get().is_some(), "PROJ {} has a database of its own beside the packed one", proj_version());
    }
}
