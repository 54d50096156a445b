//! Which TLS a Service's port is spoken to with: its BackendTLSPolicy, or what its `appProtocol`
//! says.
//!
//! A policy with `sectionName` goes before one for the whole Service, then the older, then the first
//! by name (GEP-713). A policy that cannot be followed makes the backend fail: nothing goes out in
//! the clear that was meant to be encrypted.

use std::cmp::Reverse;
use std::sync::Arc;

use model::gateway::{BackendTlsPolicy, GatewayObjects, Reference, Service, ServicePort};

use crate::kept::Kept;
use crate::origin_tls::{OriginTlsSource, Roots};
use crate::view::OriginSecurity;

/// Where authorities are kept, in a ConfigMap and in a Secret.
const AUTHORITIES: &str = "ca.crt";

/// What a port of a Service is spoken to with.
pub(crate) fn of_port(
    objects: &GatewayObjects,
    service: &Service,
    port: &ServicePort,
    kept: &Kept,
) -> OriginSecurity {
    let section = |policy: &BackendTlsPolicy| {
        let mut mine = policy.targets.iter().filter(|(target, section)| {
            target.is("", "Service")
                && target.object == service.meta.object
                && section.as_ref().is_none_or(|section| port.name.as_ref() == Some(section))
        });
        mine.next().map(|(_, section)| section.is_some())
    };
    let policies = objects.backend_tls_policies.iter();
    let mine = policies.filter_map(|policy| Some((Reverse(section(policy)?), policy)));
    let best = mine.min_by_key(|(specific, policy)| {
        (*specific, policy.meta.created_s, policy.meta.object.clone())
    });
    match best {
        Some((_, policy)) => of_policy(objects, policy, kept),
        None => of_protocol(service, port, kept),
    }
}

/// What a policy asks for.
pub(crate) fn of_policy(
    objects: &GatewayObjects,
    policy: &BackendTlsPolicy,
    kept: &Kept,
) -> OriginSecurity {
    let mut pem = Vec::new();
    // Gateway API: ConfigMaps; other kinds are refused in the status.
    for reference in policy.authorities.iter().filter(|one| one.is("", "ConfigMap")) {
        // One usable reference is enough (upstream: ResolvedRefs is false, Accepted is true).
        if let Some(octets) = material(objects, reference, AUTHORITIES) {
            pem.extend_from_slice(octets);
            pem.push(b'\n');
        }
    }
    let roots = match policy.well_known.as_deref() {
        Some("System") if policy.authorities.is_empty() => Roots::System,
        _ => Roots::Pem(&pem),
    };
    let source = OriginTlsSource {
        roots,
        server_name: Arc::clone(&policy.hostname),
        names: &policy.subject_alt_names,
    };
    match kept.origin(&source) {
        Ok(tls) => OriginSecurity::Tls(tls),
        Err(_) => OriginSecurity::Broken,
    }
}

/// `https` and `wss` without a policy: encrypted, but nobody said whom to trust, so nobody is
/// checked (as ingress controllers do).
fn of_protocol(service: &Service, port: &ServicePort, kept: &Kept) -> OriginSecurity {
    if !matches!(port.app_protocol.as_deref(), Some("https" | "kubernetes.io/wss")) {
        return OriginSecurity::Plain;
    }
    let object = &service.meta.object;
    let server_name = format!("{}.{}.svc", object.name, object.namespace).into();
    let source = OriginTlsSource { roots: Roots::Anybody, server_name, names: &[] };
    kept.origin(&source).map_or(OriginSecurity::Broken, OriginSecurity::Tls)
}

/// The octets under a key of a ConfigMap or Secret.
pub(crate) fn material<'a>(
    objects: &'a GatewayObjects,
    reference: &Reference,
    key: &str,
) -> Option<&'a [u8]> {
    if reference.is("", "ConfigMap") {
        let map = objects.config_maps.get(&reference.object)?;
        return map.data.get(key).map(|text| text.as_bytes());
    }
    let secret = objects.secrets.get(&reference.object).filter(|_| reference.is("", "Secret"))?;
    secret.data.get(key).map(|octets| &**octets)
}

#[cfg(test)]
mod tests;
