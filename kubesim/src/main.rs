//! Serves the stand-in until it is told to stop; prints a kubeconfig for it.
//!
//! `kubesim [--allow-loopback] [ADDRESS] [CRD.yaml...]`; the CRDs of Gateway API are there from the
//! start.

use std::io::Write as _;
use std::net::SocketAddr;

use kubesim::{Options, Sim};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    let allow_loopback = arguments.next_if(|first| first == "--allow-loopback").is_some();
    let address: Option<SocketAddr> = arguments.peek().and_then(|first| first.parse().ok());
    if address.is_some() {
        arguments.next();
    }
    let options = Options { address, allow_loopback, ..Options::default() };
    let sim = Sim::start(options).await?;
    sim.install_gateway_api().map_err(std::io::Error::other)?;
    for path in arguments {
        sim.install_crd(&std::fs::read_to_string(path)?).map_err(std::io::Error::other)?;
    }
    std::io::stdout().write_all(sim.kubeconfig().as_bytes())?;
    std::io::stdout().flush()?;
    tokio::signal::ctrl_c().await
}
