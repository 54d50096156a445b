//! The decision: which sites serve this client of this service, why, and for which clients it holds.
//!
//! Pure: no I/O, no clock, no randomness. The same functions serve, explain, plan and simulate.

pub mod compile;
pub mod decide;
pub mod explain;
pub mod latency;
pub mod map;
pub mod snapshot;

pub use map::{Leaf, RunTable, ServiceMap, SteeringMap};
pub use snapshot::{Generation, Health, Snapshot, SnapshotCell};
