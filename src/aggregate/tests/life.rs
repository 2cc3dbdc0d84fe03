//! The life of an upload, case by case.
