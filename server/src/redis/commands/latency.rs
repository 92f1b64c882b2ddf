//! `LATENCY LATEST|HISTORY|RESET|DOCTOR`: how long slow commands took, once `CONFIG SET
//! latency-monitor-threshold` has asked for it. There is one event, `command`; see
//! [`slow`](crate::redis::slow) for what is measured.

use crate::access::Observe;
use crate::redis::reply;
use crate::redis::slow::Spikes;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::state::State;
use crate::redis::subcommands::{HELP, Subcommand, word};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("latency", Class::Connection, -2, run, "Tells how long slow commands took")
        .words(&WORDS);

const WORDS: [Subcommand; 5] = [
    word("doctor", "latency|doctor", 2, "", "Tells it in words."),
    word("help", "latency|help", 2, "", HELP),
    word("history", "latency|history", 3, "<event>", "Tells when and how many milliseconds."),
    word("latest", "latency|latest", 2, "", "Tells the last one and the longest."),
    word("reset", "latency|reset", -2, "[<event> ...]", "Forgets them."),
];

/// The only event. Redis has it, too, and others that have no meaning here.
const EVENT: &[u8] = b"command";

/// In Redis's words.
const OFF: &str = "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis \
    instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. \
    If we weren't in a deep space mission I'd suggest to take a look at \
    https://redis.io/topics/latency-monitor.\n";

fn run(call: &mut Call<'_>) -> Next {
    if call.allowed(Observe).is_none() {
        return Next::Go;
    }
    let protocol = call.session.protocol;
    let slow = &call.session.state.slow;
    if call.command.is(1, "latest") {
        let spikes = slow.spikes();
        call.say(|out| tell_latest(out, spikes.as_ref()))
    } else if call.command.is(1, "history") {
        let spikes = slow.spikes().filter(|_| call.command.argument(2) == EVENT);
        let samples = spikes.map(|spikes| spikes.samples).unwrap_or_default();
        call.say(|out| {
            reply::array(out, samples.len());
            for (at_s, took_ms) in samples {
                reply::array(out, 2);
                reply::integer(out, at_s);
                reply::integer(out, took_ms);
            }
        })
    } else if call.command.is(1, "reset") {
        let mut events = call.command.arguments(2);
        let is_meant = call.command.len() == 2 || events.any(|event| event == EVENT);
        let forgotten = is_meant && slow.forget_spikes();
        call.say(|out| reply::integer(out, i64::from(forgotten)))
    } else {
        let report = report(&call.session.state);
        call.say(|out| reply::verbatim(out, protocol, &report))
    }
}

fn tell_latest(out: &mut Vec<u8>, spikes: Option<&Spikes>) {
    let latest = spikes.and_then(|spikes| Some((spikes.samples.back()?, spikes.longest_ms)));
    reply::array(out, usize::from(latest.is_some()));
    if let Some(((at_s, took_ms), longest_ms)) = latest {
        reply::array(out, 4);
        reply::bulk(out, EVENT);
        reply::integer(out, *at_s);
        reply::integer(out, *took_ms);
        reply::integer(out, longest_ms);
    }
}

fn report(state: &State) -> String {
    let threshold = state.settings.spike_ms();
    match state.slow.spikes() {
        None if threshold == 0 => OFF.to_owned(),
        None => format!("No command took {threshold} ms or more.\n"),
        Some(Spikes { samples, longest_ms }) => format!(
            "Clients waited {threshold} ms or more for commands in {} of the seconds that are kept, \
             and {longest_ms} ms at the longest. That is the time from when the node took a client's \
             commands until their answers were safe to tell, the disk included. SLOWLOG \
             GET shows which commands, GET /metrics how long syncs take \
             (quipu_journal_sync_seconds_total).\n",
            samples.len()
        ),
    }
}
