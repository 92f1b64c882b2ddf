//! A connection that carries a link, whoever opened it.

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

/// What HTTP leaves once both sides have agreed to stop speaking it. The same type on both ends and
/// for whatever lies beneath, so that a link need not know which end it is.
pub(crate) type Connection = TokioIo<Upgraded>;

/// Where a link is asked for.
pub(crate) const PATH: &str = "/link";

/// What both sides agree to speak instead of HTTP: frames. What is said in them has versions of its
/// own, in the hello.
pub(crate) const PROTOCOL: &str = "quipu/1";
