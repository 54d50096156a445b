//! What routes refer to: Services, and whether they may.

use model::gateway::{BackendTarget, HttpFilter, ObjectKind, RouteBackend};

use super::Scene;
use crate::status::Condition;

/// What a reference to a backend comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// A Service's port.
    Found,
    /// It is of a kind that is not served.
    InvalidKind,
    /// It is in another namespace, which does not grant it.
    NotPermitted,
    /// There is no such Service, or it has no such port.
    NotFound,
}

/// Every backend that a rule names, mirrors included.
pub(super) fn targets<'a>(
    filters: &'a [HttpFilter],
    backends: &'a [RouteBackend],
) -> impl Iterator<Item = &'a BackendTarget> {
    let own = backends.iter().flat_map(|backend| &backend.filters);
    let mirrors = filters.iter().chain(own).filter_map(|filter| match filter {
        HttpFilter::Mirror(mirror) => Some(&mirror.backend),
        _ => None,
    });
    backends.iter().map(|backend| &backend.target).chain(mirrors)
}

/// Resolves one reference.
pub(super) fn resolve(
    scene: &Scene<'_>,
    kind: ObjectKind,
    namespace: &str,
    target: &BackendTarget,
) -> Resolved {
    if !target.is_service() {
        return Resolved::InvalidKind;
    }
    let from = (kind.group(), kind.name(), namespace);
    let to = (&*target.group, &*target.kind, &target.object);
    if &*target.object.namespace != namespace && !scene.grants.permit(from, to) {
        return Resolved::NotPermitted;
    }
    let service = scene.objects.services.get(&target.object);
    let has_port = service
        .is_some_and(|service| service.ports.iter().any(|port| Some(port.port) == target.port));
    if has_port { Resolved::Found } else { Resolved::NotFound }
}

/// The condition `ResolvedRefs` of a route: the first reference that fails gives the reason.
pub(super) fn condition<'t>(
    scene: &Scene<'_>,
    kind: ObjectKind,
    namespace: &str,
    targets: impl Iterator<Item = &'t BackendTarget>,
) -> Condition {
    for target in targets {
        let (object, of) = (&target.object, &target.kind);
        let (reason, message) = match resolve(scene, kind, namespace, target) {
            Resolved::Found => continue,
            Resolved::InvalidKind => ("InvalidKind", format!("a `{of}` cannot be a backend")),
            Resolved::NotPermitted => {
                ("RefNotPermitted", format!("no ReferenceGrant permits the backend `{object}`"))
            }
            Resolved::NotFound => {
                let port = target.port.unwrap_or(0);
                ("BackendNotFound", format!("there is no Service `{object}` with port {port}"))
            }
        };
        return Condition::no("ResolvedRefs", reason, message);
    }
    Condition::yes("ResolvedRefs", "ResolvedRefs")
}
