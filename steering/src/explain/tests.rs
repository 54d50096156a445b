//! Explanations as people and machines read them.

use model::observe::{Readiness, Verdict};
use model::policy::{Effect, Match, Rule, RuleLevel};
use model::service::{ServiceId, TierStep};
use model::site::{SiteId, Tier};

use super::{Explanation, explain};
use crate::latency::{LatencyMap, Level, Residual};
use crate::world::{World, ecs, isp, locale, net, resolver, site};

fn world() -> World {
    let sites = vec![
        site("gd-ct-room", Tier::Access, "CN-GD cn-ct 22.54 114.05"),
        site("gd-cu-room", Tier::Access, "CN-GD cn-cu 22.54 114.05"),
        site("gz-aggr", Tier::Aggregation, "CN-GD - 23.13 113.26"),
        site("nw-room", Tier::Access, "CN-SN cn-ct 34.26 108.94"),
        site("overseas", Tier::Core, "DE - 50.11 8.68"),
    ];
    let prefixes = [
        ("14.0.0.0/10", locale("CN-GD cn-ct 22.54 114.05")),
        ("91.0.0.0/10", locale("DE as3320 52.52 13.40")),
    ];
    let mut world = World::new(sites, &prefixes);
    let step = |tier, budget_us| TierStep { tier, budget_us };
    world.service().tiers = vec![
        step(Tier::Access, Some(15_000)),
        step(Tier::Aggregation, Some(30_000)),
        step(Tier::Core, None),
    ];
    world
}

fn told(world: &World, client: model::observe::Client) -> Explanation {
    let snapshot = world.snapshot();
    explain(&world.inputs(), &snapshot, ServiceId(0), client).expect("a service")
}

fn check(golden: &str, world: &World, client: model::observe::Client) {
    assert_eq!(told(world, client).to_string(), golden);
}

#[test]
fn the_nearest_room_of_the_carrier() {
    check(include_str!("golden/nearest.txt"), &world(), ecs("14.1.2.0/24"));
}

#[test]
fn a_failover_with_measurement_and_a_drain() {
    let mut world = world();
    world.health.drained[2] = true;
    world.health.sites =
        vec![Verdict::Down, Verdict::Failing, Verdict::Up, Verdict::Up, Verdict::Up];
    world.health.readiness = vec![vec![Readiness::Ready; 5]];
    let level = Level::IspCountry(isp("cn-ct"), locale("CN").country.expect("one"));
    let residual = Residual { carrier_permille: 100, ..Residual::new(-1_500, 4_200) };
    world.latency = LatencyMap { residuals: vec![(level, SiteId(1), residual)] };
    check(include_str!("golden/failover.txt"), &world, ecs("14.1.2.0/24"));
}

#[test]
fn a_shared_leaf_with_a_canary_asked_by_a_resolver() {
    let mut world = world();
    world.service().steering.spread_within_us = 40_000;
    world.service().rules = vec![Rule {
        origin: "default/launch/canary".into(),
        level: RuleLevel::Canary,
        matches: Match { cidrs: vec![net("14.0.0.0/12")], ..Match::default() },
        effect: Effect::Shift { to: SiteId(4), share_bp: 1_250 },
    }];
    check(include_str!("golden/canary.txt"), &world, resolver("14.1.2.3"));
}

#[test]
fn rules_that_match_but_yield_are_told_too() {
    let mut world = world();
    let rule = |name: &str, level, effect| Rule {
        origin: format!("default/{name}").into(),
        level,
        matches: Match::default(),
        effect,
    };
    let pin = |site| Effect::Pin(vec![SiteId(site)]);
    let elsewhere = Match { cidrs: vec![net("192.0.2.0/24")], ..Match::default() };
    world.service().rules = vec![
        rule("law/first", RuleLevel::ZoneOverride, pin(1)),
        Rule { matches: elsewhere, ..rule("law/other", RuleLevel::ZoneOverride, pin(2)) },
        rule("own/second", RuleLevel::Service, pin(3)),
        rule("own/shift", RuleLevel::Service, Effect::Shift { to: SiteId(0), share_bp: 0 }),
        rule("law/third", RuleLevel::ZoneDefault, pin(4)),
    ];
    let told = told(&world, ecs("14.1.2.0/24"));
    let rules: Vec<(&str, RuleLevel, Option<&str>)> = told
        .rules
        .iter()
        .map(|rule| (rule.origin.as_str(), rule.level, rule.yields_to.as_deref()))
        .collect();
    let first = Some("default/law/first");
    assert_eq!(
        rules,
        [
            ("default/law/first", RuleLevel::ZoneOverride, None),
            ("default/own/second", RuleLevel::Service, first),
            ("default/own/shift", RuleLevel::Service, None),
            ("default/law/third", RuleLevel::ZoneDefault, first),
        ]
    );
    let text = told.to_string();
    let line = text.lines().find(|line| line.contains("own/second")).expect("told");
    let name = world.policy.site(SiteId(3)).name.clone();
    let expected = format!(
        "  rule    default/own/second (rule of the service): pin {name}, yields to default/law/first"
    );
    assert_eq!(line, expected);
}

#[test]
fn a_subnet_shorter_than_what_is_known() {
    check(include_str!("golden/short-source.txt"), &world(), ecs("14.0.0.0/7"));
}

/// Found by a property: the search for a folded block's locale stopped at the end of an interval,
/// although a CIDR cut it before.
#[test]
fn a_block_that_a_cidr_cuts_shows_the_ranking_of_the_rest() {
    let mut world = World::new(world().policy.sites, &[]);
    world.service().rules = vec![Rule {
        origin: "default/policy/pin".into(),
        level: RuleLevel::default(),
        matches: Match { cidrs: vec![net("14.0.64.0/26")], ..Match::default() },
        effect: Effect::Pin(vec![SiteId(0)]),
    }];
    let told = told(&world, ecs("14.0.64.0/23"));
    assert_eq!(
        (told.sites[0].as_str(), told.candidates[0].site.as_str()),
        ("overseas", "overseas")
    );
    assert_eq!((told.candidates[0].pin, told.rules), (None, Vec::new()));
    assert_eq!(told.locale.of, Some("14.0.64.64".parse().expect("an address")));
}

#[test]
fn json_has_every_term_and_reads_back() {
    let told = told(&world(), ecs("14.1.2.0/24"));
    let json = serde_json::to_value(&told).expect("encodes");
    assert_eq!(json["reason"], "best");
    assert_eq!(json["candidates"][0]["bill"]["baseUs"], 8_200);
    assert_eq!(json["candidates"][0]["totalUs"], 8_200);
    assert_eq!(json["client"]["foundBy"], "clientSubnet");
    assert_eq!(serde_json::from_value::<Explanation>(json).expect("decodes"), told);
}

#[test]
fn a_service_nobody_knows_is_not_explained() {
    let world = world();
    let snapshot = world.snapshot();
    assert_eq!(explain(&world.inputs(), &snapshot, ServiceId(1), ecs("14.1.2.0/24")), None);
}
