//! `http-load`: asks an HTTP/1.1 server on loopback and checks every response.
#![expect(clippy::print_stdout, reason = "the result of a load generator is what it prints")]

use std::net::SocketAddr;
use std::time::Duration;

use benches::http_load::{self, Pace, Request};
use clap::Parser;

/// Asks an HTTP/1.1 server on loopback; checks status and body length of every response.
#[derive(Debug, Parser)]
struct Options {
    /// The server
    #[arg(default_value = "127.0.0.1:8080")]
    target: SocketAddr,
    /// Host header
    #[arg(long, default_value = "h0.bench.example")]
    host: String,
    /// Path and query
    #[arg(long, default_value = "/")]
    path: String,
    /// The expected status
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// The expected length of the body
    #[arg(long, default_value_t = 1024)]
    octets: u64,
    /// Connections
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Requests per second; 0 is as fast as responses come
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Stop after so many seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// or after so many requests
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
}

#[expect(clippy::cast_precision_loss, reason = "rates are printed for people")]
fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let request = Request {
        host: options.host,
        path: options.path,
        status: options.status,
        body_octets: options.octets,
    };
    let pace = Pace {
        connections: options.connections,
        per_second: options.rate,
        duration: Duration::from_secs(options.seconds),
        requests_max: options.requests,
        timeout: Duration::from_secs(5),
    };
    let outcome = http_load::run(options.target, &request, pace)?;
    let seconds = outcome.elapsed.as_secs_f64().max(1e-9);
    println!("sent {} good {} failed {}", outcome.sent, outcome.good, outcome.failed());
    for (failure, count) in &outcome.failures {
        println!("  {failure:?}: {count}");
    }
    println!("reopened {}", outcome.reopened);
    println!("{:.0} responses/s over {seconds:.3} s", outcome.good as f64 / seconds);
    let us = |per_mille| outcome.latency.quantile_ns(per_mille) as f64 / 1000.0;
    println!("latency us: p50 {:.1} p99 {:.1} p99.9 {:.1}", us(500), us(990), us(999));
    anyhow::ensure!(outcome.failed() == 0, "{} requests failed", outcome.failed());
    Ok(())
}
