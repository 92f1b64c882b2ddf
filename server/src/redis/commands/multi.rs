//! `MULTI`: commands of counters as one batch, held back until `EXEC`.
//!
//! As in Redis, a command that cannot be understood breaks the transaction when it is sent, and one
//! that fails when it is done fails alone.

use crate::redis::reply;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::transaction::Transaction;

pub(in crate::redis) const SPEC: Spec =
    Spec::new("multi", Class::Transaction, 1, run, "Holds commands back until EXEC").at_once();

fn run(call: &mut Call<'_>) -> Next {
    if call.session.transaction.is_some() {
        return call.fail("ERR MULTI calls can not be nested");
    }
    call.session.transaction = Some(Transaction::default());
    call.say(|out| reply::simple(out, "OK"))
}
