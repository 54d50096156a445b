//! Decisions of small worlds, whole: reason, scope and sites.

use model::observe::{Readiness, Verdict};
use model::policy::Fence;
use model::service::{Fallback, Rung};
use model::site::{SiteId, Tier};

use crate::world::{World, ecs, locale, resolver, site};

/// Guangzhou (Telecom and Unicom), Frankfurt; clients of both carriers, of Europe, of nowhere.
fn world() -> World {
    let sites = vec![
        site("fra", Tier::Core, "DE - 50.11 8.68"),
        site("gz-ct", Tier::Core, "CN-GD cn-ct 23.13 113.26"),
        site("gz-cu", Tier::Core, "CN-GD cn-cu 23.13 113.26"),
    ];
    let prefixes = [
        ("14.0.0.0/10", locale("CN-GD cn-ct 22.54 114.06")),
        ("58.16.0.0/16", locale("CN-GD cn-cu 22.54 114.06")),
        ("91.0.0.0/10", locale("DE as3320 52.52 13.40")),
        ("2a02::/16", locale("DE as3320 52.52 13.40")),
    ];
    World::new(sites, &prefixes)
}

#[test]
fn distance_and_carrier_decide_and_the_scope_is_the_run() {
    let world = world();
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "best/10 gz-ct");
    assert_eq!(world.answer(ecs("58.16.9.0/24")), "best/16 gz-cu");
    // Nobody around Germany's prefixes is known, and those go to Frankfurt as well.
    assert_eq!(world.answer(ecs("91.7.0.0/24")), "best/2 fra");
    assert_eq!(world.answer(ecs("2a02:1:2::/56")), "best/0 fra");
    assert_eq!(world.answer(resolver("91.7.0.53")), "best/2 fra");
    assert_eq!(world.answer(resolver("::ffff:91.7.0.53")), "best/2 fra");
}

#[test]
fn a_place_unknown_is_as_far_from_all() {
    // Nothing tells the sites apart but their names.
    assert_eq!(world().answer(ecs("203.0.113.0/24")), "best/1 fra");
}

#[test]
fn a_down_site_is_skipped_and_the_scope_stays() {
    let mut world = world();
    world.health.sites = vec![Verdict::Up, Verdict::Down, Verdict::Failing];
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "failover/10 gz-cu failing");
    assert_eq!(world.answer(ecs("91.7.0.0/24")), "best/2 fra");
}

#[test]
fn when_a_whole_town_is_out_its_clients_go_to_the_next_and_not_round_the_world() {
    let town = |at: u8| site(&format!("gz-{at}"), Tier::Core, "CN-GD cn-ct 23.13 113.26");
    let mut sites: Vec<_> = (0..5).map(town).collect();
    sites.extend([
        site("fra", Tier::Core, "DE - 50.11 8.68"),
        site("sha", Tier::Core, "CN-SH cn-ct 31.23 121.47"),
        site("xm-cu", Tier::Core, "CN-FJ cn-cu 24.48 118.09"),
    ]);
    let prefixes = [
        ("14.0.0.0/10", locale("CN-GD cn-ct 22.54 114.06")),
        ("91.0.0.0/10", locale("DE as3320 52.52 13.40")),
    ];
    let mut world = World::new(sites, &prefixes);
    world.health.sites = vec![Verdict::Down; 5];
    world.health.sites.extend([Verdict::Up; 3]);
    // Shanghai is farther than Xiamen and of the carrier of Guangzhou's sites.
    for block in ["14.1.2.0/24", "14.33.0.0/24", "14.60.7.0/24"] {
        assert_eq!(world.answer(ecs(block)), "failover/2 sha");
    }
    world.health.sites[6] = Verdict::Down;
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "failover/2 xm-cu");
    world.service().answers.sites_max = 2;
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "failover/2 xm-cu fra");
    assert_eq!(world.answer(ecs("91.1.2.0/24")), "best/10 fra");
}

#[test]
fn readiness_never_reported_is_not_ready() {
    let mut world = world();
    world.health.readiness =
        vec![vec![Readiness::Ready, Readiness::NeverReported, Readiness::NotReady]];
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "failover/10 fra");
}

