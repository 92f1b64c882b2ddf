//! The driver on a stage of its own: a disk that takes as long as the test likes.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::name::CounterName;
use quipu_core::node::{Config, RemovesAfter};
use quipu_core::operation::Op;
use quipu_core::storage::records::Records;
use quipu_core::wire::auth::Secret;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;
use crate::access::{Observe, Peers, own};
use crate::handle::{Handle, Kept, Unavailable};
use crate::inbox::inbox;
use crate::network::Counts;
use crate::network::resolve::Resolver;
use crate::os::memory::Size;
use crate::watch::lines;

/// A disk that takes as long as the test likes.
struct SlowDisk {
    appended: mpsc::UnboundedSender<u64>,
    synced: mpsc::UnboundedReceiver<io::Result<u64>>,
}

impl Disk for SlowDisk {
    fn append(&mut self, batch: u64, records: Records) {
        assert!(!records.is_empty(), "these tests only add");
        let _ = self.appended.send(batch);
    }

    async fn news(&mut self) -> io::Result<News> {
        self.synced.recv().await.expect("the test still runs").map(News::Safe)
    }
}

/// A driver, and both ends of everything around it.
struct Stage {
    handle: Handle,
    appended: mpsc::UnboundedReceiver<u64>,
    synced: mpsc::UnboundedSender<io::Result<u64>>,
    leave: oneshot::Sender<()>,
    driver: JoinHandle<io::Result<()>>,
}

impl Stage {
    async fn new() -> Self {
        let own = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = Address::from(own.local_addr().unwrap());
        let (resolver, counts) = (Arc::new(Resolver::new()), Arc::new(Counts::default()));
        let (outside, inbox) = inbox();
        let doors = (Arc::clone(&resolver), Arc::clone(&counts));
        let network = Network::start(own, None, None, &outside, doors.0, doors.1);
        let network = network.await.unwrap();
        let config = Config {
            node: NodeId(1),
            origin: OriginId(1),
            address: address.clone(),
            boot: 1,
            cluster: "test".to_owned(),
            secret: None::<Secret>,
            seeds: Vec::new(),
            discovery: false,
            is_kept: true,
            settles: false,
            removes_after: RemovesAfter::default(),
            chance: [0; 32],
        };
        let node = Node::new(config, Time::ZERO);
        let (to_appended, appended) = mpsc::unbounded_channel();
        let (synced, from_synced) = mpsc::unbounded_channel();
        let disk = SlowDisk { appended: to_appended, synced: from_synced };
        let (leave, leaving) = oneshot::channel();
        let (logged, _) = lines();
        let memory = Arc::new(Memory::new(Some(Size(0))));
        let driver =
            Driver::new(node, Clock::start(), disk, network, inbox, logged, Arc::clone(&memory));
        let (commands, arrivals) = (outside.commands, outside.arrivals);
        let kept = Kept::default();
        let handle = Handle::new(commands, arrivals, address, resolver, counts, kept, memory);
        handle.open();
        Stage { handle, appended, synced, leave, driver: tokio::spawn(driver.run(leaving)) }
    }

    /// Adds one, and waits until the disk has it: the answer to come, and the batch.
    async fn add(&mut self) -> (JoinHandle<Result<Done, Unavailable>>, u64) {
        let handle = self.handle.clone();
        let op = Op::Add { name: CounterName::DEFAULT, by: 1 };
        let answer = tokio::spawn(async move { handle.request(own::ops(vec![op])).await });
        (answer, self.appended.recv().await.unwrap())
    }

    fn sync(&self, batch: u64) {
        self.synced.send(Ok(batch)).unwrap();
    }

    /// Waits until the driver has taken all that it will take for now.
    async fn settle(&self) {
        self.handle.members(&own::ask(Peers)).await.unwrap();
    }
}

fn value(answer: Result<Done, Unavailable>) -> i128 {
    let [Ok(outcome)] = answer.unwrap().results[..] else { panic!("refused") };
    outcome.value.0
}

