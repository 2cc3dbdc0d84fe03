//! Two brokers side by side, for `script/bench broker`: rows of 80 bytes written and read back through each in turn, and the ratio of the
//! medians.
//!
//! ```text
//! cargo bench --bench broker -- ROWS NAME=HOST:PORT NAME=HOST:PORT
//! ```

use std::sync::Arc;
use std::time::Instant;

use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::kafka::{KafkaClient, KafkaConfig};
use sheetstream::record::TopicPartition;

const ROUNDS: usize = 5;
const ROW_BYTES: usize = 80;

/// Rows a second, written and read.
fn round(client: &KafkaClient, rows: usize, round: usize) -> Result<[f64; 2], Box<dyn std::error::Error>> {
    let topic: Arc<str> = format!("bench.{round}.{}", std::process::id()).into();
    client.create_topics(&[NewTopic {
        name: topic.to_string(),
        partitions: 1,
        replication: 1,
        configs: Vec::new(),
    }])?;
    let row = vec![b'x'; ROW_BYTES];
    let mut producer = client.producer(ProducerConfig::default());
    let begun = Instant::now();
    for _ in 0..rows {
        producer.send(&topic, Some(0), None, Some(&row), &[])?;
    }
    producer.flush()?;
    let written = rows as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut read = 0;
    client.read_all(&TopicPartition { topic, partition: 0 }, &mut |_| read += 1)?;
    let seconds = begun.elapsed().as_secs_f64();
    if read != rows {
        return Err(format!("{read} of {rows} rows came back").into());
    }
    Ok([written, rows as f64 / seconds])
}

fn median(rates: impl Iterator<Item = f64>) -> f64 {
    let mut rates: Vec<f64> = rates.collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench"); // cargo's own
    let Some(rows) = arguments.next() else {
        println!("script/bench broker starts both brokers and runs this");
        return Ok(());
    };
    let rows = rows.parse()?;
    let brokers: Vec<String> = arguments.collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = |broker: &String| {
        let (name, address) = broker.split_once('=').ok_or("name each broker: NAME=HOST:PORT")?;
        Ok::<_, &str>((
            name.to_owned(),
            KafkaClient::new(runtime.handle().clone(), KafkaConfig::new([address], "bench")),
        ))
    };
    let clients = brokers.iter().map(client).collect::<Result<Vec<_>, _>>()?;
    let mut rates = vec![Vec::new(); clients.len()];
    for number in 0..ROUNDS {
        for (of, (_, client)) in rates.iter_mut().zip(&clients) {
            of.push(round(client, rows, number)?);
        }
    }
    let medians: Vec<[f64; 2]> = rates.iter().map(|of| [0, 1].map(|i| median(of.iter().map(|rate| rate[i])))).collect();
    for ((name, _), [written, read]) in clients.iter().zip(&medians) {
        println!("{name:20} {:8.2} M rows/s written {:8.2} M rows/s read", written / 1e6, read / 1e6);
    }
    if let [ours, theirs] = &medians[..] {
        println!("ratio                {:8.2} times         {:8.2} times", ours[0] / theirs[0], ours[1] / theirs[1]);
    }
    Ok(())
}
