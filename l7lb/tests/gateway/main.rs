//! The gateway end to end: real sockets on loopback, origins and clients written here.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at its first surprise"
)]

mod balance;
mod balancer;
mod client;
mod counted;
mod drain;
mod filters;
mod flood;
mod forwarding;
mod grpc;
mod hostile;
mod http2;
mod ingress;
mod origin;
mod origin_tls;
mod policies;
mod retries;
mod routing;
mod sessions;
mod timeouts;
mod tls;
mod world;
