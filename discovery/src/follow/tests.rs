use proptest::prelude::*;

use model::name::ObjectRef;

use super::{Change, Failure, Follow, Order, Patience, Place, Seen, Step, Told};

type Small = Follow<&'static str>;

fn failed(code: u16) -> Seen<&'static str> {
    Seen::Failed(Failure { code: Some(code), retry_after_ms: None })
}

fn unreachable() -> Seen<&'static str> {
    Seen::Failed(Failure { code: None, retry_after_ms: None })
}

fn told(version: u64, item: &'static str) -> Told<&'static str> {
    Told { object: ObjectRef::new("n", item), version, item }
}

fn look() -> Step {
    Step::Look { object: Some(ObjectRef::new("n", "a")) }
}

/// The server is at a version and knows the object of [`at_100`].
fn looked(version: u64) -> Seen<&'static str> {
    Seen::Version { version, object: Some(90) }
}

fn list_end(version: u64) -> Seen<&'static str> {
    Seen::Bookmark { version, place: Place::ListEnd }
}

/// Follows with a list taken at version 100.
fn at_100() -> Small {
    let mut follow = Small::new(1, None, Patience::default());
    assert_eq!(follow.next(0), Step::Stream);
    assert_eq!(follow.on(Seen::Object(told(90, "a")), 0), None);
    let change = follow.on(list_end(100), 0);
    assert_eq!(
        change,
        Some(Change::Replace { version: 100, items: vec!["a"], order: Order::Same })
    );
    follow
}

/// The next step that is no wait, and how long was waited before.
fn after_wait(follow: &mut Small) -> (Step, u64) {
    match follow.next(128) {
        Step::Wait { ms } => (follow.next(128), ms),
        step => (step, 0),
    }
}

#[test]
fn a_streamed_list_goes_on_as_a_watch() {
    let mut follow = at_100();
    assert_eq!(follow.on(Seen::Object(told(101, "b")), 0), Some(Change::Put("b")));
    assert_eq!(follow.on(Seen::Deleted(told(102, "b")), 0), Some(Change::Remove("b")));
    let between = Seen::Bookmark { version: 110, place: Place::Between };
    assert_eq!(follow.on(between, 0), Some(Change::Reached(110)));
    assert_eq!(follow.on(Seen::Ended { open_ms: 30_000 }, 0), None);
    assert_eq!(follow.next(0), Step::Watch { after: 110 }, "without a wait");
}

#[test]
fn what_is_held_from_before_is_resumed() {
    let mut follow = Small::new(1, Some(70), Patience::default());
    assert_eq!(follow.next(0), Step::Watch { after: 70 });
    assert_eq!(follow.on(failed(410), 0), None);
    assert_eq!(follow.next(0), Step::Stream, "an expired version begins anew, at once");
}

#[test]
fn two_failed_streams_make_pages() {
    let mut follow = Small::new(1, None, Patience::default());
    for _ in 0..2 {
        assert_eq!(after_wait(&mut follow).0, Step::Stream);
        assert_eq!(follow.on(failed(500), 0), None);
    }
    assert_eq!(after_wait(&mut follow).0, Step::List { token: None });
    let page = Seen::Page { version: 5, items: vec![told(5, "a")], token: Some("t".to_owned()) };
    assert_eq!(follow.on(page, 0), None, "half a list is none");
    assert_eq!(follow.next(0), Step::List { token: Some("t".to_owned()) });
    let change = follow.on(Seen::Page { version: 5, items: vec![told(5, "b")], token: None }, 0);
    assert_eq!(
        change,
        Some(Change::Replace { version: 5, items: vec!["a", "b"], order: Order::Same })
    );
    assert_eq!(follow.next(0), Step::Watch { after: 5 });
}

#[test]
fn a_server_out_of_reach_does_not_count_against_the_stream() {
    let mut follow = Small::new(1, None, Patience::default());
    let mut waits = Vec::new();
    for _ in 0..12 {
        let (step, ms) = after_wait(&mut follow);
        assert_eq!(step, Step::Stream);
        waits.push(ms);
        follow.on(unreachable(), 0);
    }
    assert!(waits.is_sorted() && waits[11] <= 45_000, "{waits:?}");
    assert!(waits[2] < 500, "soon at first: {waits:?}");
}

