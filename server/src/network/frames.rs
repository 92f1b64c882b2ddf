//! Frames out of a stream of bytes: a length of three bytes, big-endian, and so many bytes.
//!
//! A length is what a stranger may say, so nothing is reserved for one that is not allowed. Until
//! the other side has proved who it is, that is a hello's size. Proof is judged by the node, behind
//! a queue, while the next frame may already be here and be long: it is not refused before it is
//! known that the proof was none.

use std::io;

use bytes::{Bytes, BytesMut};
use quipu_core::wire::frame::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNPROVED};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// Bytes of a frame's length.
pub(super) const LENGTH_BYTES: usize = 3;

/// How much is read at a time. Frames in calm times are some 30 bytes; this many links' buffers
/// are 16 MiB.
const READ_BYTES: usize = 16 << 10;

/// What the stream holds next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Frame(Bytes),
    /// A frame longer than allowed so far; nothing of it was taken.
    TooLongYet,
    /// A frame longer than will ever be allowed.
    TooLong,
    /// The other side has said all that it will.
    End,
}

/// Reads frames.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    stream: R,
    codec: LengthDelimitedCodec,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader of the first frames of a link.
    pub(super) fn new(stream: R) -> Self {
        let codec = LengthDelimitedCodec::builder()
            .length_field_length(LENGTH_BYTES)
            .max_frame_length(FRAME_BYTES_MAX_UNPROVED)
            .new_codec();
        FrameReader { stream, codec, buffer: BytesMut::new() }
    }

    /// The other side has proved who it is: frames may be of full size.
    pub(super) fn allow_full_size(&mut self) {
        self.codec.set_max_frame_length(FRAME_BYTES_MAX);
    }

    /// The next frame. Cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<Next> {
        loop {
            match self.codec.decode(&mut self.buffer) {
                Ok(Some(frame)) => return Ok(Next::Frame(frame.freeze())),
                Ok(None) => {}
                // The codec knows no other error than a length beyond the limit.
                Err(_) if self.is_allowed_ever() => return Ok(Next::TooLongYet),
                Err(_) => return Ok(Next::TooLong),
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(Next::End);
            }
        }
    }

    /// Whether the length that comes next may be allowed some day.
    fn is_allowed_ever(&self) -> bool {
        let length = self.buffer.first_chunk().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]));
        length.is_some_and(|length| length as usize <= FRAME_BYTES_MAX)
    }

    /// Reads to the end and forgets. Closing a socket that holds unread bytes would reset the
    /// connection, and with it what we said last.
    pub(super) async fn discard(&mut self) {
        loop {
            self.buffer.clear();
            self.buffer.reserve(READ_BYTES);
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

/// A frame's length as it goes before it.
pub(super) fn length_prefix(frame: &Bytes) -> [u8; LENGTH_BYTES] {
    debug_assert!(frame.len() <= FRAME_BYTES_MAX, "{}", frame.len());
    let [_, length @ ..] = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(length: usize) -> Vec<u8> {
        let frame = Bytes::from(vec![7; length]);
        [&length_prefix(&frame)[..], &frame].concat()
    }

    async fn lengths(stream: &[u8], full_size: bool) -> Vec<Result<usize, Next>> {
        let mut reader = FrameReader::new(stream);
        if full_size {
            reader.allow_full_size();
        }
        let mut all = Vec::new();
        loop {
            match reader.next().await.unwrap() {
                Next::Frame(frame) => all.push(Ok(frame.len())),
                other => {
                    all.push(Err(other));
                    return all;
                }
            }
        }
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in() {
        let stream = [framed(0), framed(1), framed(4096), framed(3)].concat();
        let found = lengths(&stream, false).await;
        assert_eq!(found, [Ok(0), Ok(1), Ok(4096), Ok(3), Err(Next::End)]);
        assert_eq!(lengths(&framed(1 << 20), true).await, [Ok(1 << 20), Err(Next::End)]);
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_ends_the_reading_and_reserves_nothing() {
        assert_eq!(lengths(&framed(4097), false).await, [Err(Next::TooLongYet)]);
        assert_eq!(lengths(&[0x10, 0, 1], false).await, [Err(Next::TooLong)]);
        assert_eq!(lengths(&[0x10, 0, 1], true).await, [Err(Next::TooLong)]);
        let mut reader = FrameReader::new(&[0xff, 0xff, 0xff, 0][..]);
        assert_eq!(reader.next().await.unwrap(), Next::TooLong);
        assert!(reader.buffer.capacity() <= 2 * READ_BYTES);
    }

    #[tokio::test]
    async fn a_long_frame_behind_the_proof_is_read_once_the_proof_is_known() {
        let stream = [framed(32), framed(100_000)].concat();
        let mut reader = FrameReader::new(&stream[..]);
        assert!(matches!(reader.next().await.unwrap(), Next::Frame(_)));
        assert_eq!(reader.next().await.unwrap(), Next::TooLongYet);
        reader.allow_full_size();
        let Next::Frame(frame) = reader.next().await.unwrap() else { panic!("not a frame") };
        assert_eq!(frame.len(), 100_000);
    }

    #[tokio::test]
    async fn a_stream_that_ends_inside_a_frame_just_ends() {
        assert_eq!(lengths(&framed(9)[..5], false).await, [Err(Next::End)]);
        assert_eq!(lengths(&[0], false).await, [Err(Next::End)]);
    }
}
