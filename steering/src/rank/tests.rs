//! Ranking of small worlds: what comes before the bill, and how a leaf is made.

use model::policy::{Effect, Match, Rule, RuleLevel, Window};
use model::service::{Rung, TierStep};
use model::site::{SiteId, Tier};

use crate::world::{World, ecs, locale, site};

/// Telecom's access and aggregation rooms in Guangdong, Unicom's core beside them, a core abroad.
fn world() -> World {
    let sites = vec![
        site("access", Tier::Access, "CN-GD cn-ct 22.54 114.05"),
        site("aggregation", Tier::Aggregation, "CN-GD cn-ct 23.13 113.26"),
        site("core", Tier::Core, "CN-GD cn-cu 23.13 113.26"),
        site("fra", Tier::Core, "DE - 50.11 8.68"),
    ];
    World::new(sites, &[("14.0.0.0/10", locale("CN-GD cn-ct 22.54 114.05"))])
}

fn leaf(world: &World) -> String {
    let snapshot = world.snapshot();
    let map = &snapshot.map.maps[0];
    let found = crate::decide::find(map, ecs("14.1.2.0/24")).expect("covered");
    let names = found.leaf.sites.iter().map(|&id| world.policy.site(id).name.as_str());
    let names: Vec<&str> = names.collect();
    let shared = usize::from(found.leaf.shared);
    format!("{} | {}", names[..shared].join(" "), names[shared..].join(" "))
}

fn step(tier: Tier, budget_us: Option<u32>) -> TierStep {
    TierStep { tier, budget_us }
}

fn rule(effect: Effect) -> Rule {
    let (level, matches) = (RuleLevel::default(), Match::default());
    Rule { origin: "ns/policy/rule".into(), level, matches, effect }
}

#[test]
fn the_first_tier_inside_its_budget_goes_first_and_the_rest_follow_by_bill() {
    let mut world = world();
    // Bills: access 8.2 ms, aggregation 10.1, core 30.1, fra 176 and more.
    assert_eq!(leaf(&world), " | core fra aggregation access");
    world.service().tiers = vec![
        step(Tier::Access, Some(15_000)),
        step(Tier::Aggregation, Some(30_000)),
        step(Tier::Core, None),
    ];
    assert_eq!(leaf(&world), " | access aggregation core fra");
    world.service().tiers =
        vec![step(Tier::Core, Some(29_000)), step(Tier::Aggregation, Some(12_000))];
    assert_eq!(leaf(&world), " | aggregation access core fra");
    world.service().tiers = vec![step(Tier::Core, Some(1_000))];
    assert_eq!(leaf(&world), " | access aggregation core fra");
}

#[test]
fn the_ladder_goes_before_tiers_and_bills() {
    let mut world = world();
    world.service().tiers = vec![step(Tier::Core, None)];
    let same = |isp, subdivision| Rung { isp, subdivision, country: false, continent: false };
    world.service().steering.prefer = vec![same(true, true), same(false, true)];
    assert_eq!(leaf(&world), " | access aggregation core fra");
}

#[test]
fn pins_go_before_everything_in_their_own_order() {
    let mut world = world();
    world.service().steering.spread_within_us = 1_000_000;
    world.service().rules = vec![rule(Effect::Pin(vec![SiteId(3), SiteId(0)]))];
    assert_eq!(leaf(&world), " | fra access core aggregation");
}

#[test]
fn the_spread_is_of_one_rung_and_tier_and_weight_zero_takes_no_share() {
    let mut world = world();
    world.service().tiers = vec![step(Tier::Access, None), step(Tier::Core, None)];
    world.service().steering.spread_within_us = 1_000_000;
    assert_eq!(leaf(&world), " | access core fra aggregation");
    world.service().tiers = vec![step(Tier::Core, None)];
    assert_eq!(leaf(&world), "core fra | access aggregation");
    world.service().rules = vec![rule(Effect::Weights(vec![(SiteId(2), 0)]))];
    assert_eq!(leaf(&world), " | fra core access aggregation");
}

#[test]
fn the_first_match_of_each_effect_wins() {
    let mut world = world();
    let mut other = rule(Effect::Pin(vec![SiteId(3)]));
    other.matches.isps = vec![crate::world::isp("cn-cu")];
    world.service().rules = vec![
        other,
        rule(Effect::Pin(vec![SiteId(1)])),
        rule(Effect::Pin(vec![SiteId(0)])),
        rule(Effect::Shift { to: SiteId(3), share_bp: 10_000 }),
    ];
    assert_eq!(leaf(&world), " | aggregation core fra access");
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "shift/24 fra");
}

#[test]
fn a_leaf_of_dead_sites_makes_room_for_others() {
    let mut sites: Vec<_> = (0..6)
        .map(|at| site(&format!("s{at}"), Tier::Core, &format!("CN-GD cn-ct 23.13 11{at}.26")))
        .collect();
    sites.sort_by(|a, b| a.name.cmp(&b.name));
    let mut world = World::new(sites, &[("14.0.0.0/10", locale("CN-GD cn-ct 23.13 110.26"))]);
    assert_eq!(leaf(&world), " | s0 s1 s2 s3");
    world.long_out = vec![true, true, true, true, false, false];
    assert_eq!(leaf(&world), " | s0 s1 s4 s5");
    world.long_out = vec![true, true, true, true, true, false];
    assert_eq!(leaf(&world), " | s0 s1 s5 s2");
    world.long_out = vec![true; 6];
    assert_eq!(leaf(&world), " | s0 s1 s2 s3");
}

#[test]
fn clients_of_unknown_place_go_to_the_sites_made_for_strangers() {
    let world = world();
    // No carrier, no country, no distance: all bills tie, and core goes before aggregation and access.
    assert_eq!(world.answer(ecs("203.0.113.0/24")), "best/0 core");
}

#[test]
fn a_window_may_run_past_midnight_and_past_the_week() {
    let window = Window { days: 0b100_0000, start_min: 23 * 60, length_min: 120 };
    let sunday = 6 * 1440;
    let holds = |minute: u16| window.holds(minute);
    assert!(!holds(sunday + 23 * 60 - 1));
    assert!(holds(sunday + 23 * 60));
    assert!(holds(0), "Monday just after midnight");
    assert!(holds(59));
    assert!(!holds(60));
}

#[test]
fn a_last_resort_is_the_gate_or_comes_by_bill() {
    let mut world = world();
    // The core accepts anything, Frankfurt too; once the room passed the gate, the bill decides.
    world.service().tiers = vec![step(Tier::Access, Some(15_000)), step(Tier::Core, None)];
    assert_eq!(leaf(&world), " | access aggregation core fra");
    // Nothing is inside a budget: the core is the gate.
    world.service().tiers = vec![step(Tier::Access, Some(5_000)), step(Tier::Core, None)];
    assert_eq!(leaf(&world), " | core fra access aggregation");
}
