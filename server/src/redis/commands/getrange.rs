//! `GETRANGE name start end`, `SUBSTR`, its old name, and `GETBIT name offset`: parts of a counter's value as
//! it is written.

use crate::redis::errors;
use crate::redis::plan::Slot;
use crate::redis::spec::{Call, Class, Next, Spec};

pub(in crate::redis) const SPEC: Spec = of("getrange");
pub(in crate::redis) const SUBSTR: Spec = of("substr");
pub(in crate::redis) const GETBIT: Spec =
    Spec::new("getbit", Class::Read, 3, bit, "Tells a bit of a counter's value as text").keys(1, 1);

const fn of(name: &'static str) -> Spec {
    Spec::new(name, Class::Read, 4, range, "Tells a part of a counter's value as text").keys(1, 1)
}

/// Bits of the longest text that Redis holds, of 512 MB. Beyond that it is no offset.
const BITS_MAX: i64 = 512 << 23;

const NO_OFFSET: &str = "ERR bit offset is not an integer or out of range";

fn range(call: &mut Call<'_>) -> Next {
    let (Some(start), Some(end)) = (call.command.integer(2), call.command.integer(3)) else {
        return call.fail(errors::NOT_AN_INTEGER);
    };
    if call.find(1) {
        call.plan.slot(Slot::Range(short(start), short(end)));
    }
    Next::Go
}

fn bit(call: &mut Call<'_>) -> Next {
    match call.command.integer(2) {
        Some(offset @ 0..BITS_MAX) => {
            if call.find(1) {
                call.plan.slot(Slot::Bit(u8::try_from(offset).unwrap_or(u8::MAX)));
            }
            Next::Go
        }
        _ => call.fail(NO_OFFSET),
    }
}

/// A place in a text of 20 characters at most, as all integers are: what is further away is as far away
/// as any.
fn short(place: i64) -> i8 {
    i8::try_from(place).unwrap_or(if place < 0 { i8::MIN } else { i8::MAX })
}
