//! What lies between the nodes of a test: connections, and who can reach whom.
//!
//! A connection is two pipes, each first in, first out: it loses nothing, doubles nothing, and
//! ends (rule `link-loses-nothing`). What a test may do is hold a pipe, so that nothing comes out
//! of it, and break a connection, so that what it holds is gone and both ends learn of it.
//! Datagrams are dropped where their way is cut.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use quipu_core::input::LinkId;

/// A node of the test, by the order in which it was started.
pub(crate) type Place = usize;

/// Who holds one end of a connection: a node, or the test itself in a stranger's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Node(Place),
    Stranger,
}

#[derive(Debug)]
pub(crate) enum Item {
    Frame(Bytes),
    End,
}

/// One of a connection's two directions: what is on its way to `to`.
#[derive(Debug)]
struct Pipe {
    to: End,
    items: VecDeque<Item>,
    /// Whether its reader still listens.
    is_open: bool,
}

/// Every connection has two ends, and each end a name of its own: 2n is the dialer's, 2n + 1 the
/// acceptor's.
fn other_end(link: LinkId) -> LinkId {
    link ^ 1
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    /// By the reader's name for the connection.
    pipes: BTreeMap<LinkId, Pipe>,
    connections: u64,
    /// Ways on which nothing passes: neither datagrams nor frames nor dials.
    cut: BTreeSet<(Place, Place)>,
    /// Ways on which frames wait.
    held: BTreeSet<(Place, Place)>,
    /// Ways on which nobody can open a connection.
    undialable: BTreeSet<(Place, Place)>,
}

impl Network {
    /// Opens a connection: its dialer's and its acceptor's name for it.
    pub(crate) fn connect(&mut self, dialer: End, acceptor: End) -> (LinkId, LinkId) {
        let link = 2 * self.connections;
        self.connections += 1;
        let pipe = |to| Pipe { to, items: VecDeque::new(), is_open: true };
        self.pipes.insert(link, pipe(dialer));
        self.pipes.insert(other_end(link), pipe(acceptor));
        (link, other_end(link))
    }

    /// Puts something into the pipe that leads away from `link`; tells that pipe's name, if
    /// anyone still reads there.
    pub(crate) fn put(&mut self, link: LinkId, item: Item) -> Option<LinkId> {
        let pipe = self.pipes.get_mut(&other_end(link)).filter(|pipe| pipe.is_open)?;
        pipe.items.push_back(item);
        Some(other_end(link))
    }

    /// Takes what comes next out of a pipe, unless it is held.
    pub(crate) fn take(&mut self, link: LinkId) -> Option<(End, Item)> {
        if self.is_held(link) {
            return None;
        }
        let pipe = self.pipes.get_mut(&link).filter(|pipe| pipe.is_open)?;
        let item = pipe.items.pop_front()?;
        if matches!(item, Item::End) {
            pipe.is_open = false;
        }
        Some((pipe.to, item))
    }

    /// Stops reading a pipe.
    pub(crate) fn close(&mut self, link: LinkId) {
        if let Some(pipe) = self.pipes.get_mut(&link) {
            pipe.is_open = false;
            pipe.items.clear();
        }
    }

    fn is_held(&self, link: LinkId) -> bool {
        let ends = (self.end(other_end(link)), self.end(link));
        let (Some(End::Node(from)), Some(End::Node(to))) = ends else { return false };
        self.cut.contains(&(from, to)) || self.held.contains(&(from, to))
    }

    pub(crate) fn end(&self, link: LinkId) -> Option<End> {
        self.pipes.get(&link).map(|pipe| pipe.to)
    }

    /// Who reads what is written to `link`.
    pub(crate) fn reader_of(&self, link: LinkId) -> Option<End> {
        self.end(other_end(link))
    }

    /// Names of the open connections that `from` has to `to`, as `from` calls them.
    pub(crate) fn links(&self, from: Place, to: Place) -> Vec<LinkId> {
        self.links_of(from)
            .into_iter()
            .filter(|link| self.reader_of(*link) == Some(End::Node(to)))
            .collect()
    }

    /// Names of all open connections of a node.
    pub(crate) fn links_of(&self, place: Place) -> Vec<LinkId> {
        self.pipes
            .iter()
            .filter(|(_, pipe)| pipe.is_open && pipe.to == End::Node(place))
            .map(|(link, _)| *link)
            .collect()
    }

    /// Pipes out of which something may come: one name for each item.
    pub(crate) fn waiting(&self) -> Vec<LinkId> {
        let of = |(link, pipe): (&LinkId, &Pipe)| std::iter::repeat_n(*link, pipe.items.len());
        self.pipes.iter().flat_map(of).collect()
    }

    pub(crate) fn cut(&mut self, from: Place, to: Place) {
        self.cut.insert((from, to));
    }

    pub(crate) fn mend(&mut self, from: Place, to: Place) {
        self.cut.remove(&(from, to));
    }

    pub(crate) fn hold(&mut self, from: Place, to: Place) {
        self.held.insert((from, to));
    }

    pub(crate) fn release(&mut self, from: Place, to: Place) {
        self.held.remove(&(from, to));
    }

    pub(crate) fn forbid_dial(&mut self, from: Place, to: Place) {
        self.undialable.insert((from, to));
    }

    pub(crate) fn allow_dial(&mut self, from: Place, to: Place) {
        self.undialable.remove(&(from, to));
    }

    pub(crate) fn can_send(&self, from: Place, to: Place) -> bool {
        !self.cut.contains(&(from, to))
    }

    pub(crate) fn can_dial(&self, from: Place, to: Place) -> bool {
        self.can_send(from, to) && self.can_send(to, from) && !self.undialable.contains(&(from, to))
    }
}
