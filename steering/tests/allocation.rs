//! No decision allocates, whichever step settles it: shown by an allocator that counts.

#![allow(unsafe_code, reason = "a global allocator cannot be had without")]
#![expect(clippy::expect_used, reason = "a test's world is whole or the test fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use model::name::ObjectRef;
use model::observe::{Client, Verdict};
use model::service::{Answers, Fallback, GlobalService, ServiceId, Steering, Sticky};
use model::site::SiteId;
use steering::decide::{Reason, ServiceState, decide};
use steering::map::{LeafId, Reach};
use steering::{Health, Leaf, RunTable, ServiceMap};

thread_local! {
    /// Of this thread alone: the test runner has others.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

fn sites(ids: &[u16]) -> Vec<SiteId> {
    ids.iter().copied().map(SiteId).collect()
}

/// Leaf 0 is one site's, leaf 1 is shared by three, leaf 2 has a shift of a half; 600 runs of them.
fn map() -> ServiceMap {
    let plain = Leaf { sites: sites(&[0, 1, 2, 3]).into(), ..Leaf::default() };
    let shared = Leaf {
        shared: 3,
        weights: vec![100, 50, 10].into(),
        seeds: vec![7, 8, 9].into(),
        block_v4_len: 24,
        block_v6_len: 56,
        ..plain.clone()
    };
    let shifted = Leaf {
        shift: Some((SiteId(3), 5_000)),
        shift_seed: 3,
        block_v4_len: 24,
        block_v6_len: 56,
        ..plain.clone()
    };
    let leaves: Vec<LeafId> = (0..600_u32).map(|at| LeafId(at % 3)).collect();
    let starts_v4 = (0..600).map(|at| at << 12).collect();
    let top = |at: u64| if at == 0 { 0 } else { (0x2001_0db8 << 32) + (at << 16) };
    let starts_v6 = (0..600).map(top).collect();
    ServiceMap {
        v4: RunTable::new(starts_v4, leaves.clone()).expect("a table"),
        v6: RunTable::new(starts_v6, leaves).expect("a table"),
        resolver_v4: RunTable::new(vec![0, 1 << 21], vec![LeafId::ELSEWHERE, LeafId(0)])
            .expect("a table"),
        leaves: vec![plain, shared, shifted],
        reaches: vec![Reach { pool: sites(&[0, 1, 2, 3, 4, 5]), fallback: sites(&[5]) }],
        ..ServiceMap::default()
    }
}

fn service() -> GlobalService {
    GlobalService {
        object: ObjectRef::new("test", "quiet"),
        hostnames: Vec::new(),
        protected: false,
        tiers: Vec::new(),
        pool: sites(&[0, 1, 2, 3, 4]),
        backends: Vec::new(),
        fence: None,
        steering: Steering {
            prefer: Vec::new(),
            spread_within_us: 0,
            sticky: Sticky { v4_len: 24, v6_len: 56 },
            weights: BTreeMap::default(),
            carrier_penalty_us: 0,
            border_penalty_us: 0,
        },
        answers: Answers { sites_max: 1, per_site_max: 4, ttl_s: 30, ttl_min_s: 5 },
        health: None,
        panic_below_percent: 0,
        fallback: Fallback::AnswerSites(sites(&[5])),
        rules: Vec::new(),
        records: Vec::new(),
        aliases: BTreeMap::default(),
        endpoints: Vec::new(),
    }
}

#[test]
fn no_step_of_a_decision_allocates() {
    let map = map();
    let client =
        |ip: &str, source_len| Client { ip: ip.parse::<IpAddr>().expect("one"), source_len };
    let clients = [
        client("0.0.0.0", Some(24)),
        client("0.0.16.0", Some(24)),
        client("0.0.32.0", Some(24)),
        client("0.0.33.0", Some(24)),
        client("0.0.34.0", Some(24)),
        client("0.0.0.0", Some(16)),
        client("0.0.0.0", Some(8)),
        client("0.0.0.0", Some(0)),
        client("0.33.0.53", None),
        client("::ffff:0.0.16.1", None),
        client("2001:db8:2::", Some(56)),
        client("2001:db8:3::", Some(48)),
        client("2001:db8::", Some(22)),
    ];
    let down = |down: &[u16], drained: &[u16]| Health {
        sites: (0..6)
            .map(|at| if down.contains(&at) { Verdict::Down } else { Verdict::Up })
            .collect(),
        drained: (0..6).map(|at| drained.contains(&at)).collect(),
        ..Health::default()
    };
    let states = [
        down(&[], &[]),
        down(&[0], &[]),
        down(&[0, 1, 2, 3], &[]),
        down(&[0, 1, 2, 3, 4], &[]),
        down(&[], &[0, 1, 2, 3, 4, 5]),
    ];
    let several = GlobalService {
        answers: Answers { sites_max: 4, ..service().answers },
        fallback: Fallback::AnswerAll,
        panic_below_percent: 50,
        ..service()
    };
    let none = GlobalService { fallback: Fallback::AnswerNone, ..service() };
    let services = [service(), several, none];
    let states: Vec<ServiceState> = states
        .iter()
        .flat_map(|health| {
            services.each_ref().map(|it| ServiceState::new(ServiceId(0), it, health))
        })
        .collect();
    let mut reasons = Vec::with_capacity(states.len() * clients.len());
    let before = allocations();
    for state in &states {
        for &client in &clients {
            reasons.push(decide(&map, state, client).reason);
        }
    }
    assert_eq!(allocations() - before, 0);
    assert!(before > 0, "the allocator counts");
    for reason in [
        Reason::Best,
        Reason::Share,
        Reason::Shift,
        Reason::Failover,
        Reason::AllOut,
        Reason::Panic,
        Reason::FallbackSites,
        Reason::FallbackNone,
        Reason::Fenced,
    ] {
        assert!(reasons.contains(&reason), "nothing was settled by `{}`", reason.as_str());
    }
}
