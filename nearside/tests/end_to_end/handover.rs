//! A gateway is replaced by a newer process under load, and nobody notices.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, sleep, timeout};

use super::world::{Process, free_port, spawn};

/// WebSockets held open.
const WEB_SOCKETS: usize = 200;
/// Clients that ask every 20 ms: 500 requests a second.
const CLIENTS: usize = 10;
const EVERY: Duration = Duration::from_millis(20);
/// A busy machine may take so long for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads to the end of a head that begins with what is held; what follows it comes with it.
pub(super) async fn head(socket: &mut TcpStream, held: Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut octets = held;
    loop {
        if let Some(at) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = octets.split_off(at + 4);
            return Some((String::from_utf8(octets).ok()?, rest));
        }
        if socket.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    }
}

/// An origin that answers `ok`, or echoes after an upgrade.
async fn origin(listener: TcpListener) {
    while let Ok((mut socket, _)) = listener.accept().await {
        tokio::spawn(async move {
            while let Some((asked, _)) = head(&mut socket, Vec::new()).await {
                if asked.to_lowercase().contains("\r\nupgrade: websocket\r\n") {
                    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                    socket.write_all(answer.as_bytes()).await.ok();
                    let (mut read, mut write) = socket.split();
                    tokio::io::copy(&mut read, &mut write).await.ok();
                    return;
                }
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                if socket.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// One request; whether the connection goes on. `None` is a failure.
async fn ask(socket: &mut TcpStream) -> Option<bool> {
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await.ok()?;
    let (answer, mut body) = head(socket, Vec::new()).await?;
    while body.len() < 2 {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let right = answer.starts_with("HTTP/1.1 200 ") && body == b"ok";
    right.then(|| !answer.to_lowercase().contains("\r\nconnection: close\r\n"))
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    failed: AtomicUsize,
    stop: AtomicBool,
}

async fn client(address: SocketAddr, seen: Arc<Seen>) {
    let mut ticks = interval(EVERY);
    let mut kept: Option<TcpStream> = None;
    while !seen.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let socket = match kept.take() {
            Some(socket) => Ok(socket),
            None => TcpStream::connect(address).await,
        };
        let asked = match socket {
            Ok(mut socket) => ask(&mut socket).await.map(|goes_on| goes_on.then_some(socket)),
            Err(_) => None,
        };
        match asked {
            Some(socket) => {
                kept = socket;
                seen.answered.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                seen.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn web_socket(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("connects");
    let upgrade = "GET /ws HTTP/1.1\r\nhost: a.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.expect("written");
    let (answer, _) = head(&mut socket, Vec::new()).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    socket
}

/// Whether every WebSocket still echoes.
async fn all_echo(sockets: &mut [TcpStream]) -> bool {
    for (number, socket) in sockets.iter_mut().enumerate() {
        let word = format!("{number:04}");
        let mut answer = [0; 4];
        let echo = async {
            socket.write_all(word.as_bytes()).await?;
            socket.read_exact(&mut answer).await
        };
        if !matches!(timeout(PATIENCE, echo).await, Ok(Ok(_))) || answer != word.as_bytes() {
            return false;
        }
    }
    true
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what} in time");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(super) fn documents(origin: SocketAddr) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{ name: hello, namespace: default }}
spec: {{ ports: [{{ port: 80 }}] }}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{ name: hello-1, namespace: default, labels: {{ kubernetes.io/service-name: hello }} }}
addressType: IPv4
ports: [{{ port: {} }}]
endpoints: [{{ addresses: [\"{}\"] }}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{ name: hello, namespace: default }}
spec: {{ defaultBackend: {{ service: {{ name: hello, port: {{ number: 80 }} }} }} }}
",
        origin.port(),
        origin.ip()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_process_takes_over_under_load_and_no_request_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let text = documents(listener.local_addr().expect("bound"));
    tokio::spawn(origin(listener));
    fs::create_dir(directory.path().join("documents")).expect("created");
    fs::write(directory.path().join("documents/site.yaml"), text).expect("written");
    let (http, https, admin) = (free_port(), free_port(), free_port());
    let address = SocketAddr::from(([127, 0, 0, 1], http));
    let line = format!(
        "lb --site here documents --listen 127.0.0.1 --http-port {http} --https-port {https} \
         --admin 127.0.0.1:{admin} --handover gateway.sock --drain-deadline 120"
    );
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let waits = directory.path().join("gateway.sock");
    let waiting = |path: &std::path::Path| fs::metadata(path).ok().map(|file| identity(&file));

    let older = spawn(&arguments, &directory);
    until("the first process serves", || waiting(&waits).is_some()).await;
    let first = waiting(&waits);
    let mut web_sockets = Vec::new();
    for _ in 0..WEB_SOCKETS {
        web_sockets.push(web_socket(address).await);
    }
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(client(address, Arc::clone(&seen)))).collect();
    let answered = || seen.answered.load(Ordering::Relaxed);
    until("requests are answered", || answered() >= 200).await;

    let newer = spawn(&arguments, &directory);
    until("the second process waits for a third", || {
        waiting(&waits).is_some_and(|now| Some(now) != first)
    })
    .await;
    // The older process drains: what is open stays, what is new goes to the newer one.
    assert!(all_echo(&mut web_sockets).await, "a WebSocket was lost");
    let after = answered();
    until("requests are answered by the newer process", || answered() >= after + 500).await;
    assert!(all_echo(&mut web_sockets).await, "a WebSocket was lost");
    drop(web_sockets);
    seen.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client went on");
    }
    assert_eq!(seen.failed.load(Ordering::Relaxed), 0, "of {} requests", answered());
    let ended = tokio::task::spawn_blocking(move || older.wait());
    let status = timeout(PATIENCE, ended).await.expect("the older process ends").expect("joined");
    assert_eq!(status, Some(0));
    // Nobody but the newer one is left, and its admin port is open.
    assert_eq!(ask(&mut TcpStream::connect(address).await.expect("connects")).await, Some(true));
    assert!(TcpStream::connect(("127.0.0.1", admin)).await.is_ok());
    assert_eq!(newer.terminate(), Some(0));
}

/// Tells a file from another of the same name: inode numbers alone are given out again.
fn identity(file: &fs::Metadata) -> (u64, i64, i64) {
    (file.ino(), file.ctime(), file.ctime_nsec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_may_open_the_sockets() {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let text = documents(listener.local_addr().expect("bound"));
    tokio::spawn(origin(listener));
    fs::create_dir(directory.path().join("documents")).expect("created");
    fs::write(directory.path().join("documents/site.yaml"), text).expect("written");
    // Bound here and held all the time: binding it again would fail.
    let passed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let http = passed.local_addr().expect("bound").port();
    let (https, admin) = (free_port(), free_port());
    // Standard input carries the socket to the shell, which makes it the first passed descriptor
    // and names the process's own id, as systemd does.
    let line = format!(
        "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec {} lb --site here documents \
         --listen 127.0.0.1 --http-port {http} --https-port {https} --admin 127.0.0.1:{admin}",
        env!("CARGO_BIN_EXE_nearside")
    );
    let copy = passed.try_clone().expect("a copy");
    let child = std::process::Command::new("bash")
        .args(["-c", &line])
        .current_dir(directory.path())
        .stdin(std::os::fd::OwnedFd::from(copy))
        .spawn()
        .expect("bash runs");
    let process = Process(child);
    // The connection waits in the socket until somebody accepts.
    let mut socket = TcpStream::connect(("127.0.0.1", http)).await.expect("connects");
    let answer = timeout(PATIENCE, ask(&mut socket)).await.expect("an answer in time");
    assert_eq!(answer, Some(true));
    assert_eq!(process.terminate(), Some(0));
}
