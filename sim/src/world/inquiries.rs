//! Questions of clients on their way, and what becomes of the answers.

use std::time::Duration;

use quipu_core::identity::Version;
use quipu_core::input::{Input, Token};
use quipu_core::query::{Answer, Query};

use super::World;
use crate::host::{HostId, ProcessId};
use crate::inquiries::{Question, Truth, Waiting, fault, values};
use crate::violation::Violation;
use crate::workload::calm_increment;

/// A question that a process has not answered.
#[derive(Debug)]
pub(super) struct Inquiry {
    pub(super) process: ProcessId,
    pub(super) at: quipu_core::time::Time,
    waiting: Waiting,
}

impl World<'_> {
    /// A client's question reaches a machine.
    pub(super) fn inquire(&mut self, host: HostId, question: &Question) {
        let Some(process) = self.hosts[host].process.as_ref().filter(|p| !p.leaving) else {
            return;
        };
        let (id, counters) = (process.id, process.node.counters());
        let (waiting, query) = match question {
            Question::Wait { peers, patience_ms } => {
                let (_, increment) = calm_increment();
                let patience = Duration::from_millis(*patience_ms);
                self.ask(host, vec![increment]);
                self.waits.insert(self.tokens, (id, *peers, patience));
                return;
            }
            Question::Scan { count } => {
                let (first, told) = (values(counters), Vec::new());
                let query = Query::Scan { from: 0, count: *count };
                (Waiting::Scan { count: *count, first, told }, query)
            }
            Question::List { prefix, limit } => {
                let query = Query::List { prefix: prefix.clone(), after: None, limit: *limit };
                (Waiting::Page { query: query.clone(), before: values(counters) }, query)
            }
            Question::Size => (Waiting::Size { before: counters.len() }, Query::Size),
            Question::Origins(name) => {
                let slots = counters.slots_of(name.as_str());
                let before = slots.map(|view| (view.origin, view.slot)).collect();
                let query = Query::Origins { name: name.clone() };
                (Waiting::Origins { name: name.clone(), before }, query)
            }
        };
        self.query(id, waiting, query);
    }

    fn query(&mut self, process: ProcessId, waiting: Waiting, query: Query) {
        self.tokens += 1;
        let token = self.tokens;
        self.inquiries.insert(token, Inquiry { process, at: self.now, waiting });
        self.deliver_to(process, Input::Query { token, query });
    }

    /// A reply has left: whoever asked for it may now wait for peers.
    pub(super) fn may_wait(&mut self, replied: Token, version: Version) {
        let Some((process, peers, patience)) = self.waits.remove(&replied) else { return };
        let machine = &self.hosts[process.host];
        let Some(origin) = machine.process.as_ref().map(|process| process.origin) else { return };
        let until = machine.clock.read(self.now) + patience;
        self.tokens += 1;
        let token = self.tokens;
        let waiting = Waiting::Peers { origin, version, peers, until };
        self.inquiries.insert(token, Inquiry { process, at: self.now, waiting });
        let patience = Some(patience);
        self.deliver_to(process, Input::Await { token, version, peers, patience });
    }

    /// A question is answered.
    pub(super) fn inquiry_answered(&mut self, token: Token, answer: &Answer) {
        let Some(Inquiry { process: id, waiting, .. }) = self.inquiries.remove(&token) else {
            return;
        };
        let machine = &self.hosts[id.host];
        let Some(process) = machine.process.as_ref().filter(|process| process.id == id) else {
            return;
        };
        let confirmable = match &waiting {
            Waiting::Peers { origin, version, .. } => {
                self.checker.confirmable(id.host, *origin, *version)
            }
            _ => 0,
        };
        self.work.answers += 1;
        let counters = process.node.counters();
        let local = machine.clock.read(self.now);
        let truth = Truth { counters, confirmable, local, limits: self.plan.limits };
        if let Some(told) = fault(&waiting, answer, &truth) {
            let host = id.host;
            let asked = format!("{waiting:?}").chars().take(200).collect();
            return self.fail(Violation::WrongAnswer { host, asked, told });
        }
        match (waiting, answer) {
            (Waiting::Scan { count, first, mut told }, Answer::Scanned { names, next })
                if *next > 0 =>
            {
                told.extend(names.iter().map(|name| name.as_str().to_owned()));
                let query = Query::Scan { from: *next, count };
                self.query(id, Waiting::Scan { count, first, told }, query);
            }
            (Waiting::Page { query, .. }, Answer::Page { rows, more: true }) => {
                let Query::List { prefix, limit, .. } = query else { return };
                let after = rows.last().map(|(name, _)| name.clone());
                let before = values(counters);
                let query = Query::List { prefix, after, limit };
                self.query(id, Waiting::Page { query: query.clone(), before }, query);
            }
            _ => {}
        }
    }

    /// A process has ended: it answers nothing any more.
    pub(super) fn forget_inquiries(&mut self, id: ProcessId) {
        self.inquiries.retain(|_, inquiry| inquiry.process != id);
        self.waits.retain(|_, (process, ..)| *process != id);
    }

    /// A question that a process has not answered though it has had the time; and how long it waits.
    pub(super) fn overdue_inquiry(
        &self,
        host: HostId,
        most: Duration,
    ) -> Option<(Token, Duration)> {
        let machine = &self.hosts[host];
        let local = machine.clock.read(self.now);
        self.inquiries.iter().filter(|(_, inquiry)| inquiry.process.host == host).find_map(
            |(token, inquiry)| {
                if matches!(&inquiry.waiting, Waiting::Peers { until, .. } if local < *until + most)
                {
                    return None;
                }
                let waited = self.now.since(inquiry.at.max(machine.steady_since));
                (waited > most).then_some((*token, waited))
            },
        )
    }
}
