//! A route and its parents: which listeners take it, and for which hostnames.

use model::gateway::{
    GrpcRule, HostPattern, HttpRule, ObjectKind, ParentKind, ParentRef, PathMatch, ValueMatch,
};

use super::listener::{SetState, admits};
use super::{Entry, RouteOutcome, RouteView, Scene, hostname};
use crate::route::matcher;
use crate::status::Condition;

/// A listener (an index) and a hostname under which a route is served there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) entry: usize,
    pub(crate) host: Option<HostPattern>,
}

/// Why a listener does not take a route, the nearest miss last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Miss {
    NoMatch,
    NotAllowed,
    NoHostname,
}

/// Attaches a route to its parents. Gives the condition `Accepted` for each parent that is ours.
pub(super) fn attach(
    route: RouteView<'_>,
    (scene, sets): (&Scene<'_>, &[SetState<'_>]),
    entries: &mut [Entry<'_>],
    outcome: &mut RouteOutcome,
) -> Vec<(ParentRef, Condition)> {
    let mut found = Vec::new();
    for parent in route.parents {
        let Some(candidates) = candidates(scene, sets, entries, parent) else { continue };
        let accepted = match route.unsupported {
            Some(what) => {
                let message = format!("`{what}` is not a regular expression that can be used");
                Condition::no("Accepted", "UnsupportedValue", message)
            }
            None => meet(route, parent, (scene, &candidates), entries, outcome),
        };
        found.push((parent.clone(), accepted));
    }
    found
}

/// The listeners of a parent; `None` when the parent is not ours.
fn candidates(
    scene: &Scene<'_>,
    sets: &[SetState<'_>],
    entries: &[Entry<'_>],
    parent: &ParentRef,
) -> Option<Vec<usize>> {
    let of = |keep: &dyn Fn(&Entry<'_>) -> bool| -> Vec<usize> {
        (0..entries.len()).filter(|&at| keep(&entries[at])).collect()
    };
    match parent.kind {
        ParentKind::Gateway => {
            scene.objects.gateways.get(&parent.object)?;
            let is_own = |entry: &Entry<'_>| entry.set.is_none() && *entry.owner == parent.object;
            let own = of(&is_own);
            // Gateways of other classes have no listeners here.
            (!own.is_empty()).then_some(own)
        }
        ParentKind::ListenerSet => {
            let at = sets.iter().position(|set| set.set.meta.object == parent.object)?;
            Some(of(&|entry| entry.set == Some(at)))
        }
        ParentKind::Other(..) => None,
    }
}

fn meet(
    route: RouteView<'_>,
    parent: &ParentRef,
    (scene, candidates): (&Scene<'_>, &[usize]),
    entries: &mut [Entry<'_>],
    outcome: &mut RouteOutcome,
) -> Condition {
    let mut miss = Miss::NoMatch;
    let mut met = false;
    for &at in candidates {
        let entry = &entries[at];
        let listener = entry.listener;
        let named = parent.section.as_ref().is_none_or(|section| *section == listener.name)
            && parent.port.is_none_or(|port| port == listener.port);
        if !named {
            continue;
        }
        let is_explicit = parent.section.is_some() || parent.port.is_some();
        match takes(route, (scene, entry)) {
            Ok(hosts) => {
                met = true;
                let taken = outcome.served.iter().any(|served| served.entry == at);
                if !taken {
                    entries[at].attached += 1;
                }
                let gateway = entries[at].gateway;
                if !outcome.gateways.contains(&gateway) {
                    outcome.gateways.push(gateway);
                    outcome.owners.push(entries[at].owner.clone());
                }
                for host in hosts {
                    let served = Served { entry: at, host };
                    if !outcome.served.contains(&served) {
                        outcome.served.push(served);
                    }
                }
            }
            Err(Miss::NoMatch) if is_explicit => miss = miss.max(Miss::NotAllowed),
            Err(found) => miss = miss.max(found),
        }
    }
    if met {
        return Condition::yes("Accepted", "Accepted");
    }
    let object = &parent.object;
    match miss {
        Miss::NoMatch => {
            let message = format!("no listener of `{object}` is for such routes");
            Condition::no("Accepted", "NoMatchingParent", message)
        }
        Miss::NotAllowed => {
            let message = format!("the listeners of `{object}` do not allow this route");
            Condition::no("Accepted", "NotAllowedByListeners", message)
        }
        Miss::NoHostname => {
            let message = format!("no listener of `{object}` has a hostname of this route");
            Condition::no("Accepted", "NoMatchingListenerHostname", message)
        }
    }
}

/// The hostnames under which a listener takes a route.
fn takes(
    route: RouteView<'_>,
    (scene, entry): (&Scene<'_>, &Entry<'_>),
) -> Result<Vec<Option<HostPattern>>, Miss> {
    let listener = entry.listener;
    if !entry.kinds.contains(&route.kind) {
        let listed = |(group, kind): &(std::sync::Arc<str>, std::sync::Arc<str>)| {
            &**group == route.kind.group() && &**kind == route.kind.name()
        };
        let is_left_out = !listener.kinds.is_empty() && !listener.kinds.iter().any(listed);
        return Err(if is_left_out { Miss::NotAllowed } else { Miss::NoMatch });
    }
    if !admits(scene, &listener.namespaces, entry.namespace, &route.meta.object.namespace) {
        return Err(Miss::NotAllowed);
    }
    let hosts = match route.kind {
        ObjectKind::TcpRoute | ObjectKind::UdpRoute => vec![None],
        _ => hostname::intersection(route.hostnames, listener.hostname.as_ref()),
    };
    if hosts.is_empty() {
        return Err(Miss::NoHostname);
    }
    if entry.is_accepted() { Ok(hosts) } else { Err(Miss::NoMatch) }
}

/// The first expression of an HTTPRoute that is none.
pub(super) fn unsupported_http(rules: &[HttpRule]) -> Option<&str> {
    rules.iter().flat_map(|rule| &rule.matches).find_map(|one| {
        let path = match &one.path {
            PathMatch::Regex(text) => Some(&**text).filter(|text| matcher::compile(text).is_err()),
            PathMatch::Exact(_) | PathMatch::Prefix(_) => None,
        };
        let mut values = one.headers.iter().chain(&one.query).map(|(_, value)| value);
        path.or_else(|| values.find_map(unsupported))
    })
}

/// The first expression of a GRPCRoute that is none.
pub(super) fn unsupported_grpc(rules: &[GrpcRule]) -> Option<&str> {
    rules.iter().flat_map(|rule| &rule.matches).find_map(|one| {
        let headers = one.headers.iter().map(|(_, value)| value);
        one.service.iter().chain(&one.method).chain(headers).find_map(unsupported)
    })
}

fn unsupported(value: &ValueMatch) -> Option<&str> {
    match value {
        ValueMatch::Regex(text) => Some(&**text).filter(|text| matcher::compile(text).is_err()),
        ValueMatch::Exact(_) => None,
    }
}
