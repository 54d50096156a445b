//! The route table: which rule a request meets. Built by [`build`], asked once per request.
//!
//! The precedence is Gateway API's, and Ingress rules take part in it as equals: the most specific
//! hostname, then an exact path, then the longest expression, then the longest prefix, then method, number of headers, number of
//! query parameters, then the oldest document, its name and the rule's place in it. It is laid down
//! when the tables are built, one for each place, so that [`RouteTable::find`] only walks. A request that a more specific hostname's rules do not match falls through to the
//! next hostname.

pub(crate) mod build;
mod considered;
mod gateway_routes;
mod host_map;
mod host_routes;
mod ingress;
pub(crate) mod matcher;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use self::considered::Considered;
use self::host_map::HostMap;
use self::host_routes::HostRoutes;
use self::matcher::Wanted;
use crate::path::hex;
use crate::rule::Rule;
use crate::slots::Slots;
use crate::socket::{Place, TableId};
use http::HeaderMap;

/// The longest host name looked up label by label; DNS allows 127 labels.
const LABELS_MAX: usize = 128;

/// How the client came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The parts of a request that routes look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestParts<'a> {
    /// Lower case, without port.
    pub(crate) host: &'a str,
    /// In normal form, starting with `/`.
    pub(crate) path: &'a str,
    /// Behind `?`, without it.
    pub(crate) query: Option<&'a str>,
    /// Upper case as sent.
    pub(crate) method: &'a str,
    /// All headers.
    pub(crate) headers: &'a HeaderMap,
}

/// The rule that a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its number in the table.
    pub(crate) rule: u32,
    /// Octets of the request's path that its prefix match covered (all of it for an exact match).
    pub(crate) matched_octets: usize,
}

/// All routes of a site. A copy shares everything with the one it is of.
#[derive(Debug, Default, Clone)]
pub(crate) struct RouteTable {
    rules: Slots<Rule>,
    tables: Vec<Table>,
    places: Arc<HashMap<Place, TableId>>,
}

/// The routes of one place.
#[derive(Debug, Default, Clone)]
struct Table {
    exact: HostMap,
    suffix: HostMap,
    any: Arc<HostRoutes>,
    listeners: Arc<ListenerNames>,
    /// An Ingress's `defaultBackend`: when nothing else matches.
    default: Option<u32>,
}

/// The hostnames of Gateway listeners. A request belongs to the most specific one, and rules
/// attached to another listener do not see it (listener isolation).
#[derive(Debug, Default)]
struct ListenerNames {
    exact: HashMap<Box<str>, u32>,
    suffix: HashMap<Box<str>, u32>,
    any: Option<u32>,
    /// Their ports.
    ports: Vec<u16>,
}

/// The listener of rules that come from an Ingress: they are on all of them.
const EVERY_LISTENER: u32 = u32::MAX;

/// A match that shares its hostname and path with others; lists of them are in precedence order.
#[derive(Debug, Clone)]
struct Candidate {
    listener: u32,
    /// Ingress wildcards stand for exactly one label, Gateway API's for any number.
    one_label: bool,
    method: Option<Arc<str>>,
    headers: Box<[(Arc<str>, Wanted)]>,
    query: Box<[(Arc<str>, Wanted)]>,
    rule: u32,
    /// The match's place in its rule.
    place: u32,
}

/// A candidate that a request's host and path lead to, in order of precedence.
#[derive(Debug, Clone, Copy)]
struct Tried<'t> {
    host: HostKey<'t>,
    path: PathKey<'t>,
    /// Octets of the request's path that it covers.
    matched_octets: usize,
    candidate: &'t Candidate,
}

