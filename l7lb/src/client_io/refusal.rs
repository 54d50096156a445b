//! The answer to a request that never becomes one, and the end of its connection.
//!
//! The answer is written, our half is closed, and what the client still sends is thrown away for a
//! while: closing a socket with unread octets resets it, and then the client may never read why.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::Sleep;

use crate::head::Fault;
use crate::transport::Transport;

/// So many octets of the client are thrown away.
const LINGER_OCTETS_MAX: usize = 256 * 1024;
/// And for so long.
const LINGER: Duration = Duration::from_secs(1);

/// A refusal under way.
#[derive(Debug)]
pub(crate) struct Refusal {
    answer: Vec<u8>,
    written: usize,
    shut: bool,
    drained: usize,
    linger: Pin<Box<Sleep>>,
}

impl Refusal {
    /// The refusal for a fault; its time begins now.
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            answer: answer(fault),
            written: 0,
            shut: false,
            drained: 0,
            linger: Box::pin(tokio::time::sleep(LINGER)),
        }
    }

    /// Ready when the connection may be dropped.
    pub(crate) fn poll(&mut self, transport: &mut Transport, cx: &mut Context<'_>) -> Poll<()> {
        if self.linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while self.written < self.answer.len() {
            match ready!(transport.write(cx, &self.answer[self.written..])) {
                Ok(count) if count > 0 => self.written += count,
                _ => return Poll::Ready(()),
            }
        }
        if !self.shut {
            if ready!(transport.shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.shut = true;
        }
        while self.drained < LINGER_OCTETS_MAX {
            let mut space = [0; 4096];
            let mut buf = ReadBuf::new(&mut space);
            match ready!(transport.read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.drained += buf.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

/// Status line, headers and a line of text.
fn answer(fault: Fault) -> Vec<u8> {
    let status =
        http::StatusCode::from_u16(fault.status()).unwrap_or(http::StatusCode::BAD_REQUEST);
    let reason = status.canonical_reason().unwrap_or_default();
    let body = format!("{} {}\n", status.as_u16(), fault.code());
    let allow = if fault == Fault::Method {
        "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {}\r\n{allow}connection: close\r\n\r\n{body}",
        status.as_u16(),
        body.len(),
    )
    .into_bytes()
}
