//! A real resolver in front of us: unbound iterates from its root hints through a delegation to the
//! steered zone, with client subnets on.
//!
//! Clients of different subnets get their own answers, and what unbound may keep for a subnet it keeps:
//! the next client within our scope costs us no query. All of it happens in a network namespace of
//! its own, where port 53 and every address are free: the test runs itself again inside of one. It
//! needs Debian's `unbound` and `iproute2` (`scripts/test` installs them) and fails without them.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dns::{Config, Server};
use hickory_proto::op::Message;
use model::Policy;
use model::record::{RecordSet, RecordType};
use model::zone::{NameServer, Zone};
use steering::{Snapshot, SnapshotCell};
use world::{Ask, healthy, name, snapshot};

/// How long an answer may take before it is asked for again, and how often it is.
const WAIT: Duration = Duration::from_millis(250);
const TRIES_MAX: usize = 80;
/// `PATH` of an ordinary user does not have it.
const PROGRAMS: [&str; 2] = ["unbound", "/usr/sbin/unbound"];
/// Tells the test that it is inside.
const INSIDE: &str = "NEARSIDE_TEST_NAMESPACE";
/// Where the root is served, its child `example`, and, as the world has it, `edge.example`.
const ROOT: [u8; 4] = [192, 0, 2, 10];
const PARENT: [u8; 4] = [192, 0, 2, 11];
const STEERED: [&str; 2] = ["192.0.2.53", "2001:db8::53"];
const RESOLVER: &str = "127.0.0.1:53";

/// A running unbound with its directory; both go with it.
struct Unbound {
    child: Child,
    directory: PathBuf,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
        let _best_effort = std::fs::remove_dir_all(&self.directory);
    }
}

impl Unbound {
    fn start() -> Self {
        let directory = format!("nearside-unbound-{}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        std::fs::create_dir_all(&directory).expect("a directory");
        let hints = directory.join("root.hints");
        let ip = std::net::Ipv4Addr::from(ROOT);
        std::fs::write(&hints, format!(". 3600 NS a.root.\na.root. 3600 A {ip}\n"))
            .expect("writes");
        let file = directory.join("unbound.conf");
        std::fs::write(&file, configuration(&hints.display().to_string())).expect("writes");
        let child = PROGRAMS.iter().find_map(|program| {
            let mut command = Command::new(program);
            command.arg("-d").arg("-c").arg(&file).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
        });
        let child = child.expect("`unbound` is installed (apt-get install unbound)");
        Self { child, directory }
    }

    /// What it answers a client: the code and the rdata. It may take a while to start.
    fn ask(&mut self, question: &str, record_type: RecordType, client: &str) -> String {
        let mut ask = Ask::new(question, record_type).subnet(client);
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
            let _maybe = socket.send_to(&ask.packet(), RESOLVER);
            if let Ok(octets) = socket.recv(&mut answer) {
                let message = Message::from_vec(&answer[..octets]).expect("a message");
                let code = message.metadata.response_code;
                let truncated = if message.metadata.truncation { " tc" } else { "" };
                let data = message.answers.iter().map(|record| format!(" {}", record.data));
                return format!("{code:?}{truncated}{}", data.collect::<String>());
            }
        }
        panic!("unbound does not answer");
    }
}

fn configuration(hints: &str) -> String {
    let [v4, v6] = STEERED;
    format!(
        "server:
    interface: {}
    username: \"\"
    chroot: \"\"
    directory: \"\"
    pidfile: \"\"
    use-syslog: no
    do-daemonize: no
    root-hints: \"{hints}\"
    access-control: 127.0.0.0/8 allow
    # No question for A on the way to another type: queries are counted.
    qname-minimisation: no
    module-config: \"subnetcache iterator\"
    send-client-subnet: {v4}
    send-client-subnet: {v6}
    max-client-subnet-ipv4: 24
    max-client-subnet-ipv6: 56
    num-threads: 1
remote-control:
    control-enable: no
",
        RESOLVER.replace(':', "@")
    )
}

/// A zone with one delegation to a server whose address it knows.
fn parent(apex: &str, own: (&str, [u8; 4]), child: &str, server: (&str, [u8; 4])) -> Snapshot {
    let set = |owner: &str, record_type, rdata: &[u8]| RecordSet {
        owner: name(owner),
        record_type,
        ttl_s: 300,
        rdata: vec![rdata.into()],
    };
    let zone = Zone {
        apex: name(apex),
        name_servers: vec![NameServer { name: name(own.0), addresses: vec![own.1.into()] }],
        ns_ttl_s: 300,
        records: vec![
            set(child, RecordType::NS, name(server.0).as_wire()),
            set(server.0, RecordType::A, &server.1),
        ],
        ..world::zone()
    };
    let policy = Arc::new(Policy { zones: vec![zone], ..Policy::default() });
    Snapshot { policy, ..Snapshot::default() }
}

fn serve(snapshot: Snapshot, ips: &[&str]) -> Server {
    let address = |ip: &&str| SocketAddr::new(ip.parse().expect("an address"), 53);
    let config =
        Config { listen: ips.iter().map(address).collect(), workers: Some(1), ..Config::default() };
    Server::start(config, Arc::new(SnapshotCell::new(snapshot))).expect("starts")
}

