//! Backends and endpoints as the balancer sees them.

use super::shown::{BackendShown, EndpointShown};
use crate::breaker::Millis;
use crate::endpoint::Endpoint;
use crate::rule::{Share, Target};
use crate::view::{Cluster, GatewayView, OriginProtocol, OriginSecurity};

/// Endpoints shown of one backend; a person reads no more.
const ENDPOINTS_SHOWN_MAX: usize = 64;

/// A share of a rule.
pub(crate) fn backend(view: &GatewayView, share: &Share, now: Millis) -> BackendShown {
    let cluster = match share.target {
        Target::Cluster(index) => view.clusters.get(index as usize),
        Target::Broken | Target::Absent => None,
    };
    let missing = if share.target == Target::Absent { "absent" } else { "broken" };
    cluster.map_or_else(
        || BackendShown {
            backend: "(none)".to_owned(),
            weight: share.weight,
            state: missing.to_owned(),
            protocol: String::new(),
            known: 0,
            endpoints: Vec::new(),
            ready: 0,
        },
        |cluster| BackendShown { weight: share.weight, ..of(cluster, now) },
    )
}

/// A cluster.
pub(crate) fn of(cluster: &Cluster, now: Millis) -> BackendShown {
    let state = match &cluster.security {
        OriginSecurity::Broken => "no TLS",
        _ if cluster.endpoints.is_empty() => "no endpoints",
        _ => "usable",
    };
    let spoken = match cluster.protocol {
        OriginProtocol::Http1 => "http/1.1",
        OriginProtocol::H2c => "http/2",
    };
    let below = match cluster.security {
        OriginSecurity::Plain => "",
        OriginSecurity::Tls(_) | OriginSecurity::Broken => " over TLS",
    };
    let endpoints = cluster.endpoints.iter().take(ENDPOINTS_SHOWN_MAX).enumerate();
    let near = cluster.near;
    BackendShown {
        backend: format!("{}:{}", cluster.backend.object, cluster.backend.port),
        weight: 1,
        state: state.to_owned(),
        protocol: format!("{spoken}{below}"),
        known: cluster.total,
        endpoints: endpoints.map(|(at, one)| endpoint(one, (at < near, now))).collect(),
        ready: cluster.endpoints.len(),
    }
}

fn endpoint(endpoint: &Endpoint, (is_near, now): (bool, Millis)) -> EndpointShown {
    let seen = endpoint.look(now);
    let state = if seen.is_down {
        "down"
    } else if seen.ejected_ms > 0 {
        "ejected"
    } else {
        "healthy"
    };
    EndpointShown {
        address: endpoint.address.to_string(),
        state: state.to_owned(),
        ejected_ms: seen.ejected_ms,
        misses: seen.misses,
        failures: seen.failures,
        in_flight: seen.in_flight,
        latency_us: seen.latency_us,
        is_near,
    }
}
