//! The client's connection as Pingora sees it: whole, judged messages, one at a time.
//!
//! Pingora reads requests through this wrapper. On HTTP/1 it gets the connection only when a head is
//! complete and has passed `head`'s judgement (`poll_request`), so that a client that takes its time
//! costs its octets and no session; heads that are too slow or too large are cut with a proper
//! answer, and no octet of the next request is handed over before the current one is finished; so
//! pipelining works and nothing is left to Pingora's lenient parser. On HTTP/2 it passes
//! octets while they are no flood. It also samples the client's round-trip time, because here the descriptor is certainly
//! the client's. Invariant: what Pingora reads between two `next_request` calls is one request.

mod connection;
mod frames;
mod held;
mod http2;
mod pace;
mod refusal;

use std::fmt;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{ALPN, SocketDigest};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

pub(crate) use self::connection::{Connection, Nearness, connection_of};
#[cfg(not(fuzzing))]
use self::frames::Frames;
#[cfg(fuzzing)]
pub(crate) use self::frames::Frames;
use self::held::Held;
pub(crate) use self::held::Room;
pub(crate) use self::pace::{Pace, PaceLimits};
use self::refusal::Refusal;
use crate::chunk::Chunks;
use crate::head::{Fault, Framing, Head, HeadLimits, HeadScan};
use crate::ledger::Ledger;
use crate::transport::Transport;

/// Octets read at a time into our own buffer while a head is incomplete.
const READ_OCTETS: usize = 4096;
/// The least time between two RTT samples of one connection.
const RTT_EVERY: Duration = Duration::from_secs(1);

/// Limits of the wrapper.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IoLimits {
    /// Of heads.
    pub(crate) head: HeadLimits,
    /// From a head's first octet to its last.
    pub(crate) head_deadline: Duration,
    /// Of bodies.
    pub(crate) pace: PaceLimits,
}

/// What is spoken.
#[derive(Debug)]
enum Phase {
    /// HTTP/1, before or inside a head.
    Head(HeadScan),
    /// HTTP/1, inside a body of which so many octets are still to come.
    Length(u64),
    /// HTTP/1, inside a chunked body.
    Chunked(Chunks),
    /// HTTP/1, the request has been read; waiting for `next_request`.
    Done,
    /// An answer to a bad request is being written; then lingering until the client closes.
    Refuse(Box<Refusal>),
    /// Everything passes: HTTP/1 that asked for an upgrade.
    Through,
    /// HTTP/2: everything passes as long as its frames are no flood.
    Frames(Box<Frames>),
    /// Refused and closed.
    Closed,
}

/// The wrapper. Boxed, it is Pingora's `Stream`.
pub(crate) struct ClientIo {
    transport: Transport,
    phase: Phase,
    /// Octets read and not yet handed over.
    held: Held,
    /// Runs while a head is incomplete or a body is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    pace: Pace,
    limits: IoLimits,
    alpn: Option<ALPN>,
    digest: Arc<ProxyDigest>,
    rtt_sampled: Instant,
    peer: SocketAddr,
    nearness: Nearness,
    ledger: Arc<Ledger>,
}

/// Everything a wrapper is made of.
pub(crate) struct ClientIoParts {
    /// Below.
    pub(crate) transport: Transport,
    /// What `accept` read already.
    pub(crate) held: Vec<u8>,
    /// For what does not fit into a connection's own octets.
    pub(crate) room: Arc<Room>,
    /// Whether HTTP/2 is spoken (by ALPN or by its preface).
    pub(crate) protocol: Protocol,
    /// For the proxy.
    pub(crate) connection: Connection,
    /// Limits.
    pub(crate) limits: IoLimits,
    /// Told of every refusal and of the client's RTT.
    pub(crate) ledger: Arc<Ledger>,
}

/// What a connection speaks, settled before the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2, by ALPN or prior knowledge.
    Http2,
}

