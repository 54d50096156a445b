use std::collections::BTreeMap;

use model::gateway::ObjectKind;
use model::name::ObjectRef;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Hold, Known};
use crate::follow::{Change, Order};
use crate::item::Item;
use crate::journal::{Journal, Loaded, Record};

const KIND: ObjectKind = ObjectKind::Service;

fn service(name: &str, version: u64, port: u64) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "n", "resourceVersion": version.to_string(), "generation": 1},
        "spec": {"ports": [{"port": port}]},
    })
}

fn item(object: Value) -> Item {
    Item::read(KIND, "v1", object).expect("it has a name")
}

fn replace(items: Vec<Item>, version: u64, order: Order) -> Change<Item> {
    Change::Replace { version, items, order }
}

/// Ports by name.
fn held(hold: &Hold) -> Vec<(String, u16)> {
    let services = hold.objects().services.iter();
    services.map(|one| (one.meta.object.name.to_string(), one.ports[0].port)).collect()
}

fn names(records: &[Record]) -> Vec<String> {
    let name = |record: &Record| match record {
        Record::Put { name, version, .. } => format!("put {name} {version}"),
        Record::Remove { name, .. } => format!("remove {name}"),
        Record::Reached { version, .. } => format!("reached {version}"),
        Record::Absent { .. } => "absent".to_owned(),
        Record::Server(_) => "server".to_owned(),
    };
    records.iter().map(name).collect()
}

fn two() -> Hold {
    let mut hold = Hold::new();
    let items = vec![item(service("a", 1, 80)), item(service("b", 2, 80))];
    let taken = hold.take(KIND, replace(items, 5, Order::Same));
    assert_eq!(
        (names(&taken.records), taken.changed),
        (vec!["put a 1".to_owned(), "put b 2".to_owned(), "reached 5".to_owned()], 2)
    );
    hold
}

#[test]
fn a_list_changes_only_what_is_different() {
    let mut hold = two();
    let items = vec![item(service("b", 2, 80)), item(service("c", 6, 80))];
    let taken = hold.take(KIND, replace(items, 7, Order::Same));
    assert_eq!(names(&taken.records), ["put c 6", "remove a", "reached 7"]);
    assert_eq!(taken.changed, 2);
    assert_eq!(held(&hold), [("b".to_owned(), 80), ("c".to_owned(), 80)]);
    assert_eq!(hold.known(KIND), Known::Live);
}

#[test]
fn after_a_rewind_an_equal_version_may_be_another_object() {
    let mut hold = two();
    let items = vec![item(service("a", 1, 81)), item(service("b", 2, 80))];
    let taken = hold.take(KIND, replace(items, 3, Order::Rewound));
    assert_eq!(names(&taken.records), ["put a 1", "put b 2", "reached 3"]);
    assert_eq!(held(&hold), [("a".to_owned(), 81), ("b".to_owned(), 80)]);
}

#[test]
fn a_new_status_is_no_change() {
    let mut hold = two();
    let mut object = service("a", 9, 80);
    object["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    object["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    let taken = hold.take(KIND, Change::Put(item(object)));
    assert_eq!((taken.records, taken.changed), (Vec::new(), 0));
    let entry = hold.entry(KIND, &ObjectRef::new("n", "a")).expect("held");
    assert_eq!(entry.version, 9);
    assert_ne!(entry.status, 0, "what is in it is known");
}

#[test]
fn a_bad_object_is_put_aside_and_what_was_held_of_it_stays() {
    let mut hold = two();
    let mut bad = service("a", 9, 80);
    bad["spec"]["ports"] = json!("none");
    bad["metadata"]["generation"] = 2.into();
    let taken = hold.take(KIND, Change::Put(item(bad.clone())));
    assert_eq!((taken.records.len(), taken.changed), (0, 0));
    assert_eq!(held(&hold).len(), 2, "the last good one stays");
    let found: Vec<_> = hold.quarantine().collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind, &*found[0].object.name, found[0].generation), (KIND, "a", 2));
    assert!(!found[0].message.is_empty());

    hold.take(KIND, Change::Put(item(service("a", 10, 90))));
    assert_eq!(hold.quarantine().count(), 0, "a good one takes it back");
    bad["metadata"]["name"] = "z".into();
    let taken =
        hold.take(KIND, replace(vec![item(bad), item(service("b", 2, 80))], 11, Order::Same));
    assert_eq!(names(&taken.records), ["remove a", "reached 11"], "the rest of a list is taken");
    hold.take(KIND, replace(Vec::new(), 12, Order::Same));
    assert_eq!(hold.quarantine().count(), 0, "and a deleted one is forgotten");
}

