//! The words of Redis for when a counter ends: `EX`, `PX`, `EXAT` and `PXAT`, and the number behind one.

use quipu_core::update::Expiry;

use super::command::Command;
use super::errors;
use crate::os::wall_clock::wall_clock_ms;

/// In what a time is told, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds from now.
    Ex,
    /// Milliseconds from now.
    Px,
    /// Seconds since 1970.
    ExAt,
    /// Milliseconds since 1970.
    PxAt,
}

/// Milliseconds of a second.
const SECOND_MS: i64 = 1000;

impl Unit {
    /// The one that an argument names.
    pub(super) fn named(command: &Command<'_>, at: usize) -> Option<Unit> {
        let units =
            [("ex", Unit::Ex), ("px", Unit::Px), ("exat", Unit::ExAt), ("pxat", Unit::PxAt)];
        units.into_iter().find(|(word, _)| command.is(at, word)).map(|(_, unit)| unit)
    }

    fn is_from_now(self) -> bool {
        matches!(self, Unit::Ex | Unit::Px)
    }

    /// A number of it in milliseconds; `None` if that, or the time at which it ends, is more than Redis
    /// can hold.
    fn millis(self, number: i64) -> Option<i64> {
        let ms = match self {
            Unit::Ex | Unit::ExAt => number.checked_mul(SECOND_MS)?,
            Unit::Px | Unit::PxAt => number,
        };
        let from = if self.is_from_now() { i64::try_from(wall_clock_ms()).ok()? } else { 0 };
        ms.checked_add(from).map(|_| ms)
    }

    /// A lifetime that must not be over already, as far as its number tells.
    pub(super) fn lifetime(
        self,
        command: &Command<'_>,
        at: usize,
        name: &str,
    ) -> Result<Expiry, String> {
        let number = command.integer(at).ok_or(errors::NOT_AN_INTEGER)?;
        let ms = self.millis(number).and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0);
        let ms = ms.ok_or_else(|| errors::expire_time(name))?;
        Ok(if self.is_from_now() { Expiry::After(ms) } else { Expiry::At(ms) })
    }

    /// A lifetime that may be over already, however long ago.
    pub(super) fn any_lifetime(
        self,
        command: &Command<'_>,
        at: usize,
        name: &str,
    ) -> Result<Expiry, String> {
        let number = command.integer(at).ok_or(errors::NOT_AN_INTEGER)?;
        let ms = self.millis(number).ok_or_else(|| errors::expire_time(name))?;
        Ok(match u64::try_from(ms) {
            Ok(ms) if self.is_from_now() => Expiry::After(ms),
            Ok(ms) => Expiry::At(ms),
            Err(_) => Expiry::At(0),
        })
    }
}
