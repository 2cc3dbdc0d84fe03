//! One simulation: what happens next is what the dice say. Everything is on one thread, and the time is made up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sheetstream::record::Offset;
use sheetstream::topology::Topology;
use sheetstream::transport::{Committed, Fence, Guarantee};

use super::cluster::{Brokers, Kind, Trouble};
use super::dice::Dice;
use super::log::Topic;
use super::oracle;
use super::process::{Application, Condition, Process};
use super::publisher::{self, ELSEWHERE, HeaderFrom, Lane, Place};

/// When an upload for which nothing comes is given up.
pub const IDLE: Duration = Duration::from_secs(600);
/// Uploads that may be open at once, where their number is no matter.
pub const PLENTY: usize = 100;
/// More steps than any simulation needs to come to rest.
const REST_STEPS_MAX: usize = 4_000;

/// How a simulation went.
pub struct Outcome {
    /// What happened, step by step.
    pub trace: Vec<String>,
    /// What the oracle finds.
    pub finding: Option<String>,
}

struct World {
    dice: Dice,
    app: Application,
    processes: Vec<Process>,
    lanes: Vec<Lane>,
    now_ms: u64,
    /// Neither the log nor the clock are disturbed.
    is_calm: bool,
    trace: Vec<String>,
}

/// The topology that all processes run.
pub fn topology(header: HeaderFrom, chunk_bytes: usize, open_uploads_max: usize) -> Topology {
    let header = match header {
        HeaderFrom::FirstRow => "\"first\"",
        HeaderFrom::Topology => r#"["sheet", "a", "b"]"#,
    };
    let idle = IDLE.as_secs();
    let text = format!(
        r#"
name = "t"
[[source]]
name = "rows"
header = {header}
idle_timeout = "{idle}s"
open_uploads_max = {open_uploads_max}
[[map]]
name = "chosen"
select = ["sheet", "a"]
[[aggregate]]
name = "by-sheet"
sheet = "sheet"
[[sink]]
name = "workbooks"
record_bytes_max = {chunk_bytes}
workbook = {{ about = false }}
"#
    );
    Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Runs the simulation of a seed to its end.
pub fn simulate(seed: u64) -> Outcome {
    let mut world = World::new(seed);
    let steps = world.dice.between(80, 500);
    for _ in 0..steps {
        world.step();
    }
    let finding = world.come_to_rest().and_then(|()| {
        let cluster = world.app.brokers.lock();
        oracle::judge(&cluster, &world.app.topology, world.app.guarantee, &world.lanes, world.is_calm)
    });
    let finding = finding.err();
    if finding.is_some() {
        let cluster = world.app.brokers.lock();
        let found = oracle::statuses(&cluster, &world.app.topology).map(|status| {
            let log = status.topic_id.as_deref().unwrap_or_default();
            let why = status.failure.as_ref().map_or("", |failure| &failure.reason);
            let (upload, state, partition) = (&status.upload, status.state, status.partition);
            let (revision, offsets, rows) = (status.revision, &status.offsets, &status.accounting);
            format!("found {upload}, revision {revision}: {state:?} {why} in {log:.4}-{partition} {offsets:?} {rows:?}")
        });
        world.trace.extend(found);
    }
    Outcome { trace: world.trace, finding }
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let guarantee = *dice.pick(&[Guarantee::AtLeastOnce, Guarantee::ExactlyOnceV2]);
        let header = *dice.pick(&[HeaderFrom::FirstRow, HeaderFrom::Topology]);
        let partitions = dice.between(1, 3);
        let is_calm = dice.once_in(2);
        let chunk_bytes = *dice.pick(&[2_000, 65_536]);
        let open_uploads_max = if dice.once_in(3) { dice.between(1, 3) } else { PLENTY };
        let topology = Arc::new(topology(header, chunk_bytes, open_uploads_max));
        let brokers = Brokers::new(Topic::new(1, partitions));
        let uploads = dice.between(1, 6);
        let lane = |n: usize, dice: &mut Dice| {
            Lane::new(&format!("{}.csv", ["a", "b", "c", "d", "e", "f"][n]), header, partitions, dice)
        };
        let lanes = (0..uploads).map(|n| lane(n, &mut dice)).collect();
        let processes = (0..dice.between(1, 3)).map(|number| Process::new(number, partitions)).collect();
        let calm = if is_calm { "calm" } else { "disturbed" };
        let trace = vec![format!("{guarantee:?}, {partitions} partitions, {open_uploads_max} uploads at once, {calm}")];
        let app = Application { topology, guarantee, brokers, epoch: Instant::now() };
        World { dice, app, processes, lanes, now_ms: 1_000, is_calm, trace }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.trace.push(what.into());
    }

    fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        let mut cluster = self.app.brokers.lock();
        cluster.now_ms = self.now_ms;
        cluster.end_old_transactions();
    }

    fn step(&mut self) {
        let ms = self.dice.below(40) as u64;
        self.advance(ms);
        match self.dice.below(if self.is_calm { 90 } else { 100 }) {
            0..30 => self.publish(),
            30..70 => self.take_a_turn(),
            70..75 => self.move_a_partition(),
            75..78 => self.arm(),
            78..80 => self.kill(),
            80..83 => self.revive(),
            83 => self.freeze(),
            84..86 => self.stumble(),
            86 => self.unseen(),
            87 => self.stand_by(),
            88..90 => self.learn(),
            90..92 => self.delete_records(),
            92 => self.recreate(),
            93 => self.add_a_partition(),
            94..96 => self.cut(),
            96..98 => self.jump(),
            _ => self.reset(),
        }
        self.bury();
    }

    fn publish(&mut self) {
        let lane = self.dice.below(self.lanes.len());
        for _ in 0..self.dice.between(1, 4) {
            let lane = &mut self.lanes[lane];
            let Some(record) = lane.next().cloned() else { return };
            let mut cluster = self.app.brokers.lock();
            let partition = lane.partition();
            let what = publisher::shown(&record);
            let (log, offset) = (cluster.source.id, cluster.source.partitions[partition].append(record));
            // The log was cut since the offset was set.
            let is_skipped =
                matches!(cluster.group.committed.get(&partition), Some(Committed::Reset(to)) if offset < to.0);
            drop(cluster);
            let (id, at) = (lane.publications[lane.at].id.clone(), lane.at);
            lane.sent(log, partition, offset);
            if let Some(place) = lane.publications[at].place.as_mut().filter(|_| is_skipped) {
                place.disturbed.insert("reset");
            }
            self.trace.push(format!("{id} #{at} writes {partition}-{offset} {what}"));
        }
    }

    /// A process that runs and a partition that it holds.
    fn a_task(&mut self) -> Option<(usize, usize)> {
        let number = self.dice.below(self.processes.len());
        let process = &self.processes[number];
        let held: Vec<usize> = process.holds.keys().copied().collect();
        (process.runs() && !held.is_empty()).then(|| (number, *self.dice.pick(&held)))
    }

    /// A process begins to be behind the owner of a partition, or ends it. Who sees the group differently may be behind nobody.
    fn stand_by(&mut self) {
        let number = self.dice.below(self.processes.len());
        let partition = self.dice.below(self.app.brokers.lock().source.partitions.len());
        let process = &mut self.processes[number];
        if !process.runs() || process.holds.contains_key(&partition) {
            return;
        }
        let done = if process.standbys.contains_key(&partition) {
            process.stand_down(partition);
            "stands down".to_owned()
        } else {
            process.stand_by(partition, &self.app)
        };
        self.note(format!("process {number}: {partition} {done}"));
    }

    /// A standby takes a turn.
    fn follow(&mut self) {
        let number = self.dice.below(self.processes.len());
        let process = &self.processes[number];
        let standbys: Vec<usize> = process.standbys.keys().copied().collect();
        if process.runs() && !standbys.is_empty() {
            let (partition, fetch) = (*self.dice.pick(&standbys), self.dice.below(12));
            self.follow_on(number, partition, fetch);
        }
    }

    fn follow_on(&mut self, number: usize, partition: usize, fetch: usize) {
        let done = self.processes[number].follow(partition, self.now_ms, fetch);
        if !done.is_empty() {
            self.note(format!("process {number}: standby of {partition} {done}"));
        }
    }

    fn take_a_turn(&mut self) {
        self.follow();
        let Some((number, partition)) = self.a_task() else { return };
        let fetch = if self.dice.once_in(4) { 0 } else { self.dice.between(1, 12) };
        let process = !self.dice.once_in(5);
        self.turn(number, partition, fetch, process);
        if let Condition::Zombie(turns) = &mut self.processes[number].condition {
            *turns -= 1;
            if *turns == 0 {
                self.processes[number].rejoin();
                self.note(format!("process {number} notices that it was put out"));
            }
        }
    }

    fn turn(&mut self, number: usize, partition: usize, fetch: usize, process: bool) {
        let done = self.processes[number].turn(partition, &self.app, self.now_ms, fetch, process);
        if !done.is_empty() && done != "waits" {
            self.note(format!("process {number}: {partition} {done}"));
        }
    }

    /// Gives a partition to a process that the group knows.
    fn move_a_partition(&mut self) {
        let partition = self.dice.below(self.app.brokers.lock().source.partitions.len());
        let to = self.dice.below(self.processes.len());
        self.assign(partition, to);
    }

    fn assign(&mut self, partition: usize, to: usize) {
        if self.processes[to].condition != Condition::Runs {
            return;
        }
        let owner = self.app.brokers.lock().group.owners.get(&partition).map(|(member, _)| member.clone());
        let from = self.processes.iter().position(|process| Some(process.member()) == owner);
        if from == Some(to) {
            return;
        }
        if let Some(from) = from {
            let closed = self.processes[from].revoke(partition);
            self.note(format!("process {from} lets {partition} go: {closed:?}"));
            self.bury();
        }
        let member = self.processes[to].member();
        let mut cluster = self.app.brokers.lock();
        cluster.group.epoch += 1;
        let epoch = cluster.group.epoch;
        cluster.group.owners.insert(partition, (member.clone(), epoch));
        drop(cluster);
        self.processes[to].assign(partition, Fence { member, epoch });
        // The others hear of the epoch sooner or later.
        for process in self.processes.iter_mut().filter(|process| process.condition == Condition::Runs) {
            if self.dice.once_in(2) {
                process.set_epoch(epoch);
            }
        }
        self.note(format!("process {to} is given {partition}, epoch {epoch}"));
    }

    /// The group puts a member out.
    fn put_out(&mut self, number: usize) {
        let member = self.processes[number].member();
        self.app.brokers.lock().group.owners.retain(|_, (owner, _)| *owner != member);
    }

    fn arm(&mut self) {
        let process = self.dice.below(self.processes.len());
        let (after, kind) = (self.dice.below(10), *self.dice.pick(&Kind::ALL));
        self.app.brokers.lock().trouble = Some(Trouble { process, after, kind });
        self.note(format!("after {after} calls process {process} meets {kind:?}"));
    }

    fn kill(&mut self) {
        let number = self.dice.below(self.processes.len());
        if self.processes[number].condition == Condition::Runs {
            self.end(number);
        }
    }

    /// kill -9, and the group hears of it.
    fn end(&mut self, number: usize) {
        let keeps_state = self.dice.once_in(2);
        self.put_out(number);
        self.processes[number].die(keeps_state);
        self.note(format!("process {number} is dead, its state {}", if keeps_state { "kept" } else { "lost" }));
    }

    /// Those that died in a call.
    fn bury(&mut self) {
        let dead = std::mem::take(&mut self.app.brokers.lock().dead);
        dead.into_iter().for_each(|number| self.end(number));
    }

    fn revive(&mut self) {
        let number = self.dice.below(self.processes.len());
        let turns = self.dice.between(1, 6);
        let process = &mut self.processes[number];
        match process.condition {
            Condition::Down => process.restart(),
            Condition::Frozen => process.condition = Condition::Zombie(turns),
            Condition::Runs | Condition::Zombie(_) => return,
        }
        let condition = process.condition;
        self.note(format!("process {number}: {condition:?}"));
    }

    fn freeze(&mut self) {
        let number = self.dice.below(self.processes.len());
        if self.processes[number].condition == Condition::Runs {
            self.put_out(number);
            self.processes[number].freeze();
            self.note(format!("process {number} is stopped, and put out of the group"));
        }
    }

    fn stumble(&mut self) {
        let Some((number, partition)) = self.a_task() else { return };
        self.processes[number].stumble(partition, self.now_ms);
        self.note(format!("process {number}: {partition} fails"));
    }

    fn unseen(&mut self) {
        let mut cluster = self.app.brokers.lock();
        let partition = self.dice.below(cluster.source.partitions.len());
        cluster.source.partitions[partition].append_unseen();
    }

    /// Processes and publishers learn how many partitions there are.
    fn learn(&mut self) {
        let count = self.app.brokers.lock().source.partitions.len();
        let number = self.dice.below(self.processes.len() + self.lanes.len());
        match number.checked_sub(self.processes.len()) {
            None => self.processes[number].count_partitions(count),
            Some(lane) => self.lanes[lane].partition_count = count,
        }
    }

    /// Something happened to the log or the clock: which publications may not end as their publishers want.
    fn disturb(&mut self, how: &'static str, is_meant: impl Fn(&Place) -> bool) {
        for publication in self.lanes.iter_mut().flat_map(|lane| &mut lane.publications) {
            if let Some(place) = publication.place.as_mut().filter(|place| is_meant(place)) {
                place.disturbed.insert(how);
            }
        }
    }

    fn delete_records(&mut self) {
        let mut cluster = self.app.brokers.lock();
        let (id, partition) = (cluster.source.id, self.dice.below(cluster.source.partitions.len()));
        let log = &mut cluster.source.partitions[partition];
        let some = log.start + self.dice.below((log.end - log.start) as usize + 1) as i64;
        let below = if self.dice.once_in(3) { log.end } else { some };
        log.delete_below(below);
        drop(cluster);
        self.disturb("retention", |place| place.log == id && place.partition == partition && place.first < below);
        self.behead(|place| place.log == id && place.partition == partition && place.last < below);
        self.note(format!("{partition} begins at {below}"));
    }

    /// Nothing is left of what was sent of these publications, and more is to come. No status says that they are there.
    fn behead(&mut self, is_meant: impl Fn(&Place) -> bool) {
        let cluster = self.app.brokers.lock();
        let statuses: Vec<_> = oracle::statuses(&cluster, &self.app.topology).collect();
        drop(cluster);
        for publication in self.lanes.iter_mut().flat_map(|lane| &mut lane.publications) {
            let is_under_way = publication.is_under_way();
            let Some(place) = publication.place.as_mut().filter(|place| is_under_way && is_meant(place)) else {
                continue;
            };
            let log = place.log.to_string();
            let is_known = statuses.iter().any(|status| {
                status.upload == publication.id
                    && status.topic_id.as_deref() == Some(&log)
                    && usize::try_from(status.partition) == Ok(place.partition)
                    && (place.first..=place.last).contains(&status.offsets.first.0)
            });
            if !is_known {
                place.disturbed.insert("beheaded");
            }
        }
    }

    fn cut(&mut self) {
        let mut cluster = self.app.brokers.lock();
        let (id, partition) = (cluster.source.id, self.dice.below(cluster.source.partitions.len()));
        let log = &mut cluster.source.partitions[partition];
        let back = self.dice.below(8).min((log.end - log.start) as usize) as i64;
        let end = log.end - back;
        log.cut(end);
        drop(cluster);
        for publication in self.lanes.iter_mut().flat_map(|lane| &mut lane.publications) {
            let is_under_way = publication.is_under_way();
            let is_here = |place: &&mut Place| place.log == id && place.partition == partition;
            let Some(place) = publication.place.as_mut().filter(is_here) else { continue };
            if end <= place.last || place.disturbed.contains(ELSEWHERE) {
                place.disturbed.insert("cut");
            }
            if is_under_way {
                place.disturbed.insert("over a cut"); // it fails, although none of its records was there
            }
            (place.first, place.last) = (place.first.min(end), place.last.min(end - 1));
        }
        self.note(format!("{partition} is cut at {end}"));
    }

    fn recreate(&mut self) {
        let mut cluster = self.app.brokers.lock();
        let (id, partitions) = (cluster.source.id, cluster.source.partitions.len());
        cluster.source = Topic::new(id.0[0] + 1, partitions);
        // The coordinator deletes the offsets of a topic that is deleted; a commit that was under way comes after.
        let are_deleted = self.dice.once_in(2);
        cluster.group.committed.retain(|_, committed| matches!(committed, Committed::Ours(_)) && !are_deleted);
        drop(cluster);
        self.behead(|place| place.log == id);
        for lane in &mut self.lanes {
            lane.meet_another_log(self.dice.once_in(2));
        }
        self.note("the topic is made anew");
    }

    fn add_a_partition(&mut self) {
        let mut cluster = self.app.brokers.lock();
        if cluster.source.partitions.len() < 4 {
            cluster.source.partitions.push(super::log::Log::default());
            drop(cluster);
            self.note("a partition is added");
        }
    }

    fn jump(&mut self) {
        let by = IDLE.as_millis() as u64 * self.dice.between(1, 12) as u64 / 10;
        self.advance(by);
        self.disturb("clock", |_| true);
        self.note(format!("the clock jumps by {by} ms"));
    }

    /// Somebody sets the offset of a group without members.
    fn reset(&mut self) {
        let mut cluster = self.app.brokers.lock();
        if !cluster.group.owners.is_empty() {
            return;
        }
        let (id, partition) = (cluster.source.id, self.dice.below(cluster.source.partitions.len()));
        let log = &mut cluster.source.partitions[partition];
        let some = log.start + self.dice.below((log.end - log.start) as usize + 1) as i64;
        let to = if self.dice.once_in(2) { log.end } else { some };
        log.was_set = true;
        cluster.group.committed.insert(partition, Committed::Reset(Offset(to)));
        drop(cluster);
        self.disturb("reset", |place| place.log == id && place.partition == partition);
        self.behead(|place| place.log == id && place.partition == partition && place.last < to);
        self.note(format!("the offset of {partition} is set to {to}"));
    }

    /// Nothing goes wrong any more: all is processed, and what is open is given up.
    fn come_to_rest(&mut self) -> Result<(), String> {
        self.app.brokers.lock().trouble = None;
        for number in 0..self.processes.len() {
            match self.processes[number].condition {
                Condition::Down => self.processes[number].restart(),
                Condition::Frozen | Condition::Zombie(_) => self.processes[number].rejoin(),
                Condition::Runs => {}
            }
        }
        let partitions = self.app.brokers.lock().source.partitions.len();
        for partition in 0..partitions {
            let owned = self.app.brokers.lock().group.owners.contains_key(&partition);
            if !owned {
                let to = self.dice.below(self.processes.len());
                self.assign(partition, to);
            }
        }
        self.processes.iter_mut().for_each(|process| process.count_partitions(partitions));
        self.rest()?;
        // Twice: what waits for the oldest upload is given up after it.
        for _ in 0..2 {
            self.advance(IDLE.as_millis() as u64 + 1_000);
            self.rest()?;
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), String> {
        let partitions = self.app.brokers.lock().source.partitions.len();
        let mut quiet = 0;
        for _ in 0..REST_STEPS_MAX {
            self.advance(200);
            for number in 0..self.processes.len() {
                let held: Vec<usize> = self.processes[number].holds.keys().copied().collect();
                held.into_iter().for_each(|partition| self.turn(number, partition, 50, true));
                let standbys: Vec<usize> = self.processes[number].standbys.keys().copied().collect();
                standbys.into_iter().for_each(|partition| self.follow_on(number, partition, 50));
            }
            let rests = |partition: &usize| self.processes.iter().any(|p| p.is_at_rest(*partition, &self.app));
            quiet = if (0..partitions).all(|partition| rests(&partition)) { quiet + 1 } else { 0 };
            if quiet > 2 {
                return Ok(());
            }
        }
        Err("stuck: not all is processed and committed".into())
    }
}
