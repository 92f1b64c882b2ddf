//! A cluster whose nodes keep their data, die of kill -9 again and again while clients count, and
//! are started anew each time.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use super::chaos::Chance;
use super::cluster::Meeting;
use super::data::DataDirectory;
use super::node::{Node, PROGRAM, free_address};
use super::wait::{say_loudly, wait_until};
use super::writers::{Writers, Written};

/// How long nodes may take to become equal after the last start.
const AGREEING_TIME_MAX: Duration = Duration::from_secs(10);

/// Who dies at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victims {
    All,
    /// A random one, or all, with a chance of one in four.
    OneOrAll,
}

/// What shall happen.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub nodes: u8,
    pub clients: u64,
    pub rounds: u64,
    /// Rounds last a random time up to this, or all of it.
    pub pause: Duration,
    pub is_random: bool,
    pub victims: Victims,
    pub flags: &'static [&'static str],
}

/// What has happened.
#[derive(Debug)]
pub struct Storm {
    pub acknowledged: u64,
    pub unanswered: u64,
    pub lasted: Duration,
}

impl Storm {
    pub fn per_second(&self) -> f64 {
        self.acknowledged as f64 / self.lasted.as_secs_f64()
    }
}

/// Lets it happen. Fails unless every client's counter ends between what was acknowledged and that
/// with what was not answered, equal on all nodes in time, and so again after one more death of all.
#[track_caller]
pub fn weather(plan: &Plan) -> Storm {
    let mut chance = Chance::fresh();
    let meeting = Meeting::by_hand();
    let mut members = Members::start(plan, &meeting);
    let addresses: Vec<_> = members.0.iter().map(|member| member.address).collect();
    let began = Instant::now();
    let writers = Writers::on(&addresses, plan.clients, &chance);
    for _ in 0..plan.rounds {
        let millis = u64::try_from(plan.pause.as_millis()).expect("short");
        let millis = if plan.is_random { chance.below(millis) } else { millis };
        // The random moment is the story, not a way to wait for something.
        thread::sleep(Duration::from_millis(millis));
        let all = plan.victims == Victims::All || chance.below(4) == 0;
        let one = chance.below(u64::from(plan.nodes)) as usize;
        members.kill_and_start(if all { None } else { Some(one) }, &meeting);
    }
    let lasted = began.elapsed();
    let started = Instant::now();
    let written = writers.stop();
    let values = members.agreed(&written, AGREEING_TIME_MAX);
    let agreed_after = started.elapsed();
    let (mut lost, mut doubled) = (0, 0);
    for (written, value) in written.iter().zip(&values) {
        lost += written.acknowledged.saturating_sub(*value);
        doubled += value.saturating_sub(written.acknowledged + written.unanswered);
    }
    let storm = Storm {
        acknowledged: written.iter().map(|written| written.acknowledged).sum(),
        unanswered: written.iter().map(|written| written.unanswered).sum(),
        lasted,
    };
    say_loudly(&format!(
        "seed {}: {} nodes, {} clients, {} rounds in {lasted:.1?}: {} acknowledged ({:.0} a second), {} \
         unanswered, lost {lost}, doubled {doubled}, equal {agreed_after:.1?} after the last start",
        chance.seed,
        plan.nodes,
        plan.clients,
        plan.rounds,
        storm.acknowledged,
        storm.per_second(),
        storm.unanswered
    ));
    assert_eq!((lost, doubled), (0, 0), "seed {}: {values:?} of {written:?}", chance.seed);

    members.kill_and_start(None, &meeting);
    assert_eq!(members.agreed(&written, AGREEING_TIME_MAX), values, "seed {}", chance.seed);
    storm
}

struct Member {
    address: SocketAddr,
    data: DataDirectory,
    node: Node,
    flags: Vec<String>,
}

struct Members(Vec<Member>);

impl Members {
    fn start(plan: &Plan, meeting: &Meeting) -> Members {
        let mut members: Vec<Member> = Vec::new();
        for number in 1..=plan.nodes {
            let address = free_address(Ipv4Addr::new(127, 0, 1, number));
            let data = DataDirectory::empty();
            let mut flags: Vec<String> = plan.flags.iter().map(|flag| (*flag).into()).collect();
            flags.extend(data.flags().map(str::to_owned));
            for known in &members {
                flags.extend(["--join".to_owned(), known.address.to_string()]);
            }
            let node = begin(address, &flags, meeting).answering();
            members.push(Member { address, data, node, flags });
        }
        Members(members)
    }

    /// Kills one, or all of them at once; starts those that died.
    fn kill_and_start(&mut self, who: Option<usize>, meeting: &Meeting) {
        let mut dead: Vec<&mut Member> = match who {
            Some(one) => vec![&mut self.0[one]],
            None => self.0.iter_mut().collect(),
        };
        for member in &mut dead {
            member.node.kill();
        }
        for member in &mut dead {
            member.node = begin(member.address, &member.flags, meeting);
        }
        for member in &mut dead {
            assert!(
                member.node.answers_or_ended(),
                "{}: did not start again: {}",
                member.data.path(),
                member.node.log()
            );
        }
    }

    /// Waits until all nodes show the same of what was written, and all that was acknowledged.
    #[track_caller]
    fn agreed(&self, written: &[Written], within: Duration) -> Vec<u64> {
        let seen = wait_until(
            "all nodes show the same, and all that was acknowledged",
            within,
            || {
                let values = |member: &Member| -> Vec<u64> {
                    written.iter().map(|written| member.node.value(&written.counter)).collect()
                };
                self.0.iter().map(values).collect::<Vec<_>>()
            },
            |seen| {
                let is_whole = |values: &Vec<u64>| {
                    values.iter().zip(written).all(|(value, w)| *value >= w.acknowledged)
                };
                seen.iter().all(|values| *values == seen[0] && is_whole(values))
            },
        );
        seen[0].clone()
    }
}

fn begin(address: SocketAddr, flags: &[String], meeting: &Meeting) -> Node {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Node::begin(&[PROGRAM], address, &meeting.flags(&flags))
}
