//! HTTPDNS: the DNS answers over HTTP, for clients whose resolver is nowhere near them.
//!
//! A carrier's resolver says little about where a phone is; an app that asks over HTTP is located
//! by its own address, or by the one that its server names. Every lookup is a DNS query to the
//! same engine ([`crate::respond`]) and its answer is read back, so HTTPDNS equals the wire by
//! construction. [`request`] and [`mod@answer`] are pure; [`server`] owns sockets and the clock.
//!
//! Forms: our own `/resolve` (JSON as public resolvers give it), those of two large providers, so
//! that their clients need another base address only, and `/go/NAME/path`, which redirects to the
//! chosen site.

pub mod answer;
mod callers;
mod lookup;
mod rdata;
pub mod request;
pub mod server;
pub mod signature;

pub use answer::{Answer, Asker, Explain, Redirect, Rules, Scheme, Verb, answer};
pub use callers::Limits;
pub use request::{Request, RequestError};
pub use server::{Config, Server, Stats};
pub use signature::{Secret, SignatureError};
