//! Paths of routes: absolute, without elements that normalising would change.

use std::sync::Arc;

use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::PathMatch;

/// The longest path of a match (Gateway API's limit).
const PATH_OCTETS_MAX: usize = 1024;

/// How a path matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    Exact,
    Prefix,
    Regex,
}

/// Reads a path to match.
pub(super) fn read(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let path = value::text(node, report)?;
    if let Some(why) = refusal(path) {
        let message = format!("`{path}` is not a path to match: {why}");
        report.error(node.span, message, "write an absolute path, for example `/images/small`");
        return None;
    }
    Some(path.into())
}

/// Reads a regular expression; whoever compiles it says what is wrong with it.
pub(super) fn read_regex(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let found = value::text(node, report)?;
    if found.len() > PATH_OCTETS_MAX {
        let message = format!("this expression is longer than {PATH_OCTETS_MAX} octets");
        report.error(node.span, message, "split it into several matches");
        return None;
    }
    Some(found.into())
}

/// Both upstreams refuse these, because a client cannot be matched reliably against them.
fn refusal(path: &str) -> Option<&'static str> {
    let bad_octet = |octet: u8| octet <= b' ' || octet == 0x7f || matches!(octet, b'#' | b'?');
    let lower = path.to_ascii_lowercase();
    if !path.starts_with('/') {
        Some("it does not begin with `/`")
    } else if path.len() > PATH_OCTETS_MAX {
        Some("it is longer than 1024 octets")
    } else if path.contains("//") {
        Some("it has an empty element")
    } else if path.split('/').any(|element| matches!(element, "." | "..")) {
        Some("it has a `.` or `..` element")
    } else if lower.contains("%2f") {
        Some("it has an escaped `/`")
    } else if path.bytes().any(bad_octet) {
        Some("it has a space, a control character, `?` or `#`")
    } else {
        None
    }
}

/// A match; a prefix loses its last `/`, because `/a/` and `/a` cover the same elements.
pub(super) fn to_match(kind: PathKind, path: &Arc<str>) -> PathMatch {
    match kind {
        PathKind::Exact => PathMatch::Exact(Arc::clone(path)),
        PathKind::Regex => PathMatch::Regex(Arc::clone(path)),
        PathKind::Prefix => match path.strip_suffix('/') {
            None | Some("") => PathMatch::Prefix(Arc::clone(path)),
            Some(shorter) => PathMatch::Prefix(shorter.into()),
        },
    }
}
