use model::name::DnsName;
use model::service::SiteEndpoints;
use model::site::Alias;

use super::*;
use crate::fixture;
use crate::verdict::MissCause;

const NOW: Now = Now { ms: 1_000, unix_ms: 1_000 };

fn probed(world: &mut World, site: usize, outcome: Outcome, times: usize) -> bool {
    let id = world.targets.of_site[site].unwrap();
    let target = Arc::clone(world.targets.target(id).unwrap());
    (0..times).map(|_| world.probed(&target, outcome, NOW)).last().unwrap()
}

fn policy(sites: &[&str]) -> Policy {
    let mut policy = fixture::policy(sites, &["x.edge.example"]);
    policy.services[0].backends = vec![fixture::backend("x")];
    for site in &mut policy.sites {
        site.health = Some(fixture::http_probe(8080));
    }
    policy
}

fn accepted(policy: Policy) -> World {
    let mut world = World::default();
    let targets = Arc::new(Targets::of(&policy));
    world.accept(Arc::new(policy), targets);
    world
}

fn verdicts(world: &World) -> Vec<Verdict> {
    let observed = world.observe(&world.policy, &world.targets);
    observed.sites.iter().map(|judged| judged.verdict).collect()
}

#[test]
fn verdicts_follow_their_target_when_ids_move() {
    let mut world = accepted(policy(&["b", "c"]));
    let miss = Outcome::Miss(MissCause::Refused);
    assert!(!probed(&mut world, 0, miss, 2), "still failing, nothing moved");
    assert!(probed(&mut world, 0, miss, 1));
    assert!(probed(&mut world, 1, Outcome::Hit, 1));
    assert_eq!(verdicts(&world), [Verdict::Down, Verdict::Up]);

    let mut next = policy(&["a", "b", "c"]);
    next.sites[1].addresses.clone_from(&world.policy.sites[0].addresses);
    next.sites[2].addresses.clone_from(&world.policy.sites[1].addresses);
    next.sites[0].addresses[0].ip = "127.0.1.9".parse().unwrap();
    let targets = Arc::new(Targets::of(&next));
    let late = Arc::clone(&world.targets.all[0]);
    world.accept(Arc::new(next), targets);
    assert_eq!(verdicts(&world), [Verdict::Unknown, Verdict::Down, Verdict::Up]);

    let gone = policy(&["c"]);
    let targets =
        Arc::new(Targets { all: Vec::new(), of_site: vec![None], of_service: vec![vec![]] });
    world.accept(Arc::new(gone), targets);
    assert!(!world.probed(&late, Outcome::Hit, NOW), "a late result is dropped");
}

#[test]
fn reports_of_unknown_sites_are_not_taken() {
    let mut world = accepted(policy(&["a"]));
    let report = |site, sequence| fixture::report(site, sequence, &[("x", 1)]);
    assert_eq!(world.reported(&report("stranger", 1), NOW), Reported::UnknownSite);
    assert_eq!(world.reported(&report("a", 1), NOW), Reported::Readiness);
    assert_eq!(world.reported(&report("a", 2), NOW), Reported::Quiet);
    assert_eq!(world.reported(&report("a", 2), NOW), Reported::Older);
}

#[test]
fn a_restart_neither_revives_the_dead_nor_loses_the_living() {
    let policy = Arc::new(policy(&["a", "b", "c"]));
    let health = Health {
        drained: vec![false; 3],
        sites: vec![Verdict::Down, Verdict::Up, Verdict::Failing],
        services: vec![vec![]],
        readiness: vec![vec![Readiness::Ready, Readiness::NotReady, Readiness::NeverReported]],
    };
    let mut world = World::resume(&policy, &health, NOW);
    assert_eq!(verdicts(&world), [Verdict::Down, Verdict::Up, Verdict::Unknown]);
    let observed = world.observe(&world.policy, &world.targets);
    assert_eq!(observed.readiness, health.readiness);
    // Judged anew from there: two hits bring `a` back.
    assert!(!probed(&mut world, 0, Outcome::Hit, 1));
    assert!(probed(&mut world, 0, Outcome::Hit, 1));
    assert_eq!(verdicts(&world)[0], Verdict::Up);
}

#[test]
fn the_overlay_drains_by_name() {
    let mut world = accepted(policy(&["a", "b"]));
    let order = Drain { by: "ann".to_owned(), reason: "disks".to_owned(), at_unix_ms: 0 };
    world.drains.insert(fixture::site_name("b"), order.clone());
    world.drains.insert(fixture::site_name("gone"), order);
    assert_eq!(world.observe(&world.policy, &world.targets).drained, [false, true]);
}

#[test]
fn the_documents_know_readiness_where_nobody_reports() {
    let mut policy = policy(&["a", "b", "c", "d"]);
    let endpoints = |site, is_ready| SiteEndpoints {
        site: SiteId(site),
        is_ready,
        addresses: vec!["10.0.0.1".parse().unwrap()],
    };
    policy.services[0].endpoints = vec![endpoints(0, true), endpoints(1, false)];
    let name = DnsName::parse("pop.cdn.example").unwrap();
    policy.services[0].aliases.insert(SiteId(2), Alias::Cname(name));
    let world = accepted(policy);
    let observed = world.observe(&world.policy, &world.targets);
    let (ready, not) = (Readiness::Ready, Readiness::NotReady);
    assert_eq!(observed.readiness, [[ready, not, ready, Readiness::NeverReported]]);
}
