//! TCP (RFC 7766): pipelined queries, and limits on everything a client could hold.
//!
//! An idle connection owns no buffer. A frame that has begun must end within its time whatever
//! trickles in, a reader that does not take its answers is cut, and connections are counted in all
//! and by client (an IPv4 address or an IPv6 /64). When no more may be open, the one that was answered
//! longest ago makes room, and when a client may have no more, its own.

mod connections;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer::{Arrival, Transport, handle};
use crate::clock;
use crate::message::HEADER_OCTETS;
use crate::server::Shared;
use crate::stats::{Counters, Tally};
use connections::Place;
pub(crate) use connections::{Connections, client_key};

/// Octets of a frame's length.
const LENGTH_OCTETS: usize = 2;
/// Room offered to one read.
const READ_OCTETS: usize = 2048;
/// Answers are sent when this many octets of them are waiting, or no whole query is left.
const WRITE_OCTETS: usize = 16 << 10;
/// Pause after a failed accept (out of descriptors, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The default of [`TcpLimits::idle`].
pub const TCP_IDLE_DEFAULT: Duration = Duration::from_secs(10);

/// What TCP clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLimits {
    /// Connections at once (default 1,000: within the usual limit of 1,024 descriptors). Past it the
    /// one that was answered longest ago is closed.
    pub connections_max: usize,
    /// Connections at once from one IPv4 address or IPv6 /64 (default 50). Past it the client's own that
    /// was answered longest ago is closed.
    pub connections_per_client_max: usize,
    /// How long a connection may wait between queries (default 10 s; RFC 7766, section 6.2.3, wants
    /// "a few seconds").
    pub idle: Duration,
    /// How long a query may take from its first octet to its last (default 5 s).
    pub frame: Duration,
    /// How long a client may take to accept what is waiting for it (default 5 s).
    pub write: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            connections_max: 1_000,
            connections_per_client_max: 50,
            idle: TCP_IDLE_DEFAULT,
            frame: Duration::from_secs(5),
            write: Duration::from_secs(5),
        }
    }
}

/// What the listeners of a server share.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) limits: TcpLimits,
}

/// Accepts connections until the server stops, then waits for those under way.
pub(crate) async fn listen(
    listener: TcpListener,
    service: Service,
    mut stop: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    let told = stop.clone();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match service.connections.enter(peer.ip(), &service.limits) {
                    Some(place) => {
                        tasks.spawn(converse(stream, peer, service.clone(), place, told.clone()));
                    }
                    None => {
                        service.shared.tcp_refused.fetch_add(1, Ordering::Relaxed);
                    }
                },
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a TCP connection");
                    if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
                        service.connections.make_room();
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// Returns when the server stops, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _gone = stop.wait_for(|stop| *stop).await;
}

/// Why a conversation ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The client closed, or we are stopping.
    Closed,
    /// We closed: too slow, idle or malformed.
    Cut,
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    service: Service,
    place: Place,
    stop: watch::Receiver<bool>,
) {
    let _best_effort = stream.set_nodelay(true);
    let mut conversation = Conversation {
        stream,
        peer,
        input: Vec::new(),
        output: Vec::new(),
        shared: &service.shared,
        counters: &service.counters,
        place,
    };
    if conversation.run(&service.limits, stop).await == End::Cut {
        service.shared.tcp_cut.fetch_add(1, Ordering::Relaxed);
    }
}

struct Conversation<'s> {
    stream: TcpStream,
    peer: SocketAddr,
    /// Octets read and not yet answered: less than one frame between reads.
    input: Vec<u8>,
    /// Answers not yet sent.
    output: Vec<u8>,
    shared: &'s Shared,
    counters: &'s Counters,
    place: Place,
}

impl Conversation<'_> {
    async fn run(&mut self, limits: &TcpLimits, mut stop: watch::Receiver<bool>) -> End {
        let mut deadline = Instant::now() + limits.idle;
        loop {
            tokio::select! {
                biased;
                // A query that has begun may end; nothing new is begun.
                () = stopped(&mut stop), if self.input.is_empty() => return End::Closed,
                () = self.place.given_away() => return End::Cut,
                ready = timeout_at(deadline, self.stream.readable()) => match ready {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return End::Closed,
                    Err(_) => return End::Cut,
                },
            }
            self.input.reserve(READ_OCTETS);
            let had = self.input.len();
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return End::Closed,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return End::Closed,
            }
            let Some(answered) = self.answer_frames(limits).await else { return End::Cut };
            if answered > 0 {
                self.place.renew();
            }
            if self.input.is_empty() {
                self.input = Vec::new();
                deadline = Instant::now() + limits.idle;
            } else if answered > 0 || had == 0 {
                deadline = Instant::now() + limits.frame;
            }
        }
    }

    /// Answers every whole query read so far. `None` when the client is not worth going on with.
    async fn answer_frames(&mut self, limits: &TcpLimits) -> Option<usize> {
        let mut answered = 0;
        let mut at = 0;
        while let Some(frame) = frame(&self.input[at..]) {
            let whole = LENGTH_OCTETS + frame.len();
            // Less than a header is no query, and the stream is out of step.
            if frame.len() < HEADER_OCTETS {
                return None;
            }
            let tally = answer(self.shared, frame, self.peer, &mut self.output)?;
            self.counters.add(&tally);
            at += whole;
            answered += 1;
            if self.output.len() >= WRITE_OCTETS {
                self.flush(limits.write).await?;
            }
        }
        self.input.drain(..at);
        self.flush(limits.write).await?;
        Some(answered)
    }

    async fn flush(&mut self, within: Duration) -> Option<()> {
        if self.output.is_empty() {
            return Some(());
        }
        tokio::select! {
            biased;
            wrote = timeout(within, self.stream.write_all(&self.output)) => wrote.ok()?.ok()?,
            () = self.place.given_away() => return None,
        }
        self.output = Vec::new();
        Some(())
    }
}

/// The first whole frame, without its length.
fn frame(input: &[u8]) -> Option<&[u8]> {
    let (&[high, low], rest) = input.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes([high, low])))
}

/// Appends the answer to `output`. `None` when the packet deserves none: over TCP that is the end.
fn answer(shared: &Shared, packet: &[u8], peer: SocketAddr, output: &mut Vec<u8>) -> Option<Tally> {
    thread_local! {
        // One per runtime thread, so that a connection owns none.
        static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; usize::from(u16::MAX)]);
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let arrival = Arrival { client: peer, transport: Transport::Tcp, now_s: clock::now_s() };
        let handled = handle(&shared.view(), packet, &arrival, scratch);
        let mut tally = Tally::default();
        tally.count(handled.as_ref());
        let octets = handled?.octets;
        output.extend_from_slice(&u16::try_from(octets).ok()?.to_be_bytes());
        output.extend_from_slice(scratch.get(..octets)?);
        Some(tally)
    })
}
