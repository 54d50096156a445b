//! One compilation: documents, locales and measurement to a map with its frame.
//!
//! It takes from milliseconds to seconds of one core, so it runs on a thread that may block, one at
//! a time, and never holds up a change of health. It works on copies of pointers; what it returns is
//! published by the shell or dropped.

use std::collections::HashMap;
use std::sync::Arc;

use geo_data::LocaleTable;
use model::Policy;
use model::policy::LocaleOverrides;
use model::site::SiteId;
use steering::compile::{Inputs, compile};
use steering::latency::{LatencyMap, Level, Residual};
use steering::{Generation, SteeringMap};

use crate::latency::MeasuredCell;
use crate::plan::{Because, MapInputs};
use crate::publication::{Part, PartError};

/// A residual that moved by less than this changes no order worth a new map, in microseconds: the
/// bill's own penalties are tens of milliseconds.
const MATERIAL_US: u32 = 1_000;

/// What goes in.
#[derive(Debug)]
pub(crate) struct Order {
    /// The documents, already encoded where they are published already.
    pub(crate) policy: Documents,
    /// The table as loaded, without overrides.
    pub(crate) locales: Arc<LocaleTable>,
    /// What the published map was made of, where there is one.
    pub(crate) published: Option<Made>,
    /// What the next should be made of.
    pub(crate) inputs: MapInputs,
    /// Measurement as of now.
    pub(crate) cells: Vec<MeasuredCell>,
    /// The generation of the map, if one comes of it.
    pub(crate) map_generation: Generation,
    /// Why it is wanted; empty: only if measurement moved.
    pub(crate) because: Vec<Because>,
}

/// The documents of an order.
#[derive(Debug)]
pub(crate) enum Documents {
    /// New ones, with the generation they get.
    New(Arc<Policy>, Generation),
    /// Those published.
    Published(Part<Policy>),
}

/// Exactly what a map was made of: `explain` needs the same again.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) inputs: MapInputs,
    pub(crate) overrides: Arc<Policy>,
    pub(crate) laid: Arc<LocaleTable>,
    pub(crate) latency: Arc<LatencyMap>,
}

/// What comes out.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) policy: Part<Policy>,
    pub(crate) map: Part<SteeringMap>,
    pub(crate) made: Made,
    pub(crate) because: Vec<Because>,
}

/// Carries an order out; `None` when nothing material moved.
///
/// # Errors
/// When a part is too large for a frame.
pub(crate) fn carry_out(order: Order) -> Result<Option<Compiled>, PartError> {
    let Order { policy, locales, published, inputs, cells, map_generation, mut because } = order;
    let policy = match policy {
        Documents::New(policy, generation) => Part::encode(generation, generation, policy)?,
        Documents::Published(part) => part,
    };
    let laid = lay_over(&locales, &policy.value, published.as_ref());
    let fitted = fit(&policy.value, &laid, &cells);
    let latency = match &published {
        Some(made) if !material(&made.latency, &fitted) => Arc::clone(&made.latency),
        Some(_) => {
            because.push(Because::Latency);
            Arc::new(fitted)
        }
        None => Arc::new(fitted),
    };
    if because.is_empty() {
        return Ok(None);
    }
    let made = Made { inputs, overrides: Arc::clone(&policy.value), laid, latency };
    let map = compile(&made.inputs(policy.generation));
    let map = Part::encode(map_generation, policy.generation, Arc::new(map))?;
    Ok(Some(Compiled { policy, map, made, because }))
}

impl Made {
    /// As steering takes them.
    pub(crate) fn inputs(&self, policy: Generation) -> Inputs<'_> {
        Inputs {
            policy: &self.overrides,
            policy_generation: policy.counter,
            locales: &self.laid,
            latency: &self.latency,
            drained: &self.inputs.drained,
            long_out: &self.inputs.long_out,
            minute_of_week: self.inputs.minute_of_week,
        }
    }
}

/// The table with the policy's overrides; made again only when those change.
fn lay_over(
    locales: &Arc<LocaleTable>,
    policy: &Policy,
    published: Option<&Made>,
) -> Arc<LocaleTable> {
    let overrides = &policy.locale_overrides;
    match published {
        Some(made) if made.overrides.locale_overrides == *overrides => Arc::clone(&made.laid),
        _ if *overrides == LocaleOverrides::default() => Arc::clone(locales),
        _ => Arc::new(locales.with_overrides(overrides)),
    }
}

/// Whether residuals differ enough to be worth a new map.
fn material(was: &LatencyMap, now: &LatencyMap) -> bool {
    type Key = (Level, SiteId);
    let by_key = |map: &LatencyMap| -> HashMap<Key, Residual> {
        map.residuals.iter().map(|&(level, site, residual)| ((level, site), residual)).collect()
    };
    let (was, now) = (by_key(was), by_key(now));
    let residual_us = |map: &HashMap<Key, Residual>, key: &Key| {
        map.get(key).map_or(0, |residual| residual.residual_us)
    };
    was.keys()
        .chain(now.keys())
        .any(|key| residual_us(&was, key).abs_diff(residual_us(&now, key)) >= MATERIAL_US)
}

/// Residuals out of measured cells.
fn fit(_policy: &Policy, _locales: &LocaleTable, _cells: &[MeasuredCell]) -> LatencyMap {
    LatencyMap::default()
}
