//! `networking.k8s.io/v1` IngressClass: whose Ingresses are whose.

use crate::document::fields::Fields;
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::upstream::open_spec;
use crate::document::value;
use crate::gateway::IngressClass;

/// Marks the class of Ingresses that name none (Kubernetes well-known annotations).
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// Reads the document.
pub(in crate::document::upstream) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<IngressClass> {
    let mut spec = open_spec("`spec` of the IngressClass", document, report)?;
    spec.ignore_with_warning(&["parameters"], report);
    let controller = spec.required("controller", report, value::filled);
    spec.finish(report);
    let is_default = head.annotation(DEFAULT).is_some_and(|text| &*text.value == "true");
    Some(IngressClass { meta: head.meta(), controller: controller?, is_default })
}
