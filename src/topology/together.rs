//! Topologies of one process or command. Names and some topics belong to one of them alone.

use std::path::{Path, PathBuf};

use super::{Problems, Topology};
use crate::source::Placement;

/// Topologies, each with its file. None of them takes the place of another.
#[derive(Debug, Default)]
pub struct Together(Vec<(PathBuf, Topology)>);

impl Together {
    /// Loads one more. It is refused, in words that name both files, if it has a name or a topic that belongs to another.
    pub fn load(&mut self, file: &Path) -> Result<&Topology, Problems> {
        let topology = Topology::load(file)?;
        for (other_file, other) in &self.0 {
            let refuse = |what: String, why| Problems::of_file(&file.display().to_string(), what, why);
            let other_file = other_file.display();
            if topology.name == other.name {
                let what = format!("\"name\" is \"{}\", and so is that of {other_file}", other.name);
                return Err(refuse(what, "one of the two would not run: give one of them another \"name\""));
            }
            if let Some((topic, key, other_key)) = clash(&topology, other) {
                let what = format!("{key} is the topic \"{topic}\", and so is {other_key} of {other_file}");
                return Err(refuse(what, "the topic belongs to one topology: give the other one another topic"));
            }
        }
        self.0.push((file.to_owned(), topology));
        Ok(&self.0[self.0.len() - 1].1)
    }

    /// The topologies in the order in which they were loaded.
    pub fn into_topologies(self) -> Vec<Topology> {
        self.0.into_iter().map(|(_, topology)| topology).collect()
    }
}

/// A topic that one of two topologies writes and that belongs to the other one, and the key of each.
fn clash<'t>(topology: &'t Topology, other: &'t Topology) -> Option<(&'t str, &'static str, &'static str)> {
    let others = written(other);
    written(topology).into_iter().find_map(|(key, topic, is_own)| {
        let same = |(_, other_topic, is_others): &&(_, &str, bool)| *other_topic == topic && (is_own || *is_others);
        others.iter().find(same).map(|(other_key, ..)| (topic, key, *other_key))
    })
}

/// The topics that a topology writes: the key, the name, and whether the topic belongs to it alone.
fn written(topology: &Topology) -> Vec<(&'static str, &str, bool)> {
    let sink = &topology.sink;
    let mut written = vec![
        ("\"topic\" of the sink", &*sink.topic, false),
        ("\"status_topic\"", &*sink.status_topic, true),
        ("\"dead_letter_topic\"", &*sink.dead_letter_topic, false),
    ];
    if let Placement::Spread(spread) = &topology.source.placement {
        written.push(("the repartition topic", &*spread.repartition_topic, true));
    }
    written
}
