//! The task of one link: frames in, frames out, and an end that lets the last words through.

use std::sync::Arc;
use std::time::Duration;

use quipu_core::input::LinkId;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::Counts;
use super::frames::{FrameReader, Next};
use super::outbox::{FrameWriter, Outbox, outbox};
use crate::inbox::Arrival;
use crate::transport::link::Connection;

/// How long a link may take to be established. The node has the same bound; this one holds even if
/// the node is busy, for it is strangers who open links and say nothing.
const PROVING_TIME_MAX: Duration = Duration::from_secs(3);

/// How long a link that is closed may take to write what is queued and hear the other side end.
pub(super) const CLOSING_TIME_MAX: Duration = Duration::from_secs(1);

/// How a link stands, as the driver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The other side has not proved who it is.
    Proving,
    Established,
    /// To be closed once all is written; the node has forgotten it already.
    Closing,
    /// To be ended at once, and the node to be told.
    Cut,
}

/// A link as its owner sees it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) outbox: Outbox,
    pub(super) phase: watch::Sender<Phase>,
}

/// What links share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) arrivals: mpsc::Sender<Arrival>,
    /// The bytes that frames may take which wait for the driver.
    pub(super) waiting_bytes: Arc<Semaphore>,
    pub(super) counts: Arc<Counts>,
}

/// Starts the task of a link, which keeps `place` for as long as it lives.
pub(super) fn start(
    link: LinkId,
    connection: Connection,
    place: OwnedSemaphorePermit,
    shared: Shared,
) -> Link {
    let (reading, writing) = tokio::io::split(connection);
    let (outbox, writer) = outbox(writing);
    let (phase, seen) = watch::channel(Phase::Proving);
    let task = Task { link, phase: seen, reader: FrameReader::new(reading), writer, shared };
    tokio::spawn(async move {
        task.run().await;
        drop(place);
    });
    Link { outbox, phase }
}

struct Task<S> {
    link: LinkId,
    phase: watch::Receiver<Phase>,
    reader: FrameReader<ReadHalf<S>>,
    writer: FrameWriter<WriteHalf<S>>,
    shared: Shared,
}

impl<S: AsyncRead + AsyncWrite> Task<S> {
    async fn run(mut self) {
        let mut phase = self.phase.clone();
        let is_closing = tokio::select! {
            biased;
            is_closing = is_over(&mut phase) => is_closing,
            () = read(self.link, &mut self.reader, &mut self.phase, &self.shared) => false,
            // Whether the stream broke or the owner is gone.
            _ = self.writer.run() => *phase.borrow() == Phase::Closing,
        };
        self.shared.counts.links_ended.add(1);
        if is_closing {
            let _ = timeout(CLOSING_TIME_MAX, self.close()).await;
        } else {
            // A driver that is gone need not be told.
            let _ = self.shared.arrivals.send(Arrival::Closed { link: self.link }).await;
        }
    }

    async fn close(&mut self) {
        if self.writer.run().await.is_ok() && self.writer.shut_down().await.is_ok() {
            self.reader.discard().await;
        }
    }
}

/// Waits until the owner wants an end, or the other side has not proved itself in time; whether
/// what is queued shall still be written.
async fn is_over(phase: &mut watch::Receiver<Phase>) -> bool {
    let in_time = tokio::select! {
        biased;
        changed = phase.wait_for(|phase| *phase != Phase::Proving) => changed.map(|phase| *phase),
        () = sleep(PROVING_TIME_MAX) => return false,
    };
    let ended = match in_time {
        Ok(Phase::Established) => phase
            .wait_for(|phase| matches!(phase, Phase::Closing | Phase::Cut))
            .await
            .map(|phase| *phase),
        other => other,
    };
    // An owner that is gone has nothing against its last words being heard.
    !matches!(ended, Ok(Phase::Cut))
}

