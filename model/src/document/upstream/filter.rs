//! Filters of an HTTPRoute or GRPCRoute, of its rules and its backends.

pub(super) mod cors;
mod mirror;

use std::sync::Arc;

use super::path;
use crate::document::fields::Fields;
use crate::document::report::Report;
use crate::document::suggest;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{HeaderEdit, HostPattern, HttpFilter, PathRewrite, ValueMatch};

/// Gateway API's limits on each list of a header filter, and on the filters of a rule.
const HEADERS_MAX: usize = 16;
const FILTERS_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    RequestHeaders,
    ResponseHeaders,
    Redirect,
    Rewrite,
    Mirror,
    Cors,
    Extension,
}

const KINDS: &[(&str, Kind)] = &[
    ("RequestHeaderModifier", Kind::RequestHeaders),
    ("ResponseHeaderModifier", Kind::ResponseHeaders),
    ("RequestRedirect", Kind::Redirect),
    ("URLRewrite", Kind::Rewrite),
    ("RequestMirror", Kind::Mirror),
    ("CORS", Kind::Cors),
    ("ExtensionRef", Kind::Extension),
];
/// Of upstream's experimental channel.
const UNSUPPORTED: &[&str] = &["ExternalAuth"];

/// Reads one filter.
fn read(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<HttpFilter> {
    let mut fields = Fields::open("a filter", node, report)?;
    let kind = fields.required("type", report, read_kind);
    let Some(kind) = kind else {
        fields.ignore(&["cors", "extensionRef", "externalAuth", "requestMirror"]);
        fields.optional("requestHeaderModifier", report, read_header_edit);
        fields.optional("responseHeaderModifier", report, read_header_edit);
        fields.optional("requestRedirect", report, read_redirect);
        fields.optional("urlRewrite", report, read_rewrite);
        fields.finish(report);
        return None;
    };
    let filter = match kind {
        Kind::RequestHeaders => fields
            .required("requestHeaderModifier", report, read_header_edit)
            .map(HttpFilter::ModifyRequestHeaders),
        Kind::ResponseHeaders => fields
            .required("responseHeaderModifier", report, read_header_edit)
            .map(HttpFilter::ModifyResponseHeaders),
        Kind::Redirect => fields.required("requestRedirect", report, read_redirect),
        Kind::Rewrite => fields.required("urlRewrite", report, read_rewrite),
        Kind::Mirror => fields
            .required("requestMirror", report, |node, report| mirror::read(namespace, node, report))
            .map(HttpFilter::Mirror),
        Kind::Cors => fields.required("cors", report, cors::read).map(HttpFilter::Cors),
        Kind::Extension => fields.required("extensionRef", report, read_extension),
    };
    fields.finish(report);
    filter
}

fn read_kind(node: &Node<'_>, report: &mut Report) -> Option<Kind> {
    let found = value::text(node, report)?;
    if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == found) {
        return Some(*kind);
    }
    let names = KINDS.iter().map(|(name, _)| *name);
    if UNSUPPORTED.contains(&found) {
        let listed: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let help = format!("supported are {}", listed.join(", "));
        report.error(node.span, format!("the filter `{found}` is not supported"), help);
    } else {
        let help = suggest::help_for(found, "it is one of", names);
        report.error(node.span, format!("unknown filter `{found}`"), help);
    }
    None
}

/// What it names is in the route's own namespace.
fn read_extension(node: &Node<'_>, report: &mut Report) -> Option<HttpFilter> {
    let mut fields = Fields::open("`extensionRef`", node, report)?;
    let group = fields.required("group", report, value::shared);
    let kind = fields.required("kind", report, value::filled);
    let name = fields.required("name", report, value::filled);
    fields.finish(report);
    Some(HttpFilter::Extension { group: group?, kind: kind?, name: name? })
}

fn read_header_edit(node: &Node<'_>, report: &mut Report) -> Option<HeaderEdit> {
    let mut fields = Fields::open("a header filter", node, report)?;
    let set = fields.list("set", report, read_header);
    let add = fields.list("add", report, read_header);
    let remove = fields.list("remove", report, header_name);
    fields.finish(report);
    if set.len().max(add.len()).max(remove.len()) > HEADERS_MAX {
        report.error(
            node.span,
            format!("a header filter has at most {HEADERS_MAX} of each"),
            "leave out headers of `set`, `add` or `remove`, or use a second rule",
        );
    }
    Some(HeaderEdit { set, add, remove })
}

/// `{name, value}`; the name in lower case.
pub(super) fn read_header(node: &Node<'_>, report: &mut Report) -> Option<(Arc<str>, Arc<str>)> {
    let mut fields = Fields::open("a header", node, report)?;
    let name = fields.required("name", report, header_name);
    let value = fields.required("value", report, header_value);
    fields.finish(report);
    Some((name?, value?))
}

/// A header's name (RFC 9110, section 5.6.2), in lower case.
pub(super) fn header_name(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let name = value::text(node, report)?;
    if !is_token(name) {
        report.error(
            node.span,
            format!("`{name}` is not a header name"),
            "write up to 256 letters, digits and `-`, for example `x-forwarded-proto`",
        );
        return None;
    }
    Some(name.to_ascii_lowercase().into())
}

/// A header's or cookie's name, in the case it was written in.
pub(super) fn header_name_as_written(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    header_name(node, report)?;
    value::shared(node, report)
}

/// Whether text is an RFC 9110 token.
pub(super) fn is_token(text: &str) -> bool {
    let fine = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    (1..=256).contains(&text.len()) && text.bytes().all(fine)
}

