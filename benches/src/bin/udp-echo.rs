//! `udp-echo`: the floor that name servers are compared with.

use std::net::SocketAddr;

use benches::{loopback_only, udp_echo};
use clap::Parser;

/// Sends every datagram back with the QR bit set, on loopback only.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen
    #[arg(default_value = "127.0.0.1:5399")]
    listen: SocketAddr,
    /// Threads, each with a socket on the same port
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Datagrams per system call
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Receive buffer in octets; 0 leaves it as the system makes it
    #[arg(long, default_value_t = udp_echo::RECEIVE_OCTETS)]
    receive_octets: usize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    loopback_only(options.listen)?;
    let bind = || udp_echo::bind(options.listen, options.receive_octets);
    let sockets: Vec<_> = (0..options.workers.max(1)).map(|_| bind()).collect::<Result<_, _>>()?;
    std::thread::scope(|scope| {
        let start = |socket| scope.spawn(move || udp_echo::serve(socket, options.batch));
        let threads: Vec<_> = sockets.iter().map(start).collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a worker died"))??;
        }
        Ok(())
    })
}
