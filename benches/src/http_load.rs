//! An HTTP/1.1 load generator: keep-alive connections, one request at a time on each, every
//! response's status and body length checked. Closed loop or paced; one thread.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::kernel::{Poll, Ready};
use crate::loopback_only;

/// The most bytes of a response head.
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// Read at once; a 100 KiB body then takes two calls.
const READ_OCTETS: usize = 64 << 10;
/// The longest the generator sleeps; it then looks at the clock again.
const WAIT_MS_MAX: i32 = 10;

/// What to ask for and what to expect.
#[derive(Debug, Clone)]
pub struct Request {
    /// Host header.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// The expected status.
    pub status: u16,
    /// The expected length of the body.
    pub body_octets: u64,
}

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Connections.
    pub connections: usize,
    /// Requests per second over all connections; 0 is as fast as the responses come.
    pub per_second: u64,
    /// Ends after this time,
    pub duration: Duration,
    /// or after this many requests.
    pub requests_max: u64,
    /// A response that takes longer is a failure, and its connection is replaced.
    pub timeout: Duration,
}

/// What can go wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The connection could not be opened or broke.
    Connection,
    /// No whole response in time.
    Timeout,
    /// Another status.
    Status,
    /// Another length.
    Length,
    /// Not HTTP/1.1 with a `Content-Length`.
    Malformed,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Requests sent.
    pub sent: u64,
    /// Good responses.
    pub good: u64,
    /// The others, by kind.
    pub failures: BTreeMap<Failure, u64>,
    /// Connections opened after the first ones.
    pub reopened: u64,
    /// From request to last byte.
    pub latency: Histogram,
    /// Wall-clock time taken.
    pub elapsed: Duration,
}

