//! What happened to an upload, as JSON; the terminal ones are the ledger.
