//! The versions of what is said between nodes.

/// The versions of the link protocol that this release speaks. It talks to the release before it.
///
/// Version 2 compares records of removals by hashes; version 3 compares digests by hashes; version 4
/// says how counters end; version 5 settles; version 6 compares wall clocks; version 7 removes members that
/// are away. Both sides speak the highest that both know.
pub const PROTOCOL_VERSIONS: (u16, u16) = (1, 7);

/// The version that brought covers and lifetimes. No counter is ended while a peer is linked that
/// speaks a lower one, and once one was, no such peer is let in: it could not be told. The same holds of
/// counters with names above 255 bytes, which this version brought as well.
pub(crate) const ENDINGS_SINCE: u16 = 4;

/// The version that brought settlements. Nothing is proposed while a member is not linked that speaks it,
/// and once something was, no peer is let in that does not.
pub(crate) const SETTLEMENTS_SINCE: u16 = 5;

/// The version in which a pong tells what the wall clock shows.
pub(crate) const CLOCKS_SINCE: u16 = 6;

/// The version that brought removals for absence. No member is removed so before all members have spoken
/// it: until then no list is common to them (rule `common-list`).
pub(crate) const ABSENCES_SINCE: u16 = 7;

/// The versions of datagrams that this release reads, lowest and highest, of 1 to 15. Nobody shakes
/// hands over a datagram: it is written in the lowest version that is still spoken, until the
/// receiver has said in one of its own that it reads a higher one. So the next release can bring
/// a version 2, tell of it in the high bits of what it writes as version 1, and is understood by
/// this one.
pub const DATAGRAM_VERSIONS: (u8, u8) = (1, 1);
