//! `gateway.networking.k8s.io/v1` BackendTLSPolicy: TLS from the gateway to a Service.

use std::sync::Arc;

use super::{TargetRef, check_count, listener, open_spec};
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{BackendTlsPolicy, Reference, SubjectAltName};

/// Upstream's limits.
const TARGETS_MAX: usize = 16;
const AUTHORITIES_MAX: usize = 8;
const NAMES_MAX: usize = 5;

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<BackendTlsPolicy> {
    let namespace = &*head.object.namespace;
    let mut spec = open_spec("`spec` of the BackendTLSPolicy", document, report)?;
    let targets = spec.required("targetRefs", report, |node, report| {
        let all = fields::list(node, report, |node, report| read_target(namespace, node, report))?;
        check_count(all.len(), TARGETS_MAX, "targets", node, report);
        Some(all)
    });
    let options = spec.optional("options", report, listener::read_options).unwrap_or_default();
    let validation = spec
        .required("validation", report, |node, report| read_validation(namespace, node, report));
    spec.finish(report);
    let Validation { authorities, well_known, hostname, subject_alt_names } = validation?;
    Some(BackendTlsPolicy {
        meta: head.meta(),
        targets: targets?,
        authorities,
        well_known,
        hostname,
        subject_alt_names,
        options,
    })
}

type Target = (Reference, Option<Arc<str>>);

fn read_target(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Target> {
    let mut fields = Fields::open("a target", node, report)?;
    let target = TargetRef::read_local(&mut fields, namespace, report);
    let section = fields.optional("sectionName", report, value::filled);
    fields.finish(report);
    Some((target?.or("", "Service"), section))
}

struct Validation {
    authorities: Vec<Reference>,
    well_known: Option<Arc<str>>,
    hostname: Arc<str>,
    subject_alt_names: Vec<SubjectAltName>,
}

fn read_validation(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Validation> {
    let mut fields = Fields::open("`validation`", node, report)?;
    let authorities = fields.list("caCertificateRefs", report, |node, report| {
        let mut fields = Fields::open("an authority", node, report)?;
        let target = TargetRef::read_local(&mut fields, namespace, report);
        fields.finish(report);
        Some(target?.or("", "ConfigMap"))
    });
    check_count(authorities.len(), AUTHORITIES_MAX, "authorities", node, report);
    let well_known = fields
        .optional("wellKnownCACertificates", report, value::shared)
        .filter(|text| !text.is_empty());
    let hostname = fields.required("hostname", report, value::filled);
    let subject_alt_names = fields.list("subjectAltNames", report, read_name);
    check_count(subject_alt_names.len(), NAMES_MAX, "names", node, report);
    fields.finish(report);
    if authorities.is_empty() == well_known.is_none() {
        let message = "the authorities come from `caCertificateRefs` or `wellKnownCACertificates`";
        report.error(node.span, message, "give exactly one of the two");
    }
    let hostname = hostname?.to_ascii_lowercase().into();
    Some(Validation { authorities, well_known, hostname, subject_alt_names })
}

fn read_name(node: &Node<'_>, report: &mut Report) -> Option<SubjectAltName> {
    const KINDS: &[(&str, bool)] = &[("Hostname", true), ("URI", false)];
    let mut fields = Fields::open("a name", node, report)?;
    let is_host = fields.required("type", report, value::choice(KINDS));
    let hostname = fields.optional("hostname", report, value::shared);
    let uri = fields.optional("uri", report, value::shared);
    fields.finish(report);
    let (given, other) = if is_host? { (hostname, uri) } else { (uri, hostname) };
    let given = given.filter(|text| !text.is_empty());
    let (Some(given), None) = (given, other.filter(|text| !text.is_empty())) else {
        let message = "a name has the field of its `type`, and not the other";
        let help = "write `{type: Hostname, hostname: ...}` or `{type: URI, uri: ...}`";
        report.error(node.span, message, help);
        return None;
    };
    Some(if is_host? {
        SubjectAltName::Hostname(given.to_ascii_lowercase().into())
    } else {
        SubjectAltName::Uri(given)
    })
}
