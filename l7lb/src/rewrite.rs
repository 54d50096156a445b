//! New locations: URL rewrites towards the origin and redirects towards the client.
//!
//! Pure text work with Gateway API's table of cases for `ReplacePrefixMatch`.

use model::gateway::PathRewrite;
use regex::{Regex, RegexBuilder};

use crate::route::Scheme;
use crate::rule::Redirect;

/// What a location is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Location<'a> {
    /// How the client came.
    pub(crate) scheme: Scheme,
    /// The host it asked for, without port.
    pub(crate) host: &'a str,
    /// The path as routed.
    pub(crate) path: &'a str,
    /// How much of it the match covered.
    pub(crate) matched_octets: usize,
    /// The query.
    pub(crate) query: Option<&'a str>,
}

/// Octets of a compiled expression.
const REGEX_OCTETS_MAX: usize = 1 << 20;

/// The groups of an Ingress path that is a regular expression: matched from the path's start and
/// without regard to case, as ingress controllers do.
#[derive(Debug, Clone)]
pub(crate) struct Captures(Regex);

impl PartialEq for Captures {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Captures {
    /// Compiles an expression.
    pub(crate) fn compile(pattern: &str) -> Option<Self> {
        let mut builder = RegexBuilder::new(&format!("^(?:{pattern})"));
        builder.case_insensitive(true).size_limit(REGEX_OCTETS_MAX).build().ok().map(Self)
    }

    /// The text with `$1`, `$2`, ... replaced by the groups; one that did not match is empty.
    fn fill(&self, text: &str, path: &str) -> String {
        let groups = self.0.captures(path);
        let group = |at: usize| {
            groups.as_ref().and_then(|groups| groups.get(at)).map_or("", |group| group.as_str())
        };
        let mut parts = text.split('$');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            match part[..digits].parse() {
                Ok(at) => filled.push_str(group(at)),
                Err(_) => filled.push('$'),
            }
            filled.push_str(&part[digits..]);
        }
        filled
    }
}

/// Path and query after a rewrite.
pub(crate) fn target(
    rewrite: &PathRewrite,
    captures: Option<&Captures>,
    at: &Location<'_>,
) -> String {
    let mut target = match (rewrite, captures) {
        (PathRewrite::ReplaceCaptures(text), Some(captures)) => {
            rooted(&captures.fill(text, at.path))
        }
        _ => path(rewrite, at),
    };
    if let Some(query) = at.query {
        target.push('?');
        target.push_str(query);
    }
    target
}

fn path(rewrite: &PathRewrite, at: &Location<'_>) -> String {
    match rewrite {
        PathRewrite::ReplaceFull(full) | PathRewrite::ReplaceCaptures(full) => rooted(full),
        PathRewrite::ReplacePrefix(prefix) => {
            let rest = at.path.get(at.matched_octets..).unwrap_or_default();
            if rest.is_empty() {
                rooted(prefix)
            } else {
                rooted(&format!("{}{rest}", prefix.trim_end_matches('/')))
            }
        }
    }
}

fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// The `Location` of a redirect from a listener's port. The port follows Gateway API: the filter's, else the well-known
/// one of a changed scheme, else the listener's; well-known ports are not written.
pub(crate) fn redirect(redirect: &Redirect, at: &Location<'_>, listener: Option<u16>) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or(at.scheme.as_str());
    let host = redirect.hostname.as_deref().unwrap_or(at.host);
    let kept = if redirect.scheme.is_some() { None } else { listener };
    let port = redirect.port.or(kept);
    let known = matches!((scheme, port), ("http", Some(80)) | ("https", Some(443)));
    let mut location = format!("{scheme}://{host}");
    if let Some(port) = port.filter(|_| !known) {
        location.push_str(&format!(":{port}"));
    }
    match &redirect.path {
        Some(rewrite) => location.push_str(&target(rewrite, None, at)),
        None => {
            location.push_str(at.path);
            if let Some(query) = at.query {
                location.push('?');
                location.push_str(query);
            }
        }
    }
    location
}

#[cfg(test)]
mod tests;
