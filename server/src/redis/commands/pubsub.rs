//! `PUBSUB`: who listens to what on this node, in Redis's own answers.

use bytes::Bytes;

use crate::redis::audience::Audience;
use crate::redis::command::Command;
use crate::redis::question::{About, Question};
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};
use crate::redis::subscriptions::Topic;
use crate::redis::{errors, glob, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("pubsub", Class::Subscription, -2, run, "Tells who listens on this node")
        .words(&WORDS);

const WORDS: [Subcommand; 4] = [
    word(
        "channels",
        "pubsub|channels",
        -2,
        "[<pattern>]",
        "Tells the channels that clients listen to on this node.",
    ),
    word("help", "pubsub|help", 2, "", HELP),
    word(
        "numpat",
        "pubsub|numpat",
        2,
        "",
        "Tells how many patterns clients listen to on this node.",
    ),
    word(
        "numsub",
        "pubsub|numsub",
        -2,
        "[<channel> ...]",
        "Tells how many listen to channels on this node.",
    ),
];

fn run(call: &mut Call<'_>) -> Next {
    match parsed(&call.command) {
        Ok(about) => Next::Ask(Question::Audience(about)),
        Err(text) => call.fail(text),
    }
}

/// `PUBSUB CHANNELS | NUMSUB | NUMPAT`
fn parsed(command: &Command<'_>) -> Result<About, Vec<u8>> {
    let about = if command.is(1, "channels") {
        if command.len() > 3 {
            return Err(errors::subcommand_syntax(command, "pubsub"));
        }
        About::Channels((command.len() == 3).then(|| Bytes::copy_from_slice(command.argument(2))))
    } else if command.is(1, "numsub") {
        About::Subscribers(command.arguments(2).map(Bytes::copy_from_slice).collect())
    } else {
        About::Patterns
    };
    Ok(about)
}

/// Answers it.
pub(in crate::redis) fn answer(audience: &Audience, about: &About, out: &mut Vec<u8>) {
    match about {
        About::Channels(pattern) => {
            let mut channels = audience.of(Topic::Channel);
            if let Some(pattern) = pattern {
                channels.retain(|channel, _| glob::matches(pattern, channel));
            }
            reply::array(out, channels.len());
            channels.keys().for_each(|channel| reply::bulk(out, channel));
        }
        About::Subscribers(channels) => {
            let found = audience.of(Topic::Channel);
            reply::array(out, 2 * channels.len());
            for channel in channels {
                reply::bulk(out, channel);
                let listeners = found.get(channel).copied().unwrap_or_default();
                reply::integer(out, i64::try_from(listeners).unwrap_or(i64::MAX));
            }
        }
        About::Patterns => {
            let patterns = audience.of(Topic::Pattern).len();
            reply::integer(out, i64::try_from(patterns).unwrap_or(i64::MAX));
        }
    }
}