#[tokio::test]
async fn an_answer_leaves_only_when_its_batch_is_synced() {
    let mut stage = Stage::new().await;
    let (answer, batch) = stage.add().await;
    stage.settle().await;
    assert!(!answer.is_finished());
    stage.sync(batch);
    assert_eq!(value(answer.await.unwrap()), 1);
}

#[tokio::test]
async fn a_reply_is_timed_when_it_leaves_and_from_when_its_request_was_taken() {
    let mut stage = Stage::new().await;
    let (answer, batch) = stage.add().await;
    let taken = Instant::now();
    stage.settle().await;
    assert!(!answer.is_finished(), "it has not left");
    let waited = taken.elapsed();
    stage.sync(batch);
    answer.await.unwrap().unwrap();
    let replied = stage.handle.report(&own::ask(Observe)).await.unwrap().replied;
    assert_eq!(replied.count(), 1);
    // The clock counts whole microseconds.
    assert!(replied.sum() + Duration::from_micros(2) >= waited, "{replied:?}, {waited:?}");
}

#[tokio::test]
async fn a_report_waits_for_the_counts_that_it_tells() {
    let mut stage = Stage::new().await;
    let report = |stage: &Stage| {
        let handle = stage.handle.clone();
        tokio::spawn(async move { handle.report(&own::ask(Observe)).await.unwrap().status })
    };
    let status = report(&stage).await.unwrap();
    assert_eq!((status.version, status.counted, status.counters), (0, 0, 0));
    let (answer, batch) = stage.add().await;
    let behind = report(&stage);
    stage.settle().await;
    assert!(!behind.is_finished(), "told what is not safe");
    stage.sync(batch);
    let status = behind.await.unwrap();
    assert_eq!((status.version, status.counted, status.counters), (1, 1, 1));
    answer.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_report_does_not_wait_for_a_disk_that_hangs_and_tells_what_was_safe_before() {
    let mut stage = Stage::new().await;
    let (answer, batch) = stage.add().await;
    stage.sync(batch);
    answer.await.unwrap().unwrap();
    let _ = stage.handle.report(&own::ask(Observe)).await.unwrap();
    let (_hangs, _) = stage.add().await;
    let began = Instant::now();
    let report = stage.handle.report(&own::ask(Observe)).await.unwrap();
    let took = began.elapsed();
    assert!(took >= reports::PATIENCE && took < 2 * reports::PATIENCE, "{took:?}");
    let status = &report.status;
    assert_eq!((status.version, status.counted, status.counters), (1, 1, 1));
    assert_eq!(report.depths.batches, 1, "the rest is as it is");
}

#[tokio::test]
async fn a_read_waits_for_what_it_may_have_seen_and_for_nothing_else() {
    let mut stage = Stage::new().await;
    let read = |stage: &Stage| {
        let handle = stage.handle.clone();
        let op = Op::Get { name: CounterName::DEFAULT };
        tokio::spawn(async move { handle.request(own::ops(vec![op])).await })
    };
    assert_eq!(value(read(&stage).await.unwrap()), 0, "the disk has nothing to do with it");
    let (answer, batch) = stage.add().await;
    let behind = read(&stage);
    stage.settle().await;
    assert!(!behind.is_finished());
    stage.sync(batch);
    assert_eq!(value(behind.await.unwrap()), 1);
    assert_eq!(value(answer.await.unwrap()), 1);
}

#[tokio::test]
async fn batches_gather_while_others_are_synced_and_one_sync_serves_all() {
    let mut stage = Stage::new().await;
    let (one, first) = stage.add().await;
    let (two, second) = stage.add().await;
    let (three, third) = stage.add().await;
    assert!(first < second && second < third);
    stage.settle().await;
    assert!(!one.is_finished() && !two.is_finished() && !three.is_finished());
    stage.sync(second);
    assert_eq!(value(one.await.unwrap()), 1);
    assert_eq!(value(two.await.unwrap()), 2);
    stage.settle().await;
    assert!(!three.is_finished());
    stage.sync(third);
    assert_eq!(value(three.await.unwrap()), 3);
}

/// Says something without waiting for the answer, then lets the driver have its turn. No time
/// passes.
async fn say(stage: &Stage, op: Op) -> BoxFuture<'static, Result<Done, Unavailable>> {
    let handle = stage.handle.clone();
    let mut answer = async move { handle.request(own::ops(vec![op])).await }.boxed();
    assert!((&mut answer).now_or_never().is_none(), "answered before it was taken");
    tokio::task::yield_now().await;
    answer
}