#[test]
fn an_absent_kind_is_known_and_empty() {
    let mut hold = two();
    let taken = hold.take(KIND, Change::Absent);
    assert_eq!(names(&taken.records), ["remove a", "remove b", "absent"]);
    assert_eq!((hold.known(KIND), held(&hold).len()), (Known::Without, 0));
}

#[test]
fn it_is_complete_when_every_kind_is_known() {
    let mut hold = Hold::new();
    for kind in ObjectKind::ALL {
        assert!(!hold.is_complete(), "{kind:?} is missing");
        let change = match kind {
            ObjectKind::TcpRoute => Change::Absent,
            ObjectKind::UdpRoute => Change::Forbidden,
            _ => replace(Vec::new(), 1, Order::Same),
        };
        hold.take(kind, change);
    }
    assert!(hold.is_complete());
}

#[test]
fn what_was_on_disk_is_held_and_gone_on_from() {
    let mut before = two();
    let mut taken = before.take(KIND, Change::Put(item(service("a", 8, 85))));
    taken.records.extend(before.take(KIND, Change::Reached(9)).records);
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, _) = Journal::open(directory.path(), "s").expect("opens");
    journal.append(&taken.records).expect("written");
    drop(journal);
    let (_, loaded) = Journal::open(directory.path(), "s").expect("opens");
    let mut hold = Hold::new();
    let versions = hold.resume(loaded);
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), [(KIND, 9)]);
    assert_eq!((hold.known(KIND), held(&hold)), (Known::FromDisk, vec![("a".to_owned(), 85)]));
    assert!(!hold.is_complete(), "other kinds were never listed");
    let taken = hold.take(KIND, Change::Put(item(service("a", 10, 85))));
    assert_eq!(taken.changed, 0, "the same object, read from disk");
    assert_eq!(Hold::new().resume(Loaded::default()).len(), 0);
}

proptest! {
    /// Whatever changes come, what is held is what a plain map would hold, and so is what a restart
    /// reads back from the records.
    #[test]
    fn it_holds_what_a_plain_map_holds(script in prop::collection::vec((0_u8..8, 0_u64..6, 1_u64..4), 1..60)) {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut journal, _) = Journal::open(directory.path(), "s").expect("opens");
        let (mut hold, mut plain) = (Hold::new(), BTreeMap::new());
        for (version, (what, name, port)) in (1..).zip(script) {
            let name = format!("s{name}");
            let named = |port| item(service(&name, version, port));
            let change = match what {
                0 => {
                    plain.remove(&name);
                    Change::Remove(named(port))
                }
                1 => {
                    plain.retain(|kept, _| *kept == name);
                    plain.insert(name.clone(), port);
                    replace(vec![named(port)], version, Order::Same)
                }
                2 => {
                    plain.clear();
                    Change::Absent
                }
                3 => Change::Refused { version, held: version },
                4 => Change::Put(named(99_999)),
                5 => Change::Reached(version),
                _ => {
                    plain.insert(name.clone(), port);
                    Change::Put(named(port))
                }
            };
            journal.append(&hold.take(KIND, change).records).expect("written");
            let expected: Vec<(String, u16)> = plain.iter().map(|(name, port)| (name.clone(), u16::try_from(*port).expect("small"))).collect();
            prop_assert_eq!(held(&hold), expected);
        }
        journal.append(&hold.take(KIND, Change::Reached(1_000)).records).expect("written");
        drop(journal);
        let mut again = Hold::new();
        again.resume(Journal::open(directory.path(), "s").expect("opens").1);
        prop_assert_eq!(held(&again), held(&hold));
    }
}
