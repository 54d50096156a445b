//! Rules of `TrafficPolicy`s to services, in order of precedence (GEP-713).
//!
//! Overrides of a Zone come first, then a service's overrides, its rules, its defaults, and last the
//! rules and defaults of its Zone. Within a level the older policy wins, then namespace and name.

use std::collections::HashMap;
use std::sync::Arc;

use super::NamedZone;
use super::names::Names;
use crate::document::head::Head;
use crate::document::object::Kind;
use crate::document::objects::Object;
use crate::document::report::Report;
use crate::document::rule::{EffectSpec, FenceSpec, RuleSpec};
use crate::document::service::CanarySpec;
use crate::document::traffic::{TargetKind, TargetSpec, TrafficSpec};
use crate::name::ObjectRef;
use crate::policy::{Effect, Fence, Rule, RuleLevel, RuleSet};

/// Where a rule stands among all that reach a service; the least comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    level: RuleLevel,
    created_s: i64,
    policy: ObjectRef,
    index: usize,
}

type Ranked = Vec<(Rank, Rule)>;

/// Every rule by what it is about.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    by_zone: HashMap<usize, Ranked>,
    by_service: HashMap<ObjectRef, Ranked>,
}

/// Resolves the policies' targets and sites.
pub(super) fn collect(
    policies: Vec<Object<TrafficSpec>>,
    zones: &[NamedZone],
    names: &Names<'_>,
    report: &mut Report,
) -> Inherited {
    let zone_indexes: HashMap<&str, usize> =
        zones.iter().map(|zone| &*zone.name).zip(0..).collect();
    let mut inherited = Inherited::default();
    for Object { head, spec } in policies {
        let TrafficSpec { targets, rules, defaults, overrides } = spec;
        let mut convert = |rules: Vec<RuleSpec>| -> Vec<Rule> {
            rules.into_iter().map(|rule| convert_rule(&head, rule, names, report)).collect()
        };
        let (rules, defaults, overrides) = (convert(rules), convert(defaults), convert(overrides));
        for TargetSpec { kind, name } in targets {
            let (all, levels) = match kind {
                TargetKind::Zone => {
                    let object = ObjectRef::new("", &name.value);
                    names.require(Kind::Zone, &object, name.span, report);
                    let Some(index) = zone_indexes.get(&*name.value) else { continue };
                    let levels = [RuleLevel::ZoneOverride, RuleLevel::Zone, RuleLevel::ZoneDefault];
                    (inherited.by_zone.entry(*index).or_default(), levels)
                }
                TargetKind::GlobalService => {
                    let object = ObjectRef::new(&head.object.namespace, &name.value);
                    names.require(Kind::GlobalService, &object, name.span, report);
                    let levels =
                        [RuleLevel::ServiceOverride, RuleLevel::Service, RuleLevel::ServiceDefault];
                    (inherited.by_service.entry(object).or_default(), levels)
                }
            };
            for (level, rules) in levels.into_iter().zip([&overrides, &rules, &defaults]) {
                for (index, rule) in rules.iter().enumerate() {
                    let (created_s, policy) = (head.created_s, head.object.clone());
                    all.push((
                        Rank { level, created_s, policy, index },
                        Rule { level, ..rule.clone() },
                    ));
                }
            }
        }
    }
    inherited
}

impl Inherited {
    /// A service's own `canary`, as a shift.
    pub(super) fn add_canary(
        &mut self,
        head: &Head,
        canary: Option<&CanarySpec>,
        names: &Names<'_>,
        report: &mut Report,
    ) {
        let Some(CanarySpec { site, share_bp, matches }) = canary else { return };
        let Some(to) = names.site(site, report) else { return };
        let rule = Rule {
            origin: format!("{}/canary", head.object).into(),
            level: RuleLevel::Canary,
            matches: matches.clone(),
            effect: Effect::Shift { to, share_bp: *share_bp },
        };
        let policy = head.object.clone();
        let rank = Rank { level: RuleLevel::Canary, created_s: head.created_s, policy, index: 0 };
        self.by_service.entry(head.object.clone()).or_default().push((rank, rule));
    }

    /// The rules of one service, which lies in these zones, highest precedence first.
    pub(super) fn rules_of(&self, service: &ObjectRef, zones: &[usize]) -> RuleSet {
        let of_zones = zones.iter().filter_map(|index| self.by_zone.get(index));
        let mut all: Vec<&(Rank, Rule)> =
            self.by_service.get(service).into_iter().chain(of_zones).flatten().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|a, b| a.0 == b.0);
        all.into_iter().map(|(_, rule)| rule.clone()).collect()
    }
}

fn convert_rule(head: &Head, spec: RuleSpec, names: &Names<'_>, report: &mut Report) -> Rule {
    let RuleSpec { name, matches, effect } = spec;
    let name = name.map_or_else(Arc::default, |name| name.value);
    let effect = match effect {
        EffectSpec::Fence(fence) => Effect::Fence(convert_fence(&fence, names, report)),
        EffectSpec::Pin(sites) => Effect::Pin(names.sites_named(&sites, report)),
        EffectSpec::Weights(weights) => {
            let weight = |(site, weight)| Some((names.site(&site, report)?, weight));
            Effect::Weights(weights.into_iter().filter_map(weight).collect())
        }
        EffectSpec::Shift { to, share_bp } => {
            // An unknown site is reported; the rule itself is then of no use to anyone.
            Effect::Shift { to: names.site(&to, report).unwrap_or_default(), share_bp }
        }
    };
    let origin = Arc::from(format!("{}/{}", head.object, name));
    // Its level depends on the target.
    Rule { origin, level: RuleLevel::default(), matches, effect }
}

/// Fence with its sites resolved, sorted.
pub(super) fn convert_fence(fence: &FenceSpec, names: &Names<'_>, report: &mut Report) -> Fence {
    match fence {
        FenceSpec::Match(rung) => Fence::Match(*rung),
        FenceSpec::Sites(sites) => {
            let mut sites = names.sites_named(sites, report);
            sites.sort_unstable();
            Fence::Sites(sites)
        }
    }
}
