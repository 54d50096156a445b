//! The auditor: walks all addresses by the scopes of the answers, and proves them disjoint, right
//! and minimal for one service.
//!
//! What should be said is worked out from the locale table address by address (`truth`), without
//! lens, cuts, runs or folding, and compared with what [`decide`] says, in every state of health
//! that it is given. Invariant: a report is given only when no counter-example was met.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use model::observe::Client;
use model::service::{GlobalService, ServiceId};
use model::site::SiteId;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::compile::{Inputs, Scatter};
use crate::decide::{Decision, Queue, Reason, ServiceState, decide, find};
use crate::map::{LEAF_SITES_MAX, Leaf, ServiceMap};
use crate::runs::{Key, last_of};
use crate::share::{Block, mix};

mod fault;
pub(crate) mod right;
#[cfg(test)]
mod tests;
mod trial;
mod truth;

pub use fault::{Fault, What};
use right::{Answer, Case};
pub use trial::{Trial, trials};
use truth::{Fact, Facts, Truth, block_of};

/// Blocks of a shared-out scope that are asked for one by one; of more, so many from its start, and
/// its last. A /0 of IPv6 holds 2^56 of them.
const SHARED_BLOCKS_WALKED_MAX: u64 = 4096;

/// What was found out about one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The service, as `namespace/name`.
    pub service: String,
    /// In how many states of health it was asked.
    pub states: usize,
    /// IPv4 and IPv6.
    pub families: Vec<FamilyReport>,
}

/// One family of clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FamilyReport {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Scopes that cover the space: what a resolver's cache comes to hold of the name.
    pub entries: u64,
    /// The fewest disjoint prefixes that tell apart what is listed for the clients.
    pub entries_min: u64,
    /// Maximal intervals of clients with one leaf.
    pub runs: usize,
    /// Distinct leaves.
    pub leaves: usize,
    /// Distinct answers while every site is up.
    pub answers: usize,
    /// The shortest scope.
    pub scope_len_min: u8,
    /// The longest scope.
    pub scope_len_max: u8,
    /// Decisions that were compared.
    pub decisions: u64,
}

impl FamilyReport {
    /// How many times the fewest entries there are, in hundredths.
    pub fn ratio_percent(&self) -> u64 {
        let wide = u128::from(self.entries) * 100 / u128::from(self.entries_min.max(1));
        u64::try_from(wide).unwrap_or(u64::MAX)
    }
}

/// Walks the whole address space of one service of `map`, which `inputs` was compiled to, in each of
/// the states.
///
/// # Errors
/// The first counter-example.
pub fn audit(
    inputs: &Inputs<'_>,
    map: &ServiceMap,
    id: ServiceId,
    trials: &[Trial],
) -> Result<Report, Box<Fault>> {
    let service = inputs.policy.service(id);
    let mut facts = Facts::new(inputs, service);
    let truth_v4 = Truth::<u32>::new(&mut facts);
    let truth_v6 = Truth::<u64>::new(&mut facts);
    let states: Vec<ServiceState> =
        trials.iter().map(|trial| ServiceState::new(id, service, &trial.health)).collect();
    let audit = Audit { inputs, map, id, service, trials, states: &states, facts: facts.all() };
    let families = vec![audit.family(&truth_v4)?, audit.family(&truth_v6)?];
    Ok(Report { service: service.object.to_string(), states: trials.len(), families })
}

/// What does not change during a walk.
struct Audit<'a> {
    inputs: &'a Inputs<'a>,
    map: &'a ServiceMap,
    id: ServiceId,
    service: &'a GlobalService,
    trials: &'a [Trial],
    states: &'a [ServiceState],
    facts: &'a [Fact],
}

/// One family's walk: what was counted, and right answers worked out before.
struct Walk<'a, K> {
    audit: &'a Audit<'a>,
    truth: &'a Truth<K>,
    report: FamilyReport,
    answers: HashSet<SmallVec<[SiteId; LEAF_SITES_MAX]>>,
    right: HashMap<RightKey, (Reason, Answer), BuildHasherDefault<Scatter>>,
}

/// Fact, trial, the order of its sites for a block, whether that was shifted.
type RightKey = (u32, usize, SmallVec<[SiteId; LEAF_SITES_MAX]>, bool);

/// The widest block around its first address in which truth is one thing.
#[derive(Debug, Clone, Copy)]
struct Uniform {
    first: u64,
    len: u8,
    fact: u32,
    /// How long the scopes in it are.
    scope_len: u8,
    /// Where the run around it begins and ends.
    run: (u64, u64),
}