/// The hostname that a candidate is filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostKey<'t> {
    Exact(&'t str),
    /// What follows `*.`, and how many labels the `*` stands for.
    Suffix(&'t str, usize),
    Any,
}

/// The path that a candidate is filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathKey<'t> {
    Exact(&'t str),
    Regex(&'t str),
    Prefix(&'t str),
}

/// What keeps a candidate from a request whose host and path it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misfit<'t> {
    /// The request belongs to another listener.
    Listener,
    /// The wildcard stands for one label only.
    Labels,
    Method(&'t str),
    Header(&'t str),
    Query(&'t str),
}

impl RouteTable {
    /// The rule of a table for a request, if there is one.
    pub(crate) fn find(&self, table: TableId, request: &RequestParts<'_>) -> Option<Found> {
        let table = self.tables.get(table.0 as usize)?;
        let listener = table.listeners.of(request.host);
        let default = || Some(Found { rule: table.default?, matched_octets: 0 });
        let first = table.walk(request, &mut |tried| tried.take(request, listener));
        first.or_else(default)
    }

    /// The table of a place.
    pub(crate) fn table(&self, place: Place) -> Option<TableId> {
        self.places.get(&place).copied()
    }

    /// The port of the listener that a host belongs to at a place.
    pub(crate) fn listener_port(&self, place: Place, host: &str) -> Option<u16> {
        let names = &self.tables.get(self.table(place)?.0 as usize)?.listeners;
        names.ports.get(names.of(host)? as usize).copied()
    }

    /// The ids of rules by their numbers; some numbers nothing has.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Option<&Arc<str>>> {
        self.rules.numbered().map(|rule| rule.map(|rule| &rule.id))
    }

    /// All rules, in the order of their numbers.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// A rule by its number.
    pub(crate) fn rule(&self, number: u32) -> Option<&Rule> {
        self.rules.get(number)
    }
}

impl Table {
    /// Shows the candidates that a request's host and path lead to, in order of precedence, until
    /// one is taken.
    fn walk<'t>(
        &'t self,
        request: &RequestParts<'_>,
        take: &mut impl FnMut(Tried<'t>) -> Option<Found>,
    ) -> Option<Found> {
        let path = request.path;
        self.hosts(request.host).find_map(|(host, routes)| routes.walk(path, host, take))
    }

    /// The rules of the hostnames that a host meets, the most specific first.
    fn hosts<'t>(&'t self, host: &str) -> impl Iterator<Item = (HostKey<'t>, &'t HostRoutes)> {
        let exact = self.exact.get(host).map(|(name, routes)| (HostKey::Exact(name), routes));
        let suffixes = suffixes(host).filter_map(|(labels, suffix)| {
            let (name, routes) = self.suffix.get(suffix)?;
            Some((HostKey::Suffix(name, labels), routes))
        });
        exact.into_iter().chain(suffixes).chain([(HostKey::Any, &*self.any)])
    }
}

impl ListenerNames {
    fn of(&self, host: &str) -> Option<u32> {
        let wild = || suffixes(host).find_map(|(_, suffix)| self.suffix.get(suffix));
        self.exact.get(host).or_else(wild).copied().or(self.any)
    }
}

/// The suffixes of a host after 1, 2, ... labels, longest first, with the number of labels cut.
fn suffixes(host: &str) -> impl Iterator<Item = (usize, &str)> {
    let cuts = host.match_indices('.').take(LABELS_MAX);
    cuts.enumerate().map(move |(at, (dot, _))| (at + 1, &host[dot + 1..]))
}

impl<'t> Tried<'t> {
    fn take(self, request: &RequestParts<'_>, listener: Option<u32>) -> Option<Found> {
        let fits = self.misfit(request, listener).is_none();
        fits.then_some(Found { rule: self.candidate.rule, matched_octets: self.matched_octets })
    }

    /// The first thing that keeps it from the request.
    fn misfit(self, request: &RequestParts<'_>, listener: Option<u32>) -> Option<Misfit<'t>> {
        let Candidate { listener: own, one_label, method, headers, query, .. } = self.candidate;
        if *own != EVERY_LISTENER && Some(*own) != listener {
            return Some(Misfit::Listener);
        }
        if *one_label && !matches!(self.host, HostKey::Suffix(_, 1)) {
            return Some(Misfit::Labels);
        }
        if let Some(method) = method.as_deref().filter(|method| *method != request.method) {
            return Some(Misfit::Method(method));
        }
        let lacks = |(name, value): &&(Arc<str>, Wanted)| !has_header(request.headers, name, value);
        if let Some((name, _)) = headers.iter().find(lacks) {
            return Some(Misfit::Header(name));
        }
        let lacks =
            |(name, value): &&(Arc<str>, Wanted)| !has_parameter(request.query, name, value);
        query.iter().find(lacks).map(|(name, _)| Misfit::Query(name))
    }
}

fn has_header(headers: &HeaderMap, name: &str, value: &Wanted) -> bool {
    headers.get_all(name).iter().any(|line| value.is_met(line.as_bytes()))
}

/// Whether the first parameter of this name has this value. Gateway API leaves repeated ones to
/// the implementation and recommends the first.
fn has_parameter(query: Option<&str>, name: &str, value: &Wanted) -> bool {
    let pairs = query.unwrap_or_default().split('&');
    let mut named = pairs.filter_map(|pair| {
        let (key, rest) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(key).eq(name.bytes()).then_some(rest)
    });
    named.next().is_some_and(|first| match value {
        Wanted::Exact(text) => decoded(first).eq(text.bytes()),
        Wanted::Regex(_) => value.is_met(&decoded(first).collect::<Vec<u8>>()),
    })
}

/// The octets of a query part with `%XX` and `+` undone; a broken escape stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let octets = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let octet = *octets.get(at)?;
        let escape = (octet == b'%')
            .then(|| Some(hex(*octets.get(at + 1)?)? * 16 + hex(*octets.get(at + 2)?)?))
            .flatten();
        at += if escape.is_some() { 3 } else { 1 };
        Some(escape.unwrap_or(if octet == b'+' { b' ' } else { octet }))
    })
}

#[cfg(test)]
mod tests;
