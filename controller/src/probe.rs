//! Sends probes: one task keeps the schedule, each probe is one short connection.
//!
//! Starts are spread over the interval by the target's own hash, so that twenty thousand checks do
//! not leave in one burst, and keep their place when documents change. Rule: a probe that could not
//! be tried for want of this machine's own resources says nothing of the target.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::target::{Check, Target, Targets};
use crate::verdict::{MissCause, Outcome};

/// Probes under way at once: well under the usual limit of 1,024 descriptors.
const IN_FLIGHT_MAX: usize = 512;
/// Octets of an answer that are read to find its status, interim answers included.
const ANSWER_OCTETS_MAX: usize = 8192;

/// A probe's result.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) target: Arc<Target>,
    pub(crate) outcome: Outcome,
}

/// Probes whatever `targets` holds until its sender or the results' receiver is gone.
pub(crate) async fn run(mut targets: watch::Receiver<Arc<Targets>>, results: mpsc::Sender<Probed>) {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut schedule = Schedule::default();
    schedule.replace(&targets.borrow_and_update(), Instant::now());
    loop {
        let due = schedule.next_due();
        tokio::select! {
            changed = targets.changed() => {
                if changed.is_err() {
                    return;
                }
                schedule.replace(&targets.borrow_and_update(), Instant::now());
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                for target in schedule.take_due(Instant::now()) {
                    let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                    let results = results.clone();
                    tokio::spawn(async move {
                        let outcome = probe(&target).await;
                        drop(permit);
                        count(outcome);
                        // The controller is gone: so will this task be.
                        let _ = results.send(Probed { target, outcome }).await;
                    });
                }
            }
        }
    }
}

/// When each target is due next. Pure: time comes in.
#[derive(Debug, Default)]
struct Schedule {
    targets: Vec<Arc<Target>>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Schedule {
    /// Takes a new set; targets that were there keep their place in time.
    fn replace(&mut self, targets: &Targets, now: Instant) {
        let kept: HashMap<&Arc<Target>, Instant> =
            self.due.iter().map(|Reverse((due, at))| (&self.targets[*at], *due)).collect();
        let due = targets.all.iter().enumerate().map(|(at, target)| {
            let due = kept.get(target).copied().unwrap_or_else(|| now + spread(target));
            Reverse((due, at))
        });
        self.due = due.collect();
        self.targets.clone_from(&targets.all);
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// What is due, each put back one interval later. Starts missed altogether are not made up for.
    fn take_due(&mut self, now: Instant) -> Vec<Arc<Target>> {
        let mut taken = Vec::new();
        while let Some(Reverse((due, at))) = self.due.peek().copied() {
            if due > now {
                break;
            }
            self.due.pop();
            let target = Arc::clone(&self.targets[at]);
            let interval = Duration::from_millis(u64::from(target.interval_ms));
            let next = due + interval;
            let next = if next > now { next } else { now + interval };
            self.due.push(Reverse((next, at)));
            taken.push(target);
        }
        taken
    }
}

fn spread(target: &Target) -> Duration {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    Duration::from_millis(hasher.finish() % u64::from(target.interval_ms.max(1)))
}

fn count(outcome: Outcome) {
    let result = match outcome {
        Outcome::Hit => "hit",
        Outcome::Miss(_) => "miss",
        Outcome::Inconclusive => "inconclusive",
    };
    counter!("nearside_probes_total", "result" => result).increment(1);
}

/// One probe, within the target's timeout.
pub(crate) async fn probe(target: &Target) -> Outcome {
    let within = Duration::from_millis(u64::from(target.timeout_ms));
    match timeout(within, check(target)).await {
        Ok(Ok(())) => Outcome::Hit,
        Ok(Err(outcome)) => outcome,
        Err(_) => Outcome::Miss(MissCause::Timeout),
    }
}

async fn check(target: &Target) -> Result<(), Outcome> {
    let mut stream = TcpStream::connect(target.address).await.map_err(|e| of_connect(&e))?;
    let Check::Http { path, host, status_min, status_max } = &target.check else { return Ok(()) };
    let broken = |_| Outcome::Miss(MissCause::Broken);
    stream.write_all(request(path, host)?.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::with_capacity(512);
    loop {
        let read = stream.read_buf(&mut answer).await.map_err(broken)?;
        match status_of(&answer) {
            Found::Status(status) if (*status_min..=*status_max).contains(&status) => return Ok(()),
            Found::Status(status) => return Err(Outcome::Miss(MissCause::Status(status))),
            Found::Garbage => return Err(Outcome::Miss(MissCause::NotHttp)),
            Found::More if answer.len() > ANSWER_OCTETS_MAX => {
                return Err(Outcome::Miss(MissCause::NotHttp));
            }
            Found::More if read == 0 => return Err(Outcome::Miss(MissCause::Broken)),
            Found::More => {}
        }
    }
}

/// What a failed connect says: of the target, or of this machine.
fn of_connect(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::Miss(MissCause::Refused),
        io::ErrorKind::HostUnreachable => Outcome::Miss(MissCause::Unreachable),
        io::ErrorKind::TimedOut => Outcome::Miss(MissCause::Timeout),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            Outcome::Miss(MissCause::Broken)
        }
        // No route of our own, no descriptor, no port, not allowed.
        _ => Outcome::Inconclusive,
    }
}

/// The request. A path or host that would break the message is never sent.
fn request(path: &str, host: &str) -> Result<String, Outcome> {
    let clean = |text: &str| text.bytes().all(|octet| octet.is_ascii_graphic());
    if !path.starts_with('/') || !clean(path) || !clean(host) {
        return Err(Outcome::Inconclusive);
    }
    Ok(format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: nearside-probe\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    ))
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Status(u16),
    More,
    Garbage,
}

/// The final status in the octets so far, past any interim (1xx) answers.
fn status_of(mut octets: &[u8]) -> Found {
    loop {
        let Some(line_end) = octets.windows(2).position(|pair| pair == b"\r\n") else {
            let start = &octets[..octets.len().min(7)];
            return if b"HTTP/1.".starts_with(start) { Found::More } else { Found::Garbage };
        };
        let status = match &octets[..line_end] {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', a, b, c, rest @ ..]
                if [a, b, c].iter().all(|digit| digit.is_ascii_digit())
                    && (rest.is_empty() || rest[0] == b' ') =>
            {
                [a, b, c].iter().fold(0, |status, &&digit| status * 10 + u16::from(digit - b'0'))
            }
            _ => return Found::Garbage,
        };
        if status >= 200 || status == 101 {
            return Found::Status(status);
        }
        let Some(head_end) = octets.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Found::More;
        };
        octets = &octets[head_end + 4..];
    }
}

#[cfg(test)]
mod tests;
