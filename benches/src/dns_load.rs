//! A UDP load generator for name servers: closed loop or paced, every answer checked.
//!
//! Each socket has its own thread and window of outstanding queries. The low bits of a query's id
//! are its place in the window, the high bits count the place's uses, so that a late answer to a
//! query already given up is told from a good one. Batched calls keep it cheaper than the server.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::kernel::{Batch, Destination};
use crate::loopback_only;
use crate::query::{self, Expectation, Flaw, Subnet, Template};
use crate::random::{Choice, Random};

/// Places in a window: ten bits of the id.
pub const WINDOW_MAX: usize = 1 << WINDOW_BITS;
const WINDOW_BITS: u32 = 10;
/// How many different first addresses are counted apart; the rest are one number.
const ADDRESSES_MAX: usize = 256;
/// Datagrams per system call. The peers take 16 to 64 at once.
const BATCH: usize = 64;

/// What to ask.
#[derive(Debug)]
pub struct Questions {
    /// One per name.
    pub templates: Vec<Template>,
    /// How names are chosen.
    pub choice: Choice,
    /// Clients, chosen evenly; not empty.
    pub subnets: Vec<Subnet>,
    /// What a good answer has.
    pub expectation: Expectation,
    /// By subnet: the first addresses that are right; empty when any is.
    pub right: Vec<Vec<IpAddr>>,
}

impl Questions {
    /// The first address of a good answer, if it has one.
    fn check(
        &self,
        message: &[u8],
        template: usize,
        subnet: usize,
    ) -> Result<Option<IpAddr>, Flaw> {
        let template = &self.templates[template];
        query::check(message, template, self.expectation)?;
        let address = query::first_address(message, template);
        match self.right.get(subnet) {
            Some(right) if !address.is_some_and(|address| right.contains(&address)) => {
                Err(Flaw::Address)
            }
            _ => Ok(address),
        }
    }
}

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Outstanding queries per socket, at most [`WINDOW_MAX`].
    pub window: usize,
    /// Sockets, each with a thread.
    pub sockets: usize,
    /// Queries per second and socket; 0 is as fast as the answers come.
    pub per_second: u64,
    /// Ends after this time,
    pub duration: Duration,
    /// or after this many queries per socket.
    pub queries_max: u64,
    /// A query without an answer for this long is lost.
    pub timeout: Duration,
    /// Seed of the sequence of names and subnets.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Queries sent.
    pub sent: u64,
    /// Good answers.
    pub good: u64,
    /// Queries given up.
    pub lost: u64,
    /// Answers that came after their query was given up, or to no query.
    pub stray: u64,
    /// Wrong answers by what is wrong with them.
    pub flaws: BTreeMap<Flaw, u64>,
    /// Good answers by the first address in them.
    pub addresses: BTreeMap<IpAddr, u64>,
    /// Round-trip times as the generator saw them (in a closed loop mostly queueing).
    pub latency: Histogram,
    /// Wall-clock time taken.
    pub elapsed: Duration,
}

impl Outcome {
    /// Wrong answers of any kind.
    pub fn wrong(&self) -> u64 {
        self.flaws.values().sum()
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.good += other.good;
        self.lost += other.lost;
        self.stray += other.stray;
        for (flaw, count) in &other.flaws {
            *self.flaws.entry(*flaw).or_default() += count;
        }
        for (address, count) in &other.addresses {
            *self.addresses.entry(*address).or_default() += count;
        }
        self.latency.merge(&other.latency);
        self.elapsed = self.elapsed.max(other.elapsed);
    }
}

/// Asks `target` and returns when the time or the count is reached and every query is settled.
///
/// # Errors
/// The target is not on loopback, or a socket failed.
pub fn run(target: SocketAddr, questions: &Questions, pace: Pace) -> anyhow::Result<Outcome> {
    loopback_only(target)?;
    anyhow::ensure!(!questions.templates.is_empty(), "no names to ask for");
    anyhow::ensure!(!questions.subnets.is_empty(), "no subnets to ask from");
    if pace.sockets <= 1 {
        return Generator::new(target, questions, pace)?.run();
    }
    let outcomes = std::thread::scope(|scope| {
        let start = |at| {
            let pace = Pace { seed: pace.seed.wrapping_add(at), ..pace };
            scope.spawn(move || Generator::new(target, questions, pace)?.run())
        };
        let threads: Vec<_> = (0..pace.sockets as u64).map(start).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a generator thread died"))?);
        joined.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let mut whole = Outcome::default();
    outcomes.iter().for_each(|part| whole.merge(part));
    Ok(whole)
}

/// One place of the window.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    sent_ns: u64,
    template: u32,
    subnet: u32,
    uses: u16,
    waiting: bool,
}

struct Generator<'a> {
    socket: UdpSocket,
    questions: &'a Questions,
    pace: Pace,
    random: Random,
    places: Vec<Place>,
    free: Vec<u16>,
    addresses: Vec<(IpAddr, u64)>,
    started: Instant,
    outcome: Outcome,
}

impl<'a> Generator<'a> {
    fn new(target: SocketAddr, questions: &'a Questions, pace: Pace) -> anyhow::Result<Self> {
        let local: SocketAddr = if target.is_ipv4() {
            ([127, 0, 0, 1], 0).into()
        } else {
            ([0, 0, 0, 0, 0, 0, 0, 1], 0).into()
        };
        let socket = UdpSocket::bind(local)?;
        socket.connect(target)?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(crate::udp_echo::RECEIVE_OCTETS)?;
        let window = pace.window.clamp(1, WINDOW_MAX);
        let free = (0..u16::try_from(window).unwrap_or(1)).rev().collect();
        Ok(Self {
            socket,
            questions,
            pace,
            random: Random::new(pace.seed),
            places: vec![Place::default(); window],
            free,
            addresses: Vec::with_capacity(ADDRESSES_MAX),
            started: clock(),
            outcome: Outcome::default(),
        })
    }