#[test]
fn when_all_are_out_the_fallback_answers() {
    let mut world = world();
    world.health.sites = vec![Verdict::Down; 3];
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "allOut/10 gz-ct failing");
    world.service().fallback = Fallback::AnswerNone;
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "fallbackNone/10 ");
    world.service().fallback = Fallback::AnswerSites(vec![SiteId(0)]);
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "fallbackSites/10 fra failing");
}

#[test]
fn of_sites_that_are_all_out_the_ready_go_first() {
    let mut world = world();
    world.health.sites = vec![Verdict::Down; 3];
    world.health.readiness = vec![vec![Readiness::Ready, Readiness::NotReady, Readiness::NotReady]];
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "allOut/10 fra failing");
}

#[test]
fn fewer_up_than_the_panic_threshold_and_verdicts_are_ignored() {
    let mut world = world();
    world.health.sites = vec![Verdict::Up, Verdict::Down, Verdict::Down];
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "failover/10 fra");
    world.service().panic_below_percent = 34;
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "panic/10 gz-ct failing");
}

#[test]
fn a_fence_is_never_crossed() {
    let mut world = world();
    let country = Rung { country: true, subdivision: false, isp: false, continent: false };
    world.service().fence = Some(Fence::Match(country));
    world.health.sites = vec![Verdict::Up, Verdict::Down, Verdict::Down];
    world.service().fallback = Fallback::AnswerSites(vec![SiteId(0)]);
    // The fallback is abroad: the sites inside the fence answer although they look down.
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "allOut/10 gz-ct failing");
    assert_eq!(world.answer(ecs("203.0.113.0/24")), "fenced/1 ");
}

#[test]
fn a_drain_is_never_broken() {
    let mut world = world();
    let compiled_before = world.snapshot();
    world.health.drained = vec![false, true, true];
    world.health.sites = vec![Verdict::Down; 3];
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "allOut/0 fra failing");
    // A map from before the drain knows it through health.
    let id = model::service::ServiceId(0);
    let state = super::ServiceState::new(id, &world.policy.services[0], &world.health);
    let map = compiled_before.map.service(id).expect("compiled");
    let decision = super::decide(map, &state, ecs("14.1.2.0/24"));
    assert_eq!((decision.chosen(), decision.scope_len), (&[SiteId(0)][..], 10));
    world.health.drained = vec![true; 3];
    assert_eq!(world.answer(ecs("14.1.2.0/24")), "fenced/0 ");
}

/// Every state of four sites, every way to list or share them: the short way and the long one agree.
#[test]
fn the_short_way_comes_to_what_the_long_one_does() {
    use super::state::{DOWN, DRAINED, FAILING, READY};
    use super::{Found, ServiceState, choose};
    use crate::map::{Leaf, Reach};
    use crate::share::{Block, seed};

    let kinds = [READY, READY | FAILING, READY | DOWN, 0, DRAINED | READY];
    let reach = Reach { pool: (0..4).map(SiteId).collect(), fallback: Vec::new() };
    let (mut short, mut shared) = (0, 0);
    for listed in 1..=4_u8 {
        for sharing in [0, 2, 3, 4].into_iter().filter(|&sharing| sharing <= listed) {
            let leaf = Leaf {
                sites: (0..u16::from(listed)).map(SiteId).collect(),
                shared: sharing,
                weights: (0..u32::from(sharing)).map(|at| 50 + at).collect(),
                seeds: (0..sharing).map(|at| seed(&at.to_string())).collect(),
                takes_turns: listed == 3,
                uplinks: (0..listed).collect(),
                ..Leaf::default()
            };
            for number in 0..625_u32 {
                let flags =
                    (0..4).map(|at| kinds[number as usize / kinds.len().pow(at) % kinds.len()]);
                let mut state = ServiceState::of_flags(flags.collect());
                state.is_any_usable = reach.pool.iter().any(|&site| state.is_usable(site));
                let run = Block::new(7 << 56, 64);
                let block = Block::new(u64::from(number) << 40, 24);
                let found = Found::at_place(&leaf, block, run, 20);
                let Some(decision) = state.best(&found) else { continue };
                assert_eq!(
                    decision,
                    choose(&found, &state, &reach, |_| (&[]).into()),
                    "{leaf:?} {state:?}"
                );
                short += 1;
                shared += u32::from(sharing > 0);
            }
        }
    }
    // Most states need no long way.
    assert!(short > 3_000 && shared > 1_500, "{short} {shared}");
}
