//! What must be true of everything that any node ever lets out, in every test.
//!
//! Rule `publish-after-sync` is not shown by a test of its own alone: each frame that leaves
//! without waiting for a sync is looked at here, whatever the test is about.

use bytes::Bytes;
use quipu_core::identity::Version;
use quipu_core::wire::datagram::DATAGRAM_BYTES_MAX;
use quipu_core::wire::frame::{self, FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNPROVED, Message};

/// When a frame left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Before the sync of its batch.
    AtOnce,
    /// After it.
    Synced,
}

/// Looks at a frame. `synced` is the last version of the sender's own that is synced.
pub(crate) fn frame(left: Left, bytes: &Bytes, synced: Version, is_established: bool) {
    assert!(bytes.len() <= FRAME_BYTES_MAX, "a frame of {} bytes", bytes.len());
    let message = frame::decode(bytes).expect("what one node encodes, every node decodes");
    if !is_established {
        assert!(bytes.len() <= FRAME_BYTES_MAX_UNPROVED, "{} bytes, unproved", bytes.len());
    }
    match (&message, left) {
        (Message::Push { after, batches, .. }, _) => {
            assert!(after + batches <= synced, "{message:?} leaves while {synced} is synced");
        }
        (
            Message::Hello(_)
            | Message::Proof(_)
            | Message::Welcome
            | Message::Goodbye(_)
            | Message::Ping
            | Message::Pong
            | Message::TimedPong(_),
            _,
        )
        | (_, Left::Synced) => {}
        (read_from_the_table, Left::AtOnce) => {
            panic!("{read_from_the_table:?} leaves before the sync of what it was made of")
        }
    }
}

/// Looks at a datagram.
pub(crate) fn datagram(bytes: &Bytes) {
    assert!(bytes.len() <= DATAGRAM_BYTES_MAX, "a datagram of {} bytes", bytes.len());
}
