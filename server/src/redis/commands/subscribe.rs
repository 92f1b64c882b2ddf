//! `SUBSCRIBE channel …` and `PSUBSCRIBE pattern …`. What they are answered is a message, and stands
//! with the messages in [`subscriptions`](crate::redis::subscriptions).

use crate::redis::question::Question;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subscriptions::Topic;

pub(in crate::redis) const SPEC: Spec = Spec::new(
    "subscribe",
    Class::Subscription,
    -2,
    |call| run(Topic::Channel, call),
    "Tells the values of counters, as they change",
)
.for_listeners();

pub(in crate::redis) const PSUBSCRIBE: Spec = Spec::new(
    "psubscribe",
    Class::Subscription,
    -2,
    |call| run(Topic::Pattern, call),
    "Tells the values of counters that match a pattern, as they change",
)
.for_listeners();

fn run(topic: Topic, call: &mut Call<'_>) -> Next {
    Next::Ask(Question::Subscribe(topic, call.copied_arguments()))
}
