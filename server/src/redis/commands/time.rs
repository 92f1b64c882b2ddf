//! `TIME`: what this node's clock shows, in seconds since 1970 and microseconds behind them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("time", Class::Connection, 1, run, "Tells the time of this node");

fn run(call: &mut Call<'_>) -> Next {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    call.say(|out| {
        reply::array(out, 2);
        for number in [now.as_secs(), now.subsec_micros().into()] {
            reply::bulk(out, itoa::Buffer::new().format(number).as_bytes());
        }
    })
}
