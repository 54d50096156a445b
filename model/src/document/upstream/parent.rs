//! `parentRefs`: what a route attaches to.

use super::TargetRef;
use crate::document::fields::Fields;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{GATEWAY_GROUP, ParentKind, ParentRef};

/// Upstream's limit.
const PARENTS_MAX: usize = 32;

/// Takes `parentRefs` out of a route's spec.
pub(super) fn read_all(
    spec: &mut Fields<'_, '_>,
    namespace: &str,
    report: &mut Report,
) -> Vec<ParentRef> {
    let span = spec.span();
    let parents = spec.list("parentRefs", report, |node, report| read(namespace, node, report));
    if parents.len() > PARENTS_MAX {
        let message = format!("a route has at most {PARENTS_MAX} parents, not {}", parents.len());
        report.error(span, message, "split the route into several");
    }
    parents
}

fn read(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<ParentRef> {
    let mut fields = Fields::open("a parent", node, report)?;
    let target = TargetRef::read(&mut fields, namespace, report);
    let section = fields.optional("sectionName", report, value::filled);
    let port = fields.optional("port", report, value::port);
    fields.finish(report);
    let target = target?.or(GATEWAY_GROUP, "Gateway");
    let kind = match (&*target.group, &*target.kind) {
        (GATEWAY_GROUP, "Gateway") => ParentKind::Gateway,
        (GATEWAY_GROUP, "ListenerSet") => ParentKind::ListenerSet,
        _ => {
            let help = "a route here attaches to Gateways and ListenerSets";
            report.warn(node.span, "this parent is of a kind that is not served", help);
            ParentKind::Other(target.group, target.kind)
        }
    };
    Some(ParentRef { kind, object: target.object, section, port })
}
