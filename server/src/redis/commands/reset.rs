//! `RESET`

use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("reset", Class::Connection, 1, run, "Makes the connection as new")
        .for_listeners()
        .at_once();

fn run(call: &mut Call<'_>) -> Next {
    call.session.reset();
    call.plan.silence(call.session.silence.holds());
    call.say(|out| reply::simple(out, "RESET"))
}
