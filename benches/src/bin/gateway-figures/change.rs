//! One of 5,000 routes changed again and again under load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use benches::figures::Figures;
use benches::histogram::Histogram;
use benches::http_load::{self, Outcome, Pace, Request};

use crate::bench::{BODY_OCTETS, Bench, PATIENCE, clock, ms, record};
use crate::client::Client;
use crate::contender::{Contender, Kind, Load};
use crate::objects::{Backends, host};

/// Between the starts of two changes, unless one takes longer.
const EVERY: Duration = Duration::from_millis(500);
/// Requests a second meanwhile, to other hosts.
const PER_SECOND: u64 = 1_000;
const CONNECTIONS: usize = 16;

pub(crate) fn run(bench: &Bench, changes: Option<usize>) -> anyhow::Result<()> {
    let changes = changes.unwrap_or_else(|| bench.size(20, 3));
    let load = Load { routes: bench.size(5_000, 100), backends: Backends::Own };
    let method = format!(
        "{} hosts with a backend each on core {}; {PER_SECOND} requests/s on {CONNECTIONS} kept-alive \
         connections to one of them from core {}, first quiet, then while another host's answer is \
         changed {changes} times, at most every {} ms (a document or an object of the API server; a \
         new file and SIGHUP or SIGUSR2 for the peers); the time ends with the first right answer on \
         a new connection; a request on a connection that the server closes at that moment is lost, nothing is retried; CPU is that of the changes alone, the quiet stretch's rate taken off",
        load.routes,
        bench.cores.server,
        bench.cores.load,
        EVERY.as_millis()
    );
    let mut figures = record("gateway-change", &method);
    let all = [Kind::Nearside, Kind::NearsideApi, Kind::Nginx, Kind::Haproxy];
    for kind in bench.contenders(all) {
        eprintln!("gateway-change: {}", kind.name());
        let mut contender = Contender::start(bench, kind, load)?;
        std::thread::sleep(bench.settle);
        one(bench, &contender, changes, &mut figures)?;
        contender.stop()?;
    }
    bench.finish(&figures)
}

fn one(
    bench: &Bench,
    contender: &Contender,
    changes: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let stretch = EVERY * u32::try_from(changes)?;
    let before = contender.cpu()?;
    let started = clock();
    let quiet = ask(contender.http, stretch)?;
    let quiet_rate = (contender.cpu()? - before).as_secs_f64() / started.elapsed().as_secs_f64();
    let rss_before = contender.rss_kib()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (target, over) = (contender.http, Arc::clone(&stop));
    let before = contender.cpu()?;
    let started = clock();
    let load = std::thread::spawn(move || {
        let mut whole = ask(target, stretch)?;
        while !over.load(Ordering::Relaxed) {
            let more = ask(target, Duration::from_secs(1))?;
            whole.sent += more.sent;
            whole.good += more.good;
            for (failure, count) in more.failures {
                *whole.failures.entry(failure).or_default() += count;
            }
            whole.latency.merge(&more.latency);
        }
        anyhow::Ok(whole)
    });
    let times = change(contender, changes);
    stop.store(true, Ordering::Relaxed);
    let busy = load.join().map_err(|_| anyhow::anyhow!("the generator ended early"))??;
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = (contender.cpu()? - before).as_secs_f64() - quiet_rate * elapsed;
    let times = times?;
    std::thread::sleep(bench.settle);
    let mut add = |name: &str, value: f64, unit: &str| {
        figures.add(&format!("{}-{name}", contender.kind.name()), value, unit);
    };
    let quantile = |permille| ms(Duration::from_nanos(times.quantile_ns(permille)));
    add("p50", quantile(500), "ms to the first right answer");
    add("max", quantile(1_000), "ms to the first right answer");
    add("cpu", cpu, "CPU seconds for all changes");
    let us = |outcome: &Outcome| Duration::from_nanos(outcome.latency.quantile_ns(999));
    add("quiet-p99.9", ms(us(&quiet)), "ms of a request");
    add("busy-p99.9", ms(us(&busy)), "ms of a request");
    let mut count = |name: &str, value: u64, unit: &str| {
        figures.add(&format!("{}-{name}", contender.kind.name()), value, unit);
    };
    count("sent", busy.sent, "requests");
    count("lost", busy.failed(), "requests");
    count("rss-before", rss_before, "KiB");
    count("rss-after", contender.rss_kib()?, "KiB");
    count("peak", contender.peak_kib()?, "KiB");
    Ok(())
}

fn ask(target: SocketAddr, duration: Duration) -> anyhow::Result<Outcome> {
    let request =
        Request { host: host(1), path: "/".into(), status: 200, body_octets: BODY_OCTETS as u64 };
    let pace = Pace {
        connections: CONNECTIONS,
        per_second: PER_SECOND,
        duration,
        requests_max: u64::MAX,
        timeout: Duration::from_secs(5),
    };
    http_load::run(target, &request, pace)
}

fn change(contender: &Contender, changes: usize) -> anyhow::Result<Histogram> {
    let mut times = Histogram::default();
    let first = host(0);
    for version in 1..=changes as u64 {
        let started = clock();
        contender.change(version)?;
        loop {
            // A peer's old worker may still accept; only the new version ends the wait.
            let answer = Client::plain(contender.http).and_then(|mut client| client.get(&first));
            if answer.is_ok_and(|answer| answer.number("x-version") == Some(version)) {
                break;
            }
            ensure!(started.elapsed() < PATIENCE, "change {version} was never served");
            std::thread::sleep(Duration::from_millis(1));
        }
        times.record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        std::thread::sleep(EVERY.saturating_sub(started.elapsed()));
    }
    Ok(times)
}
