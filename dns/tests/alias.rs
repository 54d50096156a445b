//! Aliases on real sockets: a server of ours, and a name server on loopback that it asks.
//!
//! Everything that is about time is tested at the book of aliases; here a test asks again until what
//! it waits for has come.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dns::{Config, Server};
use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType as Oracle};
use model::record::{RecordSet, RecordType};
use model::site::Alias;
use steering::SnapshotCell;
use world::{Ask, GD_CT, healthy, name, snapshot, text_of};

const WAIT: Duration = Duration::from_millis(20);
const TRIES_MAX: usize = 1000;

/// What the peer is made to do.
#[derive(Debug, Default)]
struct Mood {
    is_silent: AtomicBool,
    /// Questions so far, as text, with the subnet.
    asked: Mutex<Vec<String>>,
}

/// A name server for `peer.example`, over UDP and TCP.
struct Peer {
    address: SocketAddr,
    mood: Arc<Mood>,
}

impl Peer {
    fn start() -> Self {
        // A port that is free for UDP may be somebody's for TCP: another one is tried then.
        let (udp, tcp, address) = (0..100)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
                let address = udp.local_addr().ok()?;
                Some((udp, TcpListener::bind(address).ok()?, address))
            })
            .expect("a port for both");
        let mood = Arc::new(Mood::default());
        let (of_udp, of_tcp) = (Arc::clone(&mood), Arc::clone(&mood));
        std::thread::spawn(move || {
            let mut packet = [0; 4096];
            while let Ok((octets, from)) = udp.recv_from(&mut packet) {
                if let Some(answer) = respond(&packet[..octets], &of_udp, true) {
                    let _gone = udp.send_to(&answer, from);
                }
            }
        });
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.expect("a stream");
                let mut head = [0; 2];
                stream.read_exact(&mut head).expect("a length");
                let mut packet = vec![0; usize::from(u16::from_be_bytes(head))];
                stream.read_exact(&mut packet).expect("a packet");
                let answer = respond(&packet, &of_tcp, false).expect("an answer");
                let length = u16::try_from(answer.len()).expect("short").to_be_bytes();
                stream.write_all(&[&length, answer.as_slice()].concat()).expect("writes");
            }
        });
        Self { address, mood }
    }

    fn asked(&self) -> Vec<String> {
        self.mood.asked.lock().expect("no panic").clone()
    }
}

fn respond(packet: &[u8], mood: &Mood, is_udp: bool) -> Option<Vec<u8>> {
    let query = Message::from_vec(packet).expect("a query");
    let mut answer = query.clone().into_response();
    answer.metadata.authoritative = true;
    let asked = query.queries[0].clone();
    let subnet = query.edns.as_ref().and_then(|edns| match edns.option(EdnsCode::Subnet) {
        Some(EdnsOption::Subnet(subnet)) => Some(*subnet),
        _ => None,
    });
    let of = subnet
        .as_ref()
        .map_or_else(|| "all".to_owned(), |it| format!("{}/{}", it.addr(), it.source_prefix()));
    mood.asked.lock().expect("no panic").push(format!(
        "{} {} {of}",
        asked.name(),
        asked.query_type()
    ));
    if mood.is_silent.load(Ordering::Relaxed) {
        return None;
    }
    let wants_v4 = asked.query_type() == Oracle::A;
    let own = asked.name().clone();
    let mut put = |owner: &Name, ttl_s: u32, data: RData| {
        answer.answers.push(Record::from_rdata(owner.clone(), ttl_s, data));
    };
    let ip = |last: u8| RData::A(A(Ipv4Addr::new(203, 0, 113, last)));
    let mut scope_len = 0;
    let text = own.to_string();
    match text.as_str() {
        "www.peer.example." if wants_v4 => {
            // 10.0.0.0/8 has an answer of its own for each /16.
            let place = subnet.as_ref().map(|subnet| match subnet.addr() {
                IpAddr::V4(ip) => ip.octets(),
                IpAddr::V6(_) => [0; 4],
            });
            match place {
                Some([10, second, ..]) => {
                    scope_len = 16;
                    put(&own, 120, ip(second));
                }
                _ => {
                    put(&own, 100, ip(1));
                    put(&own, 100, ip(2));
                }
            }
        }
        "www.peer.example." => {
            put(&own, 100, RData::AAAA(AAAA("2001:db8::1".parse().expect("v6"))));
        }
        // Only TCP has the whole of it.
        "big.peer.example." if is_udp => answer.metadata.truncation = true,
        "big.peer.example." if wants_v4 => (1..=40).for_each(|last| put(&own, 50, ip(last))),
        // The end of the chain is left to who asks.
        "chain.peer.example." => {
            let next = Name::from_ascii("next.peer.example.").expect("a name");
            let last = Name::from_ascii("short.peer.example.").expect("a name");
            put(&own, 40, RData::CNAME(CNAME(next.clone())));
            put(&next, 7, RData::CNAME(CNAME(last)));
        }
        "short.peer.example." if wants_v4 => put(&own, 1, ip(9)),
        "broken.peer.example." => answer.metadata.response_code = ResponseCode::ServFail,
        _ => {
            let zone = Name::from_ascii("peer.example.").expect("a name");
            let soa = SOA::new(zone.clone(), zone.clone(), 1, 2, 3, 4, 20);
            answer.authorities.push(Record::from_rdata(zone, 60, RData::SOA(soa)));
        }
    }
    if let Some(subnet) = subnet {
        let mut edns = Edns::new();
        let told = ClientSubnet::new(subnet.addr(), subnet.source_prefix(), scope_len);
        edns.options_mut().insert(EdnsOption::Subnet(told));
        answer.set_edns(edns);
    }
    Some(answer.to_vec().expect("a message"))
}

