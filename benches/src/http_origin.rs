//! The cheapest HTTP/1.1 origin that keeps connections alive: one thread, one ready-made response.
//!
//! It reads no more of a request than the blank line that ends it, so it costs less than any proxy
//! in front of it. It is no server to learn from: requests with bodies are not understood.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::kernel::{Interest, Poll, Ready};

/// The most bytes of a request head before the connection is closed.
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// The most connections at once.
const CONNECTIONS_MAX: usize = 16 << 10;
/// The listener's number in the poll set.
const LISTENER: usize = usize::MAX;

/// The response for a body of `octets` times `x`.
pub fn response(octets: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: {octets}\r\n\r\n"
    );
    let mut response = head.into_bytes();
    response.resize(response.len() + octets, b'x');
    response
}

/// Serves for ever.
///
/// # Errors
/// Whatever the listener or the poll set says; a connection's error ends that connection alone.
pub fn serve(listener: &TcpListener, response: &[u8]) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = Poll::new()?;
    poll.watch(listener, LISTENER)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut ready = Vec::new();
    loop {
        poll.wait(&mut ready, -1)?;
        for &event in &ready {
            if event.key == LISTENER {
                accept(listener, &poll, &mut connections)?;
                continue;
            }
            let Some(place) = connections.get_mut(event.key) else { continue };
            let Some(connection) = place else { continue };
            if connection.advance(&poll, event, response).is_err() {
                *place = None;
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Vec<Option<Connection>>,
) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
            Err(e) => return Err(e),
        };
        let at = connections.iter().position(Option::is_none).unwrap_or(connections.len());
        if at >= CONNECTIONS_MAX {
            continue;
        }
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        poll.watch(&stream, at)?;
        let connection = Connection { stream, head: Vec::new(), owed: 0, written: 0 };
        match connections.get_mut(at) {
            Some(place) => *place = Some(connection),
            None => connections.push(Some(connection)),
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// What has come of the next request.
    head: Vec<u8>,
    /// Responses not yet written in full,
    owed: usize,
    /// and how much of the first of them is.
    written: usize,
}

impl Connection {
    /// Reads, counts requests and writes what it can. An error means: close.
    fn advance(&mut self, poll: &Poll, event: Ready, response: &[u8]) -> io::Result<()> {
        let owed_before = self.owed;
        if event.readable {
            self.read()?;
        }
        self.write(response)?;
        let blocked = self.owed > 0;
        if blocked != (owed_before > 0) {
            let interest = if blocked { Interest::ReadWrite } else { Interest::Read };
            poll.change(&self.stream, event.key, interest)?;
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        };
        let mut came = &buffer[..count];
        // The usual case, one whole request in one read, copies nothing.
        if !self.head.is_empty() {
            self.head.extend_from_slice(came);
            came = &self.head;
        }
        let mut rest = came;
        while let Some(at) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            self.owed += 1;
            rest = &rest[at + 4..];
        }
        if rest.len() > HEAD_OCTETS_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        self.head = if rest.is_empty() { Vec::new() } else { rest.to_vec() };
        Ok(())
    }

    fn write(&mut self, response: &[u8]) -> io::Result<()> {
        while self.owed > 0 {
            match self.stream.write(&response[self.written..]) {
                Ok(count) => self.written += count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
            if self.written == response.len() {
                self.owed -= 1;
                self.written = 0;
            }
        }
        Ok(())
    }
}
