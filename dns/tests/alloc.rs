//! No answer over UDP allocates: shown by an allocator that counts.
#![allow(unsafe_code, reason = "a global allocator cannot be had without")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dns::{Config, Server, Transport};
use model::record::{RecordSet, RecordType};
use steering::SnapshotCell;
use world::{Ask, RESOLVER, healthy, name, snapshot, view};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counted, in every thread of the process.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

fn asks() -> Vec<Ask> {
    let ask = |name, record_type| Ask::new(name, record_type).subnet("1.2.3.0/24").option(3, b"");
    vec![
        ask("hello.edge.example", RecordType::A),
        ask("hello.edge.example", RecordType::A).option(10, b"a client"),
        ask("hello.edge.example", RecordType::AAAA),
        ask("hello.edge.example", RecordType::HTTPS),
        ask("x.fn.edge.example", RecordType::A),
        ask("www.edge.example", RecordType::A),
        ask("pop.edge.example", RecordType::A),
        ask("pop.edge.example", RecordType::TXT),
        ask("nobody.edge.example", RecordType::A),
        ask("www.edge.example", RecordType::MX),
        ask("alias2.edge.example", RecordType::A),
        ask("x.old.edge.example", RecordType::A),
        ask("a.sub.edge.example", RecordType::A),
        ask("fenced.edge.example", RecordType::A),
        ask("big.edge.example", RecordType::TXT),
        ask("www.other.net", RecordType::A),
        Ask::new("hello.edge.example", RecordType::A).option(8, b"malformed"),
    ]
}

// One test, because another one's allocations would be counted as well.
#[test]
fn answers_over_udp_allocate_nothing() {
    let view = view();
    let client = RESOLVER.parse().expect("an address");
    let packets: Vec<Vec<u8>> = asks().iter().map(Ask::packet).collect();
    let mut out = [0; 4096];
    let before = allocations();
    let mut answered = 0;
    for packet in &packets {
        let octets = dns::respond(&view, packet, client, Transport::Udp, &mut out);
        answered += usize::from(octets.is_some());
    }
    assert_eq!((answered, allocations() - before), (packets.len(), 0));

    // The whole way over a socket. The client allocates nothing either, so whatever is counted is
    // the server's: its workers, its watcher, its runtime.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cell = Arc::new(SnapshotCell::new(snapshot(healthy())));
    let server = runtime.block_on(async {
        let listen = vec!["127.0.0.1:0".parse().expect("an address")];
        Server::start(Config { listen, workers: Some(1), ..Config::default() }, cell)
    });
    let server = server.expect("starts");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    socket.connect(server.local_addrs()[0]).expect("connects");
    let mut exchange = || {
        for packet in &packets {
            socket.send(packet).expect("sends");
            socket.recv(&mut out).expect("an answer");
        }
    };
    // Each thread makes its own things once (the watcher of snapshots some milliseconds after the
    // others), so a first block may see that. An answer that allocates would be seen in all.
    let mut blocks = std::iter::repeat_with(|| {
        let before = allocations();
        (0..100).for_each(|_| exchange());
        allocations() - before
    });
    let counted: Vec<u64> = blocks.by_ref().take(4).collect();
    assert!(counted.contains(&0), "allocations in each block of 1,500 answers: {counted:?}");
    runtime.block_on(server.shutdown());

    // What an alias resolves to, and a subnet that nothing is known of.
    let view = view_of_alias(&runtime);
    let asks = [
        Ask::new("alias-to.edge.example", RecordType::A).edns(),
        Ask::new("alias-to.edge.example", RecordType::A).subnet("1.2.3.0/24"),
        Ask::new("alias-to.edge.example", RecordType::AAAA).subnet("1.2.3.0/24"),
    ];
    let packets = asks.map(|ask| ask.packet());
    let before = allocations();
    let mut answered = 0;
    for packet in &packets {
        let octets = dns::respond(&view, packet, client, Transport::Udp, &mut out);
        answered += usize::from(octets.is_some());
    }
    assert_eq!((answered, allocations() - before), (packets.len(), 0));
}

/// The view of a server that has resolved an alias; the server is gone.
fn view_of_alias(runtime: &tokio::runtime::Runtime) -> Arc<dns::View> {
    let mut snapshot = snapshot(healthy());
    let mut policy = (*snapshot.policy).clone();
    policy.zones[0].records.push(RecordSet {
        owner: name("alias-to.edge.example"),
        record_type: RecordType::ALIAS,
        ttl_s: 60,
        rdata: vec![name("www.edge.example").as_wire().into()],
    });
    snapshot.policy = Arc::new(policy);
    let start = |snapshot, resolvers| {
        let cell = Arc::new(SnapshotCell::new(snapshot));
        let listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let config = Config { listen, workers: Some(1), resolvers, ..Config::default() };
        runtime.block_on(async { Server::start(config, cell) }).expect("starts")
    };
    // A server of the same zone stands for a resolver.
    let peer = start(snapshot.clone(), Vec::new());
    let server = start(snapshot, vec![peer.local_addrs()[0]]);
    let ask = Ask::new("alias-to.edge.example", RecordType::A);
    while !ask.answer(&server.view()).contains(" A 192.0.2.1\n") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let view = server.view();
    runtime.block_on(server.shutdown());
    runtime.block_on(peer.shutdown());
    view
}
