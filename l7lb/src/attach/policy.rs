//! Policies: BackendTLSPolicies' statuses, and which settings HttpPolicies give a rule.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::gateway::{
    BackendTlsPolicy, GatewayObjects, HttpPolicy, HttpSettings, Meta, ObjectKind,
};
use model::name::ObjectRef;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::{RouteOutcome, Scene, backend, kind_of};
use crate::status::{Condition, Detail, ObjectStatus};

/// The settings of one rule: those of policies for the rule, then for its route, then for its
/// Gateways, field by field, on top of what the document itself says.
pub(crate) fn settings_of(
    objects: &GatewayObjects,
    (kind, meta, section): (ObjectKind, &Meta, Option<&str>),
    gateways: &[&ObjectRef],
    own: &HttpSettings,
) -> HttpSettings {
    let mut settings = own.clone();
    if objects.http_policies.is_empty() {
        return settings;
    }
    let mut found: Vec<(u8, &HttpPolicy)> = Vec::new();
    for policy in &objects.http_policies {
        let level = policy.targets.iter().filter_map(|(target, named)| {
            let is_route = target.is(kind.group(), kind.name()) && target.object == meta.object;
            let is_gateway = target.is(ObjectKind::Gateway.group(), "Gateway")
                && gateways.contains(&&target.object);
            match named.as_deref() {
                Some(name) if is_route && section == Some(name) => Some(0),
                None if is_route => Some(1),
                None if is_gateway && target.object.namespace == policy.meta.object.namespace => {
                    Some(2)
                }
                _ => None,
            }
        });
        found.extend(level.min().map(|level| (level, &**policy)));
    }
    found
        .sort_by_key(|(level, policy)| (*level, policy.meta.created_s, policy.meta.object.clone()));
    for (_, policy) in found {
        settings = merged(settings, &policy.settings);
    }
    settings
}

/// What is not asked for is taken from the less specific one.
fn merged(first: HttpSettings, second: &HttpSettings) -> HttpSettings {
    fn either<T: Clone>(first: Vec<T>, second: &[T]) -> Vec<T> {
        if first.is_empty() { second.to_vec() } else { first }
    }
    HttpSettings {
        addresses: first.addresses.or_else(|| second.addresses.clone()),
        rate_limits: either(first.rate_limits, &second.rate_limits),
        body_octets_max: first.body_octets_max.or(second.body_octets_max),
        jwt: first.jwt.or_else(|| second.jwt.clone()),
        external_auth: first.external_auth.or_else(|| second.external_auth.clone()),
        basic_auth: first.basic_auth.or_else(|| second.basic_auth.clone()),
        compression: first.compression.or_else(|| second.compression.clone()),
        error_pages: either(first.error_pages, &second.error_pages),
        cors: first.cors.or_else(|| second.cors.clone()),
        session: first.session.or_else(|| second.session.clone()),
    }
}

/// What HTTPRoutes, GRPCRoutes and TLSRoutes come to, in the order of their sets.
type Senders<'o> = (&'o [Arc<RouteOutcome>], &'o [Arc<RouteOutcome>], &'o [Arc<RouteOutcome>]);

/// The statuses of BackendTLSPolicies, for each Gateway that sends to their targets.
pub(super) fn tls_statuses(
    scene: &Scene<'_>,
    (http, grpc, tls): Senders<'_>,
    statuses: &mut Vec<ObjectStatus>,
) {
    let objects = scene.objects;
    if objects.backend_tls_policies.is_empty() {
        return;
    }
    let gateways = users(scene, (http, grpc, tls));
    for policy in &objects.backend_tls_policies {
        let targets = policy.targets.iter().filter(|(target, _)| target.is("", "Service"));
        let ancestors: BTreeSet<&ObjectRef> =
            targets.filter_map(|(target, _)| gateways.get(&target.object)).flatten().collect();
        if ancestors.is_empty() {
            continue;
        }
        let conditions = conditions(objects, policy);
        let each = |gateway: &ObjectRef| (gateway.clone(), conditions.clone());
        statuses.push(ObjectStatus {
            kind: ObjectKind::BackendTlsPolicy,
            object: policy.meta.object.clone(),
            generation: policy.meta.generation,
            origin: Arc::clone(&policy.meta.origin),
            detail: Detail::Policy(ancestors.into_iter().map(each).collect()),
        });
    }
}

