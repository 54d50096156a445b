//! The purse: what a flood spends, what an honest client earns.

use proptest::prelude::*;

use super::*;

const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
    let length = u32::try_from(payload).unwrap().to_be_bytes();
    let mut octets = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
    octets.resize(HEADER_OCTETS + payload, 0);
    octets
}

fn opened(now: Instant) -> Frames {
    let mut frames = Frames::new(now);
    frames.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now).unwrap();
    frames
}

/// How many times these octets pass before the connection is cut.
fn passed(frames: &mut Frames, octets: &[u8], now: Instant, most: usize) -> usize {
    (0..most).position(|_| frames.receive(octets, now).is_err()).unwrap_or(most)
}

#[test]
fn each_flood_is_cut_and_requests_are_not() {
    let now = Instant::now();
    let reset = [frame(HEADERS, END_HEADERS | END_STREAM, 20), frame(RST_STREAM, 0, 4)].concat();
    let cases = [
        (frame(PING, 0, 8), 2_500),
        (frame(4, 0, 0), 2_500),
        (frame(2, 0, 5), 2_500),
        (frame(WINDOW_UPDATE, 0, 4), 2_500),
        (frame(0x77, 0, 3), 2_500),
        (frame(DATA, 0, 0), 2_500),
        (frame(DATA, 0, 1), 2_500),
        (frame(CONTINUATION, 0, 0), 2_500),
        (frame(CONTINUATION, 0, 9), 2_500),
        (frame(RST_STREAM, 0, 4), 250),
        (reset, 312),
        (frame(DATA, 0, 64), 9_000),
        (frame(DATA, END_STREAM, 0), 9_000),
        (frame(HEADERS, END_HEADERS | END_STREAM, 20), 9_000),
    ];
    for (octets, expected) in cases {
        let count = passed(&mut opened(now), &octets, now, 9_000);
        assert_eq!(count, expected, "frame of kind {}", octets[3]);
    }
}

#[test]
fn time_and_answers_fill_the_purse_and_it_has_a_bottom() {
    let now = Instant::now();
    // Without a payload, so that the next frame begins where this one is refused.
    let useless = frame(4, 0, 0);
    let mut frames = opened(now);
    assert_eq!(passed(&mut frames, &useless, now, 9_000), 2_500);
    let later = now + Duration::from_secs(1);
    assert_eq!(passed(&mut frames, &useless, later, 9_000), 500);
    frames.sent(512 * 100 + 511);
    assert_eq!(passed(&mut frames, &useless, later, 9_000), 100);
    frames.sent(1);
    assert_eq!(passed(&mut frames, &useless, later, 9_000), 1);
    let much_later = later + Duration::from_secs(86_400 * 365);
    assert_eq!(passed(&mut frames, &useless, much_later, 9_000), 2_500);
    // The clock may not go backwards, but nothing breaks if it did.
    assert_eq!(passed(&mut frames, &useless, now, 10), 0);
}

#[test]
fn a_head_is_open_until_its_last_frame_has_come() {
    let now = Instant::now();
    let mut frames = opened(now);
    let mut open = |octets: &[u8]| {
        frames.receive(octets, now).unwrap();
        frames.is_inside_head()
    };
    assert!(!open(&frame(4, 0, 0)));
    let whole = frame(HEADERS, END_HEADERS, 10);
    assert!(open(&whole[..12]));
    assert!(!open(&whole[12..]));
    assert!(open(&frame(HEADERS, 0, 10)));
    assert!(open(&frame(CONTINUATION, 0, 3)));
    assert!(!open(&frame(CONTINUATION, END_HEADERS, 3)));
    assert!(!open(&frame(DATA, 0, 3)[..10]));
}

proptest! {
    #[test]
    fn pieces_do_not_matter(kinds in prop::collection::vec((0_u8..12, 0_u8..8, 0_usize..80), 0..40),
        size in 1_usize..40)
    {
        let now = Instant::now();
        let octets: Vec<u8> =
            kinds.iter().flat_map(|&(kind, flags, payload)| frame(kind, flags, payload)).collect();
        let (mut whole, mut pieces) = (opened(now), opened(now));
        let at_once = whole.receive(&octets, now);
        let in_pieces = octets.chunks(size).try_for_each(|piece| pieces.receive(piece, now));
        prop_assert_eq!(at_once, in_pieces);
        prop_assert_eq!(whole.purse, pieces.purse);
        prop_assert_eq!(whole.is_inside_head(), pieces.is_inside_head());
    }

    #[test]
    fn any_octets_are_followed_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        let now = Instant::now();
        let _ = opened(now).receive(&octets, now);
    }
}
