//! A process that is killed at any instant loses nothing that it acknowledged, and leaves nothing torn.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sheetstream::state::{StateDir, StateOptions};

use crate::model::{Chance, History, task};

const ROUNDS: u64 = 30;
const TASKS: i32 = 2;
/// Set for the process that is to be killed: the state directory.
const VICTIM_DIR: &str = "SHEETSTREAM_CRASH_DIR";
/// The history's seed.
const VICTIM_SEED: &str = "SHEETSTREAM_CRASH_SEED";

fn open(dir: &Path) -> StateDir {
    StateDir::open(dir, StateOptions { min_free_bytes: 0, ..StateOptions::default() }).unwrap()
}

#[test]
#[ignore = "runs only as the child of killed_process_loses_nothing_that_it_acknowledged"]
fn victim() {
    let (Ok(dir), Ok(seed)) = (std::env::var(VICTIM_DIR), std::env::var(VICTIM_SEED)) else { return };
    let (dir, seed) = (open(Path::new(&dir)), seed.parse::<u64>().unwrap());
    std::thread::scope(|scope| {
        for n in 0..TASKS {
            let mut store = dir.task(&task(n), "t").unwrap();
            scope.spawn(move || {
                let commits = History::commits_of(&store).unwrap();
                let (mut history, _) = History::replay(seed + n as u64, commits);
                loop {
                    history.advance(&mut store).unwrap();
                    writeln!(std::io::stderr(), "ack {n} {}", history.commits).unwrap();
                }
            });
        }
    });
}

#[test]
fn killed_process_loses_nothing_that_it_acknowledged() {
    let mut chance = Chance::from_clock();
    let seed = chance.next() >> 8;
    println!("seed {seed}");
    let shm = Path::new("/dev/shm");
    let temp = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
    let mut acknowledged = [0; TASKS as usize];
    for round in 0..ROUNDS {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["crash::victim", "--exact", "--ignored", "--nocapture"])
            .env(VICTIM_DIR, temp.path())
            .env(VICTIM_SEED, seed.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let acks = BufReader::new(victim.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            acks.lines().map_while(Result::ok).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_micros(chance.below(400_000))); // the instant of the crash, not a wait for anything
        victim.kill().unwrap();
        victim.wait().unwrap();
        for line in reader.join().unwrap() {
            let mut words = line.split(' ');
            match (words.next(), words.next().map(str::parse::<usize>), words.next().map(str::parse)) {
                (Some("ack"), Some(Ok(n)), Some(Ok(commits))) => acknowledged[n] = commits,
                _ => panic!("round {round}: {line}"),
            }
        }

        let dir = open(temp.path());
        for (n, acknowledged) in (0..TASKS).zip(&mut acknowledged) {
            let store = dir.task(&task(n), "t").unwrap();
            let commits = History::commits_of(&store).unwrap();
            let range = *acknowledged..=*acknowledged + 1; // the last one may be durable without having been told
            assert!(range.contains(&commits), "round {round}, task {n}: {commits} of {range:?}");
            let (history, model) = History::replay(seed + n as u64, commits);
            history.compare(&store, &model).unwrap();
            *acknowledged = commits;
        }
        assert_eq!(dir.rebuilds(), [].into(), "round {round}");
    }
    println!("{acknowledged:?} commits over {ROUNDS} kills");
    assert!(acknowledged.iter().all(|commits| *commits > 0));
}
