//! `PUBSUB`: who listens to what on this node, in Redis's own answers.

use bytes::Bytes;

use crate::redis::audience::Audience;
use crate::redis::command::Command;
use crate::redis::dispatch::Question;
use crate::redis::subscriptions::Topic;
use crate::redis::{errors, glob, reply};

/// What of the audience is asked for.
#[derive(Debug)]
pub(in crate::redis) enum About {
    /// `CHANNELS [pattern]`
    Channels(Option<Bytes>),
    /// `NUMSUB [channel …]`
    Subscribers(Vec<Bytes>),
    /// `NUMPAT`
    Patterns,
}

/// `PUBSUB CHANNELS | NUMSUB | NUMPAT`
pub(in crate::redis) fn pubsub(command: &Command<'_>) -> Result<Question, Vec<u8>> {
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
    Ok(Question::Audience(about))
}

/// Answers it.
pub(in crate::redis) fn tell(audience: &Audience, about: &About, out: &mut Vec<u8>) {
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