/// The Gateways that send to each Service that a policy is for.
fn users(
    scene: &Scene<'_>,
    (http, grpc, tls): Senders<'_>,
) -> HashMap<ObjectRef, BTreeSet<ObjectRef>> {
    let objects = scene.objects;
    let targets = objects.backend_tls_policies.iter().flat_map(|policy| &policy.targets);
    let mut users: HashMap<ObjectRef, BTreeSet<ObjectRef>> =
        targets.map(|(target, _)| (target.object.clone(), BTreeSet::new())).collect();
    let mut add = |outcome: &RouteOutcome, target: &ObjectRef| {
        // Of the others no policy wants to know.
        if let Some(users) = users.get_mut(target) {
            users.extend(outcome.owners.iter().cloned());
        }
    };
    for (route, outcome) in objects.http_routes.iter().zip(http) {
        for rule in &route.rules {
            for target in backend::targets(&rule.filters, &rule.backends) {
                add(outcome, &target.object);
            }
        }
    }
    for (route, outcome) in objects.grpc_routes.iter().zip(grpc) {
        for rule in &route.rules {
            for target in backend::targets(&rule.filters, &rule.backends) {
                add(outcome, &target.object);
            }
        }
    }
    for (route, outcome) in objects.tls_routes.iter().zip(tls) {
        for backend in route.rules.iter().flat_map(|rule| &rule.backends) {
            add(outcome, &backend.target.object);
        }
    }
    users
}

/// `Accepted` and `ResolvedRefs` of a policy.
fn conditions(objects: &GatewayObjects, policy: &BackendTlsPolicy) -> Vec<Condition> {
    let (usable, fault) = authorities(objects, policy);
    let refs = match fault {
        None => Condition::yes("ResolvedRefs", "ResolvedRefs"),
        Some((reason, message)) => Condition::no("ResolvedRefs", reason, message),
    };
    let accepted = if is_second(objects, policy) {
        let message = "an older policy is for the same target";
        Condition::no("Accepted", "Conflicted", message)
    } else if usable {
        Condition::yes("Accepted", "Accepted")
    } else {
        Condition::no("Accepted", "NoValidCACertificate", "no authority can be used")
    };
    vec![accepted, refs]
}

/// Whether another policy goes before this one for a target of the same section.
fn is_second(objects: &GatewayObjects, policy: &BackendTlsPolicy) -> bool {
    let order = |one: &BackendTlsPolicy| (one.meta.created_s, one.meta.object.clone());
    let mine = order(policy);
    objects.backend_tls_policies.iter().any(|other| {
        order(other) < mine && other.targets.iter().any(|target| policy.targets.contains(target))
    })
}

/// Whether any authority can be used, and the first reference that cannot.
fn authorities(
    objects: &GatewayObjects,
    policy: &BackendTlsPolicy,
) -> (bool, Option<(&'static str, String)>) {
    if policy.authorities.is_empty() {
        let is_system = policy.well_known.as_deref() == Some("System");
        let message = "only the authorities of `System` are known".to_owned();
        return (is_system, (!is_system).then_some(("InvalidCACertificateRef", message)));
    }
    let (mut usable, mut fault) = (false, None);
    for reference in &policy.authorities {
        let object = &reference.object;
        if !reference.is("", "ConfigMap") {
            let message = format!("authorities are not in a `{}`", kind_of(reference));
            fault.get_or_insert(("InvalidKind", message));
            continue;
        }
        let text = objects.config_maps.get(object).and_then(|map| map.data.get("ca.crt"));
        let parsed: Vec<_> = text
            .map(|text| CertificateDer::pem_slice_iter(text.as_bytes()).flatten().collect())
            .unwrap_or_default();
        let (added, _) = RootCertStore::empty().add_parsable_certificates(parsed);
        if added == 0 {
            let message = format!("the ConfigMap `{object}` has no certificate under `ca.crt`");
            fault.get_or_insert(("InvalidCACertificateRef", message));
        }
        usable |= added > 0;
    }
    (usable, fault)
}
