//! What sockets say beside what documents say: a listener whose socket cannot be opened is not
//! programmed, whatever its documents are like.
//!
//! Sockets are opened after the view is served, and tried again by themselves, so this is laid over
//! the view's statuses whenever somebody reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Condition, Detail, ListenerStatus, ObjectStatus, Statuses};
use crate::socket::{Place, PlaceState};

/// The statuses, with the listeners that cannot be opened.
pub(crate) fn with_sockets(statuses: Statuses, states: &BTreeMap<Place, PlaceState>) -> Statuses {
    if !states.values().any(|state| matches!(state, PlaceState::Failed(_))) {
        return statuses;
    }
    let told = |status: &Arc<ObjectStatus>| match laid(status, states) {
        Some(detail) => Arc::new(ObjectStatus { detail, ..(**status).clone() }),
        None => Arc::clone(status),
    };
    Statuses(Arc::new(statuses.iter().map(told).collect()))
}

/// What is said with the sockets in mind; `None` when that is the same.
fn laid(status: &ObjectStatus, states: &BTreeMap<Place, PlaceState>) -> Option<Detail> {
    match &status.detail {
        Detail::Gateway { addresses, sets, conditions, listeners } => {
            let listeners = listeners_laid(listeners, states)?;
            Some(Detail::Gateway {
                addresses: addresses.clone(),
                sets: *sets,
                conditions: owner_laid(conditions, &listeners),
                listeners,
            })
        }
        Detail::ListenerSet { conditions, listeners } => {
            let listeners = listeners_laid(listeners, states)?;
            let conditions = owner_laid(conditions, &listeners);
            Some(Detail::ListenerSet { conditions, listeners })
        }
        _ => None,
    }
}

fn listeners_laid(
    listeners: &[ListenerStatus],
    states: &BTreeMap<Place, PlaceState>,
) -> Option<Vec<ListenerStatus>> {
    let why = |listener: &ListenerStatus| {
        listener.places.iter().find_map(|place| match (place, states.get(place)?) {
            (Place::Own(address, _), PlaceState::Failed(error)) => {
                Some(format!("cannot listen on `{address}`: {error}"))
            }
            _ => None,
        })
    };
    let failed: Vec<Option<String>> = listeners.iter().map(why).collect();
    failed.iter().any(Option::is_some).then(|| {
        let one = |(listener, why): (&ListenerStatus, Option<String>)| {
            let mut listener = listener.clone();
            if let Some(why) = why {
                unprogram(&mut listener.conditions, why);
            }
            listener
        };
        listeners.iter().zip(failed).map(one).collect()
    })
}

/// A Gateway or ListenerSet of which no listener is served is not programmed either.
fn owner_laid(conditions: &[Condition], listeners: &[ListenerStatus]) -> Vec<Condition> {
    let mut conditions = conditions.to_vec();
    let is_served = |listener: &ListenerStatus| {
        listener.conditions.iter().any(|one| one.kind == "Programmed" && one.holds)
    };
    if !listeners.iter().any(is_served) {
        unprogram(&mut conditions, "no listener can be opened".to_owned());
    }
    conditions
}

/// `Programmed` is false (Gateway API: reason `Invalid`), unless it was already for another reason.
fn unprogram(conditions: &mut [Condition], why: String) {
    let programmed = conditions.iter_mut().find(|one| one.kind == "Programmed" && one.holds);
    if let Some(programmed) = programmed {
        *programmed = Condition::no("Programmed", "Invalid", why);
    }
}
