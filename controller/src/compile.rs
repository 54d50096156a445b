//! One compilation: documents, locales and measurement to a map with its frame.
//!
//! It takes from milliseconds to seconds of one core, so it runs on a thread of its own that yields to
//! whatever answers clients, one at a time, and never holds up a change of health. It works on copies of pointers; what it returns is
//! published by the shell or dropped.

use std::collections::HashMap;
use std::sync::Arc;

use geo_data::LocaleTable;
use model::Policy;
use model::policy::LocaleOverrides;
use model::site::SiteId;
use steering::compile::{Before, Inputs, compile, compile_after};
use steering::latency::{Cell, Fit, LatencyMap, Level, Residual, fit};
use steering::{Generation, SteeringMap};

use crate::plan::{Because, MapInputs};
use crate::publication::{Part, PartError};
use crate::status::LatencyStatus;

/// A bill that moves by less than this is worth no new map, in microseconds.
const MATERIAL_US: u32 = 1_000;
/// What a thousandth of the carrier penalty is in microseconds at its default, 20 ms.
const CARRIER_PERMILLE_US: u32 = 20;
/// The same of the border penalty, 10 ms.
const BORDER_PERMILLE_US: u32 = 10;

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
    pub(crate) cells: Vec<Cell>,
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
    pub(crate) policy: Arc<Policy>,
    pub(crate) laid: Arc<LocaleTable>,
    pub(crate) latency: Arc<LatencyMap>,
    /// What came of it: the next map shares with it what stays the same.
    pub(crate) map: Arc<SteeringMap>,
}

/// What comes out.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) policy: Part<Policy>,
    pub(crate) map: Part<SteeringMap>,
    pub(crate) made: Made,
    pub(crate) because: Vec<Because>,
}

/// What an order came to.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The fit in numbers.
    pub(crate) latency: LatencyStatus,
    /// `None`: nothing material moved.
    pub(crate) compiled: Option<Compiled>,
}

/// Carries an order out.
///
/// # Errors
/// When a part is too large for a frame.
pub(crate) fn carry_out(order: Order) -> Result<Carried, PartError> {
    let Order { policy, locales, published, inputs, cells, map_generation, mut because } = order;
    let policy = match policy {
        Documents::New(policy, generation) => Part::encode(generation, generation, policy)?,
        Documents::Published(part) => part,
    };
    let laid = lay_over(&locales, &policy.value, published.as_ref());
    let Fit { map: fitted, used, impossible, placeless } = fit(&policy.value, &laid, &cells);
    // Residuals are by the policy's ids: another policy's are never kept.
    let kept = published.as_ref().filter(|made| Arc::ptr_eq(&made.policy, &policy.value));
    let latency = match kept {
        Some(made) if !material(&made.latency, &fitted) => Arc::clone(&made.latency),
        Some(_) => {
            because.push(Because::Latency);
            Arc::new(fitted)
        }
        None => Arc::new(fitted),
    };
    let told = LatencyStatus {
        cells: cells.len(),
        used,
        impossible,
        placeless,
        residuals: latency.residuals.len(),
    };
    if because.is_empty() {
        return Ok(Carried { latency: told, compiled: None });
    }
    let next = Inputs {
        policy: &policy.value,
        policy_generation: policy.generation.counter,
        locales: &laid,
        latency: &latency,
        drained: &inputs.drained,
        long_out: &inputs.long_out,
        minute_of_week: inputs.minute_of_week,
    };
    let map = match &published {
        Some(made) => {
            let (inputs, map) = (&made.inputs(Generation::default()), &*made.map);
            compile_after(&next, &Before { inputs, map })
        }
        None => compile(&next),
    };
    let map = Arc::new(map);
    let made =
        Made { policy: Arc::clone(&policy.value), laid, latency, map: Arc::clone(&map), inputs };
    let map = Part::encode(map_generation, policy.generation, map)?;
    let compiled = Some(Compiled { policy, map, made, because });
    Ok(Carried { latency: told, compiled })
}

impl Made {
    /// As steering takes them.
    pub(crate) fn inputs(&self, policy: Generation) -> Inputs<'_> {
        Inputs {
            policy: &self.policy,
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
        Some(made) if made.policy.locale_overrides == *overrides => Arc::clone(&made.laid),
        _ if *overrides == LocaleOverrides::default() => Arc::clone(locales),
        _ => Arc::new(locales.with_overrides(overrides)),
    }
}

/// Whether residuals differ enough to be worth a new map.
fn material(was: &LatencyMap, now: &LatencyMap) -> bool {
    type Rows = HashMap<(Level, SiteId), Residual>;
    let rows = |map: &LatencyMap| -> Rows {
        map.residuals.iter().map(|&(level, site, residual)| ((level, site), residual)).collect()
    };
    let (was, now) = (rows(was), rows(now));
    let row = |rows: &Rows, key| rows.get(key).copied().unwrap_or_else(|| Residual::new(0, 0));
    was.keys().chain(now.keys()).any(|key| moved_us(row(&was, key), row(&now, key)) >= MATERIAL_US)
}

/// How far a bill moves with a residual, at most.
fn moved_us(was: Residual, now: Residual) -> u32 {
    let carrier = u32::from(was.carrier_permille.abs_diff(now.carrier_permille));
    let border = u32::from(was.border_permille.abs_diff(now.border_permille));
    was.residual_us.abs_diff(now.residual_us)
        + carrier * CARRIER_PERMILLE_US
        + border * BORDER_PERMILLE_US
}