/// A world with aliases at the apex, at names, for a site; and a server of it.
fn start(resolvers: Vec<SocketAddr>) -> Server {
    let mut snapshot = snapshot(healthy());
    let mut policy = (*snapshot.policy).clone();
    let alias = |owner: &str, target: &str, ttl_s| RecordSet {
        owner: name(owner),
        record_type: RecordType::ALIAS,
        ttl_s,
        rdata: vec![name(target).as_wire().into()],
    };
    policy.zones[0].records.extend([
        alias("edge.example", "www.peer.example", 60),
        alias("big.alias.edge.example", "big.peer.example", 300),
        alias("chain.alias.edge.example", "chain.peer.example", 300),
        alias("broken.alias.edge.example", "broken.peer.example", 300),
        alias("nobody.alias.edge.example", "nobody.peer.example", 300),
        alias("*.any.edge.example", "www.peer.example", 300),
    ]);
    policy.services[3].answers.sites_max = 2;
    let target = Alias::Resolved(name("www.peer.example"));
    policy.services[3].aliases.insert(GD_CT, target);
    snapshot.policy = Arc::new(policy);
    let listen = vec!["127.0.0.1:0".parse().expect("an address")];
    let cell = Arc::new(SnapshotCell::new(snapshot));
    let config = Config { listen, workers: Some(1), resolvers, ..Config::default() };
    Server::start(config, cell).expect("starts")
}

fn told(server: &Server, ask: &Ask) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    socket.send_to(&ask.packet(), server.local_addrs()[0]).expect("sends");
    let mut answer = [0; 4096];
    let octets = socket.recv(&mut answer).expect("an answer");
    text_of(&answer[..octets]).replace("edns 1232 ", "").replace("\nedns 1232", "")
}

/// Asks until the answer is this.
#[track_caller]
fn comes(server: &Server, ask: &Ask, wanted: &str) {
    let mut last = String::new();
    for _ in 0..TRIES_MAX {
        last = told(server, ask);
        if last == wanted {
            return;
        }
        std::thread::sleep(WAIT);
    }
    assert_eq!(last, wanted);
}

const SOA_OF: &str = "SOA ns1.edge.example. hostmaster.edge.example. 7 7200 900 1209600 60";

