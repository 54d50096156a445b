use std::os::unix::fs::PermissionsExt;

use model::observe::Verdict;
use steering::Health;

use super::*;
use crate::fixture;
use crate::publication::Have;

fn first() -> Publication {
    fixture::publication(fixture::policy(&["a", "b"], &["x.edge.example"]), [1, 1, 1])
}

fn down(before: &Publication, counter: u64) -> Publication {
    let sites = vec![Verdict::Up, Verdict::Down];
    fixture::with_health(before, counter, Health { sites, ..(*before.health.value).clone() })
}

/// What a fresh process finds: the slot, the generations, and how many problems were told.
fn found(path: &Path) -> (Option<(Slot, Have)>, usize) {
    let (_dir, loaded) = SnapshotDir::open(path).unwrap();
    let found = loaded.publication.map(|(slot, publication)| (slot, publication.have()));
    (found, loaded.problems.len())
}

fn files(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_stored_is_loaded_and_what_no_slot_names_is_gone() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("snapshot");
    let (mut dir, loaded) = SnapshotDir::open(&path).unwrap();
    assert!(loaded.publication.is_none() && loaded.problems.is_empty(), "a new node");
    let publication = first();
    dir.store(&publication).unwrap();
    for counter in 2..6 {
        dir.store(&down(&publication, counter)).unwrap();
    }
    // The good slot still names the first health.
    let left = [
        "active",
        "good",
        "health-1-1.frame",
        "health-1-5.frame",
        "lock",
        "map-1-1.frame",
        "policy-1-1.frame",
    ];
    assert_eq!(files(&path), left);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for file in left {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
    drop(dir);
    let newest = down(&publication, 5).have();
    assert_eq!(found(&path), (Some((Slot::Active, newest)), 0));
}

#[test]
fn a_directory_belongs_to_one_process() {
    let temp = tempfile::tempdir().unwrap();
    let (_dir, _) = SnapshotDir::open(temp.path()).unwrap();
    let second = SnapshotDir::open(temp.path()).unwrap_err();
    assert!(matches!(second, SnapshotFileError::InUse(_)), "{second}");
}

#[test]
fn the_good_slot_is_what_was_promoted() {
    let temp = tempfile::tempdir().unwrap();
    let (mut dir, _) = SnapshotDir::open(temp.path()).unwrap();
    let publication = first();
    dir.store(&publication).unwrap();
    dir.store(&down(&publication, 2)).unwrap();
    dir.promote().unwrap();
    dir.store(&down(&publication, 3)).unwrap();
    drop(dir);
    fs::write(temp.path().join("active"), b"torn").unwrap();
    let good = down(&publication, 2).have();
    assert_eq!(found(temp.path()), (Some((Slot::Good, good)), 1));
}

/// Damages a copy of the directory in every way of `damage` and checks that what is loaded then is
/// always the active snapshot whole or the good one whole.
fn never_wrong(damage: impl Fn(&[u8], usize) -> Vec<u8>) {
    let temp = tempfile::tempdir().unwrap();
    let (mut dir, _) = SnapshotDir::open(temp.path()).unwrap();
    let good = first();
    let active = down(&good, 2);
    dir.store(&good).unwrap();
    dir.store(&active).unwrap();
    drop(dir);
    for file in files(temp.path()) {
        let path = temp.path().join(&file);
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            fs::write(&path, damage(&sound, at)).unwrap();
            let (_dir, loaded) = SnapshotDir::open(temp.path()).unwrap();
            let shared = file.starts_with("policy") || file.starts_with("map");
            match loaded.publication {
                Some((Slot::Active, read)) => {
                    assert_eq!(read.have(), active.have(), "{file} at {at}");
                    assert_eq!(read.health.value, active.health.value, "{file} at {at}");
                    let harmless = file == "good" || file == "health-1-1.frame";
                    assert!(harmless, "{file} damaged at {at} was not seen");
                }
                Some((Slot::Good, read)) => {
                    assert_eq!(read.have(), good.have(), "{file} at {at}");
                    assert_eq!(read.health.value, good.health.value, "{file} at {at}");
                    assert!(!shared && !loaded.problems.is_empty());
                }
                None => assert!(shared && loaded.problems.len() == 2, "{file} at {at}"),
            }
        }
        fs::write(&path, sound).unwrap();
    }
}

#[test]
fn a_flipped_octet_anywhere_never_gives_a_wrong_snapshot() {
    never_wrong(|sound, at| {
        let mut flipped = sound.to_vec();
        flipped[at] ^= 1 << (at % 8);
        flipped
    });
}

#[test]
fn a_file_torn_anywhere_never_gives_a_wrong_snapshot() {
    never_wrong(|sound, at| sound[..at].to_vec());
}

#[test]
fn a_crash_before_the_slot_is_renamed_leaves_the_one_before() {
    let temp = tempfile::tempdir().unwrap();
    let (mut dir, _) = SnapshotDir::open(temp.path()).unwrap();
    let publication = first();
    dir.store(&publication).unwrap();
    let next = down(&publication, 2);
    write_synced(&temp.path().join("health-1-2.frame"), &next.health.frame).unwrap();
    fs::write(temp.path().join("active.new"), b"half a sl").unwrap();
    drop(dir);
    assert_eq!(found(temp.path()), (Some((Slot::Active, publication.have())), 0));
}

#[test]
fn a_directory_that_cannot_be_written_keeps_what_it_has() {
    let temp = tempfile::tempdir().unwrap();
    let (mut dir, _) = SnapshotDir::open(temp.path()).unwrap();
    let publication = first();
    dir.store(&publication).unwrap();
    // A directory in the way stands in for a disk that refuses (the tests may run as root).
    fs::create_dir(temp.path().join("active.new")).unwrap();
    let error = dir.store(&down(&publication, 2)).unwrap_err();
    assert!(matches!(error, SnapshotFileError::Io { what: "write", .. }), "{error}");
    drop(dir);
    assert_eq!(found(temp.path()), (Some((Slot::Active, publication.have())), 0));
}