/// Runs the test of this name again inside of a network namespace.
fn run_inside(test: &str) {
    let mut command = Command::new("unshare");
    command.arg("--net");
    // Who is not root may still be it within a user namespace.
    if std::fs::metadata("/proc/self").expect("a process").uid() != 0 {
        command.arg("--map-root-user");
    }
    command.arg(std::env::current_exe().expect("a program"));
    let output = command.args(["--exact", test]).env(INSIDE, "1").output();
    let output = output.expect("`unshare` runs (apt-get install util-linux)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Gives the namespace its addresses.
fn set_up() {
    let ip = |arguments: &str| {
        let mut command = Command::new("/sbin/ip");
        let status = command.args(arguments.split(' ')).status();
        assert!(status.expect("`ip` runs (apt-get install iproute2)").success(), "{arguments}");
    };
    ip("link set lo up");
    for v4 in [ROOT, PARENT] {
        ip(&format!("address add {}/32 dev lo", std::net::Ipv4Addr::from(v4)));
    }
    let [v4, v6] = STEERED;
    ip(&format!("address add {v4}/32 dev lo"));
    ip(&format!("-6 address add {v6}/128 dev lo nodad"));
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

#[test]
fn unbound_keeps_each_answer_for_exactly_the_clients_it_is_for() {
    if std::env::var_os(INSIDE).is_none() {
        return run_inside("unbound_keeps_each_answer_for_exactly_the_clients_it_is_for");
    }
    set_up();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(ask_as_clients_do());
}

async fn ask_as_clients_do() {
    let root = parent(".", ("a.root", ROOT), "example", ("ns.example", PARENT));
    let steered_server = ("ns1.edge.example", [192, 0, 2, 53]);
    let example = parent("example", ("ns.example", PARENT), "edge.example", steered_server);
    let text = |ip: [u8; 4]| std::net::Ipv4Addr::from(ip).to_string();
    let root = serve(root, &[&text(ROOT)]);
    let example = serve(example, &[&text(PARENT)]);
    let server = serve(snapshot(healthy()), &STEERED);
    let mut unbound = Unbound::start();
    let mut ask =
        |record_type, client: &str| unbound.ask("hello.edge.example", record_type, client);

    // Scopes of our answers: 1.2.0.0/16, 1.3.0.0/16, and a /5 around 8.8.8.8.
    assert_eq!(ask(RecordType::A, "1.2.3.0/24"), "NoError 198.51.100.2");
    assert_eq!(ask(RecordType::A, "1.3.3.0/24"), "NoError 198.51.100.3");
    assert_eq!(ask(RecordType::A, "8.8.8.0/24"), "NoError 198.51.100.1");
    let asked = steered(&server, 3).await;
    // Others of the same scopes are answered without us.
    for (client, site) in [
        ("1.2.3.0/24", "198.51.100.2"),
        ("1.2.200.0/24", "198.51.100.2"),
        ("1.3.77.0/24", "198.51.100.3"),
        ("9.9.9.0/24", "198.51.100.1"),
    ] {
        assert_eq!(ask(RecordType::A, client), format!("NoError {site}"), "{client}");
    }
    assert_eq!(steered(&server, asked).await, asked, "answered from unbound's cache");
    // And one outside them is not.
    assert_eq!(ask(RecordType::A, "1.4.0.0/24"), "NoError 198.51.100.1");
    assert_eq!(steered(&server, asked + 1).await, asked + 1);
    assert_eq!(ask(RecordType::AAAA, "2001:db8:ff12:3400::/56"), "NoError 2001:db8:2::1");
    assert_eq!(steered(&server, asked + 2).await, asked + 2);

    // Aliases and wildcards steer as well, and what does not exist does not.
    let mut ask = |question, client| unbound.ask(question, RecordType::A, client);
    for client in ["1.2.3.0/24", "1.2.9.0/24"] {
        let wanted = "NoError alias.edge.example. hello.edge.example. 198.51.100.2";
        assert_eq!(ask("alias2.edge.example", client), wanted);
        let moved = ask("hello.old.edge.example", client);
        assert!(moved.ends_with(" hello.edge.example. 198.51.100.2"), "{moved}");
    }
    let alias = ask("alias2.edge.example", "1.3.3.0/24");
    assert!(alias.ends_with(" 198.51.100.3"), "{alias}");
    assert_eq!(ask("x.fn.edge.example", "1.2.3.0/24"), "NoError 198.51.100.2");
    assert_eq!(ask("x.fn.edge.example", "1.3.3.0/24"), "NoError 198.51.100.3");
    assert_eq!(ask("nobody.edge.example", "1.2.3.0/24"), "NXDomain");
    // Too long for UDP: unbound comes back over TCP, and has it, if not for a client like this.
    let long = unbound.ask("big.edge.example", RecordType::TXT, "1.2.3.0/24");
    assert!(long.starts_with("NoError tc"), "{long}");
    assert!(server.stats().tcp.answered() >= 1);
    assert!(root.stats().udp.answered() >= 1 && example.stats().udp.answered() >= 1);
    drop(unbound);
    for server in [root, example, server] {
        server.shutdown().await;
    }
}
