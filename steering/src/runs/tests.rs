//! Run tables against a walk over every address.

use proptest::prelude::{any, prop_assert_eq, proptest};

use super::{RunTable, RunsError};
use crate::map::LeafId;

fn table(starts: &[u32]) -> RunTable<u32> {
    let leaves = (0..).map(LeafId).take(starts.len());
    RunTable::new(starts.to_vec(), leaves.collect()).expect("a table")
}

#[test]
fn what_is_not_a_table_is_refused() {
    let refused = |starts: &[u32], leaves: usize| {
        RunTable::new(starts.to_vec(), vec![LeafId(0); leaves]).expect_err("refused")
    };
    assert_eq!(refused(&[0, 4], 1), RunsError::Uneven { starts: 2, leaves: 1 });
    assert_eq!(refused(&[1], 1), RunsError::NotFromZero);
    assert_eq!(refused(&[0, 7, 7], 3), RunsError::NotRising(2));
    assert_eq!(refused(&[0, 7, 6], 3), RunsError::NotRising(2));
    let text = r#"{"starts":[0,9,5],"leaves":[0,1,2]}"#;
    let error = serde_json::from_str::<RunTable<u32>>(text).expect_err("refused");
    assert!(error.to_string().starts_with("run 2 does not start after"), "{error}");
}

#[test]
fn nothing_is_in_the_empty_table() {
    let empty = RunTable::<u64>::default();
    assert_eq!((empty.find(7), empty.len(), empty.between(0, u64::MAX).len()), (None, 0, 0));
    let decoded: RunTable<u64> = serde_json::from_str(r#"{"starts":[],"leaves":[]}"#).expect("one");
    assert_eq!(decoded, empty);
}

#[test]
fn the_ends_of_the_space_are_in_runs() {
    let one = table(&[0]);
    let run = one.find(u32::MAX).expect("covered");
    assert_eq!(
        (run.first, run.last, run.block_len(u32::MAX), run.block_len(0)),
        (0, u32::MAX, 0, 0)
    );
    let two = table(&[0, u32::MAX]);
    let last = two.find(u32::MAX).expect("covered");
    assert_eq!((last.first, last.last, last.block_len(u32::MAX)), (u32::MAX, u32::MAX, 32));
    let first = two.find(0).expect("covered");
    assert_eq!(
        (first.block_len(0), first.block_len(1 << 31), first.block_len(u32::MAX - 1)),
        (1, 2, 32)
    );
    // Outside 2000::/3 the index has no buckets of its own.
    let starts = vec![0, 1 << 60, 0x2000_0000_0000_0100, 0x2a00_0000_0000_0000, 0xfe80 << 48];
    let leaves = (0..5).map(LeafId).collect();
    let v6 = RunTable::<u64>::new(starts, leaves).expect("a table");
    for (x, leaf) in [
        (0, 0),
        ((1 << 60) - 1, 0),
        (1 << 60, 1),
        (0x2000_0000_0000_00ff, 1),
        (0x2000_0000_0000_0100, 2),
        (0x2a00_0000_0000_0000, 3),
        (0x4000_0000_0000_0000, 3),
        (0xfe80 << 48, 4),
        (u64::MAX, 4),
    ] {
        assert_eq!(v6.find(x).expect("covered").leaf, LeafId(leaf), "{x:x}");
    }
}

proptest! {
    #[test]
    fn a_run_is_the_last_start_not_after_and_its_block_is_the_widest(
        mut starts in proptest::collection::vec(any::<u32>(), 0..200),
        near in proptest::collection::vec((0..200_usize, -2..3_i64), 50),
    ) {
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        let table = table(&starts);
        for (at, offset) in near {
            let x = i64::from(starts[at % starts.len()]) + offset;
            let Ok(x) = u32::try_from(x) else { continue };
            let wanted = starts.iter().rposition(|&start| start <= x).expect("0 is not after");
            let run = table.find(x).expect("covered");
            prop_assert_eq!(run.leaf.0 as usize, wanted);
            let last = starts.get(wanted + 1).map_or(u32::MAX, |next| next - 1);
            prop_assert_eq!((run.first, run.last), (starts[wanted], last));
            let fits = |len: &u8| {
                let host = u32::MAX.checked_shr((*len).into()).unwrap_or(0);
                run.first <= x & !host && x | host <= run.last
            };
            prop_assert_eq!(Some(run.block_len(x)), (0..=32).find(fits));
        }
    }
}
