//! Ten thousand TCP connections that ask nothing or half a query, and everybody else is answered.
//!
//! Both ends of each connection are in this process, so the test runs itself again with as many
//! descriptors as the system gives, and opens as many connections as those allow.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dns::{Config, Server};
use model::record::RecordType;
use socket2::{Domain, Socket, Type};
use steering::SnapshotCell;
use world::{Ask, healthy, snapshot, text_of};

/// Tells the test that it has its descriptors.
const INSIDE: &str = "NEARSIDE_TEST_DESCRIPTORS";
const CONNECTIONS_MAX: usize = 10_000;
/// Descriptors for everything but the connections: libraries, runtime, sockets of workers.
const DESCRIPTORS_SPARE: usize = 200;
/// As many as one client may have by default.
const PER_CLIENT: usize = 50;
/// What a connection may cost in memory when a tenth of them hold a buffer: 4.3 KiB without
/// optimisation when this was written, and half as much again.
const CONNECTION_OCTETS_MAX: usize = 6400;
/// Long enough for any machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
const HELLO: &str = "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1";

/// The nth client: fifty connections an address, addresses from 127.1.0.0 on.
fn client(nth: usize) -> SocketAddr {
    let address =
        u32::from(Ipv4Addr::new(127, 1, 0, 0)) + u32::try_from(nth / PER_CLIENT).expect("few");
    SocketAddr::new(Ipv4Addr::from(address).into(), 0)
}

fn connect(from: SocketAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    socket.bind(&from.into()).expect("a loopback address");
    socket.connect(&to.into()).expect("connects");
    let stream = TcpStream::from(OwnedFd::from(socket));
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

fn hello() -> Ask {
    Ask::new("hello.edge.example", RecordType::A)
}

fn over_tcp(stream: &mut TcpStream) -> String {
    let packet = hello().packet();
    let length = u16::try_from(packet.len()).expect("short").to_be_bytes();
    stream.write_all(&[&length, packet.as_slice()].concat()).expect("writes");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).expect("an answer");
    text_of(&answer)
}

fn over_udp(server: SocketAddr) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    socket.connect(server).expect("connects");
    socket.send(&hello().packet()).expect("sends");
    let mut answer = [0; 512];
    let octets = socket.recv(&mut answer).expect("an answer");
    text_of(&answer[..octets])
}

/// Octets of this process in memory.
fn resident_octets() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}

fn descriptors_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
    line.split_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}

fn wait_for(held: impl Fn() -> bool) {
    let tries = PATIENCE.as_millis() / 5;
    let came = (0..tries).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        held()
    });
    assert!(came, "comes true in time");
}

#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    if std::env::var_os(INSIDE).is_none() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -n \"$(ulimit -H -n)\"; exec \"$@\"", "sh"]);
        command.arg(std::env::current_exe().expect("a program"));
        let name = "ten_thousand_idle_connections_keep_nobody_out";
        let output = command.args(["--exact", name]).env(INSIDE, "1").output();
        let output = output.expect("a shell");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let connections =
        (descriptors_max().saturating_sub(DESCRIPTORS_SPARE) / 2).min(CONNECTIONS_MAX);
    assert!(connections > 100, "`ulimit -H -n` allows too few descriptors to show anything");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let mut config = Config {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        workers: Some(2),
        ..Config::default()
    };
    config.tcp.connections_max = connections;
    config.tcp.idle = PATIENCE * 10;
    config.tcp.frame = PATIENCE * 10;
    let cell = Arc::new(SnapshotCell::new(snapshot(healthy())));
    let server = Server::start(config, cell).expect("starts");
    let address = server.local_addrs()[0];
    let before = resident_octets();

    let mut idle: Vec<TcpStream> = Vec::with_capacity(connections);
    for nth in 0..connections {
        let mut stream = connect(client(nth), address);
        // Every tenth says how long its query will be, and no more.
        if nth % 10 == 0 {
            stream.write_all(&[0xff, 0xff, 0]).expect("writes");
        }
        idle.push(stream);
        // No more at once than the backlog takes.
        if nth % 500 == 499 {
            wait_for(|| server.stats().tcp_open == nth as u64 + 1);
        }
    }
    wait_for(|| server.stats().tcp_open == connections as u64);
    let each = resident_octets().saturating_sub(before) / connections;
    assert!(each <= CONNECTION_OCTETS_MAX, "{each} octets for each of {connections} connections");

    // UDP does not care, an old connection still works, and newcomers find room.
    assert_eq!(over_udp(address), HELLO);
    assert_eq!(over_tcp(&mut idle[1]), HELLO);
    for nth in 0..100 {
        let newcomer = SocketAddr::new(Ipv4Addr::new(127, 2, 0, nth).into(), 0);
        let mut stream = connect(newcomer, address);
        assert_eq!(over_tcp(&mut stream), HELLO);
    }
    assert_eq!(over_tcp(&mut idle[1]), HELLO, "who asks is not who goes");
    let stats = server.stats();
    assert_eq!((stats.tcp_refused, stats.tcp.answered()), (0, 102));
    // A newcomer that has left is a place for the next; the others were taken from the idle ones.
    assert!(stats.tcp_open <= connections as u64);
    drop(idle);
    runtime.block_on(server.shutdown());
}
