//! One case-insensitive namer for sanitising, clashes and overflow.
