//! sheetstream: CSV rows on a Kafka topic in, finished Excel workbooks out.
pub mod aggregate;
pub mod client;
pub mod crs;
pub mod file;
pub mod kafka;
pub mod map;
pub mod page;
pub mod processor;
pub mod record;
pub mod runtime;
pub mod sink;
pub mod source;
pub mod state;
pub mod test_driver;
pub mod topology;
pub mod transport;
