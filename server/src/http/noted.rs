//! Notes of each request when it has arrived whole: from then on its client waits for an answer, and
//! the [rule for half-closed connections](crate::transport::half_closed) holds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::transport::half_closed::Answering;

/// A request's body, which notes when it has arrived whole.
#[derive(Debug)]
pub(super) struct Noted {
    body: Incoming,
    answering: Answering,
}

impl Noted {
    pub(super) fn new(body: Incoming, answering: &Answering) -> Self {
        if body.is_end_stream() {
            answering.begin();
        }
        Noted { body, answering: answering.clone() }
    }
}

impl Body for Noted {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.answering.begin();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
