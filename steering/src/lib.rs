//! The decision: which sites serve this client of this service, why, and for which clients it holds.
//!
//! Pure: no I/O, no clock, no randomness. The same functions serve, explain, plan and simulate.

pub mod atlas;
pub mod audit;
pub mod bill;
pub mod compile;
mod cut;
pub mod decide;
pub mod explain;
mod fold;
pub mod latency;
pub mod map;
mod panorama;
pub mod place;
pub mod presence;
#[cfg(test)]
mod properties;
mod rank;
#[cfg(test)]
mod reference;
pub mod runs;
mod share;
mod sight;
pub mod snapshot;
pub mod whereabouts;
#[cfg(test)]
mod world;

pub use atlas::Atlas;
pub use map::{Leaf, RunTable, ServiceMap, SteeringMap};
pub use snapshot::{Generation, Health, Snapshot, SnapshotCell};