const INCREMENT: Op = Op::Add { name: CounterName::DEFAULT, by: 1 };

#[tokio::test(start_paused = true)]
async fn a_batch_gathers_for_as_long_as_others_speak() {
    let mut stage = Stage::new().await;
    stage.settle().await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(say(&stage, INCREMENT).await);
    }
    assert!(stage.appended.try_recv().is_err(), "closed while there was more to come");
    let batch = stage.appended.recv().await.unwrap();
    stage.sync(batch);
    for (before, answer) in answers.into_iter().enumerate() {
        assert_eq!(value(answer.await), before as i128 + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_closes_after_its_time_however_much_there_is_to_come() {
    let mut stage = Stage::new().await;
    stage.settle().await;
    let first = say(&stage, INCREMENT).await;
    let mut later = Vec::new();
    for _ in 0..10 {
        later.push(say(&stage, INCREMENT).await);
    }
    assert!(stage.appended.try_recv().is_err(), "others speak still");
    advance(GATHERING_TIME_MAX).await;
    for _ in 0..10 {
        later.push(say(&stage, INCREMENT).await);
    }
    let batch = stage.appended.try_recv().expect("closed though each turn brought more");
    stage.sync(batch);
    assert_eq!(value(first.await), 1);
}

#[tokio::test(start_paused = true)]
async fn reads_do_not_gather() {
    let stage = Stage::new().await;
    stage.settle().await;
    let read = || Op::Get { name: CounterName::DEFAULT };
    let mut first = say(&stage, read()).await;
    for _ in 0..5 {
        drop(say(&stage, read()).await);
    }
    assert!((&mut first).now_or_never().is_some(), "it waited for others, who cost no sync");
}

#[tokio::test]
async fn a_failed_sync_ends_the_driver_and_what_was_not_safe_is_never_told() {
    let mut stage = Stage::new().await;
    let (answer, _) = stage.add().await;
    stage.synced.send(Err(io::Error::other("no space left"))).unwrap();
    let error = stage.driver.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "no space left");
    assert!(matches!(answer.await.unwrap(), Err(Unavailable::Stopping)));
}

#[tokio::test]
async fn a_disk_that_does_not_keep_up_makes_commands_wait() {
    let mut stage = Stage::new().await;
    let mut answers = Vec::new();
    for _ in 0..COMMANDS_WAIT_AT_BATCHES {
        answers.push(stage.add().await);
    }
    let handle = stage.handle.clone();
    let op = Op::Add { name: CounterName::DEFAULT, by: 1 };
    let late = tokio::spawn(async move { handle.request(own::ops(vec![op])).await });
    // On one thread a yield lets every task that can go on do so.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(stage.appended.try_recv().is_err(), "taken though there was no room");
    stage.sync(answers[0].1);
    let batch = stage.appended.recv().await.unwrap();
    stage.sync(batch);
    assert_eq!(value(late.await.unwrap()), COMMANDS_WAIT_AT_BATCHES as i128 + 1);
}

#[tokio::test]
async fn leaving_waits_for_what_was_taken() {
    let mut stage = Stage::new().await;
    let (answer, batch) = stage.add().await;
    drop(stage.leave);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!stage.driver.is_finished());
    stage.synced.send(Ok(batch)).unwrap();
    stage.driver.await.unwrap().unwrap();
    assert_eq!(value(answer.await.unwrap()), 1);
}