#[tokio::test(flavor = "multi_thread")]
async fn an_apex_answers_with_the_addresses_of_another_name() {
    let peer = Peer::start();
    let server = start(vec![peer.address]);
    let ask = |record_type| Ask::new("edge.example", record_type).edns();
    comes(
        &server,
        &ask(RecordType::A),
        "NOERROR aa\nedge.example. 60 A 203.0.113.1\nedge.example. 60 A 203.0.113.2",
    );
    comes(&server, &ask(RecordType::AAAA), "NOERROR aa\nedge.example. 60 AAAA 2001:db8::1");
    let mx = told(&server, &ask(RecordType::MX));
    assert!(mx.starts_with("NOERROR aa\nedge.example. 300 MX 10 mail.edge.example.\n"), "{mx}");
    // The alias itself is nothing of the wire.
    let negative = format!("NOERROR aa\n@edge.example. 60 {SOA_OF}");
    assert_eq!(told(&server, &ask(RecordType::ALIAS)), negative);
    let any = told(&server, &Ask::new("x.any.edge.example", RecordType::ANY));
    assert_eq!(any, "NOERROR aa\nx.any.edge.example. 3600 HINFO RFC8482 ");
    assert_eq!(
        told(&server, &Ask::new("a.b.any.edge.example", RecordType::AAAA)),
        "NOERROR aa\na.b.any.edge.example. 100 AAAA 2001:db8::1"
    );
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_gets_its_own_answer_with_the_scope_it_came_with() {
    let peer = Peer::start();
    let server = start(vec![peer.address]);
    let ask = |subnet: &str| Ask::new("edge.example", RecordType::A).subnet(subnet);
    let all = "NOERROR aa\nedge.example. TTL A 203.0.113.1\nedge.example. TTL A 203.0.113.2\n";
    let plain = Ask::new("edge.example", RecordType::A);
    comes(&server, &plain, all.replace("TTL", "60").trim_end());
    // At first what everybody gets, for this subnet alone and for a moment.
    let first = format!("{}ecs=10.7.3.0/24/24", all.replace("TTL", "5"));
    assert_eq!(told(&server, &ask("10.7.3.0/24")), first);
    comes(
        &server,
        &ask("10.7.3.0/24"),
        "NOERROR aa\nedge.example. 60 A 203.0.113.7\necs=10.7.3.0/24/16",
    );
    assert_eq!(
        told(&server, &ask("10.7.200.0/24")),
        "NOERROR aa\nedge.example. 60 A 203.0.113.7\necs=10.7.200.0/24/16"
    );
    // The finer part of what was sent never leaves us.
    comes(
        &server,
        &ask("10.8.3.99/32"),
        "NOERROR aa\nedge.example. 60 A 203.0.113.8\necs=10.8.3.99/32/16",
    );
    assert!(peer.asked().iter().any(|asked| asked == "www.peer.example. A 10.8.3.0/24"));
    assert!(!peer.asked().iter().any(|asked| asked.contains("10.7.200.0")), "{:?}", peer.asked());
    // Elsewhere the answer is everybody's, and says so once it is known.
    let scope = all.replace("TTL", "60") + "ecs=8.8.8.0/24/0";
    comes(&server, &ask("8.8.8.0/24"), &scope);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_chains_and_absence_are_followed_to_their_end() {
    let peer = Peer::start();
    let server = start(vec![peer.address]);
    let ask = |label: &str| Ask::new(&format!("{label}.alias.edge.example"), RecordType::A).edns();
    let mut big = "NOERROR aa".to_owned();
    for last in 1..=32 {
        big += &format!("\nbig.alias.edge.example. 50 A 203.0.113.{last}");
    }
    comes(&server, &ask("big"), &big);
    // The least TTL on the way.
    comes(&server, &ask("chain"), "NOERROR aa\nchain.alias.edge.example. 1 A 203.0.113.9");
    comes(&server, &ask("nobody"), &format!("NOERROR aa\n@edge.example. 20 {SOA_OF}"));
    assert_eq!(told(&server, &ask("broken")), "SERVFAIL\nede=14:alias not resolved yet");
    // Nobody answers any more: the last good answer stays, and says what it is.
    peer.mood.is_silent.store(true, Ordering::Relaxed);
    comes(
        &server,
        &ask("chain"),
        "NOERROR aa\nchain.alias.edge.example. 1 A 203.0.113.9\nede=3:alias not renewed",
    );
    peer.mood.is_silent.store(false, Ordering::Relaxed);
    comes(&server, &ask("chain"), "NOERROR aa\nchain.alias.edge.example. 1 A 203.0.113.9");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_answered_by_what_its_name_resolves_to() {
    let dead = UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("bound");
    let peer = Peer::start();
    // The first resolver is not there: the next is asked.
    let server = start(vec![dead, peer.address]);
    let ask =
        |record_type, subnet: &str| Ask::new("hello.edge.example", record_type).subnet(subnet);
    // The chosen site, then the core's own address; one set has one TTL.
    comes(
        &server,
        &ask(RecordType::A, "1.2.3.0/24"),
        "NOERROR aa\nhello.edge.example. 30 A 203.0.113.1\nhello.edge.example. 30 A 203.0.113.2\n\
         hello.edge.example. 30 A 198.51.100.1\necs=1.2.3.0/24/16",
    );
    comes(
        &server,
        &ask(RecordType::HTTPS, "1.2.3.0/24"),
        "NOERROR aa\nhello.edge.example. 30 HTTPS 1 . \
         ipv4hint=203.0.113.1,203.0.113.2,198.51.100.1 ipv6hint=2001:db8::1\necs=1.2.3.0/24/16",
    );
    comes(
        &server,
        &ask(RecordType::AAAA, "1.2.3.0/24"),
        "NOERROR aa\nhello.edge.example. 30 AAAA 2001:db8::1\necs=1.2.3.0/24/16",
    );
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_resolver_aliases_fail_and_sites_beside_them_are_answered() {
    let server = start(Vec::new());
    let apex = Ask::new("edge.example", RecordType::A).edns();
    assert_eq!(told(&server, &apex), "SERVFAIL\nede=14:alias not resolved yet");
    assert_eq!(
        told(&server, &Ask::new("hello.edge.example", RecordType::A).subnet("1.2.3.0/24")),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1\necs=1.2.3.0/24/16"
    );
    assert_eq!(
        told(&server, &Ask::new("hello.edge.example", RecordType::AAAA).subnet("1.2.3.0/24")),
        "SERVFAIL\necs=1.2.3.0/24/16 ede=14:alias not resolved yet"
    );
    server.shutdown().await;
}
