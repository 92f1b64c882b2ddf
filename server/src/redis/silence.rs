//! Which replies a client does not want: `CLIENT REPLY OFF`, until it says `ON`, or `SKIP`, of its next
//! command. What it subscribed to is told all the same, and so are confirmations of that.

/// The state of one connection; at first every reply is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    is_off: bool,
    /// Of the command that is answered now.
    is_skipped: bool,
    /// Of the one behind it.
    skips_next: bool,
}

impl Silence {
    /// Whether the command that is answered now gets no reply.
    pub(super) fn holds(self) -> bool {
        self.is_off || self.is_skipped
    }

    /// Every reply is wanted, that to the present command included.
    pub(super) fn end(&mut self) {
        *self = Silence { skips_next: self.skips_next, ..Silence::default() };
    }

    /// No reply is wanted, that to the present command included.
    pub(super) fn begin(&mut self) {
        self.is_off = true;
    }

    /// No reply to the next command is wanted. Within a transaction that is the one behind `EXEC`.
    pub(super) fn skip_next(&mut self) {
        self.skips_next = !self.is_off;
    }

    /// `RESET`. As in Redis, one whose own reply was to be skipped is not told of.
    pub(super) fn reset(&mut self) {
        *self = Silence { is_skipped: self.is_skipped, ..Silence::default() };
    }

    /// The present command is answered, and the next one begins.
    pub(super) fn next_command(&mut self) {
        self.is_skipped = std::mem::take(&mut self.skips_next);
    }
}
