//! A program of your own that runs a topology: it publishes a file, and writes the workbook that comes back.
//!
//! ```text
//! cargo run --example embed [-- FOLDER]
//! ```
//! The broker is inside the process here, so that this runs as it is. With a cluster of yours, `KafkaConfig::new` takes its addresses.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sheetstream::broker::{Broker, BrokerConfig};
use sheetstream::client::fetch::{ChunkJoiner, FetchedWorkbook};
use sheetstream::client::folder::{Folder, Layout};
use sheetstream::client::publish::publish;
use sheetstream::file::Options;
use sheetstream::file::reader::CsvFile;
use sheetstream::file::upload::UploadRecords;
use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::{KafkaClient, KafkaConfig};
use sheetstream::record::TopicPartition;
use sheetstream::runtime::config::StreamsConfig;
use sheetstream::runtime::streams::Streams;
use sheetstream::topology::Topology;
use sheetstream::transport::TransportError;

const TOPOLOGY: &str = r#"
name = "shops"
[[source]]
name = "rows"
header = "first"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5186", to = "EPSG:4326", x = "east", y = "north", into = ["lon", "lat"] }
[[aggregate]]
name = "by-district"
sheet = "district"
[[sink]]
name = "workbooks"
"#;

const SHOPS: &str = "\
shop,district,east,north
Blue Door,Jongno-gu,198056.37,551885.03
Red Kite,Mapo-gu,192310.50,550120.25
";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("{}", make(&folder)?.display());
    Ok(())
}

/// Leaves `shops.xlsx` in `folder`.
fn make(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let work = tempfile::tempdir()?;
    let csv = work.path().join("shops.csv");
    std::fs::write(&csv, SHOPS)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let broker = Broker::start(runtime.handle(), BrokerConfig::default())?;
    let kafka = KafkaConfig::new([broker.address().to_string()], "embed");
    let client = KafkaClient::new(runtime.handle().clone(), kafka.clone());

    let topology = Topology::parse(TOPOLOGY, "shops.toml", &|name| std::env::var(name).ok())?;
    let workbooks = Arc::clone(&topology.sink.topic);
    let sink = &topology.sink;
    let topics = [&topology.source.topic, &sink.topic, &sink.status_topic, &sink.dead_letter_topic];
    let topic = |name: &Arc<str>| NewTopic { name: name.to_string(), partitions: 1, replication: 1, configs: vec![] };
    client.create_topics(&topics.map(topic))?;

    // Streams::run blocks until `stop` is set, so it gets a thread of its own.
    let stop = Arc::new(AtomicBool::new(false));
    let rows = Arc::clone(&topology.source.topic);
    let options = Options::for_source(&topology.source);
    let streams = Streams::new(vec![topology], StreamsConfig::new(kafka, work.path().join("state")));
    let running = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || streams.run(&stop)
    });

    let upload = UploadRecords::new(vec![CsvFile::open(&csv, options)?], "shops.csv", "1")?;
    publish(&client, &rows, "shops.csv", upload, &mut |_| ())?;
    let workbook = loop {
        match first_workbook(&client, &workbooks)? {
            Some(workbook) => break workbook,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };

    stop.store(true, Ordering::Relaxed);
    running.join().expect("the streams do not panic")?;
    let saved = Folder::open(folder, Layout::Name, true)?.save(&workbook.label, |file| workbook.write(file))?;
    Ok(saved.path().to_owned())
}

/// The first workbook in the topic, if it is there.
fn first_workbook(client: &KafkaClient, topic: &Arc<str>) -> Result<Option<FetchedWorkbook>, TransportError> {
    let partition = TopicPartition { topic: Arc::clone(topic), partition: 0 };
    let (mut joiner, mut found) = (ChunkJoiner::default(), None);
    client.read_all(&partition, &mut |record| {
        if found.is_none() {
            found = joiner.join(&record).expect("the topic holds workbooks");
        }
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workbook_is_there() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = super::make(folder.path()).expect("a workbook");
        assert_eq!(path, folder.path().join("shops.xlsx"));
        assert_eq!(std::fs::read(path).expect("the workbook")[..2], *b"PK");
    }
}
