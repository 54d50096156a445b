use model::policy::{Effect, Match, Rule, RuleLevel, Window};

use super::*;
use crate::fixture;

fn now(ms: u64) -> Now {
    Now { ms, unix_ms: 0 }
}

fn judged(verdict: Verdict, since_ms: u64) -> Judged {
    let cause = (verdict == Verdict::Down).then_some(MissCause::Refused);
    Judged { verdict, since_ms, cause }
}

/// Twenty sites, one service with a probe of its own; `down` with since when.
fn world(percent: Option<u8>, down: &[(u16, u64)]) -> (Policy, Observations) {
    let names: Vec<String> = (0..20).map(|at| format!("s{at:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut policy = fixture::policy(&names, &["x.edge.example"]);
    policy.guard.withdrawn_percent_max = percent;
    let mut sites = vec![judged(Verdict::Up, 0); 20];
    for &(at, since_ms) in down {
        sites[usize::from(at)] = judged(Verdict::Down, since_ms);
    }
    let observed = Observations {
        drained: vec![false; 20],
        sites,
        services: vec![Vec::new()],
        readiness: vec![Vec::new()],
    };
    (policy, observed)
}

fn out(plan: &Plan) -> Vec<usize> {
    let sites = plan.health.sites.iter().enumerate();
    sites.filter(|(_, verdict)| **verdict == Verdict::Down).map(|(at, _)| at).collect()
}

#[test]
fn a_verdict_becomes_health_with_its_reason() {
    let (policy, observed) = world(None, &[(4, 10)]);
    let up = Health { sites: vec![Verdict::Up; 20], ..Health::default() };
    let next = plan(&policy, &observed, &up, now(20));
    assert_eq!(out(&next), [4]);
    let told: Vec<String> = next.why.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["`s04` is down, was up: connection refused"]);
    assert_eq!(next.waits, []);
    let again = plan(&policy, &observed, &next.health, now(30));
    assert_eq!((again.health, again.why), (next.health, vec![]), "nothing more to tell");
}

#[test]
fn machines_are_braked_and_those_out_already_stay_out() {
    let all: Vec<(u16, u64)> = (0..10).map(|at| (at, 100 - u64::from(at))).collect();
    let (policy, observed) = world(Some(20), &all);
    let before = Health {
        sites: (0..20).map(|at| if at == 2 { Verdict::Down } else { Verdict::Up }).collect(),
        ..Health::default()
    };
    let next = plan(&policy, &observed, &before, now(200));
    // Four of twenty may be out: s02 was, then those that have been down longest.
    assert_eq!(out(&next), [2, 7, 8, 9]);
    assert_eq!(next.waits.len(), 6);
    let told = "`s06` fails its probes but stays in service: only 4 may be out";
    assert_eq!(next.waits[0].to_string(), told);
    assert_eq!(next.health.sites[6], Verdict::Failing, "in service with a short TTL");
    // Without a limit, or for a pool under ten, nothing is braked.
    let (policy, observed) = world(None, &all);
    assert_eq!(out(&plan(&policy, &observed, &before, now(200))).len(), 10);
}

#[test]
fn drained_sites_use_the_allowance_up_but_two_may_always_leave() {
    let (mut policy, mut observed) = world(Some(20), &[(0, 1), (1, 2), (2, 3)]);
    policy.sites[10].drain = true;
    for at in 11..15 {
        observed.drained[at] = true;
    }
    let next = plan(&policy, &observed, &Health::default(), now(5));
    assert_eq!(out(&next), [0, 1]);
    let drained: Vec<usize> = (0..20).filter(|&at| next.health.drained[at]).collect();
    assert_eq!(drained, [10, 11, 12, 13, 14], "documents and overlay");
}

#[test]
fn a_service_pool_has_a_brake_of_its_own() {
    let (mut policy, mut observed) = world(Some(20), &[]);
    policy.services[0].pool.truncate(9);
    let down = |count: usize| {
        (0..20).map(|at| judged(if at < count { Verdict::Down } else { Verdict::Up }, 1)).collect()
    };
    observed.services = vec![down(9)];
    let next = plan(&policy, &observed, &Health::default(), now(5));
    assert_eq!(next.waits, [], "a pool of nine is never braked");
    policy.services[0].pool = policy.sites().map(|(id, _)| id).collect();
    observed.services = vec![down(5)];
    let next = plan(&policy, &observed, &Health::default(), now(5));
    assert_eq!(next.waits.len(), 1);
    let told = "`default/x` at `s04` fails its probes but stays in service: only 4 may be out";
    assert_eq!(next.waits[0].to_string(), told);
}

#[test]
fn a_site_out_for_long_leaves_the_leaves() {
    let (policy, observed) = world(None, &[(1, 1_000)]);
    let at = |ms| plan(&policy, &observed, &Health::default(), now(ms)).map;
    let soon = at(1_000 + LONG_OUT_MS - 1);
    assert!(!soon.long_out.contains(&true));
    let late = at(1_000 + LONG_OUT_MS);
    assert!(late.long_out[1] && late.long_out.iter().filter(|&&out| out).count() == 1);
    assert_eq!(because(&soon, &late), [Because::LongOut]);
    assert_eq!(because(&soon, &soon), []);
}

#[test]
fn a_window_that_opens_asks_for_a_new_map() {
    let (mut policy, observed) = world(None, &[]);
    let window = Window { days: 1, start_min: 60, length_min: 60 };
    let matches = Match { window: Some(window), ..Match::default() };
    let effect = Effect::Pin(vec![SiteId(0)]);
    policy.services[0].rules =
        vec![Rule { origin: "r".into(), level: RuleLevel::default(), matches, effect }];
    // The epoch was a Thursday: Monday is four days later.
    let at = |minute: u64| {
        let now = Now { ms: 0, unix_ms: (4 * 24 * 60 + minute) * 60_000 };
        plan(&policy, &observed, &Health::default(), now).map
    };
    assert_eq!((at(59).windows, at(60).windows), (vec![false], vec![true]));
    assert_eq!(because(&at(59), &at(60)), [Because::Window]);
    assert_eq!(because(&at(60), &at(61)), [], "another minute of the same window");
}

#[test]
fn health_is_carried_over_to_a_policy_with_other_ids() {
    let from = fixture::policy(&["b", "c"], &["x.edge.example", "y.edge.example"]);
    let to = fixture::policy(&["a", "b", "c"], &["y.edge.example", "z.edge.example"]);
    let health = Health {
        drained: vec![false, true],
        sites: vec![Verdict::Down, Verdict::Up],
        services: vec![vec![], vec![Verdict::Up, Verdict::Down]],
        readiness: vec![vec![], vec![Readiness::Ready, Readiness::NotReady]],
    };
    let carried = Health {
        drained: vec![false, false, true],
        sites: vec![Verdict::Unknown, Verdict::Down, Verdict::Up],
        services: vec![vec![Verdict::Unknown, Verdict::Up, Verdict::Down], vec![]],
        readiness: vec![
            vec![Readiness::NeverReported, Readiness::Ready, Readiness::NotReady],
            vec![],
        ],
    };
    assert_eq!(carry(&health, &from, &to), carried);
}

#[test]
fn changes_read_well() {
    let site = || fixture::site_name("gd-ct");
    let service = || ObjectRef::new("default", "hello");
    let changes = [
        Change::Readiness {
            site: site(),
            service: service(),
            from: Readiness::Ready,
            to: Readiness::NotReady,
        },
        Change::Verdict {
            site: site(),
            service: Some(service()),
            from: Verdict::Failing,
            to: Verdict::Up,
            cause: Some(MissCause::Timeout),
        },
        Change::Drain { site: site(), by: "ann".to_owned(), reason: "disks".to_owned() },
        Change::Undrain { site: site(), by: "ann".to_owned() },
        Change::Documents {
            policy_counter: 4,
            summary: "1 added, 0 removed, 0 changed".to_owned(),
        },
        Change::Map { because: vec![Because::Drain, Because::Latency] },
    ];
    let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "`default/hello` at `gd-ct` is not ready, was ready",
            "`default/hello` at `gd-ct` is up, was failing",
            "`gd-ct` is drained by ann: disks",
            "`gd-ct` is undrained by ann",
            "documents accepted as policy 4: 1 added, 0 removed, 0 changed",
            "map compiled: a drain began or ended, measured latency moved",
        ]
    );
}
