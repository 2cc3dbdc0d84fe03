//! Checks that nodes have names of their own and form one chain: a source, any number of maps, an aggregate, a sink.

use toml::Spanned;

use super::problem::{Findings, nearest};
use super::spec::{NodeKind, NodeSpec};

/// Longest name of a topology or a node: with `.dead-letters` behind it still a topic.
pub(super) const NAME_LENGTH_MAX: usize = 200;

/// Every check of this file.
pub(super) fn check(nodes: &[NodeSpec], findings: &mut Findings) {
    check_names(nodes, findings);
    check_inputs(nodes, findings);
    check_order(nodes, findings);
}

/// A name as Kafka allows it for topics, so that it can be part of one (`org.apache.kafka.common.internals.Topic.validate`).
pub(super) fn check_name(what: &str, name: &Spanned<String>, length_max: usize, findings: &mut Findings) {
    let text = name.get_ref();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > length_max || !text.chars().all(legal) || matches!(text.as_str(), "." | "..") {
        let why =
            format!("it is made of 1 to {length_max} of the characters A-Z a-z 0-9 . _ - and is not \".\" or \"..\"");
        findings.add(name.span(), format!("{what} cannot be \"{text}\""), why);
    }
}

fn check_names(nodes: &[NodeSpec], findings: &mut Findings) {
    for (n, node) in nodes.iter().enumerate() {
        let Some(name) = &node.name else { continue };
        check_name("the name of a node", name, NAME_LENGTH_MAX, findings);
        if nodes[..n].iter().any(|earlier| earlier.name.as_ref() == Some(name)) {
            let why = "errors, metrics and \"input\" identify nodes by their names";
            findings.add(name.span(), format!("a second node is named \"{}\"", name.get_ref()), why);
        }
    }
}

/// In a chain the only parent a node can have is the node before it, named or not.
fn check_inputs(nodes: &[NodeSpec], findings: &mut Findings) {
    for (n, node) in nodes.iter().enumerate() {
        let Some(input) = &node.input else { continue };
        let named = |other: &&NodeSpec| other.name.as_ref() == Some(input);
        let parent = n.checked_sub(1).map(|before| &nodes[before]);
        let (what, why) = if matches!(node.kind, NodeKind::Source(_)) {
            ("a [[source]] has no \"input\"".to_owned(), "it reads its topic".to_owned())
        } else if parent.filter(named).is_some() {
            continue;
        } else if node.name.as_ref() == Some(input) {
            (format!("node \"{}\" is its own input", input.get_ref()), "nodes form a chain, not a cycle".to_owned())
        } else if nodes[n..].iter().any(|later| named(&later)) {
            let what = format!("input \"{}\" is further down", input.get_ref());
            (what, "a parent comes before its children, so that there is no cycle".to_owned())
        } else if nodes[..n].iter().any(|earlier| named(&earlier)) {
            let child = parent.and_then(|node| node.name.as_ref()).map_or("another node", |name| name.get_ref());
            let what = format!("input \"{}\" is not the node before this one", input.get_ref());
            (what, format!("nodes form one chain without branches; the node before is \"{child}\""))
        } else {
            let earlier = nodes[..n].iter().filter_map(|node| node.name.as_ref()).map(|name| name.get_ref().as_str());
            let near = nearest(input.get_ref(), earlier);
            let what = format!("no node is named \"{}\"", input.get_ref());
            findings.add_nearest(input.span(), what, "\"input\" names the node before this one", near);
            continue;
        };
        findings.add(input.span(), what, why);
    }
}

fn check_order(nodes: &[NodeSpec], findings: &mut Findings) {
    for (n, node) in nodes.iter().enumerate() {
        let (place, kind) = node.kind.place();
        let mut earlier = nodes[..n].iter().map(|earlier| earlier.kind.place());
        let only = match node.kind {
            NodeKind::Source(_) => "a topology reads one topic; another topic is another topology",
            NodeKind::Map(_) => "",
            NodeKind::Aggregate(_) => "one key names the sheets of a workbook",
            NodeKind::Sink(_) => "a topology makes one workbook of an upload",
        };
        if !only.is_empty() && earlier.clone().any(|earlier| earlier.0 == place) {
            findings.add(node.span.clone(), format!("a second [[{kind}]]"), only);
        } else if let Some((_, behind)) = earlier.find(|earlier| earlier.0 > place) {
            let why = "rows go from the source through the maps to the aggregate and on to the sink";
            findings.add(node.span.clone(), format!("a [[{kind}]] behind the [[{behind}]]"), why);
        }
    }
}

impl NodeKind {
    /// Its place in the chain, and the table that it is in.
    fn place(&self) -> (u8, &'static str) {
        match self {
            NodeKind::Source(_) => (0, "source"),
            NodeKind::Map(_) => (1, "map"),
            NodeKind::Aggregate(_) => (2, "aggregate"),
            NodeKind::Sink(_) => (3, "sink"),
        }
    }
}
