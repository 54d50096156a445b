//! Hostnames of routes and listeners, and what both allow.

use model::gateway::HostPattern;

/// The hostnames on which a route is served at a listener; none when the two do not meet.
pub(super) fn intersection(
    route: &[HostPattern],
    listener: Option<&HostPattern>,
) -> Vec<Option<HostPattern>> {
    if route.is_empty() {
        return vec![listener.cloned()];
    }
    route.iter().filter_map(|host| narrower(host, listener)).map(Some).collect()
}

/// The more specific of the two when one covers the other.
fn narrower(route: &HostPattern, listener: Option<&HostPattern>) -> Option<HostPattern> {
    let Some(listener) = listener else { return Some(route.clone()) };
    match (route, listener) {
        (HostPattern::Exact(a), HostPattern::Exact(b)) => (a == b).then(|| route.clone()),
        (HostPattern::Exact(a), HostPattern::Suffix(b)) => is_below(a, b).then(|| route.clone()),
        (HostPattern::Suffix(a), HostPattern::Exact(b)) => is_below(b, a).then(|| listener.clone()),
        (HostPattern::Suffix(a), HostPattern::Suffix(b)) => {
            if a == b || is_below(a, b) {
                Some(route.clone())
            } else {
                is_below(b, a).then(|| listener.clone())
            }
        }
    }
}

/// Whether a name is below a suffix by at least one label.
fn is_below(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len()
        && name.ends_with(suffix)
        && name.as_bytes()[name.len() - suffix.len() - 1] == b'.'
}
