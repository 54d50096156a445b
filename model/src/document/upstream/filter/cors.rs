//! `cors`: what scripts of other origins may do (GEP-1767).

use std::sync::Arc;

use crate::document::fields::Fields;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::Cors;

/// Upstream's limit on each list.
const ENTRIES_MAX: usize = 64;

/// Reads the mapping.
pub(in crate::document::upstream) fn read(node: &Node<'_>, report: &mut Report) -> Option<Cors> {
    let mut fields = Fields::open("`cors`", node, report)?;
    let allow_origins = fields.list("allowOrigins", report, read_origin);
    let allow_credentials = fields.optional("allowCredentials", report, value::boolean);
    let allow_methods = fields.list("allowMethods", report, |node, report| {
        let method = super::header_value(node, report)?;
        is_word(&method, node, report).then_some(method)
    });
    let allow_headers = fields.list("allowHeaders", report, read_header);
    let expose_headers = fields.list("exposeHeaders", report, read_header);
    let age = value::whole(1..=u64::from(i32::MAX.unsigned_abs()));
    let max_age_s = fields.optional("maxAge", report, age);
    fields.finish(report);
    let longest = [&allow_origins, &allow_methods, &allow_headers, &expose_headers]
        .into_iter()
        .map(Vec::len)
        .max();
    if longest.is_some_and(|longest| longest > ENTRIES_MAX) {
        let message = format!("a list of `cors` has at most {ENTRIES_MAX} entries");
        report.error(node.span, message, "use wildcards");
    }
    Some(Cors {
        allow_origins,
        allow_credentials: allow_credentials.unwrap_or(false),
        allow_methods,
        allow_headers,
        expose_headers,
        max_age_s,
    })
}

fn read_header(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let name = value::text(node, report)?;
    is_word(name, node, report).then(|| name.into())
}

fn is_word(text: &str, node: &Node<'_>, report: &mut Report) -> bool {
    let fine = super::is_token(text);
    if !fine {
        let message = format!("`{text}` is not the name of a header or method");
        report.error(node.span, message, "write one name, or `*` for all");
    }
    fine
}

fn read_origin(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let origin = value::text(node, report)?;
    if !is_origin(origin) {
        let message = format!("`{origin}` is not an origin");
        let help = "write `https://www.example`, `https://*.example:8443`, or `*` for all";
        report.error(node.span, message, help);
        return None;
    }
    Some(origin.to_ascii_lowercase().into())
}

/// `*`, or scheme, host (with `*` as its first label) and port.
pub(in crate::document::upstream) fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let letters = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name = host.strip_prefix("*.").unwrap_or(host);
    let fine_host = host == "*"
        || bracketed.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
        || value::not_a_hostname(name).is_none();
    scheme.bytes().next().is_some_and(|octet| octet.is_ascii_alphabetic())
        && scheme.bytes().all(letters)
        && fine_host
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Reads a list of words out of text with commas between, as annotations write them.
pub(in crate::document::upstream) fn words(text: &str) -> Vec<Arc<str>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(Into::into).collect()
}
