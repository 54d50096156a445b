//! Load generators, floors, peers and the runner that compares them.
//!
//! A figure is a ratio against a peer or a floor measured in the same interleaved run, CPU time
//! from the kernel's own accounting of a process, or a count. Wall-clock times are printed for
//! context and gate nothing: on shared machines they move by a factor of two.
//!
//! Everything here talks to loopback only, and refuses any other target.

pub mod account;
pub mod callgrind;
pub mod cases;
pub mod counting;
pub mod cover;
pub mod dns_load;
pub mod expected;
pub mod figures;
pub mod geoip2;
pub mod histogram;
pub mod http_load;
pub mod http_origin;
pub mod kernel;
pub mod limits;
pub mod page;
pub mod peers;
pub mod prefixes;
pub mod query;
pub mod random;
pub mod record;
pub mod server;
pub mod slices;
pub mod snapshot;
pub mod udp_echo;
pub mod world;

use std::net::SocketAddr;

/// Refuses a target that is not on loopback: these tools are made to overwhelm what they aim at.
///
/// # Errors
/// The address is not in 127.0.0.0/8 and not `::1`.
pub fn loopback_only(target: SocketAddr) -> anyhow::Result<SocketAddr> {
    anyhow::ensure!(
        target.ip().is_loopback(),
        "`{target}` is not a loopback address\nhelp: run the server on 127.0.0.1 or ::1"
    );
    Ok(target)
}
