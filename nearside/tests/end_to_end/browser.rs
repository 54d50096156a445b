//! A browser loads a page over HTTP/2 and holds a WebSocket through the gateway.
//!
//! The page's own script says what it saw: over which protocol it came, what the WebSocket echoed and
//! for how long it was held. It tells the origin, which tells the test.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::handover::head;
use super::world::{Process, free_port, spawn};

/// A browser on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Appended to the client's key (RFC 6455, section 1.3).
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Ten words at 100 ms each are echoed before the page reports.
const PAGE: &str = r#"<!doctype html><title>test</title><script>
const seen = { protocol: performance.getEntriesByType("navigation")[0].nextHopProtocol, echoes: 0 };
const report = () => fetch("/report", { method: "POST", body: JSON.stringify(seen) });
const socket = new WebSocket("wss://" + location.host + "/ws");
const say = () => socket.send("word " + seen.echoes);
socket.onopen = say;
socket.onmessage = (message) => {
  if (message.data !== "word " + seen.echoes) { seen.wrong = message.data; return report(); }
  seen.echoes += 1;
  if (seen.echoes < 10) { setTimeout(say, 100); } else { socket.close(1000); }
};
socket.onclose = (event) => { seen.close = event.code; report(); };
</script>"#;

async fn origin(listener: TcpListener, reports: mpsc::Sender<String>) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(serve(socket, reports.clone()));
    }
}

async fn serve(mut socket: TcpStream, reports: mpsc::Sender<String>) -> Option<()> {
    let mut held = Vec::new();
    while let Some((asked, rest)) = head(&mut socket, std::mem::take(&mut held)).await {
        held = rest;
        let header = |name: &str| {
            let mut lines = asked.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        if let Some(key) = header("sec-websocket-key") {
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {}\r\n\r\n",
                accepted(&key)
            );
            socket.write_all(answer.as_bytes()).await.ok()?;
            return echo(socket, held).await;
        }
        let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while held.len() < length {
            if socket.read_buf(&mut held).await.ok()? == 0 {
                return None;
            }
        }
        let body: Vec<u8> = held.drain(..length).collect();
        let page = asked.starts_with("GET / ");
        if asked.starts_with("POST /report ") {
            reports.send(String::from_utf8(body).ok()?).await.ok()?;
        }
        let (status, body) = if page { ("200 OK", PAGE) } else { ("204 No Content", "") };
        let length =
            if page { format!("content-length: {}\r\n", body.len()) } else { String::new() };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-type: text/html\r\n{length}\r\n{body}");
        socket.write_all(answer.as_bytes()).await.ok()?;
    }
    None
}

/// The answer to a WebSocket's key (RFC 6455, section 4.2.2).
fn accepted(key: &str) -> String {
    let text = format!("{key}{WEBSOCKET_GUID}");
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    base64(digest.as_ref())
}

fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in octets.chunks(3) {
        let word = piece.iter().fold(0_u32, |word, &octet| word << 8 | u32::from(octet));
        let word = word << (8 * (3 - piece.len()));
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= piece.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Sends every frame back, unmasked (RFC 6455, section 5.2). They are short here.
async fn echo(mut socket: TcpStream, mut held: Vec<u8>) -> Option<()> {
    loop {
        let short = held.get(1).map(|octet| usize::from(octet & 0x7f));
        if let Some(length) = short.filter(|length| held.len() >= 6 + length) {
            assert!(length < 126, "a short frame");
            let frame: Vec<u8> = held.drain(..6 + length).collect();
            let words = frame[6..].iter().zip(frame[2..6].iter().cycle());
            let mut answer = vec![frame[0], frame[1] & 0x7f];
            answer.extend(words.map(|(octet, mask)| octet ^ mask));
            socket.write_all(&answer).await.ok()?;
            // A close was echoed too, and with it the conversation is over.
            if frame[0] & 0x0f == 8 {
                return Some(());
            }
        } else if socket.read_buf(&mut held).await.ok()? == 0 {
            return None;
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn documents(origin: SocketAddr) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["site.example".to_owned()]);
    let made = made.expect("a certificate");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    format!(
        "{}---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{ name: secure, namespace: default }}
spec:
  tls: [{{ hosts: [site.example], secretName: site }}]
  rules:
    - host: site.example
      http:
        paths:
          - {{ path: /, pathType: Prefix, backend: {{ service: {{ name: hello, port: {{ number: 80 }} }} }} }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: site, namespace: default }}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{}  tls.key: |
{}",
        super::handover::documents(origin),
        indented(&certificate),
        indented(&key)
    )
}

fn browse(url: &str, profile: &Path) -> Process {
    let child = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--ignore-certificate-errors",
            "--host-resolver-rules=MAP site.example 127.0.0.1",
            "--remote-debugging-port=0",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let help = "chromium is not installed; help: scripts/setup chromium";
    Process(child.expect(help))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_loads_a_page_over_http_2_and_holds_a_websocket() {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let text = documents(listener.local_addr().expect("bound"));
    let (sender, mut reports) = mpsc::channel(4);
    tokio::spawn(origin(listener, sender));
    fs::create_dir(directory.path().join("documents")).expect("created");
    fs::write(directory.path().join("documents/site.yaml"), text).expect("written");
    let (http, https, admin) = (free_port(), free_port(), free_port());
    let line = format!(
        "lb --site here documents --listen 127.0.0.1 --http-port {http} --https-port {https} \
         --admin 127.0.0.1:{admin}"
    );
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let gateway = spawn(&arguments, &directory);
    let start = std::time::Instant::now();
    while TcpStream::connect(("127.0.0.1", https)).await.is_err() {
        assert!(start.elapsed() < PATIENCE, "the gateway serves in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let profile = directory.path().join("profile");
    let _browser = browse(&format!("https://site.example:{https}/"), &profile);
    let report = timeout(PATIENCE, reports.recv()).await.expect("the page reports in time");
    let seen: serde_json::Value =
        serde_json::from_str(&report.expect("a report")).expect("the page's own JSON");
    assert_eq!(seen, serde_json::json!({ "protocol": "h2", "echoes": 10, "close": 1000 }));
    assert_eq!(gateway.terminate(), Some(0));
}
