//! A process that is killed at any instant loses nothing that it acknowledged, and leaves nothing torn.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sheetstream::state::{StateDir, StateOptions};

use crate::model::{Chance, History, task};

const ROUNDS: u64 = 30;
const TASKS: i32 = 2;
/// Set for the process that is to be killed: the state directory.
const VICTIM_DIR: &str = "SHEETSTREAM_CRASH_DIR";
/// The history's seed.
const VICTIM_SEED: &str = "SHEETSTREAM_CRASH_SEED";
/// The fail point at which it dies by itself; empty for none.
const VICTIM_POINT: &str = "SHEETSTREAM_CRASH_POINT";

fn open(dir: &Path) -> StateDir {
    StateDir::open(dir, StateOptions { min_free_bytes: 0, ..StateOptions::default() }).unwrap()
}

#[test]
#[ignore = "runs only as the child of the other tests here"]
fn victim() {
    let (Ok(dir), Ok(seed)) = (std::env::var(VICTIM_DIR), std::env::var(VICTIM_SEED)) else { return };
    let (dir, seed) = (open(Path::new(&dir)), seed.parse::<u64>().unwrap());
    #[cfg(feature = "failpoints")]
    if let Some(point) = std::env::var(VICTIM_POINT).ok().filter(|point| !point.is_empty()) {
        let passes = std::sync::atomic::AtomicU64::new(0);
        let lives = std::process::id() as u64 % 16; // the commit to die in
        let die = move || match passes.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            pass if pass < lives => {}
            _ => std::process::abort(),
        };
        fail::cfg_callback(point, die).unwrap();
    }
    std::thread::scope(|scope| {
        for n in 0..TASKS {
            let mut store = dir.task(&task(n), "t").unwrap();
            scope.spawn(move || {
                let commits = History::commits_of(&store).unwrap();
                let (mut history, _) = History::replay(seed + n as u64, commits);
                loop {
                    history.advance(&mut store).unwrap();
                    let ack = format!("ack {n} {}\n", history.commits); // one write, or a kill could tear it
                    std::io::stderr().write_all(ack.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// The state directory of a process that dies again and again, and what it acknowledged.
struct Rounds {
    dir: tempfile::TempDir,
    seed: u64,
    acknowledged: [u64; TASKS as usize],
}

impl Rounds {
    fn new(seed: u64) -> Rounds {
        println!("seed {seed}");
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        Rounds { dir: dir.unwrap(), seed, acknowledged: [0; TASKS as usize] }
    }

    /// Lets a process work until `death` has come over it, then holds what it left against what it acknowledged.
    fn round(&mut self, dies_at: &str, death: impl FnOnce(&mut Child)) {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["crash::victim", "--exact", "--ignored", "--nocapture"])
            .env(VICTIM_DIR, self.dir.path())
            .env(VICTIM_SEED, self.seed.to_string())
            .env(VICTIM_POINT, dies_at)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let acks = BufReader::new(victim.stderr.take().unwrap());
        let reader = std::thread::spawn(move || acks.lines().map_while(Result::ok).collect::<Vec<_>>());
        death(&mut victim);
        assert!(!victim.wait().unwrap().success());
        for line in reader.join().unwrap() {
            let (n, commits) = line.strip_prefix("ack ").and_then(|ack| ack.split_once(' ')).expect(&line);
            self.acknowledged[n.parse::<usize>().unwrap()] = commits.parse().unwrap();
        }

        let dir = open(self.dir.path());
        for (n, acknowledged) in (0..TASKS).zip(&mut self.acknowledged) {
            let store = dir.task(&task(n), "t").unwrap();
            let commits = History::commits_of(&store).unwrap();
            let range = *acknowledged..=*acknowledged + 1; // the last one may be durable and not acknowledged
            assert!(range.contains(&commits), "task {n}: {commits} of {range:?}");
            let (history, model) = History::replay(self.seed + n as u64, commits);
            history.compare(&store, &model).unwrap();
            *acknowledged = commits;
        }
        assert_eq!(dir.rebuilds(), [].into());
    }
}

#[test]
fn killed_process_loses_nothing_that_it_acknowledged() {
    let mut chance = Chance::from_clock();
    let mut rounds = Rounds::new(chance.next() >> 8);
    for _ in 0..ROUNDS {
        let instant = Duration::from_micros(chance.below(300_000)); // when to kill, not a wait for anything
        rounds.round("", |victim| {
            std::thread::sleep(instant);
            victim.kill().unwrap();
        });
    }
    println!("{:?} commits over {ROUNDS} kills", rounds.acknowledged);
    assert!(rounds.acknowledged.iter().all(|commits| *commits > 0));
}

/// Run with `--features failpoints`.
#[cfg(feature = "failpoints")]
#[test]
fn process_that_dies_at_any_point_of_a_commit_loses_nothing_that_it_acknowledged() {
    const POINTS: [&str; 5] =
        ["state-before-sync", "state-after-sync", "state-after-apply", "state-after-flush", "state-before-unlink"];
    let mut rounds = Rounds::new(Chance::from_clock().next() >> 8);
    for point in POINTS.into_iter().cycle().take(4 * POINTS.len()) {
        println!("{point}");
        rounds.round(point, |_| {});
    }
}
