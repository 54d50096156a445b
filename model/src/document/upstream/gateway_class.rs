//! `gateway.networking.k8s.io/v1` GatewayClass: whose Gateways are whose.

use super::{open_spec, read_full_ref};
use crate::document::fields::Fields;
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::value;
use crate::gateway::GatewayClass;

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<GatewayClass> {
    let mut spec = open_spec("`spec` of the GatewayClass", document, report)?;
    spec.ignore(&["description"]);
    let controller = spec.required("controllerName", report, value::filled);
    let parameters =
        spec.optional("parametersRef", report, |node, report| read_full_ref("", node, report));
    spec.finish(report);
    Some(GatewayClass { meta: head.meta(), controller: controller?, parameters })
}
