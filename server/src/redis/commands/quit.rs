//! `QUIT`

use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("quit", Class::Connection, -1, run, "Ends the connection").for_listeners().at_once();

fn run(call: &mut Call<'_>) -> Next {
    call.say(|out| reply::simple(out, "OK"));
    Next::Close
}
