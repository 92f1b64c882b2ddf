//! What was asked and what was said, as text that a stranger can read.

use super::node::Node;

/// Makes calls one after the other and writes down what was said.
pub fn transcript(node: &Node, calls: &[(&str, &str, &str)]) -> String {
    let mut lines = String::new();
    let random = node.get("/status").json()["node"].as_str().unwrap_or("none").to_owned();
    for (method, path, body) in calls {
        let answer = node.request(method, path, body);
        let said = answer.body.replace(&node.id(), "[node_id]").replace(&random, "[random]");
        let call = format!("{method} {path} {body}");
        lines.push_str(&format!("{}\n  {} {said}\n", call.trim_end(), answer.status));
    }
    lines
}
