//! Every family of `/metrics` by name, help, type, unit and labels, in the order in which they are
//! told: dashboards and alerts are written against them. A change shows in the snapshot, and belongs
//! in CHANGELOG.md.

use crate::support::node::Node;

/// An exposition without its values. A family's samples come in any order, and are told in one.
fn described(exposition: &str) -> String {
    let mut described: Vec<String> = Vec::new();
    let mut samples: Vec<String> = Vec::new();
    for line in exposition.lines() {
        if line.starts_with('#') {
            samples.sort();
            described.append(&mut samples);
            described.push(line.to_owned());
        } else if let Some((sample, _)) = line.rsplit_once(' ') {
            samples.push(sample.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
        }
    }
    samples.sort();
    described.append(&mut samples);
    // Which requests have come, and whether the machine bounds memory, is no matter of the node's.
    let is_of_circumstances = |line: &String| {
        ["quipu_http_requests_total{", "quipu_memory_max"].iter().any(|it| line.contains(it))
    };
    described.retain(|line| !is_of_circumstances(line));
    described.join("\n")
}

#[test]
fn every_family_of_metrics_is_described_as_it_always_was() {
    let node = Node::start(&[]);
    insta::assert_snapshot!("text", described(&node.get("/metrics").body));
    let accept = "Accept: application/openmetrics-text";
    let open = node.connect().unwrap().request("GET", "/metrics", &[accept], "").unwrap();
    insta::assert_snapshot!("open_metrics", described(&open.body));
}
