//! Statuses of Gateways, ListenerSets and Ingresses.

use std::sync::Arc;

use model::gateway::{Ingress, ObjectKind};

use super::attached::status_of;
use super::listener::{GatewayState, SetState};
use super::{Entry, Scene};
use crate::status::{Condition, Detail, ListenerStatus, ObjectStatus};

/// Says of each Gateway and ListenerSet what became of it.
pub(super) fn gateways(
    states: &[GatewayState<'_>],
    sets: &[SetState<'_>],
    entries: &[Entry<'_>],
    statuses: &mut Vec<ObjectStatus>,
) {
    for (at, state) in states.iter().enumerate() {
        let own = |entry: &&Entry<'_>| entry.gateway == at && entry.set.is_none();
        let own: Vec<&Entry<'_>> = entries.iter().filter(own).collect();
        let attached = sets.iter().filter(|set| set.gateway == at && set.refused.is_none());
        let detail = Detail::Gateway {
            addresses: state.addresses.iter().map(ToString::to_string).collect(),
            sets: attached.count(),
            conditions: gateway_conditions(state, &own),
            listeners: own.iter().map(|entry| listener(entry, "gateway")).collect(),
        };
        statuses.push(status_of(ObjectKind::Gateway, &state.gateway.meta, detail));
    }
    for (at, set) in sets.iter().enumerate() {
        let own = entries.iter().filter(|entry| entry.set == Some(at));
        let own: Vec<&Entry<'_>> = own.collect();
        let conditions = match &set.refused {
            None => {
                let valid = own.iter().all(|entry| entry.is_accepted());
                let reason = if valid { "Accepted" } else { "ListenersNotValid" };
                vec![Condition::yes("Accepted", reason), Condition::yes("Programmed", "Programmed")]
            }
            Some((reason, message)) => vec![
                Condition::no("Accepted", reason, message.clone()),
                Condition::no("Programmed", reason, message.clone()),
            ],
        };
        let listeners = own.iter().map(|entry| listener(entry, "set")).collect();
        let detail = Detail::ListenerSet { conditions, listeners };
        statuses.push(status_of(ObjectKind::ListenerSet, &set.set.meta, detail));
    }
}

fn gateway_conditions(state: &GatewayState<'_>, own: &[&Entry<'_>]) -> Vec<Condition> {
    let accepted = match &state.refused {
        Some((reason, message)) => Condition::no("Accepted", reason, message.clone()),
        None if own.iter().all(|entry| entry.is_accepted()) => {
            Condition::yes("Accepted", "Accepted")
        }
        None if own.iter().any(|entry| entry.is_accepted()) => {
            Condition::yes("Accepted", "ListenersNotValid")
        }
        None => Condition::no("Accepted", "ListenersNotValid", "no listener can be used"),
    };
    let programmed = match (&state.refused, &state.missing) {
        (Some((_, message)), _) => Condition::no("Programmed", "Invalid", message.clone()),
        (None, Some((reason, message))) => Condition::no("Programmed", reason, message.clone()),
        (None, None) if own.iter().any(|entry| entry.is_programmed()) => {
            Condition::yes("Programmed", "Programmed")
        }
        (None, None) => Condition::no("Programmed", "Invalid", "no listener can be used"),
    };
    let mut conditions = vec![accepted, programmed];
    if state.gateway.client_certificate.is_some() {
        conditions.push(match &state.client {
            None => Condition::yes("ResolvedRefs", "ResolvedRefs"),
            Some((reason, message)) => Condition::no("ResolvedRefs", reason, message.clone()),
        });
    }
    let gateway = state.gateway;
    let by_port = gateway.client_validation_by_port.iter().map(|(_, validation)| validation);
    let mut validations = by_port.chain([&gateway.client_validation]).flatten();
    if validations.any(|validation| validation.insecure_fallback) {
        conditions.push(Condition::yes("InsecureFrontendValidationMode", "ConfigurationChanged"));
    }
    conditions
}

fn listener(entry: &Entry<'_>, owner: &str) -> ListenerStatus {
    let conflicted = match entry.conflict {
        None => Condition {
            kind: "Conflicted",
            holds: false,
            reason: "NoConflicts",
            message: "".into(),
        },
        Some(reason) => Condition {
            kind: "Conflicted",
            holds: true,
            reason,
            message: "an earlier listener of the same port is in its way".into(),
        },
    };
    let accepted = match (&entry.accepted, entry.conflict) {
        (Some((reason, message)), _) => Condition::no("Accepted", reason, message.clone()),
        (None, Some(reason)) => {
            let reason = if owner == "set" { "Conflicted" } else { reason };
            Condition::no("Accepted", reason, "an earlier listener is in its way")
        }
        (None, None) => Condition::yes("Accepted", "Accepted"),
    };
    let programmed = if entry.is_programmed() {
        Condition::yes("Programmed", "Programmed")
    } else {
        let why = entry.accepted.as_ref().or(entry.refs.as_ref()).map(|(_, text)| text.clone());
        Condition::no("Programmed", "Invalid", why.unwrap_or_else(|| "it is not served".into()))
    };
    let refs = match &entry.refs {
        None => Condition::yes("ResolvedRefs", "ResolvedRefs"),
        Some((reason, message)) => Condition::no("ResolvedRefs", reason, message.clone()),
    };
    ListenerStatus {
        name: Arc::clone(&entry.listener.name),
        kinds: entry.kinds.clone(),
        attached: entry.attached,
        conditions: vec![accepted, programmed, refs, conflicted],
        places: entry.places.clone(),
    }
}

/// Where Ingresses are served.
pub(super) fn addresses(scene: &Scene<'_>) -> Arc<[String]> {
    let shared = scene.ground.shared();
    shared.iter().filter(|ip| !ip.is_unspecified()).map(ToString::to_string).collect()
}

/// Says of an Ingress of ours where it is served.
pub(super) fn ingress(ingress: &Ingress, addresses: &Arc<[String]>) -> ObjectStatus {
    status_of(ObjectKind::Ingress, &ingress.meta, Detail::Ingress(Arc::clone(addresses)))
}