#[test]
fn a_page_that_expired_begins_anew() {
    let mut follow = Small::new(1, None, Patience::default());
    for _ in 0..2 {
        after_wait(&mut follow);
        follow.on(failed(422), 0);
    }
    after_wait(&mut follow);
    follow.on(Seen::Page { version: 5, items: vec![told(5, "a")], token: Some("t".to_owned()) }, 0);
    follow.next(0);
    follow.on(failed(410), 0);
    assert_eq!(after_wait(&mut follow).0, Step::List { token: None });
    let change = follow.on(Seen::Page { version: 9, items: vec![told(5, "b")], token: None }, 0);
    assert_eq!(change, Some(Change::Replace { version: 9, items: vec!["b"], order: Order::Same }));
}

#[test]
fn an_older_list_is_refused_until_it_has_stayed_so() {
    let mut follow = at_100();
    follow.on(failed(410), 0);
    for now_ms in [1_000, 5_000, 10_900] {
        assert_eq!(after_wait(&mut follow).0, Step::Stream, "at {now_ms}");
        follow.on(Seen::Object(told(40, "old")), now_ms);
        let refused = Change::Refused { version: 50, held: 100 };
        assert_eq!(follow.on(list_end(50), now_ms), Some(refused), "at {now_ms}");
    }
    assert_eq!(after_wait(&mut follow).0, Step::Stream);
    follow.on(Seen::Object(told(40, "old")), 11_000);
    let change = follow.on(list_end(50), 11_000);
    assert_eq!(
        change,
        Some(Change::Replace { version: 50, items: vec!["old"], order: Order::Rewound })
    );
    follow.on(Seen::Ended { open_ms: 30_000 }, 0);
    assert_eq!(follow.next(0), Step::Watch { after: 50 }, "and it goes on from there");
}

#[test]
fn a_newer_list_ends_the_doubt() {
    let mut follow = at_100();
    follow.on(failed(410), 0);
    follow.next(0);
    follow.on(list_end(50), 0);
    after_wait(&mut follow);
    assert!(matches!(follow.on(list_end(120), 9_000), Some(Change::Replace { version: 120, .. })));
    follow.on(failed(410), 9_000);
    after_wait(&mut follow);
    let refused = follow.on(list_end(60), 20_000);
    assert_eq!(refused, Some(Change::Refused { version: 60, held: 120 }), "the clock began anew");
}

#[test]
fn a_watch_without_a_word_is_looked_after() {
    let mut follow = at_100();
    follow.on(Seen::Ended { open_ms: 30_000 }, 0);
    assert_eq!(follow.next(0), Step::Watch { after: 100 });
    follow.on(Seen::Ended { open_ms: 30_000 }, 30_000);
    assert_eq!(follow.next(0), look());
    follow.on(looked(100), 30_000);
    assert_eq!(follow.next(0), Step::Watch { after: 100 }, "nothing happened, all is well");
    follow.on(Seen::Ended { open_ms: 30_000 }, 60_000);
    assert_eq!(follow.next(0), look());
    follow.on(looked(60), 60_000);
    assert_eq!(follow.next(0), Step::Stream, "the server went back: look at its list");
}

#[test]
fn a_watch_that_ends_at_once_is_not_asked_for_in_a_loop() {
    let mut follow = at_100();
    follow.on(Seen::Ended { open_ms: 30_000 }, 0);
    follow.next(0);
    follow.on(Seen::Ended { open_ms: 3 }, 0);
    let (step, ms) = after_wait(&mut follow);
    assert_eq!(step, look(), "whoever it was may not be the same any more");
    assert!(ms >= 100, "{ms}");
    follow.on(looked(100), 0);
    assert_eq!(follow.next(0), Step::Watch { after: 100 });
}

#[test]
fn an_unknown_resource_is_looked_for_in_every_version() {
    let mut follow = Small::new(2, None, Patience::default());
    assert_eq!((follow.next(0), follow.api()), (Step::Stream, 0));
    assert_eq!(follow.on(failed(404), 0), None);
    assert_eq!((follow.next(0), follow.api()), (Step::Stream, 1), "the older version, at once");
    assert_eq!(follow.on(failed(404), 0), Some(Change::Absent));
    assert!(matches!(follow.next(0), Step::Wait { .. }));
    assert_eq!((follow.next(0), follow.api()), (Step::Stream, 0));
}

