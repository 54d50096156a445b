//! Connections to origins for upgrades (WebSocket): the request is sent no sooner than Pingora
//! waits for the answer.
//!
//! Pingora 0.9.1 tells its origin side "the request's body is over" through a channel, and takes
//! that word for the end of the tunnel when it reads it after the origin's 101. An origin that
//! answers fast enough wins this race (one upgrade in seven on loopback). Holding the head back
//! until the first read makes the answer come after the word, always.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_core::{Error, ErrorType, OrErr, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// Makes such connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpgradeConnector {
    /// Time for one.
    pub(crate) within: Duration,
    /// Time from the sent head to the first octet of the answer; the tunnel behind it has none.
    pub(crate) answer_within: Duration,
}

#[async_trait]
impl L4Connect for UpgradeConnector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::ConnectError, "not an IP address");
        };
        let Ok(connected) = timeout(self.within, TcpStream::connect(address)).await else {
            return Error::e_explain(ErrorType::ConnectTimedout, "connecting for an upgrade");
        };
        let socket = connected.or_err(ErrorType::ConnectError, "connecting for an upgrade")?;
        let answer_by = Some(Box::pin(sleep(self.answer_within)));
        let held = HeldHead { socket, held: Vec::new(), phase: Phase::Holding, answer_by };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(held))))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Writes are kept.
    Holding,
    /// The first read has begun: what was kept goes out.
    Sending,
    /// A plain socket.
    Open,
}

#[derive(Debug)]
struct HeldHead {
    socket: TcpStream,
    held: Vec<u8>,
    phase: Phase,
    /// Runs until the first octet of the answer.
    answer_by: Option<Pin<Box<Sleep>>>,
}

impl HeldHead {
    fn poll_answer(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if read.is_ready() {
            self.answer_by = None;
        } else if let Some(answer_by) = &mut self.answer_by {
            ready!(answer_by.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let count = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.held))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..count);
        }
        self.phase = Phase::Open;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for HeldHead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.phase {
            Phase::Open => self.poll_answer(cx, buf),
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

impl AsyncWrite for HeldHead {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.phase == Phase::Holding {
            self.held.extend_from_slice(octets);
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
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl VirtualSocket for HeldHead {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.socket.set_nodelay(true),
            _ => Ok(()),
        }
    }
}
