//! Connections to origins for upgrades (WebSocket): the request is sent no sooner than Pingora
//! waits for the answer.
//!
//! Pingora 0.9.1 tells its origin side "the request's body is over" through a channel, and takes
//! that word for the end of the tunnel when it reads it after the origin's 101. An origin that
//! answers fast enough wins this race (one upgrade in seven on loopback). Holding the head back
//! until the first read makes the answer come after the word, always. Below TLS the head cannot be
//! told from the handshake, so there every write waits for the read that is pending beside it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_core::{Error, ErrorType, OrErr, Result};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// So many octets wait for a read; more are written at once.
const HELD_OCTETS_MAX: usize = 64 * 1024;

/// Which writes wait for a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The first one: the head of a plain request.
    FirstWrite,
    /// All of them: TLS records.
    EveryWrite,
}

/// Makes such connections.
#[derive(Debug, Clone)]
pub(crate) struct UpgradeConnector {
    /// Time for one.
    pub(crate) within: Duration,
    /// Time from the connection to the head of the answer; the tunnel behind it has none.
    pub(crate) answer_within: Duration,
    /// Raised when that head is here.
    pub(crate) answered: Arc<AtomicBool>,
    /// What is held.
    pub(crate) hold: Hold,
    /// The PROXY header that goes first, if any.
    pub(crate) greeting: Option<Arc<[u8]>>,
}

/// Makes connections that begin with a PROXY header.
#[derive(Debug, Clone)]
pub(crate) struct GreetingConnector {
    /// Time for one.
    pub(crate) within: Duration,
    /// The header.
    pub(crate) greeting: Arc<[u8]>,
}

#[async_trait]
impl L4Connect for GreetingConnector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        connect(address, self.within, Some(&self.greeting)).await.map(Stream::from)
    }
}

/// A connection on which the greeting, if any, has been sent.
async fn connect(
    address: &SocketAddr,
    within: Duration,
    greeting: Option<&[u8]>,
) -> Result<TcpStream> {
    let Some(address) = address.as_inet() else {
        return Error::e_explain(ErrorType::ConnectError, "not an IP address");
    };
    let Ok(connected) = timeout(within, TcpStream::connect(address)).await else {
        return Error::e_explain(ErrorType::ConnectTimedout, "connecting");
    };
    let mut socket = connected.or_err(ErrorType::ConnectError, "connecting")?;
    socket.set_nodelay(true).or_err(ErrorType::ConnectError, "connecting")?;
    if let Some(greeting) = greeting {
        // A new socket's buffer takes it at once.
        socket.write_all(greeting).await.or_err(ErrorType::ConnectError, "greeting")?;
    }
    Ok(socket)
}

#[async_trait]
impl L4Connect for UpgradeConnector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let socket = connect(address, self.within, self.greeting.as_deref()).await?;
        let held = HeldWrites {
            socket,
            held: Vec::new(),
            hold: self.hold,
            phase: Phase::Holding,
            reader: None,
            answer_by: Some(Box::pin(sleep(self.answer_within))),
            answered: Arc::clone(&self.answered),
        };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(held))))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Writes are kept.
    Holding,
    /// A read has begun: what was kept goes out.
    Sending,
    /// A plain socket.
    Open,
}

#[derive(Debug)]
struct HeldWrites {
    socket: TcpStream,
    held: Vec<u8>,
    hold: Hold,
    phase: Phase,
    /// Whoever waits for octets of the origin.
    reader: Option<Waker>,
    /// Runs until the answer's head is here.
    answer_by: Option<Pin<Box<Sleep>>>,
    answered: Arc<AtomicBool>,
}

impl HeldWrites {
    fn poll_answer(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if read.is_ready() {
            return read;
        }
        if self.hold == Hold::EveryWrite {
            self.reader = Some(cx.waker().clone());
        }
        if let Some(answer_by) = &mut self.answer_by {
            if self.answered.load(Ordering::Relaxed) {
                self.answer_by = None;
            } else {
                ready!(answer_by.as_mut().poll(cx));
                self.answer_by = None;
                if !self.answered.load(Ordering::Relaxed) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let count = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.held))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..count);
        }
        self.phase = match self.hold {
            Hold::FirstWrite => Phase::Open,
            Hold::EveryWrite => Phase::Holding,
        };
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for HeldWrites {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.phase {
            Phase::Open => self.poll_answer(cx, buf),
            Phase::Holding if self.hold == Hold::EveryWrite && self.held.is_empty() => {
                self.poll_answer(cx, buf)
            }
            Phase::Holding => {
                // Whoever waits beside this read gets its turn before an answer can be here.
                self.phase = Phase::Sending;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Phase::Sending => {
                ready!(self.poll_send(cx))?;
                self.poll_answer(cx, buf)
            }
        }
    }
}

impl AsyncWrite for HeldWrites {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.phase == Phase::Holding && self.held.len() < HELD_OCTETS_MAX {
            self.held.extend_from_slice(octets);
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
            return Poll::Ready(Ok(octets.len()));
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.phase == Phase::Holding {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl VirtualSocket for HeldWrites {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.socket.set_nodelay(true),
            _ => Ok(()),
        }
    }
}