impl ClientIo {
    /// Wraps a connection whose protocol is known.
    pub(crate) fn new(parts: ClientIoParts) -> Self {
        let ClientIoParts { transport, held, room, protocol, connection, limits, ledger } = parts;
        let (phase, alpn) = match protocol {
            Protocol::Http1 => (Phase::Head(HeadScan::default()), None),
            Protocol::Http2 => {
                (Phase::Frames(Box::new(Frames::new(Instant::now()))), Some(ALPN::H2))
            }
        };
        let (peer, nearness) = (connection.peer, connection.nearness);
        let this = Self {
            transport,
            phase,
            held: Held::new(held, room),
            deadline: None,
            pace: Pace::default(),
            limits,
            alpn,
            digest: Arc::new(connection.into_digest()),
            rtt_sampled: Instant::now(),
            peer,
            nearness,
            ledger,
        };
        this.sample_rtt();
        this
    }

    /// The request has been answered: what comes next is a head.
    pub(crate) fn next_request(&mut self) {
        if matches!(self.phase, Phase::Done) {
            self.phase = Phase::Head(HeadScan::default());
            self.pace = Pace::default();
            self.deadline = None;
        }
    }

    /// Ready when octets of the next request are there, an error when the client has closed. On a
    /// plain socket they are left in the kernel, for the reader's own buffer.
    pub(crate) fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.waiting().is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Transport::Plain(socket) = &self.transport {
            return socket.poll_read_ready(cx);
        }
        match ready!(self.fill(cx))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Whether the connection can carry another request as far as its framing goes.
    pub(crate) fn is_between_requests(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Head(_))
    }

    fn sample_rtt(&self) {
        if self.nearness == Nearness::BehindBalancer {
            return;
        }
        let socket = SocketDigest::from_raw_fd(self.transport.socket().as_raw_fd());
        if let Some(info) = socket.tcp_info() {
            self.ledger.rtt.add(self.peer.ip(), info.tcpi_rtt);
        }
    }

    /// Reads more into the held octets; 0 is the end of the stream.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Not zeroed: that cost 6,700 instructions a request.
        let mut space = [const { MaybeUninit::uninit() }; READ_OCTETS];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(self.transport.read(cx, &mut buf))?;
        let count = buf.filled().len();
        self.held.push(buf.filled());
        self.note_read(count);
        Poll::Ready(Ok(count))
    }

    fn note_read(&mut self, count: usize) {
        let now = Instant::now();
        if count > 0 && now.duration_since(self.rtt_sampled) >= RTT_EVERY {
            self.rtt_sampled = now;
            self.sample_rtt();
        }
    }

    /// Ready when a whole head is there that may be passed on; an error when there will be none,
    /// because the client has closed, or was refused and has been told so.
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(head) = ready!(self.poll_head(cx))? {
            // It is handed over with as much of the body as is here already.
            self.phase = match (head.upgrade, head.body) {
                (true, _) => Phase::Through,
                (false, Framing::Length(length)) => {
                    Phase::Length(length.saturating_add(head.octets as u64))
                }
                (false, Framing::Chunked) => Phase::Chunked(Chunks::after_head(head.octets)),
            };
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_refusal(cx));
        Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Tells a refused client why.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Phase::Refuse(refusal) = &mut self.phase {
            ready!(refusal.poll(&mut self.transport, cx));
            self.phase = Phase::Closed;
        }
        Poll::Ready(())
    }

    /// Reads until a head is complete.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Head>>> {
        loop {
            let Phase::Head(scan) = &mut self.phase else { return Poll::Ready(Ok(None)) };
            match scan.advance(self.held.waiting(), &self.limits.head) {
                Ok(Some(head)) => {
                    self.deadline = None;
                    return Poll::Ready(Ok(Some(head)));
                }
                Ok(None) => {}
                Err(fault) => {
                    self.refuse(fault);
                    return Poll::Ready(Ok(None));
                }
            }
            if !self.held.admits(READ_OCTETS) {
                self.refuse(Fault::Crowded);
                return Poll::Ready(Ok(None));
            }
            match self.fill(cx)? {
                Poll::Ready(0) => {
                    self.phase = Phase::Closed;
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(_) => {}
                Poll::Pending => {
                    if self.held.waiting().is_empty() {
                        return Poll::Pending;
                    }
                    let after = self.limits.head_deadline;
                    let deadline =
                        self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
                    ready!(deadline.as_mut().poll(cx));
                    self.refuse(Fault::Slow);
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }

    /// Starts answering a bad request.
    fn refuse(&mut self, fault: Fault) {
        self.deadline = None;
        self.held.clear();
        self.ledger.refused(self.peer.ip(), fault);
        self.phase = Phase::Refuse(Box::new(Refusal::new(fault)));
    }

    /// Waits for more of a body, for as long as its pace allows.
    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = Instant::now();
        let left = self.pace.starve(now, &self.limits.pace);
        if left.is_zero() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let until = now + left;
        let deadline =
            self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if deadline.deadline() != until {
            deadline.as_mut().reset(until);
        }
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Hands over octets of a body, never one beyond it.
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.held.waiting().is_empty() {
            match self.fill(cx)? {
                Poll::Ready(0) => return Poll::Ready(Ok(())),
                Poll::Ready(count) => self.pace.feed(Instant::now(), count),
                Poll::Pending => return self.poll_pace(cx),
            }
        }
        let within = match &mut self.phase {
            Phase::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX),
            Phase::Chunked(chunks) => {
                // Follow only what fits, so that the state is that of the octets handed over.
                let waiting = self.held.waiting();
                let fits = waiting.len().min(buf.remaining());
                let unseen = chunks.is_before_body();
                match chunks.advance(&waiting[..fits]) {
                    Ok(count) => count,
                    // Pingora knows nothing of the request yet.
                    Err(fault) if unseen => {
                        self.refuse(fault);
                        return Poll::Ready(Ok(()));
                    }
                    Err(_) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                }
            }
            _ => usize::MAX,
        };
        let count = self.held.hand_over(buf, within);
        let finished = match &mut self.phase {
            Phase::Length(left) => {
                *left -= count as u64;
                *left == 0
            }
            Phase::Chunked(chunks) => chunks.is_done(),
            _ => false,
        };
        if finished {
            self.phase = Phase::Done;
        }
        Poll::Ready(Ok(()))
    }

    /// Between the end of a request and its answer: a pipelined request is held back, and only the
    /// end of the stream is reported.
    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let too_many = self.held.waiting().len() > self.limits.head.octets_max;
            if too_many || !self.held.admits(READ_OCTETS) {
                return Poll::Pending;
            }
            match ready!(self.fill(cx))? {
                0 if self.held.waiting().is_empty() => return Poll::Ready(Ok(())),
                // The client closed its half after a pipelined request: answer both.
                0 => return Poll::Pending,
                _ => {}
            }
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if matches!(this.phase, Phase::Length(_) | Phase::Chunked(_)) {
            let before = buf.filled().len();
            ready!(this.poll_body(cx, buf))?;
            if buf.filled().len() > before || !matches!(this.phase, Phase::Refuse(_)) {
                return Poll::Ready(Ok(()));
            }
        }
        match &this.phase {
            Phase::Refuse(_) => this.poll_refusal(cx).map(Ok),
            Phase::Done => this.poll_done(cx),
            Phase::Through => {
                if this.held.hand_over(buf, usize::MAX) == 0 {
                    let before = buf.filled().len();
                    ready!(this.transport.read(cx, buf))?;
                    this.note_read(buf.filled().len() - before);
                }
                Poll::Ready(Ok(()))
            }
            Phase::Frames(_) => this.poll_frames(cx, buf),
            Phase::Head(_) | Phase::Length(_) | Phase::Chunked(_) | Phase::Closed => {
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.transport.write(cx, octets);
        self.note_written(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.transport.write_vectored(cx, octets);
        self.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl fmt::Debug for ClientIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIo")
            .field("peer", &self.peer)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
