//! What the process asks of the machine, and tells its service manager.

pub(crate) mod descriptors;
pub(crate) mod notify;
pub(crate) mod process;
