//! `UNWATCH`: clients send it to be sure, whatever came of their `WATCH`.

use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("unwatch", Class::Transaction, 1, run, "Answers: nothing is ever watched");

fn run(call: &mut Call<'_>) -> Next {
    call.say(|out| reply::simple(out, "OK"))
}
