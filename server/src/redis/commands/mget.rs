//! `MGET name …`

use super::get;
use crate::redis::plan::Slot;
use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("mget", Class::Read, -2, run, "Tells the values of counters").keys(1, -1);

fn run(call: &mut Call<'_>) -> Next {
    let names = call.command.len() - 1;
    if !call.find_all() {
        return Next::Go;
    }
    call.plan.say(|out| reply::array(out, names));
    for _ in 0..names {
        call.plan.slot(Slot::Read(call.session.protocol, get::write));
    }
    Next::Go
}
