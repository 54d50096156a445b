use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use model::gateway::ObjectKind;
use model::name::ObjectRef;

use super::{Journal, Loaded, LoadedObject, Reached, Record};

const SERVER: &str = "https://one";

fn put(name: &str, version: u64, json: &str) -> Record {
    let (kind, namespace) = ("services".to_owned(), "n".to_owned());
    Record::Put { kind, namespace, name: name.to_owned(), version, status: 0, json: json.into() }
}

fn remove(name: &str) -> Record {
    Record::Remove { kind: "services".to_owned(), namespace: "n".to_owned(), name: name.to_owned() }
}

fn reached(version: u64) -> Record {
    Record::Reached { kind: "services".to_owned(), version }
}

fn open(directory: &Path) -> (Journal, Loaded) {
    Journal::open(directory, SERVER).expect("it opens")
}

fn services(loaded: &Loaded) -> (Option<Reached>, Vec<(String, u64, String)>) {
    let Some(kind) = loaded.kinds.get(&ObjectKind::Service) else { return (None, Vec::new()) };
    let object = |(object, read): (&ObjectRef, &LoadedObject)| {
        (object.name.to_string(), read.version, String::from_utf8_lossy(&read.json).into_owned())
    };
    (kind.reached, kind.objects.iter().map(object).collect())
}

fn object(name: &str, version: u64, json: &str) -> (String, u64, String) {
    (name.to_owned(), version, json.to_owned())
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, loaded) = open(directory.path());
    assert_eq!(services(&loaded), (None, Vec::new()));
    journal.append(&[put("a", 1, "A"), put("b", 2, "B"), reached(2)]).expect("written");
    journal.append(&[put("a", 3, "A3"), remove("b"), reached(4)]).expect("written");
    drop(journal);
    let (_, loaded) = open(directory.path());
    let expected = (Some(Reached::Version(4)), vec![object("a", 3, "A3")]);
    assert_eq!((services(&loaded), loaded.lost_octets), (expected, 0));
    let mode = std::fs::metadata(directory.path().join("objects.log"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "secrets are in it");
}

#[test]
fn a_torn_or_flipped_tail_costs_the_tail_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("objects.log");
    let (mut journal, _) = open(directory.path());
    journal.append(&[put("a", 1, "A"), reached(1)]).expect("written");
    let sound = journal.end;
    journal.append(&[put("b", 2, "B"), reached(2)]).expect("written");
    drop(journal);
    let whole = std::fs::read(&path).expect("readable");
    let before = (Some(Reached::Version(1)), vec![object("a", 1, "A")]);
    let between = (Some(Reached::Version(1)), vec![object("a", 1, "A"), object("b", 2, "B")]);
    let start = usize::try_from(sound).expect("small");
    for cut in start..whole.len() {
        std::fs::write(&path, &whole[..cut]).expect("written");
        let (_, loaded) = open(directory.path());
        assert!([&before, &between].contains(&&services(&loaded)), "cut at {cut}");
    }
    for at in start..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&path, &flipped).expect("written");
        let (mut journal, loaded) = open(directory.path());
        assert!([&before, &between].contains(&&services(&loaded)), "flipped at {at}");
        assert!(loaded.lost_octets > 0);
        journal.append(&[put("c", 9, "C")]).expect("it goes on after the sound part");
        drop(journal);
        assert!(services(&open(directory.path()).1).1.contains(&object("c", 9, "C")));
    }
}

#[test]
fn another_servers_log_is_not_ours() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, _) = open(directory.path());
    journal.append(&[put("a", 1, "A"), reached(1)]).expect("written");
    drop(journal);
    let (_, loaded) = Journal::open(directory.path(), "https://two").expect("it opens");
    assert_eq!(services(&loaded), (None, Vec::new()));
    drop(loaded);
    std::fs::write(directory.path().join("objects.log"), "something else").expect("written");
    assert_eq!(services(&open(directory.path()).1), (None, Vec::new()));
}

#[test]
fn one_process_has_it_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_journal, _) = open(directory.path());
    let refused = Journal::open(directory.path(), SERVER).expect_err("in use");
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
}

#[test]
fn a_stale_log_is_written_anew_and_says_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, _) = open(directory.path());
    let body = "x".repeat(10_000);
    for version in 0..2_000_u64 {
        let name = format!("s{}", version % 50);
        journal.append(&[put(&name, version, &body), reached(version)]).expect("written");
    }
    journal.append(&[remove("s7"), reached(2_001)]).expect("written");
    assert!(journal.end < 8 << 20, "20 MB were appended, half a megabyte counts: {}", journal.end);
    drop(journal);
    let (state, objects) = services(&open(directory.path()).1);
    assert_eq!(state, Some(Reached::Version(2_001)));
    let names: Vec<&str> = objects.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names.len(), 49);
    assert!(!names.contains(&"s7"));
    assert!(objects.iter().all(|(_, version, json)| *version >= 1_950 && *json == body));
}

#[test]
fn a_kind_that_is_absent_has_no_objects() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, _) = open(directory.path());
    journal
        .append(&[put("a", 1, "A"), Record::Absent { kind: "services".to_owned() }])
        .expect("written");
    drop(journal);
    assert_eq!(services(&open(directory.path()).1), (Some(Reached::Absent), Vec::new()));
}
