//! A deterministic simulation: real tasks on one thread, over brokers, disks and a clock that are made up. Anything may fail at any time. A
//! seed decides all of it: one that fails is run again to the same trace.
//!
//! 1,000 seeds in a usual run. `SIMULATION_SEEDS=100000` runs more of them, `SIMULATION_FROM=4711` begins with another one.

#[path = "simulation/cluster.rs"]
mod cluster;
#[path = "simulation/cuts.rs"]
mod cuts;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/log.rs"]
mod log;
#[path = "simulation/oracle.rs"]
mod oracle;
#[path = "simulation/owners.rs"]
mod owners;
#[path = "simulation/process.rs"]
mod process;
#[path = "simulation/publisher.rs"]
mod publisher;
#[path = "simulation/reader.rs"]
mod reader;
#[path = "simulation/scene.rs"]
mod scene;
#[path = "simulation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use world::{Outcome, simulate};

const SEEDS: u64 = 1_000;
/// Steps of a failing seed that are shown; all of them if it is the only one.
const STEPS_SHOWN: usize = 60;
/// Failing seeds that are shown.
const FAILURES_SHOWN: usize = 5;

fn number(variable: &str, usual: u64) -> u64 {
    match std::env::var(variable) {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("{variable}={number} is no number")),
        Err(_) => usual,
    }
}

/// A panic of the product is a finding like any other.
fn run(seed: u64) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| simulate(seed))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Outcome { trace: vec![], finding: Some(format!("panic: {}", said.unwrap_or("?"))) }
    })
}

#[test]
fn every_upload_is_published_once_and_whole_or_its_fate_is_said() {
    let (from, seeds) = (number("SIMULATION_FROM", 0), number("SIMULATION_SEEDS", SEEDS));
    let begun = Instant::now();
    let (mut steps, mut failures) = (0, 0);
    for seed in from..from + seeds {
        let Outcome { trace, finding } = run(seed);
        steps += trace.len();
        // Once in a while a seed that is well is run again, too.
        if finding.is_some() || seed % 64 == 0 {
            let again = run(seed).trace;
            let differs = trace.iter().zip(&again).position(|(one, other)| one != other);
            assert_eq!(
                differs,
                None,
                "seed {seed} is not the same again: {:?}",
                differs.map(|at| (&trace[at], &again[at]))
            );
        }
        let Some(finding) = finding else { continue };
        failures += 1;
        if failures <= FAILURES_SHOWN {
            println!("seed {seed}: {finding}\n  {}", trace.first().map_or("", String::as_str));
            let shown = if seeds == 1 { usize::MAX } else { STEPS_SHOWN };
            let skipped = trace.len().saturating_sub(shown).max(1);
            trace.iter().skip(skipped).for_each(|step| println!("  {step}"));
        }
    }
    let took = begun.elapsed();
    println!("{seeds} seeds, {steps} steps, {failures} failed, {:.1} s", took.as_secs_f64());
    assert_eq!(failures, 0, "SIMULATION_FROM=SEED SIMULATION_SEEDS=1 runs one of them");
}
