//! The wrapper on an HTTP/2 connection: octets pass while they are no flood and heads are in time.
//!
//! What a frame may cost is judged in `frames`; here are its clock and its socket. A connection that
//! is cut gets no answer: whoever floods does not read one.

use std::future::Future;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::{ClientIo, Phase};
use crate::head::Fault;

impl ClientIo {
    /// HTTP/2: hands over what comes while it is no flood and no head takes too long.
    pub(super) fn poll_frames(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.held.hand_over(buf, usize::MAX) == 0 {
            match self.transport.read(cx, buf) {
                Poll::Ready(read) => read?,
                Poll::Pending => return self.poll_late_head(cx),
            }
            self.note_read(buf.filled().len() - before);
        }
        let Phase::Frames(frames) = &mut self.phase else { return Poll::Ready(Ok(())) };
        if let Err(fault) = frames.receive(&buf.filled()[before..], Instant::now()) {
            buf.set_filled(before);
            return Poll::Ready(Err(self.cut(fault)));
        }
        if !frames.is_inside_head() {
            self.deadline = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing is there: a head that has begun must end in time, as on HTTP/1.
    fn poll_late_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !matches!(&self.phase, Phase::Frames(frames) if frames.is_inside_head()) {
            return Poll::Pending;
        }
        let after = self.limits.head_deadline;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(self.cut(Fault::Slow)))
    }

    /// Ends an HTTP/2 connection; there is no request to answer.
    fn cut(&mut self, fault: Fault) -> io::Error {
        self.deadline = None;
        self.phase = Phase::Closed;
        self.ledger.refused(self.peer.ip(), fault);
        io::ErrorKind::ConnectionAborted.into()
    }

    /// What we send earns an HTTP/2 client the right to acknowledge it.
    pub(super) fn note_written(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Phase::Frames(frames), Poll::Ready(Ok(count))) = (&mut self.phase, written) {
            frames.sent(*count);
        }
    }
}
