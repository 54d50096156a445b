//! `gateway.networking.k8s.io/v1` ListenerSet: listeners that are added to a Gateway.

use super::{TargetRef, listener, open_spec};
use crate::document::fields::Fields;
use crate::document::head::Head;
use crate::document::report::Report;
use crate::gateway::{GATEWAY_GROUP, ListenerSet};

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<ListenerSet> {
    let namespace = &*head.object.namespace;
    let mut spec = open_spec("`spec` of the ListenerSet", document, report)?;
    let parent = spec.required("parentRef", report, |node, report| {
        let mut fields = Fields::open("`parentRef`", node, report)?;
        let target = TargetRef::read(&mut fields, namespace, report);
        fields.finish(report);
        Some(target?.or(GATEWAY_GROUP, "Gateway"))
    });
    let listeners = spec
        .required("listeners", report, |node, report| listener::read_all(namespace, node, report));
    spec.finish(report);
    Some(ListenerSet { meta: head.meta(), parent: parent?, listeners: listeners? })
}