#[test]
fn objects_of_a_resource_that_vanished_are_kept_for_a_while() {
    let mut follow = at_100();
    for now_ms in [0, 30_000, 59_999] {
        follow.next(0);
        assert_eq!(follow.on(failed(404), now_ms), None, "at {now_ms}");
    }
    follow.next(0);
    assert_eq!(follow.on(failed(404), 60_000), Some(Change::Absent));
}

#[test]
fn a_server_that_is_busy_is_left_alone_for_as_long_as_it_says() {
    let mut follow = at_100();
    let busy = Failure { code: Some(429), retry_after_ms: Some(7_000) };
    follow.on(Seen::Failed(busy), 0);
    for jitter in [0, 255] {
        let Step::Wait { ms } = follow.next(jitter) else { panic!("no wait") };
        assert!((7_000..=21_000).contains(&ms), "{ms}");
        follow.on(Seen::Failed(busy), 0);
    }
}

#[test]
fn what_may_not_be_read_is_said_and_asked_for_again() {
    let mut follow = Small::new(1, None, Patience::default());
    follow.next(0);
    assert_eq!(follow.on(failed(403), 0), Some(Change::Forbidden));
    assert_eq!(after_wait(&mut follow).0, Step::Stream, "the streamed list is not to blame");
}

#[test]
fn a_server_that_does_not_know_what_it_told_is_listed_again() {
    // Its version has passed ours already; only the last change gives it away.
    for object in [None, Some(89)] {
        let mut follow = at_100();
        follow.on(unreachable(), 0);
        assert_eq!(after_wait(&mut follow).0, look());
        follow.on(Seen::Version { version: 130, object }, 0);
        assert_eq!(follow.next(0), Step::Stream, "{object:?}");
        follow.on(Seen::Object(told(50, "old")), 0);
        let change = follow.on(list_end(130), 0);
        let expected = Change::Replace { version: 130, items: vec!["old"], order: Order::Rewound };
        assert_eq!(change, Some(expected), "what is newer than ours needs no patience");
    }
    for (object, step) in [
        (Some(101), Step::Stream),
        (Some(103), Step::Watch { after: 102 }),
        (None, Step::Watch { after: 102 }),
    ] {
        let mut follow = at_100();
        follow.on(Seen::Deleted(told(102, "b")), 0);
        follow.on(unreachable(), 0);
        after_wait(&mut follow);
        follow.on(Seen::Version { version: 130, object }, 0);
        assert_eq!(follow.next(0), step, "deleted at 102, there at {object:?}");
    }
}

proptest! {
    /// Whatever a server does, the version held never falls without a rewind, and no answer makes
    /// the next request come in a tight loop for ever.
    #[test]
    fn versions_never_fall_unnoticed(script in prop::collection::vec((0_u8..8, 0_u64..200), 1..80)) {
        let mut follow = Small::new(2, None, Patience::default());
        let (mut held, mut now_ms, mut idle) = (0, 0, 0);
        for (what, version) in script {
            match follow.next(0) {
                Step::Wait { ms } => { now_ms += ms; idle = 0; }
                Step::Watch { after } => prop_assert!(after >= held),
                Step::Stream | Step::List { .. } | Step::Look { .. } => {}
            }
            idle += 1;
            let seen = match what {
                0 => Seen::Object(told(held + version, "x")),
                1 => list_end(version),
                2 => Seen::Page { version, items: vec![told(5, "x")], token: None },
                3 => failed(410),
                4 => failed(404),
                5 => failed(500),
                6 => looked(version),
                _ => Seen::Ended { open_ms: version },
            };
            match follow.on(seen, now_ms) {
                Some(Change::Replace { version, order: Order::Same, .. }) => {
                    prop_assert!(version >= held, "{version} after {held}");
                    held = version;
                }
                Some(Change::Replace { version, order: Order::Rewound, .. }) => held = version,
                Some(Change::Absent) => held = 0,
                Some(Change::Reached(version)) => held = held.max(version),
                _ => {}
            }
        }
        prop_assert!(idle < 80);
    }
}
