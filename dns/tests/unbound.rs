//! A real resolver in front of us: unbound with client subnets on, through a stub zone on loopback.
//!
//! Two clients of different subnets get their own answers, and what unbound may keep for a subnet it
//! keeps: the next client within our scope costs us no query. The test needs Debian's `unbound`
//! (`scripts/test` installs it) and fails without it.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dns::{Config, Server};
use hickory_proto::op::Message;
use model::record::RecordType;
use steering::SnapshotCell;
use world::{Ask, healthy, snapshot};

/// How long an answer may take before it is asked for again, and how often it is.
const WAIT: Duration = Duration::from_millis(250);
const TRIES_MAX: usize = 80;
/// `PATH` of an ordinary user does not have it.
const PROGRAMS: [&str; 2] = ["unbound", "/usr/sbin/unbound"];

/// A running unbound with its directory; both go with it.
struct Unbound {
    child: Child,
    directory: PathBuf,
    address: SocketAddr,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
        let _best_effort = std::fs::remove_dir_all(&self.directory);
    }
}

impl Unbound {
    fn start(upstream: SocketAddr) -> Self {
        // Free a moment ago; unbound cannot choose a port by itself.
        let free = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = free.local_addr().expect("an address");
        drop(free);
        let directory = std::env::temp_dir().join(format!("nearside-unbound-{}", address.port()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("unbound.conf");
        std::fs::write(&file, configuration(address, upstream)).expect("writes");
        let child = PROGRAMS.iter().find_map(|program| {
            let mut command = Command::new(program);
            command.arg("-d").arg("-c").arg(&file).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
        });
        let child = child.expect("`unbound` is installed (apt-get install unbound)");
        Self { child, directory, address }
    }

    /// The addresses it answers for a client. It may take a while to start.
    fn ask(&mut self, record_type: RecordType, client: &str) -> Vec<String> {
        let mut ask = Ask::new("hello.edge.example", record_type).subnet(client);
        // RD: it is a resolver.
        ask.flags = 0x0100;
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(WAIT)).expect("a time-out");
        let mut answer = [0; 4096];
        for _ in 0..TRIES_MAX {
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("unbound ended: {status}");
            }
            // Refused while nobody listens yet.
            let _maybe = socket.send_to(&ask.packet(), self.address);
            if let Ok(octets) = socket.recv(&mut answer) {
                let message = Message::from_vec(&answer[..octets]).expect("a message");
                return message.answers.iter().map(|record| record.data.to_string()).collect();
            }
        }
        panic!("unbound does not answer");
    }
}

fn configuration(address: SocketAddr, upstream: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    let (up, up_port) = (upstream.ip(), upstream.port());
    format!(
        "server:
    interface: {ip}@{port}
    username: \"\"
    chroot: \"\"
    directory: \"\"
    pidfile: \"\"
    use-syslog: no
    do-daemonize: no
    do-not-query-localhost: no
    access-control: 127.0.0.0/8 allow
    # No question for A on the way to another type: queries are counted.
    qname-minimisation: no
    module-config: \"subnetcache validator iterator\"
    send-client-subnet: {up}
    client-subnet-always-forward: yes
    max-client-subnet-ipv4: 24
    max-client-subnet-ipv6: 56
    num-threads: 1
remote-control:
    control-enable: no
stub-zone:
    name: edge.example
    stub-addr: {up}@{up_port}
"
    )
}

/// Steered answers so far. A worker counts a batch after it has sent it: wait until it has.
async fn steered(server: &Server, at_least: u64) -> u64 {
    for _ in 0..TRIES_MAX {
        if server.stats().udp.steered() >= at_least {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.stats().udp.steered()
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_keeps_each_answer_for_exactly_the_clients_it_is_for() {
    let listen = vec!["127.0.0.1:0".parse().expect("an address")];
    let cell = Arc::new(SnapshotCell::new(snapshot(healthy())));
    let config = Config { listen, workers: Some(1), ..Config::default() };
    let server = Server::start(config, cell).expect("starts");
    let mut unbound = Unbound::start(server.local_addrs()[0]);

    // Scopes of our answers: 1.2.0.0/16, 1.3.0.0/16, and a /5 around 8.8.8.8.
    assert_eq!(unbound.ask(RecordType::A, "1.2.3.0/24"), ["198.51.100.2"]);
    assert_eq!(unbound.ask(RecordType::A, "1.3.3.0/24"), ["198.51.100.3"]);
    assert_eq!(unbound.ask(RecordType::A, "8.8.8.0/24"), ["198.51.100.1"]);
    let asked = steered(&server, 3).await;
    // Others of the same scopes are answered without us.
    for (client, site) in [
        ("1.2.3.0/24", "198.51.100.2"),
        ("1.2.200.0/24", "198.51.100.2"),
        ("1.3.77.0/24", "198.51.100.3"),
        ("9.9.9.0/24", "198.51.100.1"),
    ] {
        assert_eq!(unbound.ask(RecordType::A, client), [site], "{client}");
    }
    assert_eq!(steered(&server, asked).await, asked, "answered from unbound's cache");
    // And one outside them is not.
    assert_eq!(unbound.ask(RecordType::A, "1.4.0.0/24"), ["198.51.100.1"]);
    assert_eq!(steered(&server, asked + 1).await, asked + 1);
    assert_eq!(unbound.ask(RecordType::AAAA, "2001:db8:ff12:3400::/56"), ["2001:db8:2::1"]);
    assert_eq!(steered(&server, asked + 2).await, asked + 2);
    drop(unbound);
    server.shutdown().await;
}
