//! Right maps pass whatever the world; a map with one mistake in it does not.

use std::sync::Arc;

use model::geo::Locale;
use model::observe::Verdict;
use model::policy::{Effect, Match, Rule, RuleLevel};
use model::service::ServiceId;
use model::site::{SiteId, Tier};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

use super::{FamilyReport, Report, Trial, What, audit, trials};
use crate::compile::compile;
use crate::map::{LeafId, RunTable, ServiceMap};
use crate::properties::random_world;
use crate::world::{World, locale, net, site};

const ID: ServiceId = ServiceId(0);

/// Two sites; a /16 and a /48 of clients near the second, and a pin inside the /16.
fn world() -> World {
    let sites = vec![
        site("fra", Tier::Core, "DE - 50.11 8.68"),
        site("gz", Tier::Core, "CN-GD cn-ct 23.13 113.26"),
    ];
    let near_gz = || locale("CN-GD cn-ct 22.54 114.06");
    let mut world = World::new(sites, &[("14.0.0.0/16", near_gz()), ("2400::/48", near_gz())]);
    let matches = Match { cidrs: vec![net("14.0.64.0/20")], ..Match::default() };
    let effect = Effect::Pin(vec![SiteId(0)]);
    world.service().rules =
        vec![Rule { origin: "ns/policy/pin".into(), level: RuleLevel::default(), matches, effect }];
    world
}

fn run(world: &World, map: &ServiceMap, trials: &[Trial]) -> Result<Report, String> {
    audit(&world.inputs(), map, ID, trials).map_err(|fault| fault.to_string())
}

fn all_trials(world: &World) -> Vec<Trial> {
    trials(&world.policy, ID, &world.health.drained)
}

fn compiled(world: &World) -> ServiceMap {
    ServiceMap::clone(compile(&world.inputs()).service(ID).expect("compiled"))
}

/// Audits the world's map after one change to its IPv4 runs.
fn check(change: impl Fn(&mut Vec<u32>, &mut Vec<LeafId>), expected: &str) {
    let world = world();
    let mut map = compiled(&world);
    let mut starts: Vec<u32> = map.v4.iter().map(|run| run.first).collect();
    let mut leaves: Vec<LeafId> = map.v4.iter().map(|run| run.leaf).collect();
    change(&mut starts, &mut leaves);
    map.v4 = RunTable::new(starts, leaves).expect("rising");
    assert_eq!(run(&world, &map, &all_trials(&world)), Err(expected.to_owned()));
}

#[test]
fn a_right_map_is_told_in_numbers() {
    let world = world();
    let trials = all_trials(&world);
    let names: Vec<&str> = trials.iter().map(|trial| trial.name.as_str()).collect();
    let all =
        ["all up", "fra down", "gz down", "fra and gz down", "every site down", "no site ready"];
    assert_eq!(names, all);
    let report = run(&world, &compiled(&world), &trials).expect("right");
    let family = |family: &str, entries, runs, leaves, lens: (u8, u8)| FamilyReport {
        family: family.to_owned(),
        entries,
        entries_min: entries,
        runs,
        leaves,
        answers: 2,
        scope_len_min: lens.0,
        scope_len_max: lens.1,
        decisions: 0,
    };
    let families: Vec<FamilyReport> =
        report.families.iter().map(|it| FamilyReport { decisions: 0, ..it.clone() }).collect();
    // 0/5 8/6 12/7, 14.0/16 in five pieces with the /20, 14.1/16 ... 15/8 in nine, 16/4 32/3 64/2 128/1.
    assert_eq!(families[0], family("IPv4", 21, 5, 2, (1, 20)));
    assert_eq!(families[1], family("IPv6", 49, 3, 2, (1, 48)));
    assert_eq!((report.service.as_str(), report.states), ("default/hello", 6));
    assert!(report.families.iter().all(|it| it.decisions > 100 && it.ratio_percent() == 100));
}

#[test]
fn a_run_that_ends_late_is_found() {
    check(
        |starts, _| starts[2] += 1 << 8,
        "14.0.64.0/24 with all up: the scope 14.0.64.0/24 is not minimal: it could be 14.0.64.0/20",
    );
}

#[test]
fn a_run_that_swallows_its_neighbour_is_found() {
    check(
        |starts, leaves| {
            starts.remove(2);
            leaves.remove(2);
        },
        "14.0.64.0/24 with all up: the answer is gz (best), it should be fra (best)",
    );
}

