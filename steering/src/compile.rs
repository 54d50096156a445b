//! Policy x locale table x latency map -> run tables.

use geo_data::LocaleTable;
use model::Policy;

use crate::latency::LatencyMap;
use crate::map::SteeringMap;

/// Everything a compilation depends on.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The checked documents.
    pub policy: &'a Policy,
    /// Its generation's counter, recorded in the result.
    pub policy_generation: u64,
    /// The geo table with the operator's overrides already laid over it.
    pub locales: &'a LocaleTable,
    /// Measurement.
    pub latency: &'a LatencyMap,
    /// By site: drained (document or overlay). Never a candidate.
    pub drained: &'a [bool],
    /// By site: out for so long that a leaf of four dead sites should list others. A guess: when it
    /// leaves a service nothing, it is ignored.
    pub long_out: &'a [bool],
    /// Minute of the week, UTC, Monday 00:00 is 0; for rules with a window.
    pub minute_of_week: u16,
}

/// Compiles every service; services with equal steering share one map.
pub fn compile(inputs: &Inputs<'_>) -> SteeringMap {
    SteeringMap { policy_generation: inputs.policy_generation, ..SteeringMap::default() }
}
