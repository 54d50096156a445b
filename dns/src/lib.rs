//! The authoritative server: delegated zones, steered names, over UDP and TCP.
//!
//! Pure below, sockets above: [`message`] reads a packet in place, [`answer`] walks the [`view`]
//! and writes, and neither knows a socket, a clock or the heap. [`server`] owns the threads, swaps
//! the view when the snapshot changes, and counts. Between receive and send nothing awaits, locks or
//! allocates.

mod alias;
pub mod answer;
mod clock;
pub mod cookie;
mod cpu;
pub mod ede;
pub mod httpdns;
pub mod message;
mod name;
mod name_hash;
mod name_table;
mod presence;
mod response;
pub mod server;
mod siphash;
pub mod stats;
mod stub;
pub mod tcp;
mod udp;
pub mod view;
mod zone;

pub use answer::{Arrival, Transport, respond};
pub use cookie::{CookiePolicy, CookieSecrets};
pub use cpu::Spread;
pub use name::NameBuf;
pub use server::{Config, Server, StartError};
pub use stats::Stats;
pub use stub::{Resolved, look_up};
pub use tcp::TcpLimits;
pub use view::{Settings, View, ViewError};
pub use zone::BuildError;
