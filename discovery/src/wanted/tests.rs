use std::collections::{BTreeMap, HashMap};

use model::gateway::ObjectKind;
use model::name::ObjectRef;
use proptest::prelude::*;
use serde_json::json;

use super::{ObjectStatus, Said, Subject, Wanted};
use crate::hold::Entry;
use crate::status;

fn subject(number: u8) -> Subject {
    (ObjectKind::HttpRoute, ObjectRef::new("n", &format!("r{number}")))
}

fn want(wanted: &mut Wanted, number: u8, says: Option<u8>) {
    wanted.tell(HashMap::from([(subject(number), says.map(said))]));
}

fn said(text: u8) -> Said {
    Said::from(json!({"says": text}))
}

/// What is to be written: objects and their versions.
fn open(wanted: &Wanted) -> Vec<(String, u64)> {
    wanted.open().iter().map(|job| (job.object.name.to_string(), job.version)).collect()
}

/// A server: version and what the status says, by object.
type World = BTreeMap<u8, (u64, Option<u8>)>;

fn compare(wanted: &mut Wanted, world: &World, count: usize) -> bool {
    let entries: HashMap<Subject, Entry> = world
        .iter()
        .map(|(&number, &(version, says))| {
            let digest = says.map_or(0, |text| status::digest(&said(text).json()));
            (subject(number), Entry::of(version, digest))
        })
        .collect();
    wanted.compare(count, |one| entries.get(one).map(|entry| (*entry, "v1")))
}

#[test]
fn only_what_the_server_does_not_say_is_written() {
    let mut wanted = Wanted::default();
    let world = World::from([(1, (10, None)), (2, (11, Some(7))), (3, (12, None))]);
    want(&mut wanted, 1, Some(7));
    want(&mut wanted, 2, Some(7));
    want(&mut wanted, 4, Some(7));
    assert!(compare(&mut wanted, &world, 10));
    assert_eq!(open(&wanted), [("r1".to_owned(), 10)], "nothing of 3 is wanted, 4 is not there");
    assert!(!compare(&mut wanted, &world, 10), "nothing is looked at twice");

    let world = World::from([(1, (13, Some(7))), (2, (14, None)), (3, (12, None))]);
    assert_eq!(open(&wanted), [("r1".to_owned(), 10)], "nobody said that anything changed");
    for number in [1, 2, 3] {
        wanted.touch(subject(number));
    }
    assert!(compare(&mut wanted, &world, 10));
    assert_eq!(open(&wanted), [("r2".to_owned(), 14)]);
    want(&mut wanted, 2, None);
    assert!(compare(&mut wanted, &world, 10));
    assert_eq!(open(&wanted), [], "what is not wanted any more is left alone");
}

#[test]
fn a_refusal_goes_before_what_is_wanted_and_gives_way_again() {
    let mut wanted = Wanted::default();
    let world = World::from([(1, (10, Some(7)))]);
    want(&mut wanted, 1, Some(7));
    compare(&mut wanted, &world, 10);
    assert_eq!(open(&wanted), []);
    let (kind, object) = subject(1);
    let refusal = ObjectStatus { kind, object, status: said(9) };
    wanted.refuse(vec![refusal.clone()]);
    compare(&mut wanted, &world, 10);
    assert_eq!(open(&wanted), [("r1".to_owned(), 10)]);
    wanted.refuse(vec![refusal]);
    assert!(!wanted.is_doubtful(), "the same refusal is no news");
    wanted.refuse(Vec::new());
    compare(&mut wanted, &world, 10);
    assert_eq!(open(&wanted), []);
}

#[test]
fn a_turn_compares_no_more_than_it_is_told() {
    let mut wanted = Wanted::default();
    let world: World = (0..10).map(|number| (number, (1, None))).collect();
    for number in 0..10 {
        want(&mut wanted, number, Some(1));
    }
    compare(&mut wanted, &world, 4);
    assert_eq!((open(&wanted).len(), wanted.is_doubtful()), (4, true));
    compare(&mut wanted, &world, 4);
    assert_eq!((open(&wanted).len(), wanted.is_doubtful()), (8, true));
    compare(&mut wanted, &world, 4);
    assert_eq!((open(&wanted).len(), wanted.is_doubtful()), (10, false));
}

#[derive(Debug, Clone)]
enum Step {
    Want(u8, Option<u8>),
    Change(u8, Option<u8>),
    Delete(u8),
    Refuse(Vec<(u8, u8)>),
    Compare(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let says = || proptest::option::of(0..3_u8);
    prop_oneof![
        (0..5_u8, says()).prop_map(|(at, text)| Step::Want(at, text)),
        (0..5_u8, says()).prop_map(|(at, text)| Step::Change(at, text)),
        (0..5_u8).prop_map(Step::Delete),
        proptest::collection::vec((0..5_u8, 0..3_u8), 0..3).prop_map(Step::Refuse),
        (0..4_usize).prop_map(Step::Compare),
    ]
}

proptest! {
    /// Whatever happens in whatever order: once nothing is doubtful, what is open is what comparing
    /// everything would give.
    #[test]
    fn in_the_end_all_is_compared(steps in proptest::collection::vec(step(), 0..40)) {
        let mut wanted = Wanted::default();
        let (mut world, mut version) = (World::new(), 0);
        let (mut wants, mut refusals) = (BTreeMap::new(), BTreeMap::new());
        for step in steps {
            version += 1;
            match step {
                Step::Want(at, text) => {
                    want(&mut wanted, at, text);
                    wants.insert(at, text);
                }
                Step::Change(at, text) => {
                    world.insert(at, (version, text));
                    wanted.touch(subject(at));
                }
                Step::Delete(at) => {
                    world.remove(&at);
                    wanted.touch(subject(at));
                }
                Step::Refuse(all) => {
                    refusals = all.into_iter().collect();
                    let made = refusals.iter().map(|(&at, &text)| {
                        let (kind, object) = subject(at);
                        ObjectStatus { kind, object, status: said(text) }
                    });
                    wanted.refuse(made.collect());
                }
                Step::Compare(count) => drop(compare(&mut wanted, &world, count)),
            }
        }
        compare(&mut wanted, &world, 100);
        let expected: Vec<_> = world.iter().filter_map(|(at, (version, says))| {
            let want = refusals.get(at).copied().or_else(|| wants.get(at).copied().flatten())?;
            (Some(want) != *says).then(|| (format!("r{at}"), *version))
        }).collect();
        prop_assert_eq!(open(&wanted), expected);
    }
}