#[test]
fn a_run_that_is_cut_in_two_is_found() {
    check(
        |starts, leaves| {
            starts.insert(1, 4 << 24);
            leaves.insert(1, leaves[0]);
        },
        "0.0.0.0/24 with all up: the scope 0.0.0.0/6 is not minimal: it could be 0.0.0.0/5",
    );
}

#[test]
fn a_list_that_is_wrong_in_its_second_place_is_found_without_a_failure() {
    let world = world();
    let mut map = compiled(&world);
    for leaf in &mut map.leaves {
        leaf.sites.truncate(1);
    }
    let well = &all_trials(&world)[..1];
    let told = run(&world, &map, well);
    let right = "0.0.0.0/24 with all up: the compiled list is fra, it should be fra gz";
    assert_eq!(told, Err(right.to_owned()));
}

#[test]
fn a_fence_lost_on_the_way_is_found() {
    let mut world = world();
    let unfenced = compiled(&world);
    world.service().fence = Some(model::policy::Fence::Sites(vec![SiteId(0)]));
    let told = run(&world, &unfenced, &all_trials(&world)).expect_err("wrong");
    // Nobody is told otherwise while all is well, but the scopes of two lists are not those of one.
    assert_eq!(
        told,
        "0.0.0.0/24 with all up: the scope 0.0.0.0/5 is not minimal: it could be 0.0.0.0/0"
    );
    let mut world = World::new(world.policy.sites.clone(), &[]);
    let unfenced = compiled(&world);
    world.service().fence = Some(model::policy::Fence::Sites(vec![SiteId(0)]));
    let told = run(&world, &unfenced, &all_trials(&world)).expect_err("wrong");
    let wrong = "0.0.0.0/24 with fra down: the answer is gz (failover), it should be fra (allOut)";
    assert_eq!(told, wrong);
}

#[test]
fn shared_blocks_are_counted_and_their_length_is_checked() {
    let mut world = world();
    world.service().rules.clear();
    world.service().steering.spread_within_us = 1_000_000;
    world.service().steering.sticky.v4_len = 16;
    let report = run(&world, &compiled(&world), &all_trials(&world)).expect("right");
    // The /16 is a leaf of its own, and of 256 blocks at least 200 must fit into it.
    assert_eq!(report.families[0].entries, 65_535 + 256);
    assert_eq!(report.families[0].entries_min, 65_535 + 256);
    assert_eq!(report.families[1].scope_len_max, 56);
    assert_eq!(report.families[1].entries, (1 << 56) - (1 << 8) + (1 << 8));
    let mut map = compiled(&world);
    map.leaves.iter_mut().for_each(|leaf| leaf.block_v4_len = 12);
    let told = run(&world, &map, &all_trials(&world)).expect_err("coarse");
    assert!(told.contains("/12"), "{told}");
}

#[test]
fn a_service_whose_orders_leave_nothing_has_one_entry() {
    let mut world = world();
    world.service().pool.clear();
    let report = run(&world, &compiled(&world), &all_trials(&world)).expect("right");
    assert_eq!(report.families.iter().map(|it| it.entries).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_fault_says_what_kind_it_is() {
    let world = world();
    let mut map = compiled(&world);
    map.v4 = RunTable::new(vec![0], vec![LeafId(0)]).expect("one run");
    let fault = audit(&world.inputs(), &map, ID, &all_trials(&world)).expect_err("wrong");
    assert!(matches!(fault.what, What::TooWide { .. }), "{fault}");
    let text = serde_json::to_string(&*fault).expect("encodes");
    assert_eq!(serde_json::from_str::<super::Fault>(&text).expect("decodes"), *fault);
}

#[test]
fn an_unknown_place_everywhere_is_one_entry() {
    let mut world = World::new(vec![site("fra", Tier::Core, "DE")], &[]);
    world.policy.services[0].tiers.truncate(1);
    let nowhere = Locale::default();
    assert_eq!(*world.locales.lookup([192, 0, 2, 1].into()).locale, nowhere);
    let report = run(&world, &compiled(&world), &all_trials(&world)).expect("right");
    assert_eq!((report.families[0].entries, report.families[0].answers), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_compiled_world_passes(seed in any::<u64>()) {
        let world = random_world(seed);
        let map = compile(&world.inputs());
        let map: &Arc<ServiceMap> = map.service(ID).expect("compiled");
        let mut trials = all_trials(&world);
        trials.push(Trial { name: "as it is".to_owned(), health: world.health.clone() });
        let told = run(&world, map, &trials);
        prop_assert!(told.is_ok(), "{:?}", told);
        prop_assert!(trials[0].health.sites.iter().all(|verdict| *verdict == Verdict::Up));
    }
}
