//! The truth about every address: what its own locale and the rules about it say, without runs.
//!
//! It goes over the locale table interval by interval and ranks each kind of client once, seen in
//! full. Only the ranking itself is the compiler's (it is what `explain` prints); the lens, the
//! panorama, the cuts and the folding, which could lose a client on the way to a run, are not used.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::marker::PhantomData;
use std::ops::Bound;

use geo_data::ClassId;
use ipnet::IpNet;
use model::service::GlobalService;

use super::address;
use crate::atlas::Atlas;
use crate::compile::Inputs;
use crate::cut::Span;
use crate::latency::Index;
use crate::map::{Leaf, Reach};
use crate::rank::{Given, Ranker};
use crate::runs::{Key, last_of};
use crate::sight::Sight;

/// A shared block is at most one part in this many of its leaf's addresses (design.md, section 4).
const BLOCKS_PER_LEAF_MIN: u128 = 200;

/// What some clients should get before health: the leaf without its numbers, and its reach.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Fact {
    pub(super) leaf: Leaf,
    pub(super) reach: Reach,
}

/// Works facts out and numbers them.
pub(super) struct Facts<'a> {
    inputs: &'a Inputs<'a>,
    residuals: Index,
    service: &'a GlobalService,
    ruled: Ruled,
    known: HashMap<(ClassId, Vec<IpNet>), u32>,
    numbers: HashMap<Fact, u32>,
    facts: Vec<Fact>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>, service: &'a GlobalService) -> Self {
        let residuals = Index::new(inputs.latency);
        let of_rules = service.rules.iter().flat_map(|rule| rule.matches.cidrs.iter().copied());
        let ruled = Ruled::new(of_rules.chain(residuals.prefixes()));
        let (known, numbers, facts) = (HashMap::new(), HashMap::new(), Vec::new());
        Self { inputs, residuals, service, ruled, known, numbers, facts }
    }

    pub(super) fn all(&self) -> &[Fact] {
        &self.facts
    }

    /// The fact of an address, and the last address that is surely like it.
    fn at<K: Key>(&mut self, ranker: &Ranker<'_>, x: u64) -> (u32, u64) {
        let hit = self.inputs.locales.lookup(address::<K>(x));
        let (_, mut last) = block_of::<K>(x, hit.prefix_len.min(bits::<K>()));
        let bounds =
            if K::BITS == u32::BITS { &self.ruled.bounds_v4 } else { &self.ruled.bounds_v6 };
        if let Some(&bound) = bounds.range((Bound::Excluded(x), Bound::Unbounded)).next() {
            last = last.min(bound - 1);
        }
        let prefixes = self.ruled.around::<K>(x);
        let key = (hit.class, prefixes);
        if let Some(&number) = self.known.get(&key) {
            return (number, last);
        }
        let sight = Sight::whole(hit.locale, self.inputs.locales);
        let orders = ranker.orders(&sight, &key.1);
        let ranked = ranker.rank(&sight, &key.1, &orders);
        let leaf = ranker.leaf(&sight, &ranked, &orders);
        let fact = Fact { leaf, reach: ranker.reach(&sight, &orders) };
        let fresh = u32::try_from(self.facts.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(fact).or_insert_with_key(|fact| {
            self.facts.push(fact.clone());
            fresh
        });
        self.known.insert(key, number);
        (number, last)
    }
}

/// The prefixes that tell clients apart beyond their locale.
#[derive(Debug, Default)]
struct Ruled {
    /// By number of the first address and length, what was written.
    by_block: HashMap<(bool, u64, u8), Vec<IpNet>>,
    lens_v4: BTreeSet<u8>,
    lens_v6: BTreeSet<u8>,
    /// Where a prefix begins, or the addresses after it.
    bounds_v4: BTreeSet<u64>,
    bounds_v6: BTreeSet<u64>,
}

impl Ruled {
    fn new(prefixes: impl Iterator<Item = IpNet>) -> Self {
        let mut ruled = Self::default();
        let distinct: HashSet<IpNet> = prefixes.map(|prefix| prefix.trunc()).collect();
        for prefix in distinct {
            let is_v4 = prefix.addr().is_ipv4();
            let span = Span::new(prefix);
            let (lens, bounds, bits) = if is_v4 {
                (&mut ruled.lens_v4, &mut ruled.bounds_v4, bits::<u32>())
            } else {
                (&mut ruled.lens_v6, &mut ruled.bounds_v6, bits::<u64>())
            };
            let len = prefix.prefix_len().min(bits);
            lens.insert(len);
            bounds.insert(span.first);
            bounds.extend(span.last.checked_add(1));
            ruled.by_block.entry((is_v4, span.first, len)).or_default().push(prefix);
        }
        for same in ruled.by_block.values_mut() {
            same.sort_unstable_by_key(IpNet::prefix_len);
        }
        ruled
    }

    /// Those an address lies in, coarse to fine.
    fn around<K: Key>(&self, x: u64) -> Vec<IpNet> {
        let is_v4 = K::BITS == u32::BITS;
        let lens = if is_v4 { &self.lens_v4 } else { &self.lens_v6 };
        let held = lens
            .iter()
            .filter_map(|&len| self.by_block.get(&(is_v4, block_of::<K>(x, len).0, len)));
        held.flatten().copied().collect()
    }
}

