//! Draws a topology: its topics and nodes and the flow between them, as Mermaid or as DOT.

use super::{Description, NodeKind, Topology};

/// A drawing of a topology.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Graph {
    /// Name of the topology.
    pub topology: String,
    /// Topics and nodes, from the source topic on.
    pub boxes: Vec<GraphBox>,
    /// The flow of rows: numbers of two boxes, from 0.
    pub arrows: Vec<[usize; 2]>,
}

/// A topic or a node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GraphBox {
    /// Its name.
    pub name: String,
    /// The work of a node, in one line.
    pub does: Option<String>,
    /// Whether it is a topic.
    pub is_topic: bool,
}

impl Topology {
    /// The drawing of this topology.
    pub fn graph(&self) -> Graph {
        let Description { topology, nodes, .. } = self.describe();
        let topic = |name: &str| GraphBox { name: name.to_owned(), does: None, is_topic: true };
        let mut boxes = vec![topic(&self.source.topic)];
        for node in nodes {
            let does = match &node.kind {
                NodeKind::Source { .. } | NodeKind::Sink { .. } => None,
                NodeKind::Processor { .. } => node.facts.first().map(|fact| format!("{}: {}", fact.about, fact.text)),
            };
            boxes.push(GraphBox { name: node.name, does, is_topic: false });
        }
        let sink = boxes.len() - 1;
        let mut arrows: Vec<[usize; 2]> = (1..=sink).map(|node| [node - 1, node]).collect();
        for output in [&self.sink.topic, &self.sink.status_topic, &self.sink.dead_letter_topic] {
            arrows.push([sink, boxes.len()]);
            boxes.push(topic(output));
        }
        Graph { topology, boxes, arrows }
    }
}

impl Graph {
    /// The drawing for Mermaid, which GitHub and many editors show (<https://mermaid.js.org/syntax/flowchart.html>).
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        let label = |shown: &GraphBox| {
            let does = shown.does.as_ref().map(|does| format!("<br/>{}", in_mermaid(does))).unwrap_or_default();
            in_mermaid(&shown.name) + &does
        };
        for (number, shown) in self.boxes.iter().enumerate() {
            let [open, close] = if shown.is_topic { ["[(", ")]"] } else { ["[", "]"] };
            text.push_str(&format!("  n{number}{open}\"{}\"{close}\n", label(shown)));
        }
        self.arrows.iter().for_each(|[from, to]| text += &format!("  n{from} --> n{to}\n"));
        text
    }

    /// The drawing for Graphviz (<https://graphviz.org/doc/info/lang.html>).
    pub fn to_dot(&self) -> String {
        let mut text = format!("digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box];\n", in_dot(&self.topology));
        for (number, shown) in self.boxes.iter().enumerate() {
            let does = shown.does.as_ref().map(|does| format!("\\n{}", in_dot(does))).unwrap_or_default();
            let shape = if shown.is_topic { ", shape=cylinder" } else { "" };
            text.push_str(&format!("  n{number} [label=\"{}{does}\"{shape}];\n", in_dot(&shown.name)));
        }
        self.arrows.iter().for_each(|[from, to]| text += &format!("  n{from} -> n{to};\n"));
        text + "}\n"
    }
}

/// Inside quotes Mermaid knows entities, written with `#` in the place of `&`.
fn in_mermaid(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '"' => escaped += "#quot;",
            '#' => escaped += "#35;",
            '<' => escaped += "#lt;",
            '>' => escaped += "#gt;",
            '&' => escaped += "#amp;",
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

fn in_dot(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPOLOGY: &str = r#"
name = "t"
[[source]]
name = "rows"
[[aggregate]]
name = "by-city"
sheet = "{시군|\"a\" <b> #1}"
[[sink]]
name = "workbooks"
"#;

    #[test]
    fn a_topology_is_drawn_from_its_topic_to_its_topics() {
        let topology = Topology::parse(TOPOLOGY, "t.toml", &|_| None).expect("a topology");
        let graph = topology.graph();
        assert_eq!(graph.arrows, [[0, 1], [1, 2], [2, 3], [3, 4], [3, 5], [3, 6]]);
        let topics: Vec<&str> = graph.boxes.iter().filter(|shown| shown.is_topic).map(|shown| &*shown.name).collect();
        assert_eq!(topics, ["t.rows", "t.workbooks", "t.status", "t.dead-letters"]);
        let mermaid = graph.to_mermaid();
        assert!(mermaid.starts_with("flowchart LR\n  n0[(\"t.rows\")]\n  n1[\"rows\"]\n"), "{mermaid}");
        assert!(mermaid.contains("#quot;a#quot; #lt;b#gt; #35;1"), "{mermaid}");
        let dot = graph.to_dot();
        assert!(dot.contains("n0 [label=\"t.rows\", shape=cylinder];") && dot.contains("n3 -> n6;\n}\n"), "{dot}");
        assert!(dot.contains("\\\"a\\\" <b>"), "{dot}");
    }
}
