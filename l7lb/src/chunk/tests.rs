//! Chunked bodies: where they end, and what is no chunk.

use proptest::prelude::*;

use super::*;

fn check(octets: &[u8]) -> Result<(usize, bool), Fault> {
    let mut chunks = Chunks::after_head(0);
    let count = chunks.advance(octets)?;
    Ok((count, chunks.is_done()))
}

#[test]
fn the_end_is_found_and_nothing_beyond_it() {
    assert_eq!(check(b"3\r\nabc\r\n0\r\n\r\nGET /"), Ok((13, true)));
    assert_eq!(check(b"A;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: a\r\n\r\n"), Ok((38, true)));
    assert_eq!(check(b"3\r\nab"), Ok((5, false)));
}

#[test]
fn the_head_before_it_passes_unseen() {
    let mut chunks = Chunks::after_head(4);
    assert_eq!(chunks.advance(b"HEAD0\r\n\r\n..."), Ok(9));
    assert!(chunks.is_done());
}

#[test]
fn lenient_spellings_are_refused() {
    let cases: &[&[u8]] = &[
        b"3\nabc\r\n",
        b"3\r\nabc\n",
        b"3\r\nabcd",
        b" 3\r\n",
        b"3 \r\n",
        b"+3\r\n",
        b"0x3\r\n",
        b"\r\n",
        b";x\r\n",
        b"1000000000000\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\n\n",
        b"3;a\0\r\n",
    ];
    for octets in cases {
        assert_eq!(check(octets), Err(Fault::Chunk), "{octets:?}");
    }
    let extension = [b"3;".to_vec(), vec![b'x'; 2000]].concat();
    assert_eq!(check(&extension), Err(Fault::Chunk));
    let trailers = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(2000)].concat();
    assert_eq!(check(&trailers), Err(Fault::Chunk));
}

proptest! {
    #[test]
    fn the_end_does_not_depend_on_pieces(
        sizes in proptest::collection::vec(1_usize..40, 0..6),
        piece in 1_usize..20,
    ) {
        let mut body = Vec::new();
        for size in sizes {
            body.extend(format!("{size:x}\r\n{}\r\n", "b".repeat(size)).into_bytes());
        }
        body.extend(b"0\r\n\r\n");
        let end = body.len();
        body.extend(b"POST /next HTTP/1.1\r\n");
        let mut chunks = Chunks::after_head(0);
        let mut used = 0;
        for part in body.chunks(piece) {
            let count = chunks.advance(part).unwrap();
            used += count;
            prop_assert_eq!(count < part.len(), used == end && count != part.len());
            if chunks.is_done() {
                break;
            }
        }
        prop_assert_eq!((used, chunks.is_done()), (end, true));
    }

    #[test]
    fn nothing_panics(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = check(&octets);
    }
}
