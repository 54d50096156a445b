//! The gateway end to end: real sockets on loopback, origins and clients written here.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at its first surprise"
)]

mod balance;
mod client;
mod drain;
mod flood;
mod forwarding;
mod hostile;
mod http2;
mod origin;
mod routing;
mod timeouts;
mod tls;
mod world;
