use std::net::IpAddr;

use super::*;
use crate::alias::AliasNames;

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

fn block(text: &str) -> Block {
    let net: ipnet::IpNet = text.parse().expect("a prefix");
    let (is_v6, first) = match net.addr() {
        IpAddr::V4(ip) => (false, u64::from(ip.to_bits()) << 32),
        IpAddr::V6(ip) => (true, u64::try_from(ip.to_bits() >> 64).expect("64 bits")),
    };
    Block { is_v6, first, len: net.prefix_len() }
}

fn resolved(ip: &str, ttl_s: u32, scope_len: u8) -> Outcome {
    Outcome::Resolved { addresses: vec![ip.parse().expect("an address")], ttl_s, scope_len }
}

/// A book of one name with everybody's answers.
struct World {
    book: Book,
    names: Arc<AliasNames>,
}

impl World {
    fn new() -> Self {
        let names = Arc::new(AliasNames(vec![name("a.example")]));
        let mut world = Self { book: Book::default(), names };
        world.book.retain(world.names.all(), 0);
        for question in world.book.due(0, 10) {
            world.book.take(&question, resolved("192.0.2.1", 100, 0), 0);
        }
        world
    }

    fn note(&mut self, text: &str, now_ms: u64) {
        let note = Note {
            names: Arc::clone(&self.names),
            id: crate::alias::AliasId(0),
            kind: Kind::V4,
            block: block(text),
        };
        self.book.note(&note, now_ms);
    }

    /// What is asked at this time, as text.
    fn due(&mut self, now_ms: u64) -> Vec<String> {
        let shown = |question: Question| {
            let block = question.block.map_or_else(
                || "all".to_owned(),
                |block| {
                    let (ip, len) = block.as_prefix();
                    format!("{ip}/{len}")
                },
            );
            format!("{:?} {block}", question.kind)
        };
        self.book.due(now_ms, 100).into_iter().map(shown).collect()
    }

    fn take(&mut self, text: &str, outcome: Outcome, now_ms: u64) {
        let block = Some(block(text));
        let question = Question { name: name("a.example"), kind: Kind::V4, block };
        self.book.take(&question, outcome, now_ms);
    }

    /// Tailored answers as text, and everybody's.
    fn told(&mut self) -> Vec<String> {
        let table = self.book.table();
        let of_kind = &table.get(&name("a.example")).expect("the name").v4;
        let shown = |found: &Found| {
            let stale = if found.is_stale { " stale" } else { "" };
            format!("{:?} {}{stale}", found.addresses, found.ttl_s)
        };
        let everybody = of_kind.everybody.iter().map(|found| format!("all {}", shown(found)));
        let tailored = of_kind.tailored.iter().map(|(block, found)| {
            let (ip, len) = block.as_prefix();
            format!("{ip}/{len} {}", shown(found))
        });
        everybody.chain(tailored).collect()
    }

    /// A client of a tailored block is answered.
    fn use_first(&mut self) {
        let table = self.book.table();
        let of_kind = &table.get(&name("a.example")).expect("the name").v4;
        of_kind.tailored[0].1.used.store(true, Ordering::Relaxed);
    }
}

#[test]
fn names_are_asked_for_at_once_and_again_before_their_time_is_over() {
    let mut book = Book::default();
    book.retain(&[name("a.example"), name("b.example")], 7);
    assert_eq!(book.due(7, 3).len(), 3, "no more than there is room for");
    assert_eq!(book.due(7, 10).len(), 1, "what is under way is not asked for again");
    assert!(book.is_changed());
    assert!(book.table().values().all(|answers| answers.v4.everybody.is_none()));
    assert!(!book.is_changed());

    let mut world = World::new();
    assert_eq!(world.told(), ["all [192.0.2.1] 100"]);
    assert_eq!(world.due(74_999), Vec::<String>::new());
    assert_eq!(world.due(75_000), ["V4 all", "V6 all"]);
    world.book.retain(&[], 0);
    assert!(world.book.table().is_empty());
    assert_eq!(world.due(1_000_000), Vec::<String>::new());
}

