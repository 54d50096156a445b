//! `nearside.dev/v1alpha1` HttpPolicy: what routes cannot say of requests.

mod auth;
mod page;

use std::sync::Arc;

use ipnet::IpNet;

use super::filter::cors;
use super::{TargetRef, check_count, open_spec, quantity, session};
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::settings::{
    AddressRules, Coding, Compression, HttpSettings, RateKey, RateLimit,
};
use crate::gateway::{GATEWAY_GROUP, HttpPolicy, Reference};

/// GEP-713's limit on targets.
const TARGETS_MAX: usize = 16;
/// Each limit costs every request a look at a bucket.
const RATE_LIMITS_MAX: usize = 8;
/// The longest list of prefixes.
const PREFIXES_MAX: usize = 10_000;
/// Media types of a compression.
const TYPES_MAX: usize = 64;
/// Bodies below this are not worth a coder: gzip's frame alone takes 18 octets, and a packet carries
/// 1,400.
const COMPRESSED_OCTETS_MIN: u32 = 1_024;
/// What compresses well.
const COMPRESSED_TYPES: [&str; 6] = [
    "text/*",
    "application/json",
    "application/javascript",
    "application/wasm",
    "application/xml",
    "image/svg+xml",
];

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<HttpPolicy> {
    let namespace = &*head.object.namespace;
    let mut spec = open_spec("`spec` of the HttpPolicy", document, report)?;
    let targets = spec.required("targetRefs", report, |node, report| {
        let all = fields::list(node, report, |node, report| read_target(namespace, node, report))?;
        check_count(all.len(), TARGETS_MAX, "targets", node, report);
        Some(all)
    });
    let settings = HttpSettings {
        addresses: spec.optional("addresses", report, read_addresses),
        rate_limits: spec
            .optional("rateLimits", report, |node, report| {
                let all = fields::list(node, report, read_rate_limit)?;
                check_count(all.len(), RATE_LIMITS_MAX, "rate limits", node, report);
                Some(all)
            })
            .unwrap_or_default(),
        body_octets_max: spec.optional("requestBodyMax", report, quantity::octets),
        jwt: spec.optional("jwt", report, |node, report| auth::read_jwt(namespace, node, report)),
        external_auth: spec.optional("externalAuth", report, |node, report| {
            auth::read_external(namespace, node, report)
        }),
        basic_auth: spec.optional("basicAuth", report, |node, report| {
            auth::read_basic(namespace, node, report)
        }),
        compression: spec.optional("compression", report, read_compression),
        error_pages: spec.optional("errorPages", report, page::read_all).unwrap_or_default(),
        cors: spec.optional("cors", report, cors::read),
        session: spec.optional("sessionPersistence", report, session::read),
    };
    spec.finish(report);
    Some(HttpPolicy { meta: head.meta(), targets: targets?, settings })
}

type Target = (Reference, Option<Arc<str>>);

fn read_target(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Target> {
    const KINDS: [&str; 4] = ["Gateway", "HTTPRoute", "GRPCRoute", "Ingress"];
    let mut fields = Fields::open("a target", node, report)?;
    let target = TargetRef::read_local(&mut fields, namespace, report);
    let section = fields.optional("sectionName", report, value::filled);
    fields.finish(report);
    let target = target?;
    let is_ingress = target.kind.as_ref().is_some_and(|kind| &*kind.value == "Ingress");
    let group = if is_ingress { "networking.k8s.io" } else { GATEWAY_GROUP };
    let target = target.or(group, "HTTPRoute");
    if !KINDS.contains(&&*target.kind) || &*target.group != group {
        let message = format!("an HttpPolicy does not apply to a `{}`", target.kind);
        let help = "it applies to a Gateway, an HTTPRoute, a GRPCRoute or an Ingress";
        report.error(node.span, message, help);
        return None;
    }
    Some((target, section))
}

fn read_addresses(node: &Node<'_>, report: &mut Report) -> Option<AddressRules> {
    let mut fields = Fields::open("`addresses`", node, report)?;
    let allow = fields.list("allow", report, read_prefix);
    let deny = fields.list("deny", report, read_prefix);
    fields.finish(report);
    check_count(allow.len().max(deny.len()), PREFIXES_MAX, "prefixes", node, report);
    Some(AddressRules { allow, deny })
}

/// A prefix, or the address of one host.
fn read_prefix(node: &Node<'_>, report: &mut Report) -> Option<IpNet> {
    let found = value::text(node, report)?;
    match found.parse::<std::net::IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => value::cidr(node, report),
    }
}

fn read_rate_limit(node: &Node<'_>, report: &mut Report) -> Option<RateLimit> {
    let whole = |least| value::whole(least..=u64::from(u32::MAX));
    let mut fields = Fields::open("a rate limit", node, report)?;
    let requests = fields.required("requests", report, whole(1));
    let per = fields.required("per", report, fields::spanned(value::duration_ms));
    let burst = fields.optional("burst", report, whole(0));
    let key = fields.optional("by", report, read_rate_key);
    fields.finish(report);
    let per = per?;
    if per.value == 0 {
        report.error(per.span, "a rate limit's `per` cannot be 0", "write for example `per: 1s`");
        return None;
    }
    Some(RateLimit {
        requests: requests?,
        per_ms: per.value,
        burst: burst.unwrap_or(0),
        key: key.unwrap_or(RateKey::Address),
    })
}

/// `address`, `all`, or `{header: name}`.
fn read_rate_key(node: &Node<'_>, report: &mut Report) -> Option<RateKey> {
    const WORDS: &[(&str, RateWord)] = &[("address", RateWord::Address), ("all", RateWord::All)];
    if let crate::document::tree::Value::Map(_) = node.value {
        let mut fields = Fields::open("`by`", node, report)?;
        let name = fields.required("header", report, super::filter::header_name);
        fields.finish(report);
        return Some(RateKey::Header(name?));
    }
    Some(match value::choice(WORDS)(node, report)? {
        RateWord::Address => RateKey::Address,
        RateWord::All => RateKey::All,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RateWord {
    Address,
    All,
}

fn read_compression(node: &Node<'_>, report: &mut Report) -> Option<Compression> {
    const CODINGS: &[(&str, Coding)] =
        &[("gzip", Coding::Gzip), ("br", Coding::Brotli), ("zstd", Coding::Zstd)];
    let mut fields = Fields::open("`compression`", node, report)?;
    let codings =
        fields.list("codings", report, |node, report| value::choice(CODINGS)(node, report));
    let octets_min = fields.optional("minOctets", report, value::whole(0..=u64::from(u32::MAX)));
    let types = fields.list("types", report, value::filled);
    fields.finish(report);
    check_count(types.len(), TYPES_MAX, "types", node, report);
    Some(Compression {
        codings: match codings.is_empty() {
            true => vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
            false => codings,
        },
        octets_min: octets_min.unwrap_or(COMPRESSED_OCTETS_MIN),
        types: match types.is_empty() {
            true => COMPRESSED_TYPES.map(Into::into).to_vec(),
            false => types.iter().map(|text| text.to_ascii_lowercase().into()).collect(),
        },
    })
}