impl Outcome {
    /// Failed requests of any kind.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// Asks `target` and returns when time or count is reached and every request is settled.
///
/// # Errors
/// The target is not on loopback or cannot be connected to at all.
pub fn run(target: SocketAddr, request: &Request, pace: Pace) -> anyhow::Result<Outcome> {
    loopback_only(target)?;
    let bytes = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: http-load\r\nAccept: */*\r\n\r\n",
        request.path, request.host
    );
    let poll = Poll::new()?;
    let connections = (0..pace.connections.max(1))
        .map(|key| Connection::open(target, &poll, key))
        .collect::<io::Result<Vec<_>>>()?;
    let idle = (0..connections.len()).rev().collect();
    let started = clock();
    let outcome = Outcome::default();
    let bytes = bytes.into_bytes();
    let buffer = vec![0; READ_OCTETS];
    Generator { target, request, bytes, pace, poll, connections, idle, buffer, started, outcome }
        .run()
}

struct Generator<'a> {
    target: SocketAddr,
    request: &'a Request,
    bytes: Vec<u8>,
    pace: Pace,
    poll: Poll,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    buffer: Vec<u8>,
    started: Instant,
    outcome: Outcome,
}

impl Generator<'_> {
    fn run(mut self) -> anyhow::Result<Outcome> {
        let mut ready = Vec::new();
        loop {
            let elapsed = self.started.elapsed();
            let more = elapsed < self.pace.duration && self.outcome.sent < self.pace.requests_max;
            if more {
                self.send_due(elapsed)?;
            } else if self.idle.len() == self.connections.len() {
                break;
            }
            let paced = self.pace.per_second > 0 && !self.idle.is_empty();
            self.poll.wait(&mut ready, if paced { 1 } else { WAIT_MS_MAX })?;
            for &event in &ready {
                self.receive(event)?;
            }
            if ready.is_empty() {
                self.give_up()?;
            }
        }
        self.outcome.elapsed = self.started.elapsed();
        Ok(self.outcome)
    }

    fn send_due(&mut self, elapsed: Duration) -> anyhow::Result<()> {
        let mut room = self.pace.requests_max - self.outcome.sent;
        if self.pace.per_second > 0 {
            let due = elapsed.as_nanos() * u128::from(self.pace.per_second) / 1_000_000_000;
            let due = u64::try_from(due).unwrap_or(u64::MAX).saturating_add(1);
            room = room.min(due.saturating_sub(self.outcome.sent));
        }
        for _ in 0..room {
            let Some(at) = self.idle.pop() else { break };
            self.outcome.sent += 1;
            let connection = &mut self.connections[at];
            connection.sent = Some(clock());
            if connection.stream.write_all(&self.bytes).is_err() {
                self.fail(at, Failure::Connection)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, event: Ready) -> anyhow::Result<()> {
        let at = event.key;
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        let count = match connection.stream.read(&mut self.buffer) {
            Ok(count) if count > 0 => count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            _ => return self.fail(at, Failure::Connection),
        };
        match connection.take(&self.buffer[..count], self.request) {
            Progress::More => Ok(()),
            Progress::Whole => {
                if let Some(sent) = connection.sent.take() {
                    let taken = clock().saturating_duration_since(sent);
                    self.outcome.good += 1;
                    self.outcome.latency.record(u64::try_from(taken.as_nanos()).unwrap_or(0));
                }
                self.idle.push(at);
                Ok(())
            }
            Progress::Failed(failure) => self.fail(at, failure),
        }
    }

    /// Counts a failure, unless nobody was waiting, and replaces the connection.
    fn fail(&mut self, at: usize, failure: Failure) -> anyhow::Result<()> {
        let waiting = self.connections[at].sent.is_some();
        if waiting {
            *self.outcome.failures.entry(failure).or_default() += 1;
            self.idle.push(at);
        }
        self.outcome.reopened += 1;
        self.connections[at] = Connection::open(self.target, &self.poll, at)?;
        Ok(())
    }

    fn give_up(&mut self) -> anyhow::Result<()> {
        let now = clock();
        for at in 0..self.connections.len() {
            let late = self.connections[at]
                .sent
                .is_some_and(|sent| now.saturating_duration_since(sent) >= self.pace.timeout);
            if late {
                self.fail(at, Failure::Timeout)?;
            }
        }
        Ok(())
    }
}

struct Connection {
    stream: TcpStream,
    sent: Option<Instant>,
    head: Vec<u8>,
    /// Body bytes still to come, once the head is whole.
    left: Option<u64>,
}

enum Progress {
    More,
    Whole,
    Failed(Failure),
}

impl Connection {
    fn open(target: SocketAddr, poll: &Poll, key: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(target)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        poll.watch(&stream, key)?;
        Ok(Self { stream, sent: None, head: Vec::new(), left: None })
    }

    fn take(&mut self, bytes: &[u8], wanted: &Request) -> Progress {
        let mut body_came = bytes.len() as u64;
        if self.left.is_none() {
            self.head.extend_from_slice(bytes);
            let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
                let too_long = self.head.len() > HEAD_OCTETS_MAX;
                return if too_long {
                    Progress::Failed(Failure::Malformed)
                } else {
                    Progress::More
                };
            };
            let Some((status, length)) = status_and_length(&self.head[..end]) else {
                return Progress::Failed(Failure::Malformed);
            };
            if status != wanted.status {
                return Progress::Failed(Failure::Status);
            }
            if length != wanted.body_octets {
                return Progress::Failed(Failure::Length);
            }
            body_came = (self.head.len() - end - 4) as u64;
            self.left = Some(length);
            self.head.clear();
        }
        let left = self.left.unwrap_or(0);
        match left.checked_sub(body_came) {
            None => Progress::Failed(Failure::Length),
            Some(0) => {
                self.left = None;
                Progress::Whole
            }
            left => {
                self.left = left;
                Progress::More
            }
        }
    }
}

/// Status and `Content-Length` of a response head.
fn status_and_length(head: &[u8]) -> Option<(u16, u64)> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })?;
    Some((status, length))
}

#[expect(clippy::disallowed_methods, reason = "a load generator is an I/O shell")]
fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