#[test]
fn a_good_answer_is_kept_as_stale_and_asked_for_with_growing_pauses() {
    let mut world = World::new();
    let all = |kind| Question { name: name("a.example"), kind, block: None };
    world.due(75_000);
    let mut tried_ms = Vec::new();
    let mut now_ms = 75_000;
    world.book.take(&all(Kind::V6), resolved("2001:db8::1", 86_400, 0), now_ms);
    for _ in 0..9 {
        world.book.take(&all(Kind::V4), Outcome::Failed, now_ms);
        let before_ms = now_ms;
        while world.due(now_ms).is_empty() {
            now_ms += 500;
        }
        tried_ms.push(now_ms - before_ms);
    }
    let wanted = [1, 2, 4, 8, 16, 32, 60, 60, 60].map(|pause_s| pause_s * 1000);
    assert_eq!(tried_ms, wanted);
    assert_eq!(world.told(), ["all [192.0.2.1] 100 stale"]);
    world.book.take(&all(Kind::V4), resolved("192.0.2.2", 0, 0), now_ms);
    assert_eq!(world.told(), ["all [192.0.2.2] 0"], "told as it is, kept a little longer");
    assert_eq!(world.due(now_ms + 1_400), Vec::<String>::new());
    assert_eq!(world.due(now_ms + 1_500), ["V4 all"]);
    // That its time is over is told although nothing has come.
    world.book.table();
    assert!(!world.book.is_changed());
    assert_eq!(world.due(now_ms + 2_000), Vec::<String>::new());
    assert!(world.book.is_changed());
    assert_eq!(world.told(), ["all [192.0.2.2] 0 stale"]);
}

#[test]
fn a_block_is_asked_for_once_and_held_as_the_scope_says() {
    let mut world = World::new();
    world.note("10.1.2.0/24", 0);
    world.note("10.1.2.0/24", 0);
    assert_eq!(world.due(0), ["V4 10.1.2.0/24"]);
    world.take("10.1.2.0/24", resolved("192.0.2.9", 60, 16), 0);
    assert_eq!(world.told(), ["all [192.0.2.1] 100", "10.1.0.0/16 [192.0.2.9] 60"]);
    world.note("10.1.7.0/24", 0);
    assert_eq!(world.due(0), Vec::<String>::new(), "its block is known");
    // A scope longer than what was sent holds for what was sent.
    world.note("10.2.2.0/24", 0);
    world.due(0);
    world.take("10.2.2.0/24", resolved("192.0.2.8", 60, 32), 0);
    assert_eq!(world.told().len(), 3);
    // An answer for everybody takes the place of all others.
    world.note("10.3.0.0/24", 0);
    world.due(0);
    world.take("10.3.0.0/24", resolved("192.0.2.7", 60, 0), 0);
    assert_eq!(world.told(), ["all [192.0.2.1] 100", "0.0.0.0/0 [192.0.2.7] 60"]);
    assert_eq!(world.book.blocks, 1);
    world.note("10.9.9.0/24", 0);
    assert_eq!(world.due(0), Vec::<String>::new());
}

#[test]
fn a_block_that_nobody_uses_is_let_go_and_a_used_one_is_renewed() {
    let mut world = World::new();
    world.note("10.1.2.0/24", 0);
    world.due(0);
    world.take("10.1.2.0/24", resolved("192.0.2.9", 60, 24), 0);
    world.use_first();
    assert_eq!(world.due(45_000), ["V4 10.1.2.0/24"]);
    world.take("10.1.2.0/24", resolved("192.0.2.10", 60, 24), 45_000);
    assert_eq!(world.told()[1], "10.1.2.0/24 [192.0.2.10] 60");
    // Nobody uses it, until its time is nearly over.
    assert_eq!(world.due(90_000), ["V4 all", "V6 all"]);
    world.use_first();
    assert_eq!(world.due(105_000), ["V4 10.1.2.0/24"]);
    world.take("10.1.2.0/24", Outcome::Failed, 105_000);
    assert_eq!(world.told()[1], "10.1.2.0/24 [192.0.2.10] 60 stale");
    world.use_first();
    assert_eq!(world.due(106_000), ["V4 10.1.2.0/24"]);
    world.take("10.1.2.0/24", Outcome::Failed, 106_000);
    assert_eq!(world.due(107_000), Vec::<String>::new());
    assert_eq!(world.told().len(), 1, "nobody used it since");
    assert_eq!(world.book.blocks, 0);
}

#[test]
fn subnets_are_bounded_and_hopeless_ones_make_room() {
    let mut world = World::new();
    for nth in 0..BLOCKS_OF_NAME_MAX + 10 {
        let [_, .., a, b] = u32::try_from(nth).expect("small").to_be_bytes();
        world.note(&format!("10.{a}.{b}.0/24"), 0);
    }
    assert_eq!(world.book.blocks, BLOCKS_OF_NAME_MAX);
    world.book.due(0, usize::MAX);
    world.take("10.0.0.0/24", Outcome::Failed, 0);
    world.due(10);
    assert_eq!(world.book.blocks, BLOCKS_OF_NAME_MAX - 1);
    // An answer to a question that is not known any more is dropped.
    world.take("10.200.0.0/24", resolved("192.0.2.9", 60, 24), 10);
    assert_eq!(world.told().len(), 1);
}
