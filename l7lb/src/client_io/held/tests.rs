//! Connections that share a small room.

use super::*;

fn handed(held: &mut Held, room: usize) -> Vec<u8> {
    let mut space = vec![0; room];
    let mut buf = ReadBuf::new(&mut space);
    let count = held.hand_over(&mut buf, usize::MAX);
    assert_eq!(count, buf.filled().len());
    buf.filled().to_vec()
}

#[test]
fn everyone_has_a_little_and_all_together_share_the_rest() {
    let room = Arc::new(Room::new(2 * OWN_OCTETS));
    let mut all: Vec<Held> = (0..4).map(|_| Held::new(Vec::new(), Arc::clone(&room))).collect();
    for held in &mut all {
        assert!(held.admits(OWN_OCTETS), "one's own needs no room");
        held.push(&[b'x'; OWN_OCTETS]);
    }
    assert!(all[0].admits(1) && all[1].admits(OWN_OCTETS));
    assert!(!all[2].admits(1), "the room is full");
    // What was admitted once is not booked twice.
    assert!(all[0].admits(OWN_OCTETS));
    all[0].clear();
    assert!(all[2].admits(1));
    assert!(!all[3].admits(1));
    drop(all.remove(1));
    assert!(all[2].admits(1));
    drop(all);
    assert_eq!(room.booked.load(Ordering::Relaxed), 0);
}

#[test]
fn octets_come_out_as_they_came_and_the_memory_is_given_back() {
    let room = Arc::new(Room::new(OWN_OCTETS));
    let mut held = Held::new(b"ab".to_vec(), Arc::clone(&room));
    assert_eq!(handed(&mut held, 1), b"a");
    held.push(b"cd");
    assert_eq!(held.waiting(), b"bcd");
    assert!(held.admits(OWN_OCTETS));
    assert_eq!(handed(&mut held, 9), b"bcd");
    assert_eq!((held.waiting().len(), held.octets.capacity(), held.booked), (0, 0, 0));
    assert_eq!(room.booked.load(Ordering::Relaxed), 0);
}

#[test]
fn growth_does_not_double() {
    let mut held = Held::new(Vec::new(), Arc::new(Room::new(usize::MAX)));
    for _ in 0..10 {
        held.push(&[b'x'; 3_000]);
    }
    assert_eq!(held.octets.capacity(), 32 * 1024);
}