/// A header's value (RFC 9110, section 5.5): no control characters, so nothing can be smuggled in.
pub(super) fn header_value(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let value = value::text(node, report)?;
    if value.len() > 4096 || value.chars().any(|c| c.is_control() && c != '\t') {
        report.error(
            node.span,
            "this is not a header value",
            "write up to 4096 octets of text on one line, without control characters",
        );
        return None;
    }
    Some(value.into())
}

fn read_redirect(node: &Node<'_>, report: &mut Report) -> Option<HttpFilter> {
    const SCHEMES: &[(&str, &str)] = &[("http", "http"), ("https", "https")];
    let mut fields = Fields::open("`requestRedirect`", node, report)?;
    let scheme = fields.optional("scheme", report, value::choice(SCHEMES)).map(Into::into);
    let hostname = fields.optional("hostname", report, read_hostname);
    let port = fields.optional("port", report, value::port);
    let path = fields.optional("path", report, read_path_rewrite);
    let status = fields.optional("statusCode", report, |node, report| {
        let status: u16 = value::whole(300..=399)(node, report)?;
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            let help = "it is one of 301, 302, 303, 307, 308";
            report.error(node.span, format!("`{status}` is not a redirect"), help);
        }
        Some(status)
    });
    fields.finish(report);
    Some(HttpFilter::Redirect { scheme, hostname, port, path, status: status.unwrap_or(302) })
}

fn read_rewrite(node: &Node<'_>, report: &mut Report) -> Option<HttpFilter> {
    let mut fields = Fields::open("`urlRewrite`", node, report)?;
    let hostname = fields.optional("hostname", report, read_hostname);
    let path = fields.optional("path", report, read_path_rewrite);
    fields.finish(report);
    Some(HttpFilter::Rewrite { hostname, path })
}

/// A whole hostname, no wildcard.
fn read_hostname(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    match value::host_pattern(node, report)? {
        HostPattern::Exact(name) => Some(name),
        HostPattern::Suffix(suffix) => {
            report.error(
                node.span,
                format!("`*.{suffix}` cannot be put into a request"),
                format!("write a whole hostname, for example `www.{suffix}`"),
            );
            None
        }
    }
}

fn read_path_rewrite(node: &Node<'_>, report: &mut Report) -> Option<PathRewrite> {
    const KINDS: &[(&str, bool)] = &[("ReplaceFullPath", true), ("ReplacePrefixMatch", false)];
    let mut fields = Fields::open("`path`", node, report)?;
    let replaces_all = fields.required("type", report, value::choice(KINDS));
    let rewrite = match replaces_all {
        Some(true) => fields
            .required("replaceFullPath", report, read_replacement)
            .map(PathRewrite::ReplaceFull),
        Some(false) => fields
            .required("replacePrefixMatch", report, read_replacement)
            .map(PathRewrite::ReplacePrefix),
        None => {
            fields.optional("replaceFullPath", report, read_replacement);
            fields.optional("replacePrefixMatch", report, read_replacement);
            None
        }
    };
    fields.finish(report);
    rewrite
}

/// A path; upstream also takes an empty one, which is `/`.
fn read_replacement(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    match value::text(node, report)? {
        "" => Some("/".into()),
        _ => path::read(node, report),
    }
}

/// Takes the filters of a rule or a backend.
pub(super) fn read_all(
    fields: &mut Fields<'_, '_>,
    namespace: &str,
    report: &mut Report,
) -> Vec<HttpFilter> {
    let filters = fields
        .list("filters", report, |node, report| Some((read(namespace, node, report)?, node.span)));
    if filters.len() > FILTERS_MAX {
        report.error(
            filters[FILTERS_MAX].1,
            format!("a rule has at most {FILTERS_MAX} filters"),
            "remove this filter and those after it",
        );
        return Vec::new();
    }
    let replies = |filter: &HttpFilter| matches!(filter, HttpFilter::Redirect { .. });
    let rewrites = |filter: &HttpFilter| matches!(filter, HttpFilter::Rewrite { .. });
    if let Some((_, span)) = filters.iter().find(|(filter, _)| replies(filter))
        && filters.iter().any(|(filter, _)| rewrites(filter))
    {
        report.error(
            *span,
            "a rule cannot both redirect and rewrite",
            "remove the RequestRedirect or the URLRewrite, or put them into two rules",
        );
    }
    let repeatable = |filter: &HttpFilter| {
        matches!(filter, HttpFilter::Mirror(_) | HttpFilter::Extension { .. })
    };
    for (at, (filter, span)) in filters.iter().enumerate() {
        let same =
            |other: &HttpFilter| std::mem::discriminant(other) == std::mem::discriminant(filter);
        if !repeatable(filter) && filters[..at].iter().any(|(earlier, _)| same(earlier)) {
            report.error(
                *span,
                "a rule has each kind of filter once",
                "remove this filter, or put its content into the earlier one of its type",
            );
        }
    }
    filters.into_iter().map(|(filter, _)| filter).collect()
}

/// A match on a name, as headers and query parameters have it.
pub(super) fn read_value_match(
    node: &Node<'_>,
    report: &mut Report,
    name: impl FnOnce(&Node<'_>, &mut Report) -> Option<Arc<str>>,
) -> Option<(Arc<str>, ValueMatch)> {
    const KINDS: &[(&str, bool)] = &[("Exact", false), ("RegularExpression", true)];
    let mut fields = Fields::open("a match", node, report)?;
    let is_regex = fields.optional("type", report, value::choice(KINDS)).unwrap_or(false);
    let name = fields.required("name", report, name);
    let value = fields.required("value", report, header_value);
    fields.finish(report);
    Some((name?, if is_regex { ValueMatch::Regex(value?) } else { ValueMatch::Exact(value?) }))
}
