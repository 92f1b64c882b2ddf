//! Several nodes, and whether they agree.

use std::collections::BTreeSet;
use std::fmt;

use crate::ask::Node;
use crate::failure::Failure;

/// Nodes in order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nodes(Vec<Node>);

impl Nodes {
    pub(crate) fn new(mut nodes: Vec<Node>) -> Self {
        nodes.sort_by_key(|node| node.number);
        Nodes(nodes)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.0.iter()
    }

    /// The node of that number, if it is one of these.
    pub(crate) fn find(&self, number: u16) -> Option<&Node> {
        self.0.iter().find(|node| node.number == number)
    }

    /// The node of that number.
    pub(crate) fn node(&self, number: u16) -> Result<&Node, Failure> {
        let missing = || format!("expected node{number} to run; found {self}");
        self.find(number).ok_or_else(|| Failure::Unable(missing()))
    }

    /// All but one.
    pub(crate) fn without(&self, number: u16) -> Nodes {
        Nodes(self.0.iter().filter(|node| node.number != number).cloned().collect())
    }

    /// Whether each of them lists this address.
    pub(crate) fn all_list(&self, address: &str) -> bool {
        self.0.iter().all(|node| {
            node.peers().is_ok_and(|peers| peers.value.iter().any(|peer| peer == address))
        })
    }

    /// Whether each of them answers, and does not list this address.
    pub(crate) fn none_list(&self, address: &str) -> bool {
        self.0.iter().all(|node| {
            node.peers().is_ok_and(|peers| peers.value.iter().all(|peer| peer != address))
        })
    }

    /// Whether each of them shows this count.
    pub(crate) fn all_count(&self, expected: i64) -> bool {
        self.0.iter().all(|node| node.count().is_ok_and(|found| found.value.count == expected))
    }

    /// Whether all show the same count.
    pub(crate) fn counts_are_equal(&self) -> bool {
        self.0.first().is_none_or(|first| {
            first.count().is_ok_and(|count| self.without(first.number).all_count(count.value.count))
        })
    }

    /// Whether every one answers, and lists every other.
    pub(crate) fn lists_are_complete(&self) -> bool {
        let asked = self.0.iter().map(|node| {
            Ok::<_, Failure>(Listing { own: node.address()?, peers: node.peers()?.value })
        });
        asked.collect::<Result<Vec<_>, _>>().is_ok_and(|listings| are_complete(&listings))
    }

    /// For people: `node1 7, node2 7`.
    pub(crate) fn show_counts(&self) -> String {
        let shown = self.0.iter().map(|node| match node.count() {
            Ok(found) => format!("{node} {}", found.value.count),
            Err(_) => format!("{node} does not answer"),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// For people: `node1, node2`.
impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(Node::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// For people: the peers of one node.
pub(crate) fn show_peers(node: &Node) -> String {
    match node.peers() {
        Ok(peers) if peers.value.is_empty() => "no other node".to_owned(),
        Ok(peers) => peers.value.join(" "),
        Err(_) => "(it does not answer)".to_owned(),
    }
}

/// A node's own address, and what it lists.
struct Listing {
    own: String,
    peers: Vec<String>,
}

/// Whether each list has every address that any node has or lists, once, but for the node's own.
fn are_complete(listings: &[Listing]) -> bool {
    let all: BTreeSet<&str> = listings
        .iter()
        .flat_map(|listing| listing.peers.iter().chain([&listing.own]))
        .map(String::as_str)
        .collect();
    listings.iter().all(|listing| {
        let mut listed: Vec<&str> = listing.peers.iter().map(String::as_str).collect();
        listed.sort_unstable();
        listed.into_iter().eq(all.iter().copied().filter(|address| *address != listing.own))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete<const N: usize>(listings: [(&str, &[&str]); N]) -> bool {
        let listing = |(own, peers): (&str, &[&str])| Listing {
            own: own.to_owned(),
            peers: peers.iter().copied().map(str::to_owned).collect(),
        };
        are_complete(&listings.map(listing))
    }

    #[test]
    fn lists_are_complete_when_each_has_all_others_in_any_order() {
        assert!(complete([
            ("a:1", &["c:3", "b:2"]),
            ("b:2", &["a:1", "c:3"]),
            ("c:3", &["a:1", "b:2"])
        ]));
        assert!(complete([("a:1", &[])]));
    }

    #[test]
    fn a_list_that_lacks_a_node_is_not_complete() {
        assert!(!complete([("a:1", &["b:2"]), ("b:2", &[])]));
        assert!(!complete([("a:1", &[]), ("b:2", &[])]));
    }

    #[test]
    fn a_node_that_lists_itself_is_not_complete() {
        assert!(!complete([("a:1", &["a:1", "b:2"]), ("b:2", &["a:1"])]));
    }

    #[test]
    fn a_peer_that_only_one_node_lists_makes_the_others_incomplete() {
        assert!(!complete([("a:1", &["b:2", "gone:9"]), ("b:2", &["a:1"])]));
        assert!(complete([("a:1", &["b:2", "more:9"]), ("b:2", &["a:1", "more:9"])]));
    }

    #[test]
    fn a_peer_that_is_listed_twice_is_one_too_many() {
        assert!(!complete([("a:1", &["b:2", "b:2"]), ("b:2", &["a:1"])]));
    }

    #[test]
    fn nodes_stand_in_order_of_their_numbers() {
        let nodes = Nodes::new([10, 1, 3].map(|number| Node { number, port: 0 }).into());
        assert_eq!(nodes.to_string(), "node1, node3, node10");
        assert_eq!(nodes.without(3).to_string(), "node1, node10");
        assert!(nodes.find(2).is_none());
        assert_eq!(
            nodes.node(2).unwrap_err().to_string(),
            "expected node2 to run; found node1, node3, node10"
        );
    }
}