    fn run(mut self) -> anyhow::Result<Outcome> {
        let (mut out, mut back) = (Batch::new(BATCH), Batch::new(BATCH));
        self.started = clock();
        let end_ns = nanoseconds(self.pace.duration);
        let mut timeout = Duration::ZERO;
        loop {
            let now_ns = self.now_ns();
            let more = now_ns < end_ns && self.outcome.sent < self.pace.queries_max;
            if more {
                self.send(&mut out, now_ns)?;
            } else if self.free.len() == self.places.len() {
                break;
            }
            let wait = self.wait(now_ns, more);
            if wait != timeout {
                self.socket.set_read_timeout(Some(wait))?;
                timeout = wait;
            }
            match back.receive(&self.socket) {
                Ok(count) => self.settle(&back, count),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    self.give_up();
                }
                // The port was closed under us: every outstanding query is lost, none answered.
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => self.give_up(),
                Err(e) => return Err(e.into()),
            }
        }
        self.outcome.elapsed = self.started.elapsed();
        self.outcome.addresses = self.addresses.iter().copied().collect();
        Ok(self.outcome)
    }

    fn now_ns(&self) -> u64 {
        nanoseconds(self.started.elapsed())
    }

    /// How long to wait for answers: until the next query is due, or until the oldest is lost.
    fn wait(&self, now_ns: u64, more: bool) -> Duration {
        if !more || self.pace.per_second == 0 || self.free.is_empty() {
            return self.pace.timeout.max(Duration::from_millis(1));
        }
        let due_ns = (self.outcome.sent + 1).saturating_mul(1_000_000_000) / self.pace.per_second;
        // Rounded to 100 us, so that the timeout need not be set anew for every batch.
        let wait_us = due_ns.saturating_sub(now_ns).div_ceil(100_000).max(1) * 100;
        Duration::from_micros(wait_us)
    }

    fn send(&mut self, out: &mut Batch, now_ns: u64) -> std::io::Result<()> {
        let mut room = self.free.len().min(BATCH) as u64;
        if self.pace.per_second > 0 {
            let due = u128::from(now_ns) * u128::from(self.pace.per_second) / 1_000_000_000;
            let due = u64::try_from(due).unwrap_or(u64::MAX).saturating_add(1);
            room = room.min(due.saturating_sub(self.outcome.sent));
        }
        room = room.min(self.pace.queries_max - self.outcome.sent);
        let mut count = 0;
        for _ in 0..room {
            let Some(at) = self.free.pop() else { break };
            let name = self.questions.choice.pick(&mut self.random);
            let client = self.random.below(self.questions.subnets.len());
            let subnet = self.questions.subnets[client];
            let place = &mut self.places[usize::from(at)];
            place.uses = place.uses.wrapping_add(1);
            place.sent_ns = now_ns;
            place.template = u32::try_from(name).unwrap_or(0);
            place.subnet = u32::try_from(client).unwrap_or(0);
            place.waiting = true;
            let message = out.fill(count, self.questions.templates[name].form(subnet));
            query::finish(message, at | (place.uses << WINDOW_BITS), subnet);
            count += 1;
        }
        self.outcome.sent += count as u64;
        match out.send(&self.socket, count, Destination::Connected) {
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => Ok(()),
            result => result,
        }
    }

    fn settle(&mut self, back: &Batch, count: usize) {
        let now_ns = self.now_ns();
        for at in 0..count {
            let message = back.datagram(at);
            let Some(id) = query::id_of(message) else {
                self.outcome.stray += 1;
                continue;
            };
            let slot = usize::from(id) & (WINDOW_MAX - 1);
            let place = self
                .places
                .get_mut(slot)
                .filter(|place| place.waiting && place.uses << WINDOW_BITS == id & !low_bits());
            let Some(place) = place else {
                self.outcome.stray += 1;
                continue;
            };
            place.waiting = false;
            self.free.push(id & low_bits());
            self.outcome.latency.record(now_ns.saturating_sub(place.sent_ns));
            let (template, subnet) = (place.template as usize, place.subnet as usize);
            match self.questions.check(message, template, subnet) {
                Ok(address) => {
                    self.outcome.good += 1;
                    address.into_iter().for_each(|address| self.count_address(address));
                }
                Err(flaw) => *self.outcome.flaws.entry(flaw).or_default() += 1,
            }
        }
    }

    fn count_address(&mut self, address: IpAddr) {
        if let Some((_, count)) = self.addresses.iter_mut().find(|(known, _)| *known == address) {
            *count += 1;
        } else if self.addresses.len() < ADDRESSES_MAX {
            self.addresses.push((address, 1));
        }
    }

    fn give_up(&mut self) {
        let now_ns = self.now_ns();
        let limit_ns = nanoseconds(self.pace.timeout);
        for (at, place) in (0..).zip(&mut self.places) {
            if place.waiting && now_ns.saturating_sub(place.sent_ns) >= limit_ns {
                place.waiting = false;
                self.free.push(at);
                self.outcome.lost += 1;
            }
        }
    }
}

const fn low_bits() -> u16 {
    (1 << WINDOW_BITS) - 1
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a load generator is an I/O shell")]
fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
