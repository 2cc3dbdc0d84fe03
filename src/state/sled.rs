//! State on disk: small values in sled, page bytes in segments.
