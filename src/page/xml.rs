//! Escaping and numbers as ECMA-376 wants them.
