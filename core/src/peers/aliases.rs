//! Names under which operators know nodes.

use std::collections::VecDeque;

use crate::identity::NodeId;

/// Where there are more, the one that was noted longest ago goes: to be removed under it, its node
/// must be registered once more.
const ALIASES_MAX: usize = 1024;

/// Each name with its node, the latest last.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    names: VecDeque<(String, NodeId)>,
}

impl Aliases {
    /// Notes the name under which an operator has registered a node.
    pub(super) fn note(&mut self, given: String, node: NodeId) {
        self.names.retain(|(name, _)| *name != given);
        self.names.push_back((given, node));
        if self.names.len() > ALIASES_MAX {
            self.names.pop_front();
        }
    }

    pub(super) fn node(&self, given: &str) -> Option<NodeId> {
        self.names.iter().find(|(name, _)| name == given).map(|(_, node)| *node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_node_is_that_of_its_last_registration_and_names_are_bounded() {
        let mut aliases = Aliases::default();
        for node in [2, 3] {
            aliases.note("one".to_owned(), NodeId(node));
        }
        assert_eq!(aliases.node("one"), Some(NodeId(3)));
        (1..ALIASES_MAX).for_each(|n| aliases.note(format!("{n}"), NodeId(2)));
        assert_eq!(aliases.node("one"), Some(NodeId(3)), "there is room for so many");
        aliases.note("one more".to_owned(), NodeId(2));
        assert_eq!((aliases.node("one"), aliases.node("1")), (None, Some(NodeId(2))));
    }
}
