//! What examples that measure share.

// Each example uses some of it.
#![allow(dead_code)]

pub(crate) mod files;
pub(crate) mod pair;