/// Hands frames to the driver until there are no more. While the driver or the frames' memory is
/// full it waits, and so, by TCP's own means, does the peer.
async fn read<R: AsyncRead + Unpin>(
    link: LinkId,
    reader: &mut FrameReader<R>,
    phase: &mut watch::Receiver<Phase>,
    shared: &Shared,
) {
    loop {
        match reader.next().await {
            Ok(Next::Frame(frame)) => {
                let bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
                let waiting = Arc::clone(&shared.waiting_bytes);
                let Ok(share) = waiting.acquire_many_owned(bytes).await else { return };
                let arrival = Arrival::Frame { link, frame, share };
                if shared.arrivals.send(arrival).await.is_err() {
                    return;
                }
            }
            Ok(Next::TooLongYet) => {
                // Whatever comes, the task's own bound on this phase ends the wait.
                let _ = phase.wait_for(|phase| *phase != Phase::Proving).await;
                reader.allow_full_size();
            }
            Ok(Next::TooLong) => {
                shared.counts.frames_too_long.add(1);
                return;
            }
            Ok(Next::End) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// A link's task, its owner, what it tells the driver, and the other side of its connection.
    struct Stage {
        link: Link,
        arrivals: mpsc::Receiver<Arrival>,
        far: DuplexStream,
        counts: Arc<Counts>,
    }

    fn stage() -> Stage {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (to_arrivals, arrivals) = mpsc::channel(8);
        let counts = Arc::new(Counts::default());
        let (reading, writing) = tokio::io::split(near);
        let (outbox, writer) = outbox(writing);
        let (phase, seen) = watch::channel(Phase::Proving);
        let shared = Shared {
            arrivals: to_arrivals,
            waiting_bytes: Arc::new(Semaphore::new(1 << 20)),
            counts: Arc::clone(&counts),
        };
        let reader = FrameReader::new(reading);
        tokio::spawn(Task { link: 7, phase: seen, reader, writer, shared }.run());
        Stage { link: Link { outbox, phase }, arrivals, far, counts }
    }

    fn frame(length: usize) -> Vec<u8> {
        [&[0, (length >> 8) as u8, length as u8][..], &vec![1; length]].concat()
    }

    #[tokio::test]
    async fn a_long_frame_right_behind_the_proof_waits_until_the_proof_is_judged() {
        let mut stage = stage();
        stage.far.write_all(&[frame(32), frame(50_000)].concat()).await.unwrap();
        let Some(Arrival::Frame { frame, .. }) = stage.arrivals.recv().await else { panic!() };
        assert_eq!(frame.len(), 32);
        stage.link.phase.send(Phase::Established).unwrap();
        let Some(Arrival::Frame { frame, .. }) = stage.arrivals.recv().await else { panic!() };
        assert_eq!(frame.len(), 50_000);
    }

    #[tokio::test]
    async fn a_length_that_is_never_allowed_ends_the_link_at_once() {
        let mut stage = stage();
        stage.far.write_all(&[0xff, 0xff, 0xff]).await.unwrap();
        assert!(matches!(stage.arrivals.recv().await, Some(Arrival::Closed { link: 7 })));
        assert_eq!(stage.counts.frames_too_long.get(), 1);
    }

    #[tokio::test]
    async fn a_link_that_is_closed_still_says_what_was_queued() {
        let mut stage = stage();
        stage.link.outbox.push(Bytes::from_static(b"goodbye")).unwrap();
        stage.link.phase.send(Phase::Closing).unwrap();
        drop(stage.link);
        let mut heard = Vec::new();
        stage.far.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"\x00\x00\x07goodbye");
        drop(stage.far);
        assert!(stage.arrivals.recv().await.is_none(), "the node has forgotten it already");
    }

    #[tokio::test]
    async fn a_link_that_is_cut_says_nothing_more_and_is_told_of() {
        let mut stage = stage();
        stage.link.phase.send(Phase::Cut).unwrap();
        assert!(matches!(stage.arrivals.recv().await, Some(Arrival::Closed { link: 7 })));
        assert!(stage.arrivals.recv().await.is_none());
    }
}
