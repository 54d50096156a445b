//! The rules of one host name, by path.
//!
//! They are laid down in order of precedence when they are filed, so that a request only walks. Most
//! hosts have one path with one rule: two small allocations.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use model::gateway::PathMatch;
use regex::Regex;

use super::matcher;
use super::{Candidate, Found, HostKey, PathKey, Tried};
use crate::path;
use crate::rule::Rule;
use crate::slots::Slots;

/// The rules of one host name.
#[derive(Debug, Clone, Default)]
pub(super) struct HostRoutes {
    exact: Paths,
    /// The longest expression first.
    regex: Vec<(Regex, Candidate)>,
    /// Without a trailing slash; the empty key is `/`.
    prefix: Paths,
    /// Octets of the longest prefix, so that long paths are not searched in vain.
    prefix_octets_max: usize,
}

/// Candidates by path, in the order of paths; each list in order of precedence.
#[derive(Debug, Clone, Default)]
struct Paths(Box<[(Arc<str>, Candidates)]>);

/// In order of precedence.
type Candidates = Arc<[Candidate]>;

/// What changes at one host name.
#[derive(Debug, Default)]
pub(super) struct HostEdit {
    /// Rules that are no longer there.
    pub(super) gone: HashSet<u32>,
    /// What is new.
    pub(super) new: Vec<(PathMatch, Candidate)>,
}

impl HostRoutes {
    /// Whether no rule is left.
    pub(super) fn is_empty(&self) -> bool {
        self.exact.0.is_empty() && self.regex.is_empty() && self.prefix.0.is_empty()
    }

    /// The routes after an edit.
    pub(super) fn edited(&self, edit: HostEdit, rules: &Slots<Rule>) -> Self {
        let HostEdit { gone, new } = edit;
        let mut regex = self.regex.clone();
        regex.retain(|(_, candidate)| !gone.contains(&candidate.rule));
        let (mut exact, mut prefix) = (BTreeMap::new(), BTreeMap::new());
        for (path, candidate) in new {
            let (paths, key): (&mut BTreeMap<Arc<str>, Vec<Candidate>>, _) = match &path {
                PathMatch::Regex(text) => {
                    // What is no expression was said in the route's status; nothing is served by it.
                    if let Ok(compiled) = matcher::compile(text) {
                        regex.push((compiled, candidate));
                    }
                    continue;
                }
                PathMatch::Exact(text) => (&mut exact, kept(text, &path::normalise(text))),
                PathMatch::Prefix(text) => {
                    (&mut prefix, kept(text, path::normalise(text).trim_end_matches('/')))
                }
            };
            paths.entry(key).or_default().push(candidate);
        }
        // The longest expression first; equally long ones in order of precedence.
        regex.sort_by_cached_key(|(regex, candidate)| {
            (Reverse(regex.as_str().len()), rank(candidate, rules))
        });
        let prefix = self.prefix.edited(prefix, &gone, rules);
        Self {
            exact: self.exact.edited(exact, &gone, rules),
            regex,
            prefix_octets_max: prefix.0.iter().map(|(key, _)| key.len()).max().unwrap_or(0),
            prefix,
        }
    }

    /// Shows the candidates of a request's path, in order of precedence, until one is taken.
    pub(super) fn walk<'t>(
        &'t self,
        path: &str,
        host: HostKey<'t>,
        take: &mut impl FnMut(Tried<'t>) -> Option<Found>,
    ) -> Option<Found> {
        let mut first = |path, matched_octets, candidates: &'t [Candidate]| {
            let tried = |candidate| Tried { host, path, matched_octets, candidate };
            candidates.iter().find_map(|candidate| take(tried(candidate)))
        };
        if let Some((key, candidates)) = self.exact.get(path)
            && let Some(found) = first(PathKey::Exact(key), path.len(), candidates)
        {
            return Some(found);
        }
        let mut by_regex = self.regex.iter().filter(|(regex, _)| regex.is_match(path));
        let found = by_regex.find_map(|(regex, candidate)| {
            first(PathKey::Regex(regex.as_str()), path.len(), std::slice::from_ref(candidate))
        });
        if found.is_some() || self.prefix.0.is_empty() {
            return found;
        }
        // The whole path may be a prefix too; then every cut before a slash, down to the root.
        let whole = (!path.ends_with('/')).then_some(path.len());
        let cuts = path.rmatch_indices('/').map(|(at, _)| at);
        let mut ends = whole.into_iter().chain(cuts).filter(|&end| end <= self.prefix_octets_max);
        ends.find_map(|end| {
            let (key, candidates) = self.prefix.get(&path[..end])?;
            first(PathKey::Prefix(key), end, candidates)
        })
    }

    /// Everything, in no order.
    pub(super) fn filed<'t>(&'t self, host: HostKey<'t>) -> impl Iterator<Item = Tried<'t>> {
        let exact = self.exact.0.iter().map(|(key, all)| (PathKey::Exact(key), &**all));
        let prefix = self.prefix.0.iter().map(|(key, all)| (PathKey::Prefix(key), &**all));
        let regex = self.regex.iter().map(|(regex, candidate)| {
            (PathKey::Regex(regex.as_str()), std::slice::from_ref(candidate))
        });
        exact.chain(regex).chain(prefix).flat_map(move |(path, candidates)| {
            let filed = move |candidate| Tried { host, path, matched_octets: 0, candidate };
            candidates.iter().map(filed)
        })
    }
}

/// The text of the document when it is the normal form already: most are, and need no copy.
fn kept(text: &Arc<str>, normal: &str) -> Arc<str> {
    if **text == *normal { Arc::clone(text) } else { normal.into() }
}

impl Paths {
    fn get(&self, path: &str) -> Option<(&str, &[Candidate])> {
        let at = self.0.binary_search_by(|(key, _)| (**key).cmp(path)).ok()?;
        let (key, candidates) = &self.0[at];
        Some((key, candidates))
    }

    fn edited(
        &self,
        new: BTreeMap<Arc<str>, Vec<Candidate>>,
        gone: &HashSet<u32>,
        rules: &Slots<Rule>,
    ) -> Self {
        let stays = |candidate: &&Candidate| !gone.contains(&candidate.rule);
        let mut all: BTreeMap<Arc<str>, Candidates> = self.0.iter().cloned().collect();
        if !gone.is_empty() {
            all.retain(|_, candidates| {
                if !candidates.iter().all(|one| stays(&one)) {
                    *candidates = candidates.iter().filter(stays).cloned().collect();
                }
                !candidates.is_empty()
            });
        }
        for (path, mut candidates) in new {
            if let Some(before) = all.get(&path) {
                candidates.extend_from_slice(before);
            }
            candidates.sort_by(|a, b| rank(a, rules).cmp(&rank(b, rules)));
            all.insert(path, candidates.into());
        }
        Self(all.into_iter().collect())
    }
}

/// The order among candidates of equal host name and path: Gateway API's, with the rule's place in
/// its document and the match's in its rule at the end.
fn rank<'r>(candidate: &Candidate, rules: &'r Slots<Rule>) -> impl Ord + use<'r> {
    let order = rules.get(candidate.rule).map(|rule| &rule.order);
    (
        Reverse(candidate.method.is_some()),
        Reverse(candidate.headers.len()),
        Reverse(candidate.query.len()),
        order.map(|order| (order.created_s, &order.object, order.place)),
        candidate.place,
        order.map(|order| order.kind),
    )
}
