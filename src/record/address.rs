//! What web addresses are made of (RFC 3986, section 2), for whoever puts text into one.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC};

/// All but the unreserved characters. A value that is encoded by it stays one word of the address, whatever it is.
pub const IN_VALUES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What an address has nowhere. An address that is encoded by it keeps its parts, and what is encoded in it already.
pub const IN_ADDRESSES: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');
