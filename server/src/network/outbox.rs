//! What waits to be written to one link.
//!
//! The protocol keeps to windows far below this bound; it is for the peer that reads nothing at
//! all. A frame that finds no room ends the link, since one that loses anything must end (rule
//! `link-loses-nothing` of the protocol), and the peer is brought up by another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::frames::{LENGTH_BYTES, length_prefix};

/// Most bytes that wait for one link: eight of the longest frames.
pub(super) const OUTBOX_BYTES_MAX: usize = 8 << 20;

/// What a frame costs beside its bytes: its place in the queue, and its length on the wire.
const FRAME_COST_BYTES: usize = 64 + LENGTH_BYTES;

/// Frames are joined up to about so many bytes for one write.
const WRITE_BYTES: usize = 64 << 10;

/// Frames taken out of the queue at a time.
const TAKE_FRAMES: usize = 64;

/// There was no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// The end that the driver writes. When it is dropped, the writer ends once all is written.
#[derive(Debug)]
pub(super) struct Outbox {
    frames: mpsc::UnboundedSender<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The end that writes to the stream.
#[derive(Debug)]
pub(super) struct FrameWriter<W> {
    stream: W,
    frames: mpsc::UnboundedReceiver<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
    taken: Vec<Bytes>,
    /// What of the taken frames is not written yet.
    buffer: BytesMut,
}

/// An empty outbox for a stream. Its queue is bounded by bytes, not by frames.
pub(super) fn outbox<W>(stream: W) -> (Outbox, FrameWriter<W>) {
    let (to_frames, frames) = mpsc::unbounded_channel();
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox { frames: to_frames, waiting_bytes: Arc::clone(&waiting_bytes) };
    let buffer = BytesMut::new();
    (outbox, FrameWriter { stream, frames, waiting_bytes, taken: Vec::new(), buffer })
}

impl Outbox {
    /// Queues a frame. A link whose task has ended takes it too: that it has ended is on its way.
    pub(super) fn push(&self, frame: Bytes) -> Result<(), Overflow> {
        let cost = frame.len() + FRAME_COST_BYTES;
        if self.waiting_bytes.fetch_add(cost, Relaxed) + cost > OUTBOX_BYTES_MAX {
            return Err(Overflow);
        }
        let _ = self.frames.send(frame);
        Ok(())
    }
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes until the outbox is gone and empty, or the stream is broken. Cancel safe: called
    /// again, it goes on where it was.
    pub(super) async fn run(&mut self) -> std::io::Result<()> {
        loop {
            while self.buffer.has_remaining() {
                self.stream.write_buf(&mut self.buffer).await?;
            }
            if self.taken.is_empty() {
                self.stream.flush().await?;
                if self.frames.recv_many(&mut self.taken, TAKE_FRAMES).await == 0 {
                    return Ok(());
                }
                self.taken.reverse();
            }
            self.fill();
        }
    }

    /// Joins taken frames for the next write.
    fn fill(&mut self) {
        if self.buffer.capacity() > 2 * WRITE_BYTES {
            // A catch-up is over sooner or later, and its long frames' memory should be too.
            self.buffer = BytesMut::with_capacity(WRITE_BYTES);
        }
        while self.buffer.len() < WRITE_BYTES
            && let Some(frame) = self.taken.pop()
        {
            self.buffer.extend_from_slice(&length_prefix(&frame));
            self.buffer.extend_from_slice(&frame);
            self.waiting_bytes.fetch_sub(frame.len() + FRAME_COST_BYTES, Relaxed);
        }
    }

    /// Says to the other side that nothing more follows.
    pub(super) async fn shut_down(&mut self) -> std::io::Result<()> {
        self.stream.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::frames::{FrameReader, Next};
    use super::*;

    #[tokio::test]
    async fn what_is_pushed_arrives_in_order_and_the_writer_ends_with_its_outbox() {
        let (near, far) = tokio::io::duplex(1000);
        let (outbox, mut writer) = outbox(near);
        let count = 500;
        for n in 0..count {
            outbox.push(Bytes::from(vec![n as u8; n])).unwrap();
        }
        drop(outbox);
        let writing = tokio::spawn(async move {
            writer.run().await.unwrap();
            writer.shut_down().await.unwrap();
            writer.waiting_bytes.load(Relaxed)
        });
        let mut reader = FrameReader::new(far);
        for n in 0..count {
            assert_eq!(reader.next().await.unwrap(), Next::Frame(vec![n as u8; n].into()));
        }
        assert_eq!(reader.next().await.unwrap(), Next::End);
        assert_eq!(writing.await.unwrap(), 0, "bytes still counted as waiting");
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_bytes_however_small_the_frames() {
        for length in [0, 1 << 20] {
            let (outbox, _writer) = outbox(tokio::io::sink());
            let pushed = std::iter::from_fn(|| outbox.push(vec![0; length].into()).ok()).count();
            assert_eq!(pushed, OUTBOX_BYTES_MAX / (length + FRAME_COST_BYTES));
        }
    }

    #[tokio::test]
    async fn a_writer_that_was_interrupted_goes_on_inside_the_frame() {
        let (near, mut far) = tokio::io::duplex(10);
        let (outbox, mut writer) = outbox(near);
        outbox.push(Bytes::from_static(b"0123456789abcdef")).unwrap();
        drop(outbox);
        tokio::select! {
            biased;
            _ = writer.run() => panic!("nothing was read"),
            () = std::future::ready(()) => {}
        }
        let reading = async {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        };
        let writing = async {
            writer.run().await.unwrap();
            writer.shut_down().await.unwrap();
        };
        let (all, ()) = tokio::join!(reading, writing);
        assert_eq!(all, b"\x00\x00\x100123456789abcdef");
    }
}
