//! Which charset and delimiter a file has.
