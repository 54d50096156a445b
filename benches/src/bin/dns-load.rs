//! `dns-load`: asks a name server on loopback as fast as it answers, and checks every answer.
#![expect(clippy::print_stdout, reason = "the result of a load generator is what it prints")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use benches::dns_load::{self, Outcome, Pace, Questions};
use benches::query::{Dnssec, Expectation, Shape, Subnet, Template};
use benches::random::{Choice, Random};
use clap::Parser;

/// Asks a name server on loopback and checks id, question, QR, rcode and count of every answer.
#[derive(Debug, Parser)]
struct Options {
    /// The server
    #[arg(default_value = "127.0.0.1:5300")]
    target: SocketAddr,
    /// A file with one name per line
    #[arg(long)]
    names: Option<PathBuf>,
    /// Names h0.ZONE, h1.ZONE, ... when there is no file
    #[arg(long, default_value = "bench.example")]
    zone: String,
    /// How many of them
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// Exponent of Zipf's law by which names are chosen; 0 chooses evenly
    #[arg(long, default_value_t = 0.0)]
    zipf: f64,
    /// A file with one client address or prefix per line; without one, random unicast /24s
    #[arg(long)]
    clients: Option<PathBuf>,
    /// Send no client subnet
    #[arg(long)]
    no_ecs: bool,
    /// The type asked for, as a number (1: A, 28: AAAA)
    #[arg(long, default_value_t = 1)]
    qtype: u16,
    /// Set the DO bit
    #[arg(long)]
    dnssec: bool,
    /// The expected response code
    #[arg(long, default_value_t = 0)]
    rcode: u8,
    /// The least number of answers expected (0 for an echo)
    #[arg(long, default_value_t = 1)]
    answers: u16,
    /// Outstanding queries per socket
    #[arg(long, default_value_t = 64)]
    window: usize,
    /// Sockets, each with a thread
    #[arg(long, default_value_t = 1)]
    sockets: usize,
    /// Queries per second and socket; 0 is as fast as answers come
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Stop after so many seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// or after so many queries per socket
    #[arg(long, default_value_t = u64::MAX)]
    queries: u64,
    /// Milliseconds until a query counts as lost
    #[arg(long, default_value_t = 500)]
    timeout_ms: u64,
    /// Seed of the sequence of names and clients
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Random client subnets drawn when no file gives them.
const SUBNETS: usize = 200_000;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let questions = questions(&options)?;
    let pace = Pace {
        window: options.window,
        sockets: options.sockets,
        per_second: options.rate,
        duration: Duration::from_secs(options.seconds),
        queries_max: options.queries,
        timeout: Duration::from_millis(options.timeout_ms),
        seed: options.seed,
    };
    let outcome = dns_load::run(options.target, &questions, pace)?;
    print(&outcome);
    anyhow::ensure!(outcome.wrong() == 0, "{} answers were wrong", outcome.wrong());
    Ok(())
}

fn questions(options: &Options) -> anyhow::Result<Questions> {
    let dnssec = if options.dnssec { Dnssec::Signed } else { Dnssec::Unsigned };
    let shape = Shape { qtype: options.qtype, dnssec };
    let names: Vec<String> = match &options.names {
        Some(path) => lines(path)?,
        None => (0..options.count).map(|at| format!("h{at}.{}", options.zone)).collect(),
    };
    let templates: anyhow::Result<Vec<_>> =
        names.iter().map(|name| Template::new(name, shape)).collect();
    Ok(Questions {
        choice: Choice::new(names.len(), options.zipf),
        templates: templates?,
        subnets: subnets(options)?,
        expectation: Expectation { rcode: options.rcode, answers_min: options.answers },
        right: Vec::new(),
    })
}

fn subnets(options: &Options) -> anyhow::Result<Vec<Subnet>> {
    if options.no_ecs {
        return Ok(vec![Subnet::Absent]);
    }
    let Some(path) = &options.clients else {
        let mut random = Random::new(options.seed ^ 0xEC5);
        return Ok((0..SUBNETS).map(|_| unicast(&mut random)).collect());
    };
    let parse = |line: String| {
        let address = line.split('/').next().unwrap_or_default();
        let ip: IpAddr = address.parse().with_context(|| format!("`{line}` is no address"))?;
        Ok(Subnet::of(ip))
    };
    lines(path)?.into_iter().map(parse).collect()
}

fn unicast(random: &mut Random) -> Subnet {
    loop {
        let bits = u32::try_from(random.bits() >> 32).unwrap_or(0);
        let ip = Ipv4Addr::from_bits(bits);
        let first = ip.octets()[0];
        if (1..224).contains(&first) && !ip.is_private() && !ip.is_loopback() {
            return Subnet::of(ip.into());
        }
    }
}

fn lines(path: &PathBuf) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let wanted = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(wanted.filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
}

#[expect(clippy::cast_precision_loss, reason = "rates are printed for people")]
fn print(outcome: &Outcome) {
    let seconds = outcome.elapsed.as_secs_f64().max(1e-9);
    println!("sent {} good {} lost {}", outcome.sent, outcome.good, outcome.lost);
    println!("wrong {} stray {}", outcome.wrong(), outcome.stray);
    for (flaw, count) in &outcome.flaws {
        println!("  {flaw}: {count}");
    }
    println!("{:.0} answers/s over {seconds:.3} s", outcome.good as f64 / seconds);
    let us = |per_mille| outcome.latency.quantile_ns(per_mille) as f64 / 1000.0;
    println!("latency us: p50 {:.1} p99 {:.1} p99.9 {:.1}", us(500), us(990), us(999));
    for (address, count) in &outcome.addresses {
        println!("  {address} {:.2} %", *count as f64 * 100.0 / outcome.good.max(1) as f64);
    }
}
