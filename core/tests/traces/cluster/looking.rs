//! What there is to be seen of the cluster.

use super::*;

impl Cluster {
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// A counter's value in a node's table, asked of nobody.
    pub(crate) fn value(&self, place: Place, counter: &str) -> i128 {
        self.machines[place].node.counters().value(counter).0
    }

    /// Up to which version of `of`'s own the node `at` has everything.
    pub(crate) fn known(&self, at: Place, of: Place) -> Version {
        self.machines[at].node.counters().known(self.origin_of(of)).version
    }

    /// What `GET /peers` would answer.
    pub(crate) fn listed(&self, place: Place) -> Vec<String> {
        let status = self.machines[place].node.status(self.now);
        status.listed_peers().map(str::to_owned).collect()
    }

    pub(crate) fn lists(&self, place: Place, other: Place) -> bool {
        self.listed(place).contains(&self.address_of(other))
    }

    pub(crate) fn state(&self, place: Place, other: Place) -> Option<PeerState> {
        let address = self.address_of(other);
        let status = self.machines[place].node.status(self.now);
        status.peers.iter().find(|peer| peer.address == address).map(|peer| peer.state)
    }

    /// What `place` knows of its link to `other`.
    pub(crate) fn link(&self, place: Place, other: Place) -> Option<LinkStatus> {
        let id = self.id_of(other);
        let status = self.machines[place].node.status(self.now);
        status.peers.iter().find(|peer| peer.node == Some(id)).and_then(|peer| peer.link)
    }

    pub(crate) fn are_linked(&self, one: Place, other: Place) -> bool {
        self.link(one, other).is_some() && self.link(other, one).is_some()
    }

    /// How many connections stand between two nodes.
    pub(crate) fn connections(&self, one: Place, other: Place) -> usize {
        self.network.links(one, other).len()
    }

    pub(crate) fn all_linked(&self) -> bool {
        self.running()
            .all(|one| self.running().all(|other| one == other || self.are_linked(one, other)))
    }

    /// How many nodes there are, running or not.
    pub(crate) fn size(&self) -> usize {
        self.machines.len()
    }

    /// Whether all running nodes tell the same digest: hold the same, ends included.
    pub(crate) fn digests_agree(&self) -> bool {
        let mut digests = self.running().map(|place| {
            let mut digest: Vec<_> = self.machines[place].node.counters().digest().collect();
            digest.sort_unstable_by_key(|(origin, _)| *origin);
            digest
        });
        let first = digests.next();
        digests.all(|digest| Some(&digest) == first.as_ref())
    }

    /// Whether all running nodes hold the same slots.
    pub(crate) fn agree(&self) -> bool {
        let mut tables = self.running().map(|place| {
            let views = self.machines[place].node.counters().iter();
            let mut slots: Vec<_> = views
                .filter(|view| view.slot != Default::default())
                .map(|view| (view.name, view.origin, view.slot))
                .collect();
            slots.sort_unstable_by_key(|(name, origin, _)| (*name, *origin));
            slots
        });
        let first = tables.next();
        tables.all(|table| Some(&table) == first.as_ref())
    }

    /// Frames that left `from` for `to` since a time.
    pub(crate) fn frames(
        &self,
        since: Time,
        from: Place,
        to: Place,
    ) -> impl Iterator<Item = &Sent> + '_ {
        self.sent
            .iter()
            .filter(move |sent| sent.at >= since && sent.from == from)
            .filter(move |sent| sent.to == Some(End::Node(to)))
    }

    /// Whether a node has told of something since a time.
    pub(crate) fn told(&self, since: Time, place: Place, what: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|(at, by, event)| *at >= since && *by == place && what(event))
    }

    /// How many times.
    pub(crate) fn count_told(
        &self,
        since: Time,
        place: Place,
        what: impl Fn(&Event) -> bool,
    ) -> usize {
        let told = self.events.iter().filter(|(at, of, _)| *at >= since && *of == place);
        told.filter(|(.., event)| what(event)).count()
    }
}
