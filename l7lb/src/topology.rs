//! Which endpoints of a Service are near, seen from the gateway's own node and zone.
//!
//! In the order of who asked most precisely: `internalTrafficPolicy: Local`, the `topologyKeys` of
//! SuperEdge and OpenYurt, the hints of the EndpointSlices, `trafficDistribution` where nobody has
//! made hints (documents in files). Everything fails open: a wish that would leave nothing is
//! ignored, and when no near endpoint can take a request the others do (`Cluster::pick`). Pure.

use std::sync::Arc;

use model::gateway::{Endpoint, Service};

/// Where a gateway is, as far as it was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locality {
    /// The name of its Kubernetes node.
    pub node: Option<Arc<str>>,
    /// Its `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
}

/// The candidates, near ones first, and how many are near.
pub(crate) fn nearest_first<T>(
    service: &Service,
    here: &Locality,
    candidates: Vec<(&Endpoint, T)>,
) -> (Vec<T>, usize) {
    let documents: Vec<&Endpoint> = candidates.iter().map(|(document, _)| *document).collect();
    let near = near(service, here, &documents);
    let is_near = |document: &Endpoint| near.is_none_or(|nearness| nearness.holds(document, here));
    let (near, far): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|(document, _)| is_near(document));
    let count = near.len();
    (near.into_iter().chain(far).map(|(_, candidate)| candidate).collect(), count)
}

/// A wish about endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nearness {
    SameNode,
    SameZone,
    HintedNode,
    HintedZone,
}

impl Nearness {
    fn holds(self, endpoint: &Endpoint, here: &Locality) -> bool {
        let same = |theirs: &Option<Arc<str>>, ours: &Option<Arc<str>>| {
            ours.is_some() && theirs.as_deref() == ours.as_deref()
        };
        let hinted = |theirs: &[Arc<str>], ours: &Option<Arc<str>>| {
            ours.as_ref().is_some_and(|ours| theirs.contains(ours))
        };
        match self {
            Self::SameNode => same(&endpoint.node, &here.node),
            Self::SameZone => same(&endpoint.zone, &here.zone),
            Self::HintedNode => hinted(&endpoint.for_nodes, &here.node),
            Self::HintedZone => hinted(&endpoint.for_zones, &here.zone),
        }
    }
}

/// The first wish that leaves something; `None` when all endpoints are as good.
fn near(service: &Service, here: &Locality, endpoints: &[&Endpoint]) -> Option<Nearness> {
    let leaves = |wish: &Nearness| endpoints.iter().any(|one| wish.holds(one, here));
    if service.is_local && leaves(&Nearness::SameNode) {
        return Some(Nearness::SameNode);
    }
    if !service.topology_keys.is_empty() {
        return by_keys(&service.topology_keys).find(leaves);
    }
    wishes(service, endpoints).iter().copied().find(leaves)
}

/// The keys in order, up to `*`. Others name labels of nodes, which a gateway does not see.
fn by_keys(keys: &[Arc<str>]) -> impl Iterator<Item = Nearness> {
    let until_any = keys.iter().take_while(|key| &***key != "*");
    until_any.filter_map(|key| match &**key {
        "kubernetes.io/hostname" => Some(Nearness::SameNode),
        "topology.kubernetes.io/zone" | "kubernetes.io/zone" | "zone" => Some(Nearness::SameZone),
        _ => None,
    })
}

/// Hints as kube-proxy takes them: only when every endpoint has some. Where there are none at all
/// what the Service asks for is read off the endpoints themselves.
fn wishes(service: &Service, endpoints: &[&Endpoint]) -> &'static [Nearness] {
    let all_nodes = endpoints.iter().all(|one| !one.for_nodes.is_empty());
    let all_zones = endpoints.iter().all(|one| !one.for_zones.is_empty());
    let no_hints = endpoints.iter().all(|one| one.for_nodes.is_empty() && one.for_zones.is_empty());
    match (all_nodes, all_zones, service.distribution.as_deref()) {
        (true, true, _) => &[Nearness::HintedNode, Nearness::HintedZone],
        (true, false, _) => &[Nearness::HintedNode],
        (false, true, _) => &[Nearness::HintedZone],
        (_, _, Some("PreferSameNode")) if no_hints => &[Nearness::SameNode, Nearness::SameZone],
        // `PreferClose` is the older name; `Auto` is the annotation's.
        (_, _, Some("PreferSameZone" | "PreferClose" | "Auto" | "auto")) if no_hints => {
            &[Nearness::SameZone]
        }
        _ => &[],
    }
}

#[cfg(test)]
mod tests;
