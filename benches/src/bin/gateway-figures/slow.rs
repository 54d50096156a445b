//! Thousands of slow clients with heads that never end, and others beside them.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use benches::figures::Figures;
use benches::histogram::Histogram;

use crate::bench::{Bench, clock, ms, record};
use crate::client::Client;
use crate::contender::{Contender, Kind, Load};
use crate::objects::{Backends, host};

const CONNECTIONS: usize = 10_000;
/// Every client sends this much at once each second: nearly the limit of a head when its time ends.
const PIECE_OCTETS: usize = 3 << 10;
const ROUND: Duration = Duration::from_secs(1);
/// The header deadline is ten seconds; then everyone has had an answer or was cut.
const ROUNDS_MAX: usize = 20;
/// What the second wave sends as fast as it can.
const HUGE_OCTETS: usize = 1 << 20;
/// An honest client asks this often.
const HONEST_EVERY: Duration = Duration::from_millis(20);
const BEGINNING: &[u8] = b"GET / HTTP/1.1\r\nHost: h0.bench.test\r\n";
const LINE: &[u8; 64] = b"x-slow: ........................................................";

pub(crate) fn run(bench: &Bench, connections: Option<usize>) -> anyhow::Result<()> {
    let connections = connections.unwrap_or_else(|| bench.size(CONNECTIONS, 200));
    let method = format!(
        "{connections} connections; first each sends {PIECE_OCTETS} octets of headers a second and \
         never ends its head, then as many send {} KiB of headers at once; meanwhile one honest \
         client asks every {} ms on new connections; VmHWM of the process",
        HUGE_OCTETS >> 10,
        HONEST_EVERY.as_millis()
    );
    let mut figures = record("gateway-slow", &method);
    figures.add("connections", connections as u64, "connections");
    let load = Load { routes: 1, backends: Backends::Shared };
    let mut contender = Contender::start(bench, Kind::Nearside, load)?;
    figures.add("rss-before", contender.rss_kib()?, "KiB");
    let honest = Honest::start(contender.http);
    eprintln!("gateway-slow: {connections} slow heads");
    wave(&contender, Wave::slow(connections), &mut figures)?;
    eprintln!("gateway-slow: {connections} huge heads");
    wave(&contender, Wave::huge(connections), &mut figures)?;
    let (times, good, failed) = honest.stop()?;
    figures.add("honest-sent", good + failed, "requests");
    figures.add("honest-failed", failed, "requests");
    let quantile = |permille| ms(Duration::from_nanos(times.quantile_ns(permille)));
    figures.add("honest-p50", quantile(500), "ms");
    figures.add("honest-max", quantile(1_000), "ms");
    std::thread::sleep(bench.settle);
    figures.add("rss-after", contender.rss_kib()?, "KiB");
    contender.stop()?;
    bench.finish(&figures)
}

/// How a crowd of bad clients behaves.
struct Wave {
    name: &'static str,
    connections: usize,
    piece: Vec<u8>,
    octets_max: usize,
}

impl Wave {
    fn slow(connections: usize) -> Self {
        let piece = lines(PIECE_OCTETS);
        Self { name: "slow", connections, piece, octets_max: usize::MAX }
    }

    fn huge(connections: usize) -> Self {
        let piece = lines(HUGE_OCTETS);
        Self { name: "huge", connections, piece, octets_max: HUGE_OCTETS }
    }
}

fn lines(octets: usize) -> Vec<u8> {
    let line = [&LINE[..LINE.len() - 2], b"\r\n"].concat();
    line.iter().copied().cycle().take(octets / line.len() * line.len()).collect()
}

fn wave(contender: &Contender, wave: Wave, figures: &mut Figures) -> anyhow::Result<()> {
    let Wave { name, connections, piece, octets_max } = wave;
    let mut crowd = Vec::with_capacity(connections);
    for _ in 0..connections {
        crowd.push(Bad::open(contender.http)?);
    }
    let started = clock();
    let mut ends: BTreeMap<End, u64> = BTreeMap::new();
    let mut rss_max = 0;
    for round in 1..=ROUNDS_MAX {
        crowd.retain_mut(|one| match one.go_on(&piece, octets_max) {
            None => true,
            Some(end) => {
                *ends.entry(end).or_default() += 1;
                false
            }
        });
        rss_max = rss_max.max(contender.rss_kib()?);
        if crowd.is_empty() {
            break;
        }
        let next = ROUND * u32::try_from(round)?;
        std::thread::sleep(next.saturating_sub(started.elapsed()));
    }
    let mut add = |what: &str, value: u64, unit: &str| {
        figures.add(&format!("{name}-{what}"), value, unit);
    };
    add("left", crowd.len() as u64, "connections never cut");
    for (what, end) in
        [("408", End::Status(408)), ("431", End::Status(431)), ("unanswered", End::Unanswered)]
    {
        add(what, ends.remove(&end).unwrap_or(0), "connections");
    }
    add("otherwise", ends.values().sum(), "connections");
    add("rss", rss_max, "KiB, at the end of a second");
    add("peak", contender.peak_kib()?, "KiB");
    figures.add(&format!("{name}-took"), ms(started.elapsed()), "ms until the last was cut");
    Ok(())
}

/// How a bad connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// With an answer.
    Status(u16),
    /// Without one.
    Unanswered,
}

/// One bad connection.
struct Bad {
    stream: TcpStream,
    sent: usize,
    answer: Vec<u8>,
}

impl Bad {
    fn open(target: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(benches::loopback_only(target)?)?;
        stream.write_all(BEGINNING)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, sent: 0, answer: Vec::new() })
    }

    /// Sends what the socket takes and looks for an end.
    fn go_on(&mut self, piece: &[u8], octets_max: usize) -> Option<End> {
        let mut left = &piece[..piece.len().min(octets_max - self.sent)];
        let mut broken = false;
        while !left.is_empty() {
            match self.stream.write(left) {
                Ok(count) => {
                    self.sent += count;
                    left = &left[count..];
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        let mut space = [0; 512];
        loop {
            match self.stream.read(&mut space) {
                Ok(count) if count > 0 => self.answer.extend_from_slice(&space[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock && !broken => return None,
                _ => break,
            }
        }
        let status = self.answer.get(9..12).and_then(|text| std::str::from_utf8(text).ok());
        Some(status.and_then(|text| text.parse().ok()).map_or(End::Unanswered, End::Status))
    }
}

/// A client that wants nothing but answers.
struct Honest {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(Histogram, u64, u64)>,
}

impl Honest {
    fn start(target: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut times, mut good, mut failed) = (Histogram::default(), 0, 0);
            let host = host(0);
            while !over.load(Ordering::Relaxed) {
                let started = clock();
                let answer = Client::plain(target).and_then(|mut client| client.get(&host));
                if answer.is_ok_and(|answer| answer.status == 200) {
                    times.record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    good += 1;
                } else {
                    failed += 1;
                }
                std::thread::sleep(HONEST_EVERY);
            }
            (times, good, failed)
        });
        Self { stop, thread }
    }

    fn stop(self) -> anyhow::Result<(Histogram, u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the honest client ended early"))
    }
}
