use super::*;

/// The number of the value under a key, made from `next` when there is none.
fn find(interned: &Interned<u32, u32>, key: u32, next: u32) -> Arc<u32> {
    let Ok(value) = interned.find_or(key, || Ok::<_, Infallible>(next));
    value
}

#[test]
fn a_value_lives_as_long_as_somebody_holds_it() {
    let interned = Interned::default();
    let first = find(&interned, 1, 10);
    assert_eq!(*find(&interned, 1, 20), 10);
    drop(first);
    assert_eq!(*find(&interned, 1, 30), 30);
}

#[test]
fn what_nobody_holds_is_swept_out_and_what_is_held_stays() {
    let interned = Interned::default();
    let held: Vec<_> = (0..1_000).map(|key| find(&interned, key, key)).collect();
    for key in 1_000..100_000 {
        find(&interned, key, key);
    }
    assert!(interned.0.lock().unwrap().values.len() <= 4_000);
    for (key, value) in (0..).zip(&held) {
        assert!(Arc::ptr_eq(value, &find(&interned, key, 0)));
    }
}

#[test]
fn what_cannot_be_made_is_not_kept() {
    let interned = Interned::<u32, u32>::default();
    assert_eq!(interned.find_or(1, || Err("no")), Err("no"));
    assert_eq!(*find(&interned, 1, 5), 5);
}
