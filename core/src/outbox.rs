//! What goes into a node and what comes out of it.
//!
//! A node is a function of its inputs: it is handed one, and answers with effects for the caller
//! to carry out. The fields of [`Effects`] stand in the order in which that must happen, which is
//! the whole of promise 4: what was read from the table leaves only after everything that the
//! table was made of is synced.

use crate::effect::Effect;
use crate::storage::records::Records;

/// The effects of the inputs since the last batch was closed, in the order in which they must be
/// carried out.
#[derive(Debug, Default)]
pub struct Effects {
    /// Let go at once: nothing in it was read from the table.
    pub at_once: Vec<Effect>,
    /// Append these records to the journal and sync it. Empty if the batch changed nothing, and
    /// always where nothing is kept.
    pub journal: Records,
    /// Let go when `journal` and all before it is synced.
    pub after_sync: Vec<Effect>,
}
