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
    for (text, wanted) in [
        (r#"{"zeroBits":0,"gaps":[0,9,0],"leaves":[0,1,2]}"#, "run 2 does not start after"),
        (r#"{"zeroBits":0,"gaps":[3],"leaves":[0]}"#, "the first run does not start at zero"),
        (r#"{"zeroBits":0,"gaps":[0,9],"leaves":[0]}"#, "the table has 2 runs and 1 leaves"),
        (r#"{"zeroBits":8,"gaps":[0,16777216],"leaves":[0,1]}"#, "run 1 starts past the end"),
        (r#"{"zeroBits":64,"gaps":[0,1],"leaves":[0,1]}"#, "run 0 starts past the end"),
        (r#"{"zeroBits":63,"gaps":[0,2],"leaves":[0,1]}"#, "run 1 starts past the end"),
        (
            r#"{"zeroBits":0,"gaps":[0,1,18446744073709551615],"leaves":[0,1,2]}"#,
            "run 2 starts past the end",
        ),
    ] {
        let error = serde_json::from_str::<RunTable<u32>>(text).expect_err("refused");
        assert!(error.to_string().starts_with(wanted), "{text}: {error}");
    }
}

#[test]
fn nothing_is_in_the_empty_table() {
    let empty = RunTable::<u64>::default();
    assert_eq!((empty.find(7), empty.len(), empty.between(0, u64::MAX).len()), (None, 0, 0));
    let decoded: RunTable<u64> =
        serde_json::from_str(r#"{"zeroBits":0,"gaps":[],"leaves":[]}"#).expect("one");
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
    // Outside 2000::/3 the directory has no buckets of its own.
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

#[test]
fn many_leaves_are_found_again() {
    // 600 leaves, the low ones common; one that no compiler makes; the resolvers' ELSEWHERE.
    let mut leaves: Vec<LeafId> =
        (0..20_000_u32).map(|at| LeafId(at * 7 % (1 + at % 600))).collect();
    leaves[777] = LeafId(4_000_000_000);
    leaves[778] = LeafId::ELSEWHERE;
    for kept in [0, 1, 2, 256, 300, 20_000] {
        let starts: Vec<u64> = (0..kept).map(|at| at << 16).collect();
        let leaves = &leaves[..starts.len()];
        let table = RunTable::new(starts, leaves.to_vec()).expect("a table");
        let found: Vec<LeafId> = table.iter().map(|run| run.leaf).collect();
        assert_eq!(found, leaves);
    }
    // Each leaf once: nothing is common, and everything is found.
    let once: Vec<LeafId> = (0..70_000).rev().map(LeafId).collect();
    let table = RunTable::new((0..70_000_u32).collect(), once.clone()).expect("a table");
    assert_eq!(table.iter().map(|run| run.leaf).collect::<Vec<_>>(), once);
}

#[test]
fn a_world_of_runs_is_small() {
    // A million runs of whole /24s, as many as the world has for ten sites.
    let starts: Vec<u32> = (0..1_000_000).map(|at| at << 12).collect();
    let leaves = (0..1_000_000_u32).map(|at| LeafId(at % 117)).collect();
    let table = RunTable::new(starts, leaves).expect("a table");
    let octets = table.memory_octets();
    assert!(octets < 3_600_000, "{octets} octets");
}

proptest! {
    #[test]
    fn what_travels_arrives(
        mut starts in proptest::collection::vec(any::<u64>(), 0..300),
        zero_bits in 0_u32..48,
        wide in 0_u32..16,
    ) {
        starts.iter_mut().for_each(|start| *start = *start >> wide >> zero_bits << zero_bits);
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        let leaves = starts.iter().map(|start| LeafId((start % 5) as u32)).collect();
        let table = RunTable::new(starts.clone(), leaves).expect("a table");
        let found: Vec<u64> = table.iter().map(|run| run.first).collect();
        prop_assert_eq!(&found, &starts);
        let text = serde_json::to_string(&table).expect("text");
        prop_assert_eq!(&serde_json::from_str::<RunTable<u64>>(&text).expect("a table"), &table);
        for pair in starts.windows(3) {
            let some: Vec<u64> = table.between(pair[0], pair[2] - 1).map(|run| run.first).collect();
            prop_assert_eq!(some, &pair[..2]);
        }
    }

    #[test]
    fn crowded_runs_are_found(
        gaps in proptest::collection::vec(1_u64..700, 1..400),
        shift in 0_u32..20,
        at in proptest::collection::vec((0..400_usize, -1..2_i64), 60),
    ) {
        let mut starts = vec![0];
        for gap in gaps {
            starts.push(starts[starts.len() - 1] + (gap << shift));
        }
        let leaves = (0..).map(LeafId).take(starts.len()).collect();
        let table = RunTable::<u64>::new(starts.clone(), leaves).expect("a table");
        for (at, offset) in at {
            let Some(x) = starts[at % starts.len()].checked_add_signed(offset) else { continue };
            let wanted = starts.iter().rposition(|&start| start <= x).expect("0 is not after");
            let run = table.find(x).expect("covered");
            let last = starts.get(wanted + 1).map_or(u64::MAX, |next| next - 1);
            prop_assert_eq!((run.leaf.0 as usize, run.first, run.last), (wanted, starts[wanted], last));
        }
    }

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
