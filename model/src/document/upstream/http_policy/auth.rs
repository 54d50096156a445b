//! Who may come: JSON Web Tokens, a service that is asked, users with passwords.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::fields::{self, Fields};
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::upstream::filter::header_name;
use crate::document::upstream::{backend, check_count, path, read_secret_ref};
use crate::document::value;
use crate::gateway::Reference;
use crate::gateway::settings::{ExternalAuth, FailMode, Jwt};

/// Clocks differ by less (RFC 7519, section 4.1.4, allows "a few minutes").
const LEEWAY_S: u32 = 30;
/// An answer that takes longer keeps the client waiting for nothing.
const TIMEOUT_MS: u32 = 1_000;
/// The most names in each list.
const NAMES_MAX: usize = 64;

/// Reads `jwt`.
pub(super) fn read_jwt(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Jwt> {
    let mut fields = Fields::open("`jwt`", node, report)?;
    let issuer = fields.optional("issuer", report, value::filled);
    let audiences = fields.list("audiences", report, value::filled);
    let keys =
        fields.required("keysRef", report, |node, report| read_keys_ref(namespace, node, report));
    let header = fields.optional("header", report, header_name);
    let claims = fields.optional("claims", report, |node, report| {
        fields::map(node, report, |key, node, report| {
            Some((Arc::from(key.value), fields::one_or_more(node, report, value::filled)?))
        })
    });
    let forward = fields.optional("forward", report, |node, report| {
        fields::map(node, report, |key, node, report| {
            Some((Arc::from(key.value), header_name(node, report)?))
        })
    });
    let leeway_ms = fields.optional("leeway", report, value::duration_ms);
    fields.finish(report);
    let claims: BTreeMap<_, _> = claims.unwrap_or_default().into_iter().collect();
    let forward: BTreeMap<_, _> = forward.unwrap_or_default().into_iter().collect();
    let longest = audiences.len().max(claims.len()).max(forward.len());
    check_count(longest, NAMES_MAX, "names in each list of `jwt`", node, report);
    Some(Jwt {
        issuer,
        audiences,
        keys: keys?,
        header,
        claims,
        forward,
        leeway_s: leeway_ms.map_or(LEEWAY_S, |ms| ms / 1_000),
    })
}

/// A ConfigMap (public keys are no secret) or a Secret, in the policy's namespace.
fn read_keys_ref(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Reference> {
    const KINDS: &[(&str, &str)] = &[("ConfigMap", "ConfigMap"), ("Secret", "Secret")];
    let mut fields = Fields::open("`keysRef`", node, report)?;
    let kind = fields.optional("kind", report, value::choice(KINDS)).unwrap_or("ConfigMap");
    let name = fields.required("name", report, value::filled);
    fields.finish(report);
    Some(Reference::new("", kind, crate::name::ObjectRef::new(namespace, &name?)))
}

/// Reads `basicAuth`.
pub(super) fn read_basic(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Reference> {
    let mut fields = Fields::open("`basicAuth`", node, report)?;
    let secret = fields
        .required("secretRef", report, |node, report| read_secret_ref(namespace, node, report));
    fields.finish(report);
    let secret = secret?;
    if !secret.is("", "Secret") {
        let help = "remove `group` and `kind`";
        report.error(node.span, "the users of `basicAuth` are in a Secret", help);
        return None;
    }
    Some(secret)
}

/// Reads `externalAuth`.
pub(super) fn read_external(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<ExternalAuth> {
    let mut fields = Fields::open("`externalAuth`", node, report)?;
    let backend = fields
        .required("backendRef", report, |node, report| backend::read_one(namespace, node, report));
    let path_prefix = fields.optional("path", report, path::read);
    let request_headers = fields.list("requestHeaders", report, header_name);
    let response_headers = fields.list("responseHeaders", report, header_name);
    let timeout = fields.optional("timeout", report, fields::spanned(value::duration_ms));
    let fail_open = fields.optional("failOpen", report, value::boolean);
    fields.finish(report);
    let longest = request_headers.len().max(response_headers.len());
    check_count(longest, NAMES_MAX, "headers in each list", node, report);
    if let Some(timeout) = timeout.as_ref().filter(|timeout| timeout.value == 0) {
        let help = "write how long a request may wait for the answer, as in `500ms`";
        report.error(timeout.span, "the time for an answer cannot be 0", help);
    }
    Some(ExternalAuth {
        backend: backend?,
        path_prefix: path_prefix.unwrap_or_else(|| "/".into()),
        request_headers,
        response_headers,
        timeout_ms: timeout.map_or(TIMEOUT_MS, |timeout| timeout.value),
        fail: match fail_open {
            Some(true) => FailMode::Open,
            _ => FailMode::Closed,
        },
    })
}
