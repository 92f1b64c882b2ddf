//! `SELECT index`

use crate::redis::database::Database;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::{errors, reply};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("select", Class::Connection, 2, run, "Chooses one of 16 databases");

fn run(call: &mut Call<'_>) -> Next {
    match call.command.integer(1).map(i32::try_from) {
        Some(Ok(index)) => match Database::new(index.into()) {
            Some(database) => {
                call.session.database = database;
                call.say(|out| reply::simple(out, "OK"))
            }
            None => call.fail("ERR DB index is out of range"),
        },
        Some(Err(_)) => {
            call.fail("ERR value is out of range, value must between -2147483648 and 2147483647")
        }
        None => call.fail(errors::NOT_AN_INTEGER),
    }
}
