//! Records that say which row was refused, and why.
