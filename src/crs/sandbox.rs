//! Hides the file system from PROJ. A CRS text may come from a stranger and may name any path, and files of another PROJ on the
//! machine (`PROJ_DATA`, its user directory) would win over the database inside the binary.

use std::ffi::{c_char, c_int, c_longlong, c_ulonglong, c_void};
use std::ptr;

use proj_sys::{PJ_CONTEXT, PROJ_FILE_API, PROJ_FILE_HANDLE, PROJ_OPEN_ACCESS};

/// Where a file is, for PROJ: below a device, where no file can be.
pub(super) unsafe extern "C" fn find_nothing(_: *mut PJ_CONTEXT, _: *const c_char, _: *mut c_void) -> *const c_char {
    c"/dev/null/none".as_ptr()
}

/// File functions that refuse everything, for the contexts that texts of strangers are read in (`+nadgrids=`, `+init=`). An operation that was
/// found without a file runs without one.
pub(super) fn no_files() -> PROJ_FILE_API {
    unsafe extern "C" fn open(
        _: *mut PJ_CONTEXT,
        _: *const c_char,
        _: PROJ_OPEN_ACCESS,
        _: *mut c_void,
    ) -> *mut PROJ_FILE_HANDLE {
        ptr::null_mut()
    }
    unsafe extern "C" fn read(
        _: *mut PJ_CONTEXT,
        _: *mut PROJ_FILE_HANDLE,
        _: *mut c_void,
        _: usize,
        _: *mut c_void,
    ) -> usize {
        0
    }
    unsafe extern "C" fn write(
        _: *mut PJ_CONTEXT,
        _: *mut PROJ_FILE_HANDLE,
        _: *const c_void,
        _: usize,
        _: *mut c_void,
    ) -> usize {
        0
    }
    unsafe extern "C" fn seek(
        _: *mut PJ_CONTEXT,
        _: *mut PROJ_FILE_HANDLE,
        _: c_longlong,
        _: c_int,
        _: *mut c_void,
    ) -> c_int {
        0
    }
    unsafe extern "C" fn tell(_: *mut PJ_CONTEXT, _: *mut PROJ_FILE_HANDLE, _: *mut c_void) -> c_ulonglong {
        0
    }
    unsafe extern "C" fn close(_: *mut PJ_CONTEXT, _: *mut PROJ_FILE_HANDLE, _: *mut c_void) {}
    unsafe extern "C" fn refuse(_: *mut PJ_CONTEXT, _: *const c_char, _: *mut c_void) -> c_int {
        0
    }
    unsafe extern "C" fn rename(_: *mut PJ_CONTEXT, _: *const c_char, _: *const c_char, _: *mut c_void) -> c_int {
        0
    }
    PROJ_FILE_API {
        version: 1,
        open_cbk: Some(open),
        read_cbk: Some(read),
        write_cbk: Some(write),
        seek_cbk: Some(seek),
        tell_cbk: Some(tell),
        close_cbk: Some(close),
        exists_cbk: Some(refuse),
        mkdir_cbk: Some(refuse),
        unlink_cbk: Some(refuse),
        rename_cbk: Some(rename),
    }
}
