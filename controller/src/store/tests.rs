use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::fixture::site_name;

fn drain(by: &str) -> Drain {
    Drain { by: by.to_owned(), reason: "new switch".to_owned(), at_unix_ms: 7 }
}

#[test]
fn everything_is_there_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Some(dir.path())).unwrap();
    assert_eq!(store.persisted().unwrap(), Persisted::default());
    store.reserve(3, Channel::Health, 1024).unwrap();
    store.drain(&site_name("gd-ct"), &drain("ann")).unwrap();
    store.drain(&site_name("gd-cu"), &drain("ben")).unwrap();
    store.undrain(&site_name("gd-cu"), "ann", 9).unwrap();
    store.keep_blob("latency", b"cells").unwrap();
    drop(store);

    let store = Store::open(Some(dir.path())).unwrap();
    assert_eq!(store.persisted().unwrap(), Persisted { epoch: 3, ceilings: [0, 0, 1024] });
    assert_eq!(store.drains().unwrap(), [(site_name("gd-ct"), drain("ann"))].into());
    assert_eq!(store.blob("latency").unwrap().as_deref(), Some(&b"cells"[..]));
    assert_eq!(store.blob("other").unwrap(), None);
    let acts: Vec<(String, Act)> =
        store.audit(10).unwrap().into_iter().map(|record| (record.by, record.act)).collect();
    let site = |name| site_name(name);
    assert_eq!(
        acts,
        [
            ("ann".to_owned(), Act::Undrain { site: site("gd-cu") }),
            ("ben".to_owned(), Act::Drain { site: site("gd-cu") }),
            ("ann".to_owned(), Act::Drain { site: site("gd-ct") }),
        ]
    );
    assert_eq!(store.audit(1).unwrap().len(), 1);
}

#[test]
fn only_its_owner_reads_the_store_and_only_one_process_opens_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let _store = Store::open(Some(&state)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join("store.redb"))), (0o700, 0o600));
    let second = Store::open(Some(&state)).unwrap_err().to_string();
    assert!(second.ends_with("is in use; help: is a controller running already?"), "{second}");
}

#[test]
fn old_audit_records_are_dropped() {
    let store = Store::open(None).unwrap();
    store
        .write(|transaction| {
            for at in 0..AUDIT_RECORDS_MAX + 5 {
                append(transaction, &at.to_le_bytes())?;
            }
            Ok(())
        })
        .unwrap();
    let (oldest, records) = store
        .read(|transaction| {
            let table = transaction.open_table(AUDIT)?;
            let oldest = table.first()?.map(|(key, _)| key.value());
            Ok((oldest, redb::ReadableTableMetadata::len(&table)?))
        })
        .unwrap();
    assert_eq!((oldest, records), (Some(5), AUDIT_RECORDS_MAX));
}

#[test]
fn what_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("store.redb"), [b'x'; 4096]).unwrap();
    let error = Store::open(Some(dir.path())).unwrap_err();
    assert!(matches!(error, StoreError::Database(_)), "{error:?}");
}
