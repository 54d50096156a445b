//! The controller: observe -> verdict -> plan -> guard -> publish, and the node-side hub.
//!
//! Decisions are pure (`verdict`, `observe`, `plan`, `guard`, `generation`); the shells around them
//! read clocks, probe, store and publish. Data planes get a [`steering::SnapshotCell`] and never
//! speak to any of this.

pub mod api;
mod background;
pub mod clock;
mod compile;
pub mod courier;
pub mod generation;
pub mod guard;
pub mod handle;
pub mod hub;
pub mod latency;
pub mod observe;
pub mod plan;
mod probe;
pub mod publication;
mod shell;
pub mod snapshot_file;
pub mod status;
pub mod store;
pub mod target;
pub mod verdict;
pub mod world;

#[cfg(test)]
mod fixture;

pub use courier::{Courier, HttpCourier, LocalCourier};
pub use handle::{Applied, Author, Config, Controller, OrderError, Ordered, Refused, StartError};
pub use hub::Hub;
pub use status::Status;
