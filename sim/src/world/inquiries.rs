//! Clients: what they ask of nodes, and what becomes of the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use quipu_core::identity::{OriginId, Version};
use quipu_core::input::{Input, Token};
use quipu_core::operation::{Op, Request};
use quipu_core::query::{Answer, Await, List, Origins, Query, Scan, Settle, Size};
use quipu_core::time::Time;

use super::machines::Machines;
use super::stage::Stage;
use crate::host::{HostId, ProcessId};
use crate::inquiries::{Question, Truth, Waiting, judge, values};
use crate::violation::Violation;
use crate::workload::calm_increment;

/// A question that a process has not answered.
#[derive(Debug)]
struct Inquiry {
    process: ProcessId,
    at: Time,
    waiting: Waiting,
}

/// A client that will wait for peers once its request is answered.
#[derive(Debug)]
struct Wait {
    process: ProcessId,
    peers: usize,
    patience: Duration,
}

/// What clients wait for.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    /// By their tokens.
    open: BTreeMap<Token, Inquiry>,
    /// By the tokens of the requests.
    waits: BTreeMap<Token, Wait>,
}

/// A client's request reaches a machine, under the token that is returned.
pub(super) fn ask(
    host: HostId,
    ops: Vec<Op>,
    machines: &mut Machines,
    stage: &mut Stage<'_>,
) -> Token {
    let token = stage.token();
    if let Some(process) = machines.serving(host) {
        stage.judge.checker.asked(stage.schedule.now(), token, process.origin, &ops);
        machines.deliver(host, Input::Request { token, request: Request::from(ops) }, stage);
    }
    token
}

impl Inquiries {
    /// A client's question reaches a machine.
    pub(super) fn inquire(
        &mut self,
        host: HostId,
        question: &Question,
        machines: &mut Machines,
        stage: &mut Stage<'_>,
    ) {
        let Some(process) = machines.serving(host) else { return };
        let (id, counters) = (process.id, process.node.counters());
        let (waiting, query) = match question {
            Question::Wait { peers, patience_ms } => {
                let (_, increment) = calm_increment();
                let patience = Duration::from_millis(*patience_ms);
                let token = ask(host, vec![increment], machines, stage);
                self.waits.insert(token, Wait { process: id, peers: *peers, patience });
                return;
            }
            Question::Scan { count } => {
                let (first, told) = (values(counters), Vec::new());
                let query = Scan { from: 0, count: *count }.into();
                (Waiting::Scan { count: *count, first, told }, query)
            }
            Question::List { prefix, limit } => {
                let list = List { prefix: prefix.clone(), after: None, limit: *limit };
                let query = list.clone().into();
                (Waiting::Page { list, before: values(counters) }, query)
            }
            Question::Settle => (Waiting::Settle, Settle.into()),
            Question::Size => (Waiting::Size { before: counters.len() }, Size.into()),
            Question::Origins(name) => {
                let slots = counters.slots_of(name.as_str());
                let before = slots.map(|view| (view.origin, view.slot)).collect();
                let query = Origins { name: name.clone() }.into();
                (Waiting::Origins { name: name.clone(), before }, query)
            }
        };
        self.query(id, waiting, query, machines, stage);
    }

    fn query(
        &mut self,
        process: ProcessId,
        waiting: Waiting,
        query: Query,
        machines: &mut Machines,
        stage: &mut Stage<'_>,
    ) {
        let token = stage.token();
        self.open.insert(token, Inquiry { process, at: stage.now(), waiting });
        machines.deliver_to(process, Input::Query { token, query }, stage);
    }

    /// A reply has left: its client may now wait for peers.
    pub(super) fn replied(
        &mut self,
        replied: Token,
        version: Version,
        written: Option<(OriginId, Version)>,
        machines: &mut Machines,
        stage: &mut Stage<'_>,
    ) {
        let Some(Wait { process, peers, patience }) = self.waits.remove(&replied) else { return };
        let machine = &machines[process.host];
        // Clients count versions on where a process goes on under another origin.
        let Some((origin, own)) = written else { return };
        let until = machine.clock.read(stage.now()) + patience;
        let waiting = Waiting::Peers { origin, version: own, peers, until };
        let patience = Some(patience);
        let query = Await { version, peers, patience }.into();
        self.query(process, waiting, query, machines, stage);
    }

    /// A question is answered.
    pub(super) fn answered(
        &mut self,
        token: Token,
        answer: Answer,
        machines: &mut Machines,
        stage: &mut Stage<'_>,
    ) {
        let Some(Inquiry { process: id, mut waiting, .. }) = self.open.remove(&token) else {
            return;
        };
        let Some(process) = machines.process(id) else { return };
        let confirmable = match &waiting {
            Waiting::Peers { origin, version, .. } => {
                stage.judge.checker.confirmable(id.host, *origin, *version)
            }
            _ => 0,
        };
        stage.work.answers += 1;
        let counters = process.node.counters();
        let local = machines[id.host].clock.read(stage.now());
        let truth = Truth { counters, confirmable, local, limits: stage.plan.limits };
        match judge(&mut waiting, answer, &truth) {
            Ok(None) => {}
            Ok(Some(query)) => self.query(id, waiting, query, machines, stage),
            Err(told) => {
                let host = id.host;
                let asked = format!("{waiting:?}").chars().take(200).collect();
                stage.fail(Violation::WrongAnswer { host, asked, told });
            }
        }
    }

    /// A process has ended: it answers nothing any more.
    pub(super) fn ended(&mut self, id: ProcessId) {
        self.open.retain(|_, inquiry| inquiry.process != id);
        self.waits.retain(|_, wait| wait.process != id);
    }

    /// A question that a process has not answered though it has had the time; and how long it waits.
    pub(super) fn overdue(
        &self,
        host: HostId,
        most: Duration,
        machines: &Machines,
        now: Time,
    ) -> Option<(Token, Duration)> {
        let machine = &machines[host];
        let local = machine.clock.read(now);
        let mut open = self.open.iter().filter(|(_, inquiry)| inquiry.process.host == host);
        open.find_map(|(token, inquiry)| {
            if matches!(&inquiry.waiting, Waiting::Peers { until, .. } if local < *until + most) {
                return None;
            }
            let waited = now.since(inquiry.at.max(machine.steady_since));
            (waited > most).then_some((*token, waited))
        })
    }
}
