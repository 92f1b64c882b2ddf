//! `UNSUBSCRIBE [channel …]` and `PUNSUBSCRIBE [pattern …]`; no names are all.

use crate::redis::question::Question;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subscriptions::Topic;

pub(in crate::redis) const SPEC: Spec = Spec::new(
    "unsubscribe",
    Class::Subscription,
    -1,
    |call| run(Topic::Channel, call),
    "Ends SUBSCRIBE",
)
.for_listeners();

pub(in crate::redis) const PUNSUBSCRIBE: Spec = Spec::new(
    "punsubscribe",
    Class::Subscription,
    -1,
    |call| run(Topic::Pattern, call),
    "Ends PSUBSCRIBE",
)
.for_listeners();

fn run(topic: Topic, call: &mut Call<'_>) -> Next {
    Next::Ask(Question::Unsubscribe(topic, call.copied_arguments()))
}
