//! Records into rows and rows into fields (RFC 4180).
