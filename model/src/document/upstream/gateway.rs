//! `gateway.networking.k8s.io/v1` Gateway.

use std::sync::Arc;

use super::{TargetRef, listener, open_spec, read_full_ref, read_secret_ref, selector};
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{ClientValidation, Gateway, NamespaceFilter, Reference};

/// Upstream's limits.
const ADDRESSES_MAX: usize = 16;
const AUTHORITIES_MAX: usize = 16;

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<Gateway> {
    let namespace = &*head.object.namespace;
    let mut spec = open_spec("`spec` of the Gateway", document, report)?;
    spec.ignore_with_warning(&["defaultScope"], report);
    let class = spec.required("gatewayClassName", report, value::filled);
    let listeners = spec
        .required("listeners", report, |node, report| listener::read_all(namespace, node, report));
    let addresses = spec.optional("addresses", report, |node, report| {
        let all = fields::list(node, report, read_address)?;
        super::check_count(all.len(), ADDRESSES_MAX, "addresses", node, report);
        Some(all)
    });
    let parameters = spec.optional("infrastructure", report, |node, report| {
        read_infrastructure(namespace, node, report)
    });
    let allowed_listeners = spec.optional("allowedListeners", report, read_allowed_listeners);
    let tls = spec.optional("tls", report, |node, report| read_tls(namespace, node, report));
    spec.finish(report);
    let tls = tls.unwrap_or_default();
    Some(Gateway {
        meta: head.meta(),
        class: class?,
        listeners: listeners?,
        addresses: addresses.unwrap_or_default(),
        parameters: parameters.flatten(),
        allowed_listeners: allowed_listeners.flatten(),
        client_validation: tls.default,
        client_validation_by_port: tls.by_port,
        client_certificate: tls.client_certificate,
    })
}

type Address = (Arc<str>, Option<Arc<str>>);

/// An address; its value may be left open, so that the gateway chooses one of the type.
fn read_address(node: &Node<'_>, report: &mut Report) -> Option<Address> {
    let mut fields = Fields::open("an address", node, report)?;
    let kind = fields.optional("type", report, value::filled);
    let address = fields.optional("value", report, value::shared).filter(|text| !text.is_empty());
    fields.finish(report);
    Some((kind.unwrap_or_else(|| "IPAddress".into()), address))
}

/// Gives `parametersRef`. The labels and annotations are for machinery that is made for a Gateway,
/// and nothing is made here.
fn read_infrastructure(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Option<Reference>> {
    let mut fields = Fields::open("`infrastructure`", node, report)?;
    fields.ignore(&["annotations", "labels"]);
    let parameters = fields
        .optional("parametersRef", report, |node, report| read_full_ref(namespace, node, report));
    fields.finish(report);
    Some(parameters)
}

fn read_allowed_listeners(node: &Node<'_>, report: &mut Report) -> Option<Option<NamespaceFilter>> {
    let mut fields = Fields::open("`allowedListeners`", node, report)?;
    let namespaces = fields.optional("namespaces", report, selector::read_namespaces);
    fields.finish(report);
    Some(namespaces)
}

#[derive(Debug, Default)]
struct Tls {
    default: Option<ClientValidation>,
    by_port: Vec<(u16, Option<ClientValidation>)>,
    client_certificate: Option<Reference>,
}

fn read_tls(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Tls> {
    let mut fields = Fields::open("`tls` of the Gateway", node, report)?;
    let mut tls = Tls::default();
    fields.optional("frontend", report, |node, report| {
        let mut fields = Fields::open("`frontend`", node, report)?;
        tls.default = fields
            .required("default", report, |node, report| {
                read_validation_holder(namespace, node, report)
            })
            .flatten();
        tls.by_port = fields
            .list("perPort", report, |node, report| read_port_validation(namespace, node, report));
        fields.finish(report);
        Some(())
    });
    fields.optional("backend", report, |node, report| {
        let mut fields = Fields::open("`backend`", node, report)?;
        tls.client_certificate = fields.optional("clientCertificateRef", report, |node, report| {
            read_secret_ref(namespace, node, report)
        });
        fields.finish(report);
        Some(())
    });
    fields.finish(report);
    Some(tls)
}

type PortValidation = (u16, Option<ClientValidation>);

fn read_port_validation(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<PortValidation> {
    let mut fields = Fields::open("a port", node, report)?;
    let port = fields.required("port", report, value::port);
    let validation = fields
        .required("tls", report, |node, report| read_validation_holder(namespace, node, report));
    fields.finish(report);
    Some((port?, validation?))
}

/// A mapping whose only field is `validation`.
fn read_validation_holder(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Option<ClientValidation>> {
    let mut fields = Fields::open("TLS towards clients", node, report)?;
    let validation = fields
        .optional("validation", report, |node, report| read_validation(namespace, node, report));
    fields.finish(report);
    Some(validation)
}

fn read_validation(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<ClientValidation> {
    const MODES: &[(&str, bool)] = &[("AllowValidOnly", false), ("AllowInsecureFallback", true)];
    let mut fields = Fields::open("`validation`", node, report)?;
    let authorities = fields.required("caCertificateRefs", report, |node, report| {
        let all = fields::list(node, report, |node, report| {
            let mut fields = Fields::open("an authority", node, report)?;
            let target = TargetRef::read(&mut fields, namespace, report);
            fields.finish(report);
            Some(target?.or("", "ConfigMap"))
        })?;
        super::check_count(all.len(), AUTHORITIES_MAX, "authorities", node, report);
        Some(all)
    });
    let mode = fields.optional("mode", report, value::choice(MODES));
    fields.finish(report);
    Some(ClientValidation { authorities: authorities?, insecure_fallback: mode.unwrap_or(false) })
}
