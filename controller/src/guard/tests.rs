use super::*;
use crate::fixture;

fn named(sites: &[String]) -> Policy {
    let names: Vec<&str> = sites.iter().map(String::as_str).collect();
    fixture::policy(&names, &["x.edge.example"])
}

fn sites(count: usize) -> Policy {
    named(&(0..count).map(|at| format!("s{at:02}")).collect::<Vec<_>>())
}

fn check(current: &Policy, next: &Policy, recent: &[(u64, u32)]) -> Result<String, Vec<Refusal>> {
    let mut removals = Removals::default();
    for &(at_s, objects) in recent {
        removals.note(at_s * 1000, objects);
    }
    let admitted = admit_documents(current, next, &removals, 1_000_000);
    admitted.map(|difference| difference.to_string())
}

#[test]
fn without_limits_everything_goes() {
    assert_eq!(check(&sites(3), &Policy::default(), &[]).unwrap(), "0 added, 4 removed, 0 changed");
    assert_eq!(check(&Policy::default(), &sites(3), &[]).unwrap(), "4 added, 0 removed, 0 changed");
    assert_eq!(check(&sites(3), &sites(3), &[]).unwrap(), "0 added, 0 removed, 0 changed");
}

#[test]
fn a_difference_goes_by_names_and_not_by_ids() {
    let before = named(&["b".to_owned(), "c".to_owned()]);
    let mut after = named(&["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    // `b` and `c` keep their addresses; only the pool of the service has grown.
    after.sites[1].clone_from(&before.sites[0]);
    after.sites[2].clone_from(&before.sites[1]);
    let difference = Difference::between(&before, &after);
    assert_eq!(difference.added, ["Site/a"]);
    assert_eq!(difference.removed, Vec::<String>::new());
    assert_eq!(difference.changed, ["GlobalService/default/x"]);
}

#[test]
fn protected_objects_and_too_many_removals_are_refused_together() {
    let mut current = sites(6);
    current.guard = GuardPolicy {
        protected: vec!["Site/s04".into(), "GlobalService/default/x".into()],
        removals_max: Some(2),
        window_s: 300,
        ..GuardPolicy::default()
    };
    // The next document set has no guard at all: the current one judges.
    let mut next = sites(3);
    next.services.clear();
    let refusals = check(&current, &next, &[]).unwrap_err();
    let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "`Site/s04` is protected and would be removed; \
             help: take it off `protected` in the GuardPolicy first",
            "`GlobalService/default/x` is protected and would be removed; \
             help: take it off `protected` in the GuardPolicy first",
            "4 objects would be removed within 300 s where 2 are allowed; \
             help: remove fewer at once, or wait",
        ]
    );
}

#[test]
fn removals_count_within_their_window() {
    let mut current = sites(4);
    current.guard = GuardPolicy { removals_max: Some(2), window_s: 60, ..GuardPolicy::default() };
    let next = sites(3);
    assert!(check(&current, &next, &[(930, 2)]).is_ok(), "70 s ago is outside");
    let refusals = check(&current, &next, &[(930, 2), (950, 2)]).unwrap_err();
    let window_s = 60;
    assert_eq!(refusals, [Refusal::Removals { removals: 3, removals_max: 2, window_s }]);
    let mut grown = sites(5);
    grown.guard.window_s = 60;
    assert!(check(&current, &grown, &[(950, 9)]).is_ok(), "adding is never a removal");
}

#[test]
fn drains_are_limited_but_never_the_first_two_nor_in_small_pools() {
    let mut policy = sites(20);
    policy.guard.withdrawn_percent_max = Some(15);
    let drained = |count: usize| (0..20).map(|at| at < count).collect::<Vec<_>>();
    let drain = |count| admit_drain(&policy, &drained(count), SiteId(19));
    assert!(drain(0).is_ok() && drain(2).is_ok());
    let refused = Refusal::Withdrawn { withdrawn: 4, sites: 20, withdrawn_max: 3 };
    assert_eq!(drain(3), Err(refused.clone()));
    assert_eq!(
        refused.to_string(),
        "4 of 20 sites would be out where 3 may be; help: bring others back first"
    );
    let mut one_percent = sites(20);
    one_percent.guard.withdrawn_percent_max = Some(1);
    assert!(admit_drain(&one_percent, &drained(1), SiteId(19)).is_ok(), "the second may leave");
    assert!(admit_drain(&one_percent, &drained(2), SiteId(19)).is_err());
    let mut nine = sites(9);
    nine.guard.withdrawn_percent_max = Some(1);
    assert!(admit_drain(&nine, &[true; 8], SiteId(8)).is_ok(), "a small pool is never braked");
}

#[test]
fn an_undrainable_site_is_not_drained() {
    let mut policy = sites(3);
    policy.guard.undrainable = vec![fixture::site_name("s01")];
    assert!(admit_drain(&policy, &[false; 3], SiteId(0)).is_ok());
    let error = admit_drain(&policy, &[false; 3], SiteId(1)).unwrap_err();
    let told = "`s01` may not be drained; help: the GuardPolicy lists it as undrainable";
    assert_eq!(error.to_string(), told);
}

#[test]
fn documents_may_not_drain_too_many_at_once_but_may_always_undrain() {
    let mut current = sites(20);
    current.guard.withdrawn_percent_max = Some(10);
    let drained = |count: usize| {
        let mut policy = sites(20);
        policy.sites[..count].iter_mut().for_each(|site| site.drain = true);
        policy.guard.withdrawn_percent_max = Some(10);
        policy
    };
    assert!(check(&current, &drained(2), &[]).is_ok());
    let refused = Refusal::Withdrawn { withdrawn: 3, sites: 20, withdrawn_max: 2 };
    assert_eq!(check(&current, &drained(3), &[]), Err(vec![refused]));
    assert!(check(&drained(8), &drained(7), &[]).is_ok(), "fewer than before");
}
