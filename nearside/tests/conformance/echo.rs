//! Origins: they answer what they were asked, and who they are.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Map, Value, json};

/// Starts an HTTP origin on a free port of 127.0.0.1; like all here it lives as long as the process.
pub(crate) fn start(backend: &str) -> u16 {
    let backend: Arc<str> = backend.into();
    listen(move |stream| serve(stream, &backend))
}

/// What an origin was asked, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<Value>>>);

impl Record {
    /// Everything since the last time.
    pub(crate) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Starts an HTTP origin that keeps what it was asked.
pub(crate) fn start_recorded(backend: &str) -> (u16, Record) {
    let (record, backend) = (Record::default(), Arc::<str>::from(backend));
    let kept = record.clone();
    let port = listen(move |stream| {
        serve_noting(stream, &backend, &|asked| {
            kept.0.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        });
    });
    (port, record)
}

/// Starts an origin that answers upgrades to WebSocket and then sends every frame back, unmasked.
pub(crate) fn start_websocket() -> u16 {
    listen(|mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            if !matches!(stream.read(&mut octet), Ok(1)) {
                return;
            }
            head.extend(octet);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let sent = if head.contains("upgrade: websocket") {
            stream.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )
        } else {
            stream.write_all(b"HTTP/1.1 426 Code\r\ncontent-length: 0\r\n\r\n")
        };
        let mut head = [0; 6];
        while sent.is_ok() && stream.read_exact(&mut head).is_ok() {
            // Short frames of clients: two octets, four of the mask, up to 125 of the message.
            let mut message = vec![0; usize::from(head[1] & 0x7f)];
            if stream.read_exact(&mut message).is_err() {
                return;
            }
            let masks = head[2..].iter().cycle();
            message.iter_mut().zip(masks).for_each(|(octet, mask)| *octet ^= mask);
            let answer = [&[head[0], head[1] & 0x7f], message.as_slice()].concat();
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    })
}

/// Starts an HTTPS origin that asks for a certificate of one authority; its certificate and port.
pub(crate) fn start_mutual_tls(backend: &str, name: &str, authority: &str) -> (String, u16) {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate");
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    serve_tls(backend, &[name], verifier.build().expect("a verifier"))
}

/// Starts an HTTPS origin for some names; its certificate and port.
pub(crate) fn start_tls(backend: &str, names: &[&str]) -> (String, u16) {
    serve_tls(backend, names, Arc::new(NoClientAuth))
}

fn serve_tls(backend: &str, names: &[&str], clients: Arc<dyn ClientCertVerifier>) -> (String, u16) {
    let (uris, hosts): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
    let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
    let mut params = rcgen::CertificateParams::new(hosts).expect("names");
    for uri in uris {
        let uri = uri.try_into().expect("an address");
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
    }
    let pair = rcgen::KeyPair::generate().expect("made");
    let made = params.self_signed(&pair).expect("signed");
    let key = PrivatePkcs8KeyDer::from(pair.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![made.der().clone()], key)
        .expect("a pair");
    let (config, backend) = (Arc::new(config), Arc::<str>::from(backend));
    let port = listen(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a server");
        serve_mutual(StreamOwned::new(connection, stream), &backend);
    });
    (made.pem(), port)
}

/// Starts an origin that says its name to whoever says something.
pub(crate) fn start_tcp(backend: &str) -> u16 {
    let backend: Arc<str> = backend.into();
    listen(move |mut stream| {
        let mut buffer = [0; 64];
        if matches!(stream.read(&mut buffer), Ok(1..)) {
            let _ = stream.write_all(backend.as_bytes());
        }
    })
}

/// Starts an origin that answers every datagram with its name.
pub(crate) fn start_udp(backend: &str) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("bound").port();
    let backend = backend.to_owned();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(backend.as_bytes(), from);
        }
    });
    port
}

fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

fn serve(stream: impl Read + Write, backend: &str) {
    serve_noting(stream, backend, &|_| ());
}

/// Over TLS: also tells the certificate that the client showed.
fn serve_mutual(mut stream: StreamOwned<ServerConnection, TcpStream>, backend: &str) {
    while stream.conn.is_handshaking() {
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return;
        }
    }
    let shown = stream.conn.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.map(|certificate| hex(certificate));
    serve_telling(stream, backend, &|asked| asked["client"] = json!(shown));
}

/// A certificate in PEM as [`serve_mutual`] tells it.
pub(crate) fn pem_hex(pem: &str) -> String {
    hex(&CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate"))
}

/// Octets as text.
fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn serve_noting(stream: impl Read + Write, backend: &str, note: &dyn Fn(&Value)) {
    serve_telling(stream, backend, &|asked| note(asked));
}

/// How often each `uuid` was answered, by all origins together.
static TRIES: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);

/// Whether a request is among the first so many of its `uuid`.
fn is_early(uuid: &str, fails: u32) -> bool {
    let mut tries = TRIES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = tries.entry(uuid.to_owned()).or_default();
    *count += 1;
    *count <= fails
}

fn serve_telling(stream: impl Read + Write, backend: &str, tell: &dyn Fn(&mut Value)) {
    let mut reader = BufReader::new(stream);
    while let Some(mut asked) = read(&mut reader, backend) {
        tell(&mut asked);
        let path = asked["path"].as_str().unwrap_or_default();
        let parameter = |name: &str| {
            let query = path.split_once('?')?.1;
            query.split('&').find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
        };
        if let Some(ms) = parameter("delay_ms").and_then(|text| text.parse().ok()) {
            std::thread::sleep(Duration::from_millis(ms));
        }
        let mut code = parameter("code").unwrap_or("200");
        if let Some((uuid, fails)) = parameter("uuid").zip(parameter("fails"))
            && !is_early(uuid, fails.parse().unwrap_or_default())
        {
            code = "200";
        }
        let more = parameter("headers").unwrap_or_default();
        let more: String =
            more.split(',').filter(|one| !one.is_empty()).map(|one| format!("{one}\r\n")).collect();
        let body = if asked["method"] == "HEAD" { String::new() } else { asked.to_string() };
        let head = format!(
            "HTTP/1.1 {code} Code\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{more}\r\n",
            body.len()
        );
        let out = reader.get_mut();
        let sent = out.write_all(format!("{head}{body}").as_bytes()).and_then(|()| out.flush());
        let is_last = asked["headers"]["connection"][0] == "close";
        if is_last || sent.is_err() {
            return;
        }
    }
}

/// The next request of a connection as the origin tells it.
fn read(reader: &mut BufReader<impl Read>, backend: &str) -> Option<Value> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|octets| *octets > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut headers, mut octets) = (Map::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let (name, value) = (name.to_lowercase(), value.trim().to_owned());
        if name == "content-length" {
            octets = value.parse().ok()?;
        }
        let values = headers.entry(name).or_insert_with(|| json!([]));
        values.as_array_mut()?.push(value.into());
    }
    let mut body = vec![0; octets];
    reader.read_exact(&mut body).ok()?;
    let host = headers.get("host").map_or(Value::Null, |values| values[0].clone());
    Some(json!({
        "backend": backend, "method": method, "path": path, "host": host, "headers": headers,
        "body": String::from_utf8_lossy(&body),
    }))
}
