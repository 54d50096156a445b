//! `gateway.networking.k8s.io/v1` ReferenceGrant: who may refer across namespaces.

use super::{check_count, open_spec};
use crate::document::fields::{self, Fields};
use crate::document::head::{Head, namespace_name};
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{GrantFrom, GrantTo, ReferenceGrant};

/// Upstream's limit on each list.
const ENTRIES_MAX: usize = 16;

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<ReferenceGrant> {
    let mut spec = open_spec("`spec` of the ReferenceGrant", document, report)?;
    let from = spec.required("from", report, |node, report| {
        let all = fields::list(node, report, read_from)?;
        check_count(all.len(), ENTRIES_MAX, "referrers", node, report);
        Some(all)
    });
    let to = spec.required("to", report, |node, report| {
        let all = fields::list(node, report, read_to)?;
        check_count(all.len(), ENTRIES_MAX, "kinds referred to", node, report);
        Some(all)
    });
    spec.finish(report);
    Some(ReferenceGrant { meta: head.meta(), from: from?, to: to? })
}

fn read_from(node: &Node<'_>, report: &mut Report) -> Option<GrantFrom> {
    let mut fields = Fields::open("a referrer", node, report)?;
    let group = fields.required("group", report, value::shared);
    let kind = fields.required("kind", report, value::filled);
    let namespace = fields.required("namespace", report, namespace_name);
    fields.finish(report);
    Some(GrantFrom { group: group?, kind: kind?, namespace: namespace?.into() })
}

fn read_to(node: &Node<'_>, report: &mut Report) -> Option<GrantTo> {
    let mut fields = Fields::open("what is referred to", node, report)?;
    let group = fields.required("group", report, value::shared);
    let kind = fields.required("kind", report, value::filled);
    let name = fields.optional("name", report, value::shared).filter(|name| !name.is_empty());
    fields.finish(report);
    Some(GrantTo { group: group?, kind: kind?, name })
}
