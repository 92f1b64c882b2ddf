//! `DISCARD`

use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::watched::Watched;

pub(in crate::redis) const SPEC: Spec =
    Spec::new("discard", Class::Transaction, 1, run, "Forgets the commands since MULTI").at_once();

fn run(call: &mut Call<'_>) -> Next {
    match call.session.transaction.take() {
        Some(_) => {
            call.session.watched = Watched::default();
            call.say(|out| reply::simple(out, "OK"))
        }
        None => call.fail("ERR DISCARD without MULTI"),
    }
}
