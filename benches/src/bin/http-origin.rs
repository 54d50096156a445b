//! `http-origin`: what the proxies under test stand in front of.

use std::net::{SocketAddr, TcpListener};

use benches::{http_origin, loopback_only};
use clap::Parser;

/// Answers every HTTP/1.1 request with the same body, on loopback only.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen
    #[arg(default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Length of the body
    #[arg(long, default_value_t = 1024)]
    octets: usize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(loopback_only(options.listen)?)?;
    Ok(http_origin::serve(&listener, &http_origin::response(options.octets))?)
}