/// One family: intervals of one fact, as they are told apart at /24 or /56, from 0 on.
#[derive(Debug)]
pub(super) struct Truth<K> {
    pub(super) runs: Vec<(u64, u32)>,
    /// How many addresses each fact has.
    sizes: Vec<u128>,
    family: PhantomData<K>,
}

impl<K: Key> Truth<K> {
    pub(super) fn new(facts: &mut Facts<'_>) -> Self {
        let residuals = std::mem::take(&mut facts.residuals);
        let atlas = Atlas::new(facts.inputs);
        let ranker = Ranker::new(&Given::of(facts.inputs, &atlas), facts.service, &residuals);
        let (everything, host) = (last_of(K::BITS), last_of(K::BITS) >> K::TRUTH_LEN);
        let mut truth = Self { runs: Vec::new(), sizes: Vec::new(), family: PhantomData };
        let mut x = 0;
        loop {
            let (mut fact, mut last) = facts.at::<K>(&ranker, x);
            if last < x | host {
                (fact, last) = (majority::<K>(facts, &ranker, (x, x | host)), x | host);
            } else if last != everything {
                last = ((last + 1) & !host) - 1;
            }
            truth.push(x, last, fact);
            if last == everything {
                break;
            }
            x = last + 1;
        }
        drop(ranker);
        facts.residuals = residuals;
        truth
    }

    fn push(&mut self, first: u64, last: u64, fact: u32) {
        if self.runs.last().is_none_or(|&(_, before)| before != fact) {
            self.runs.push((first, fact));
        }
        let at = fact as usize;
        if self.sizes.len() <= at {
            self.sizes.resize(at + 1, 0);
        }
        self.sizes[at] += u128::from(last - first) + 1;
    }

    /// How long the blocks are by which a fact's clients are shared out; 0 when they are not.
    pub(super) fn block_len(&self, service: &GlobalService, facts: &[Fact], fact: u32) -> u8 {
        if !facts[fact as usize].leaf.is_split() {
            return 0;
        }
        let sticky = service.steering.sticky;
        let sticky_len = if K::BITS == u32::BITS { sticky.v4_len } else { sticky.v6_len };
        let size = self.sizes.get(fact as usize).copied().unwrap_or(0);
        let is_fine =
            |len: &u8| (1_u128 << (K::BITS - u32::from(*len))) * BLOCKS_PER_LEAF_MIN <= size;
        let needed = (0..K::TRUTH_LEN).find(is_fine).unwrap_or(K::TRUTH_LEN);
        needed.max(sticky_len)
    }

    /// The fewest disjoint prefixes that tell all facts and shared blocks apart: halve what is not
    /// of one kind.
    pub(super) fn entries_min(&self, service: &GlobalService, facts: &[Fact]) -> u64 {
        let lens: Vec<u8> =
            (0..).zip(facts).map(|(fact, _)| self.block_len(service, facts, fact)).collect();
        halve::<K>(&self.runs, 0, 0, &lens)
    }
}

/// The fewest prefixes within the block at `first` of length `len`; `runs` are those that touch it.
fn halve<K: Key>(runs: &[(u64, u32)], first: u64, len: u8, block_lens: &[u8]) -> u64 {
    if let [(_, fact)] = runs {
        let block_len = block_lens.get(*fact as usize).copied().unwrap_or(0);
        return 1 << block_len.saturating_sub(len);
    }
    let Some(middle) = last_of(K::BITS).checked_shr(u32::from(len) + 1) else { return 1 };
    let middle = first + middle + 1;
    let later = runs.partition_point(|&(start, _)| start < middle);
    // The run that reaches over the middle is of both halves.
    let from =
        if runs.get(later).is_some_and(|&(start, _)| start == middle) { later } else { later - 1 };
    halve::<K>(&runs[..later], first, len + 1, block_lens).saturating_add(halve::<K>(
        &runs[from..],
        middle,
        len + 1,
        block_lens,
    ))
}

/// The fact of most addresses of a block, the lowest of those that tie.
fn majority<K: Key>(facts: &mut Facts<'_>, ranker: &Ranker<'_>, (first, end): (u64, u64)) -> u32 {
    let mut votes: Vec<(u32, u64)> = Vec::new();
    let mut x = first;
    while x <= end {
        let (fact, last) = facts.at::<K>(ranker, x);
        let last = last.min(end);
        match votes.iter_mut().find(|(known, _)| *known == fact) {
            Some((_, count)) => *count += last - x + 1,
            None => votes.push((fact, last - x + 1)),
        }
        match last.checked_add(1) {
            Some(next) => x = next,
            None => break,
        }
    }
    let most = votes.iter().map(|&(_, count)| count).max();
    let winner = votes.iter().find(|&&(_, count)| Some(count) == most);
    winner.map_or(0, |&(fact, _)| fact)
}

fn bits<K: Key>() -> u8 {
    u8::try_from(K::BITS).unwrap_or(u8::MAX)
}

/// The block of a prefix length around an address, both ends inside.
pub(super) fn block_of<K: Key>(x: u64, len: u8) -> (u64, u64) {
    let host = last_of(K::BITS).checked_shr(len.into()).unwrap_or(0);
    (x & !host, x | host)
}
