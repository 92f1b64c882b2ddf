//! `UNWATCH`: clients send it to be sure, whatever came of their `WATCH`.

use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::watched::Watched;

pub(in crate::redis) const SPEC: Spec =
    Spec::new("unwatch", Class::Transaction, 1, run, "Forgets what WATCH noted");

fn run(call: &mut Call<'_>) -> Next {
    call.session.watched = Watched::default();
    call.say(|out| reply::simple(out, "OK"))
}
