//! A row of the table of peers.

use crate::identity::Identity;
use crate::status::PeerState;

#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// As it was given by hand, or where it answers.
    pub(crate) address: String,
    /// Unknown until it has answered.
    pub(crate) identity: Option<Identity>,
    pub(crate) state: PeerState,
    /// Whether `GET /peers` lists it.
    pub(crate) is_listed: bool,
}

impl Listed {
    /// An address that an operator has registered, and that has not answered.
    pub(super) fn registered(given: &str) -> Self {
        let (address, state) = (given.to_owned(), PeerState::Joining);
        Listed { address, identity: None, state, is_listed: true }
    }

    /// A node of which was only heard.
    pub(super) fn rumoured(identity: &Identity) -> Self {
        Listed { is_listed: false, ..Listed::met(identity, PeerState::Joining) }
    }

    /// A node that has answered.
    pub(super) fn met(identity: &Identity, state: PeerState) -> Self {
        Listed {
            address: identity.address.to_string(),
            identity: Some(identity.clone()),
            state,
            is_listed: matches!(state, PeerState::Alive | PeerState::Suspect),
        }
    }
}
