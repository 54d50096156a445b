use super::*;
use crate::gateway::{Meta, Service};

fn service(namespace: &str, name: &str, created_s: i64) -> Service {
    let object = ObjectRef::new(namespace, name);
    Service { meta: Meta { object, created_s, ..Meta::default() }, ..Service::default() }
}

fn names(set: &ObjectSet<Service>) -> Vec<String> {
    set.iter().map(|one| format!("{}@{}", one.meta.object, one.meta.created_s)).collect()
}

#[test]
fn a_set_is_in_order_and_has_each_name_once() {
    let mut set: ObjectSet<Service> =
        vec![service("b", "x", 1), service("a", "y", 2), service("b", "x", 3)].into();
    assert_eq!(names(&set), ["a/y@2", "b/x@3"]);
    assert_eq!(set.insert(service("a", "a", 4)), None);
    assert_eq!(set.insert(service("b", "x", 5)).unwrap().meta.created_s, 3);
    assert_eq!(set.insert(service("c", "z", 6)), None);
    assert_eq!(names(&set), ["a/a@4", "a/y@2", "b/x@5", "c/z@6"]);
    assert_eq!(set.remove(&ObjectRef::new("a", "z")), None);
    assert!(set.remove(&ObjectRef::new("a", "y")).is_some());
    assert_eq!(names(&set), ["a/a@4", "b/x@5", "c/z@6"]);
}

#[test]
fn a_copy_shares_what_nobody_changed() {
    let mut set: ObjectSet<Service> = vec![service("a", "a", 1), service("a", "b", 1)].into();
    let copy = set.clone();
    set[0].meta.created_s = 2;
    let same: Vec<bool> = set.iter().zip(&copy).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [false, true]);
    assert_eq!((names(&copy)[0].as_str(), names(&set)[0].as_str()), ("a/a@1", "a/a@2"));
}

#[test]
fn a_copy_costs_nothing_until_one_of_the_two_changes() {
    let mut set: ObjectSet<Service> = vec![service("a", "a", 1), service("a", "b", 1)].into();
    let copy = set.clone();
    assert!(Arc::ptr_eq(&set.objects, &copy.objects));
    assert!(Arc::ptr_eq(&set.filtered(|_| true).objects, &set.objects));
    assert_eq!(names(&set.filtered(|one| &*one.meta.object.name == "b")), ["a/b@1"]);
    set.insert(service("a", "c", 1));
    assert!(!set.is_same(&copy));
    assert_eq!((names(&copy).len(), names(&set).len()), (2, 3));
    set.remove(&ObjectRef::new("a", "c"));
    assert!(set.is_same(&copy), "the same objects again");
    set.insert(service("a", "b", 1));
    assert!(set == copy && !set.is_same(&copy), "an equal one that is another");
}

#[test]
fn edits_lead_from_one_set_to_the_other() {
    let before: ObjectSet<Service> =
        ["a", "b", "c", "e", "f"].map(|name| service("n", name, 1)).into();
    let mut after = before.clone();
    after.insert(service("n", "b", 2));
    after.insert(service("n", "d", 1));
    after.remove(&ObjectRef::new("n", "e"));
    after.insert(service("n", "g", 1));
    let found: Vec<Edit> = after.edits(&before).collect();
    let expected = [
        Edit::Same(0, 0),
        Edit::Gone(1),
        Edit::New(1),
        Edit::Same(2, 2),
        Edit::New(3),
        Edit::Gone(3),
        Edit::Same(4, 4),
        Edit::New(5),
    ];
    assert_eq!(found, expected);
    let none = ObjectSet::default();
    assert_eq!(none.edits(&before).filter(|one| matches!(one, Edit::Gone(_))).count(), 5);
    assert_eq!(before.edits(&none).filter(|one| matches!(one, Edit::New(_))).count(), 5);
}

#[test]
fn what_was_read_again_is_what_it_was() {
    let read = |changed: i64| -> ObjectSet<Service> {
        vec![service("n", "a", 1), service("n", "b", changed), service("n", "c", 1)].into()
    };
    let first = read(1);
    assert!(Arc::ptr_eq(&read(1).sharing(&first).objects, &first.objects), "nothing changed");
    let second = read(2).sharing(&first);
    assert_eq!(names(&second), ["n/a@1", "n/b@2", "n/c@1"]);
    let edits: Vec<Edit> = second.edits(&first).collect();
    assert_eq!(edits, [Edit::Same(0, 0), Edit::Gone(1), Edit::New(1), Edit::Same(2, 2)]);
    let mut fewer = read(2);
    fewer.remove(&ObjectRef::new("n", "a"));
    fewer.insert(service("n", "d", 1));
    assert_eq!(names(&fewer.sharing(&second)), ["n/b@2", "n/c@1", "n/d@1"]);
}
