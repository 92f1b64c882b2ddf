//! A connection that carries a link, whoever opened it.

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

/// What HTTP leaves once both sides have agreed to stop speaking it. The same type on both ends and
/// for whatever lies beneath, so that a link need not know which end it is.
pub(crate) type Connection = TokioIo<Upgraded>;
