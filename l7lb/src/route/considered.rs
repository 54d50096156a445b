//! What a request comes past on its way through a table, told for people.
//!
//! The walk and the judgement of each candidate are those that serve; only what is taken differs:
//! nothing, so that the walk goes on to the end.

use super::{HostKey, Misfit, PathKey, RequestParts, RouteTable, Tried};
use crate::socket::TableId;

/// A match of a rule on one of the request's hostnames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Considered {
    /// The rule, by index.
    pub(crate) rule: u32,
    /// `example.com`, `*.example.com` or `*`.
    pub(crate) host: String,
    /// `= /exact`, `~ expression` or `/prefix`.
    pub(crate) path: String,
    /// What keeps it from the request, if anything does.
    pub(crate) misfit: Option<String>,
}

impl RouteTable {
    /// The matches on the request's hostnames, in order of precedence, those of other paths last
    /// for each hostname. The first without a misfit is what [`RouteTable::find`] takes; when there
    /// is none, that is the default backend, if the table has one.
    pub(crate) fn consider(&self, table: TableId, request: &RequestParts<'_>) -> Vec<Considered> {
        let Some(table) = self.tables.get(table.0 as usize) else { return Vec::new() };
        let listener = table.listeners.of(request.host);
        let mut all = Vec::new();
        for (host, routes) in table.hosts(request.host) {
            let mut met = Vec::new();
            routes.walk(request.path, host, &mut |tried| {
                all.push(Considered::new(tried, tried.misfit(request, listener).map(tell)));
                met.push(tried.path);
                None
            });
            let mut missed: Vec<Considered> = routes
                .filed(host)
                .filter(|filed| !met.contains(&filed.path))
                .map(|filed| Considered::new(filed, Some("another path".to_owned())))
                .collect();
            missed.sort_by(|a, b| a.path.cmp(&b.path));
            all.append(&mut missed);
        }
        all
    }

    /// Everything in a table, in the order of hostnames and paths, and of precedence where they are
    /// equal.
    pub(crate) fn entries(&self, table: TableId) -> Vec<Considered> {
        let Some(table) = self.tables.get(table.0 as usize) else { return Vec::new() };
        let exact = table.exact.iter().map(|(name, routes)| (HostKey::Exact(name), routes));
        let suffix = table.suffix.iter().map(|(name, routes)| (HostKey::Suffix(name, 1), routes));
        let hosts = exact.chain(suffix).chain([(HostKey::Any, &*table.any)]);
        let filed = hosts.flat_map(|(host, routes)| routes.filed(host));
        let mut all: Vec<Considered> = filed.map(|one| Considered::new(one, None)).collect();
        all.sort_by(|a, b| (&a.host, &a.path).cmp(&(&b.host, &b.path)));
        all
    }
}

impl Considered {
    fn new(tried: Tried<'_>, misfit: Option<String>) -> Self {
        let host = match tried.host {
            HostKey::Exact(name) => name.to_owned(),
            HostKey::Suffix(name, _) => format!("*.{name}"),
            HostKey::Any => "*".to_owned(),
        };
        let path = match tried.path {
            PathKey::Exact(path) => format!("= {path}"),
            PathKey::Regex(text) => format!("~ {text}"),
            PathKey::Prefix("") => "/".to_owned(),
            PathKey::Prefix(path) => path.to_owned(),
        };
        Self { rule: tried.candidate.rule, host, path, misfit }
    }
}

fn tell(misfit: Misfit<'_>) -> String {
    match misfit {
        Misfit::Listener => "another listener is more specific for the host".to_owned(),
        Misfit::Labels => "the wildcard stands for one label only".to_owned(),
        Misfit::Method(method) => format!("the method is not {method}"),
        Misfit::Header(name) => format!("the header `{name}` is not as the rule wants it"),
        Misfit::Query(name) => format!("the query parameter `{name}` is not as the rule wants it"),
    }
}