impl Audit<'_> {
    fn family<K: Key>(&self, truth: &Truth<K>) -> Result<FamilyReport, Box<Fault>> {
        let name = if K::BITS == u32::BITS { "IPv4" } else { "IPv6" };
        let report = FamilyReport {
            family: name.to_owned(),
            entries: 0,
            entries_min: truth.entries_min(self.service, self.facts),
            runs: truth.runs.len(),
            leaves: 0,
            answers: 0,
            scope_len_min: u8::MAX,
            scope_len_max: 0,
            decisions: 0,
        };
        let (answers, right) = (HashSet::new(), HashMap::default());
        let mut walk = Walk { audit: self, truth, report, answers, right };
        walk.everything()?;
        let leaves: HashSet<u32> = truth.runs.iter().map(|&(_, fact)| fact).collect();
        Ok(FamilyReport { leaves: leaves.len(), answers: walk.answers.len(), ..walk.report })
    }

    fn sites(&self, ids: &[SiteId]) -> String {
        let sites = &self.inputs.policy.sites;
        let names = ids.iter().filter_map(|id| sites.get(usize::from(id.0)));
        let names: Vec<&str> = names.map(|site| site.name.as_str()).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(" ") }
    }
}

impl<K: Key> Walk<'_, K> {
    fn everything(&mut self) -> Result<(), Box<Fault>> {
        let bounds = self.truth.runs.iter().skip(1).map(|&(start, _)| start - 1);
        let lasts: Vec<u64> = bounds.chain([last_of(K::BITS)]).collect();
        for (&(run_first, fact), run_last) in self.truth.runs.iter().zip(lasts) {
            let block_len = self.truth.block_len(self.audit.service, self.audit.facts, fact);
            let mut x = run_first;
            loop {
                let len = widest::<K>(x, (run_first, run_last));
                let scope_len = len.max(block_len);
                let run = (run_first, run_last);
                self.scopes(&Uniform { first: x, len, fact, scope_len, run })?;
                let (_, last) = block_of::<K>(x, len);
                if last == run_last {
                    break;
                }
                x = last + 1;
            }
        }
        Ok(())
    }

    /// Every scope of a block in which truth is one thing: one, or its shared blocks.
    fn scopes(&mut self, uniform: &Uniform) -> Result<(), Box<Fault>> {
        let count = 1_u64 << (uniform.scope_len - uniform.len);
        let (_, last) = block_of::<K>(uniform.first, uniform.len);
        let (_, first_last) = block_of::<K>(uniform.first, uniform.scope_len);
        let size_less_one = first_last - uniform.first;
        let mut x = uniform.first;
        for _ in 0..count.min(SHARED_BLOCKS_WALKED_MAX) {
            self.scope(x, uniform)?;
            x = x.saturating_add(size_less_one).saturating_add(1);
        }
        if count > SHARED_BLOCKS_WALKED_MAX {
            self.scope(last - size_less_one, uniform)?;
        }
        let report = &mut self.report;
        report.entries = report.entries.saturating_add(count);
        report.scope_len_min = report.scope_len_min.min(uniform.scope_len);
        report.scope_len_max = report.scope_len_max.max(uniform.scope_len);
        Ok(())
    }

    /// One scope, from its first address: its bounds, what it says, and that it says so to all.
    fn scope(&mut self, x: u64, uniform: &Uniform) -> Result<(), Box<Fault>> {
        let trials = self.audit.trials.len();
        // States change no scope and runs alone spread failovers: elsewhere two of them will do.
        let turn = usize::try_from(self.report.entries).unwrap_or(0) % trials.max(1);
        let chosen = if x == uniform.run.0 { 0..trials } else { 0..1.min(trials) };
        let (first, last) = block_of::<K>(x, uniform.scope_len);
        let inside = first | (mix(x) & (last - first));
        for trial in chosen.chain([turn]) {
            let decision = self.ask(x, K::TRUTH_LEN, trial);
            self.check_scope(x, &decision, uniform, trial)?;
            self.check_answer(x, &decision, uniform, trial)?;
            for other in [inside & !truth_host::<K>(), last & !truth_host::<K>()] {
                if self.ask(other, K::TRUTH_LEN, trial) != decision {
                    let what = What::Differs {
                        scope: prefix::<K>(x, decision.scope_len),
                        other: prefix::<K>(other, K::TRUTH_LEN),
                    };
                    return Err(self.fault(x, trial, what));
                }
            }
        }
        self.check_leaf(x, uniform)?;
        self.check_short_source(x, uniform.scope_len)
    }

    fn ask(&mut self, x: u64, source_len: u8, trial: usize) -> Decision {
        self.report.decisions += 1;
        decide(self.audit.map, &self.audit.states[trial], client::<K>(x, source_len))
    }

    fn check_scope(
        &self,
        x: u64,
        decision: &Decision,
        uniform: &Uniform,
        trial: usize,
    ) -> Result<(), Box<Fault>> {
        let (run_first, run_last) = uniform.run;
        let (first, last) = block_of::<K>(x, decision.scope_len);
        let scope = prefix::<K>(x, decision.scope_len);
        let what = if last > run_last {
            What::TooWide { scope, other: prefix::<K>(run_last + 1, K::TRUTH_LEN) }
        } else if first < run_first {
            What::TooWide { scope, other: prefix::<K>(run_first - 1, K::TRUTH_LEN) }
        } else if first != x {
            What::Overlaps { scope }
        } else if decision.scope_len != uniform.scope_len {
            What::NotMinimal { scope, right: prefix::<K>(x, uniform.scope_len) }
        } else {
            return Ok(());
        };
        Err(self.fault(x, trial, what))
    }

    fn check_answer(
        &mut self,
        x: u64,
        decision: &Decision,
        uniform: &Uniform,
        trial: usize,
    ) -> Result<(), Box<Fault>> {
        let audit = self.audit;
        let Fact { leaf, reach } = &audit.facts[uniform.fact as usize];
        let block_len = self.truth.block_len(audit.service, audit.facts, uniform.fact);
        let block = Block::new(x << (64 - K::BITS), block_len);
        let queue = Queue::new(leaf, block, &audit.states[trial]);
        let key = (uniform.fact, trial, SmallVec::from_slice(queue.sites()), queue.is_shifted);
        let (reason, right) = self.right.entry(key).or_insert_with(|| {
            let case = Case {
                id: audit.id,
                service: audit.service,
                health: &audit.trials[trial].health,
                allowed: &reach.pool,
                fallback: &reach.fallback,
                is_shared: leaf.shared > 1,
            };
            case.answer(queue.sites(), queue.is_shifted)
        });
        if decision.reason != *reason || !right.is_met_by(decision.chosen()) {
            let right = format!("{} ({})", audit.sites(right.sites()), reason.as_str());
            let told = format!("{} ({})", audit.sites(decision.chosen()), decision.reason.as_str());
            return Err(self.fault(x, trial, What::Wrong { told, right }));
        }
        if trial == 0 {
            self.answers.insert(SmallVec::from_slice(decision.chosen()));
        }
        Ok(())
    }

    /// The leaf that was looked up is the true one, also where this state does not tell.
    fn check_leaf(&self, x: u64, uniform: &Uniform) -> Result<(), Box<Fault>> {
        let map = self.audit.map;
        let Fact { leaf, reach } = &self.audit.facts[uniform.fact as usize];
        let found = find(map, client::<K>(x, K::TRUTH_LEN)).map(|found| found.leaf);
        let same = found.is_some_and(|found| {
            let bare = Leaf { reach: 0, block_v4_len: 0, block_v6_len: 0, ..found.clone() };
            bare == *leaf && map.reaches.get(found.reach as usize) == Some(reach)
        });
        if same {
            return Ok(());
        }
        let told = found.map_or_else(|| "nothing".to_owned(), |leaf| self.audit.sites(&leaf.sites));
        let what = What::OtherLeaf { told, right: self.audit.sites(&leaf.sites) };
        Err(self.fault(x, 0, what))
    }

    /// A source shorter than the scope is told that it was not specific enough, so that its answer
    /// serves nobody who sends more.
    fn check_short_source(&mut self, x: u64, scope_len: u8) -> Result<(), Box<Fault>> {
        let Some(source_len) = scope_len.checked_sub(1).filter(|&len| len > 0) else {
            return Ok(());
        };
        let (first, _) = block_of::<K>(x, source_len);
        let decision = self.ask(first, source_len, 0);
        if decision.scope_len > source_len {
            return Ok(());
        }
        let what = What::ShortSource {
            asked: prefix::<K>(first, source_len),
            scope: prefix::<K>(first, decision.scope_len),
        };
        Err(self.fault(x, 0, what))
    }

    fn fault(&self, x: u64, trial: usize, what: What) -> Box<Fault> {
        let client = prefix::<K>(x, K::TRUTH_LEN);
        let state = self.audit.trials.get(trial).map_or_else(String::new, |it| it.name.clone());
        Box::new(Fault { client, state, what })
    }
}

/// The shortest prefix around `x` within a run: tried one by one.
fn widest<K: Key>(x: u64, (run_first, run_last): (u64, u64)) -> u8 {
    let is_inside = |len: &u8| {
        let (first, last) = block_of::<K>(x, *len);
        run_first <= first && last <= run_last
    };
    (0..K::TRUTH_LEN).find(is_inside).unwrap_or(K::TRUTH_LEN)
}

/// The bits of an address below what is told apart.
fn truth_host<K: Key>() -> u64 {
    last_of(K::BITS) >> K::TRUTH_LEN
}

fn client<K: Key>(x: u64, source_len: u8) -> Client {
    Client { ip: address::<K>(x), source_len: Some(source_len) }
}

/// An address of the family from its number.
fn address<K: Key>(x: u64) -> IpAddr {
    if K::BITS == u32::BITS {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from_u64(x)))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(u128::from(x) << 64))
    }
}

fn prefix<K: Key>(x: u64, len: u8) -> String {
    let whole = IpNet::new(address::<K>(x), len).map(|net| net.trunc().to_string());
    whole.unwrap_or_else(|_| address::<K>(x).to_string())
}
