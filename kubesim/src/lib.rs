//! A stand-in for a Kubernetes API server, for tests: small, deterministic, and able to fail on order.
//!
//! No ready-made fake watches, pages, applies and expires as a real server does, and those are what a
//! client gets wrong. The decisions are pure: `call` reads a request, `answer` gives `(store, call,
//! now) -> answer`; `server` is the shell with the sockets, the clock and the faults. What a real
//! server was seen to do is pinned by `tests/contract.rs`, which runs against either: a check that
//! differs between the two is a bug here.

mod answer;
mod apply;
mod call;
mod fault;
mod managed;
mod openapi;
mod patch;
mod refusal;
mod resource;
mod schema;
mod selector;
mod server;
mod store;
mod table;
mod timestamp;
mod watch;
mod write;

pub use fault::{Faults, InitialEvents};
pub use server::{Checkpoint, Options, Sim};
