//! One machine with a lying disk, and a node whose batches go to it one by one.

use std::io;

use quipu_core::counters::Counters;
use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::input::Input;
use quipu_core::name::CounterName;
use quipu_core::node::{Config, Node, RemovesAfter};
use quipu_core::operation::{Op, Request};
use quipu_core::outbox::Effects;
use quipu_core::slot::Slot;
use quipu_core::storage;
use quipu_core::storage::journal::{Journal, Limits};
use quipu_core::storage::read::{ReadError, Reading};
use quipu_core::storage::state::Recovered;
use quipu_core::time::Time;
use quipu_sim::directory::Directory;

/// A running process and its files.
pub(crate) struct Machine {
    pub(crate) files: Directory,
    pub(crate) node: Node,
    pub(crate) journal: Journal,
    pub(crate) reading: Reading,
    starts: u64,
}

impl Machine {
    /// A machine that starts for the first time.
    pub(crate) fn new() -> Self {
        Machine::start(Directory::new(1), 1).expect("an empty directory is sound")
    }

    /// Starts with what is found, under a fresh origin.
    pub(crate) fn start(mut files: Directory, starts: u64) -> Result<Self, ReadError> {
        files.restart();
        let origin = OriginId(starts);
        let mut state = Recovered::new(origin, 1);
        let (mut journal, start, reading) =
            storage::open(&mut files, &mut state, |found| found.next_start(NodeId(7), starts))?;
        // Little room at a time: the tests copy these files thousands of times.
        journal.limit(Limits { reserve_bytes: 256, ..Limits::default() });
        let config = Config {
            node: start.node,
            origin,
            address: Address::parse("10.0.0.1:8088", 1).expect("an address"),
            boot: start.boot,
            cluster: "storage".to_owned(),
            secret: None,
            seeds: Vec::new(),
            discovery: false,
            is_kept: true,
            settles: false,
            removes_after: RemovesAfter::default(),
            chance: [9; 32],
        };
        let node = Node::recovered(config, state, Time::ZERO);
        Ok(Machine { files, node, journal, reading, starts })
    }

    /// The process is killed and started again.
    pub(crate) fn restart(self) -> Result<Self, ReadError> {
        Machine::start(self.files, self.starts + 1)
    }

    /// The power is cut, and as much as can be is lost; then the process is started again.
    pub(crate) fn restart_after_the_worst_power_cut(mut self) -> Result<Self, ReadError> {
        self.files.lose_all_that_may_be_lost();
        self.restart()
    }

    /// One batch with one increment, appended and not synced.
    pub(crate) fn add(&mut self, counter: &str, by: i64) {
        let mut records = self.batch(counter, by);
        self.journal.append(&mut self.files, &mut records).expect("a sound disk");
    }

    /// The records of one batch with one increment, not appended.
    pub(crate) fn batch(&mut self, counter: &str, by: i64) -> Vec<u8> {
        let mut effects = Effects::default();
        let op = Op::Add { name: name(counter), by };
        self.node.handle(
            Time::ZERO,
            Input::Request { token: 1, request: Request::from(vec![op]) },
            &mut effects,
        );
        self.node.close_batch(Time::ZERO, &mut effects);
        effects.journal.take()
    }

    pub(crate) fn sync(&mut self) {
        self.journal.sync(&mut self.files).expect("a sound disk");
    }

    pub(crate) fn value(&self, counter: &str) -> i128 {
        self.node.counters().value(counter).0
    }

    /// The segment that is written now.
    pub(crate) fn segment(&self) -> String {
        format!("{:08}.segment", self.journal.number())
    }
}

pub(crate) fn name(text: &str) -> CounterName {
    CounterName::new(text.as_bytes().to_vec()).expect("a counter's name")
}

/// What a start would find, without touching anything.
pub(crate) fn look(files: &Directory) -> Result<(Recovered, Reading), ReadError> {
    let mut state = Recovered::new(OriginId(u64::MAX), 1);
    let reading = storage::check(files, &mut state)?;
    Ok((state, reading))
}

/// Every slot with its version, in order.
pub(crate) fn slots(counters: &Counters) -> Vec<(String, OriginId, u64, Slot)> {
    let mut slots: Vec<_> = counters
        .iter()
        .map(|view| (view.name.to_owned(), view.origin, view.version, view.slot))
        .collect();
    slots.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    slots
}

/// The digest, in order.
pub(crate) fn digest(counters: &Counters) -> Vec<(OriginId, u64, u64)> {
    let mut rows: Vec<_> = counters
        .digest()
        .map(|(origin, known)| (origin, known.version, known.fingerprint))
        .collect();
    rows.sort_unstable();
    rows
}

/// Where a refusal says that the damage is.
pub(crate) fn damage(error: &ReadError) -> (&str, u64) {
    match error {
        ReadError::Damaged { file, offset, .. } => (file, *offset),
        ReadError::Io(error) => panic!("expected damage, found {error}"),
    }
}

/// What an operation that must fail said.
pub(crate) fn refused(result: io::Result<()>) -> String {
    result.expect_err("this must fail").to_string()
}
