//! Where a client's leaf is looked up, and for whom what is said of it holds.

use std::net::IpAddr;

use model::observe::Client;

use crate::cut::key_v6;
use crate::map::{Leaf, LeafId, ServiceMap};
use crate::runs::{Key, Run, RunTable, last_of};
use crate::share::Block;

/// Runs of a source prefix that are counted one by one; a prefix of more is sampled at so many
/// places, evenly: a bound on the work that a short prefix can ask of us.
const SOURCE_RUNS_MAX: usize = 256;
/// Distinct leaves that are told apart while counting; further ones are left out.
const SOURCE_LEAVES_MAX: usize = 64;

/// A client's leaf, and for whom the answer holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'m> {
    pub(crate) leaf: &'m Leaf,
    pub(crate) scope_len: u8,
    /// The block that shares and shifts go by.
    pub(crate) block: Block,
    /// The run, for spreading what no leaf foresaw.
    pub(super) run: Block,
    /// Whether the source prefix lies in several runs.
    pub(crate) is_mixed: bool,
    /// Whether the resolver's own table knew it.
    pub(crate) is_resolver: bool,
}

impl<'m> Found<'m> {
    /// A leaf that was made for one client, and holds for nobody else.
    pub(crate) fn at_place(leaf: &'m Leaf, block: Block, run: Block, scope_len: u8) -> Self {
        Self { leaf, scope_len, block, run, is_mixed: false, is_resolver: false }
    }
}

/// Looks a client up.
#[inline]
pub(crate) fn find(map: &ServiceMap, client: Client) -> Option<Found<'_>> {
    let source_len = client.source_len.map(u32::from);
    let ip = if source_len.is_none() { client.ip.to_canonical() } else { client.ip };
    match ip {
        IpAddr::V4(ip) => {
            let tables = (&map.v4, &map.resolver_v4);
            find_in(map, tables, (ip.to_bits(), source_len), |leaf| leaf.block_v4_len)
        }
        IpAddr::V6(ip) => {
            let tables = (&map.v6, &map.resolver_v6);
            find_in(map, tables, (key_v6(ip), source_len), |leaf| leaf.block_v6_len)
        }
    }
}

#[inline]
fn find_in<'m, K: Key>(
    map: &'m ServiceMap,
    (clients, resolvers): (&RunTable<K>, &RunTable<K>),
    (x, source_len): (K, Option<u32>),
    block_len: impl Fn(&Leaf) -> u8,
) -> Option<Found<'m>> {
    let named = if source_len.is_none() { resolvers.find(x) } else { None };
    let named = named.filter(|run| run.leaf != LeafId::ELSEWHERE);
    let run = named.or_else(|| clients.find(x))?;
    let run_len = run.block_len(x).min(K::TRUTH_LEN);
    let is_mixed = source_len.is_some_and(|source_len| source_len < u32::from(run_len));
    let leaf = match source_len.filter(|_| is_mixed) {
        Some(source_len) => majority(clients, x, source_len),
        None => run.leaf,
    };
    let leaf = map.leaves.get(leaf.0 as usize)?;
    let block_len = if leaf.is_split() { block_len(leaf) } else { 0 };
    let scope_len = match source_len {
        Some(0) => 0,
        _ if is_mixed => K::TRUTH_LEN,
        _ => run_len.max(block_len).min(K::TRUTH_LEN),
    };
    let top = |x: K| x.into() << (64 - K::BITS);
    Some(Found {
        leaf,
        scope_len,
        block: Block::new(top(x), block_len),
        run: Block::new(top(run.first), 64),
        is_mixed,
        is_resolver: named.is_some(),
    })
}

/// The leaf of most addresses of a prefix, the lower one of two that tie.
fn majority<K: Key>(table: &RunTable<K>, x: K, source_len: u32) -> LeafId {
    let size_less_one = last_of(K::BITS).checked_shr(source_len).unwrap_or(0);
    let first = x.into() & !size_less_one;
    let last = first | size_less_one;
    let mut votes = Votes::default();
    let runs = table.between(K::from_u64(first), K::from_u64(last));
    if runs.len() <= SOURCE_RUNS_MAX {
        for Run { leaf, first: from, last: to } in runs {
            votes.add(leaf, to.into().min(last) - from.into().max(first) + 1);
        }
    } else {
        let step = size_less_one / SOURCE_RUNS_MAX as u64 + 1;
        for sample in 0..SOURCE_RUNS_MAX as u64 {
            let at = (first + sample * step + step / 2).min(last);
            if let Some(run) = table.find(K::from_u64(at)) {
                votes.add(run.leaf, 1);
            }
        }
    }
    votes.winner()
}

/// A count of leaves that needs no heap.
struct Votes {
    counts: [(LeafId, u64); SOURCE_LEAVES_MAX],
    len: usize,
}

impl Default for Votes {
    fn default() -> Self {
        Self { counts: [(LeafId::ELSEWHERE, 0); SOURCE_LEAVES_MAX], len: 0 }
    }
}

impl Votes {
    fn add(&mut self, leaf: LeafId, weight: u64) {
        let known = self.counts[..self.len].iter_mut().find(|(known, _)| *known == leaf);
        if let Some((_, count)) = known {
            *count = count.saturating_add(weight);
        } else if let Some(free) = self.counts.get_mut(self.len) {
            *free = (leaf, weight);
            self.len += 1;
        }
    }

    fn winner(&self) -> LeafId {
        let most = self.counts.iter().map(|&(_, count)| count).max().unwrap_or(0);
        let first = self.counts.iter().find(|&&(_, count)| count == most);
        first.map_or(LeafId::ELSEWHERE, |&(leaf, _)| leaf)
    }
}
