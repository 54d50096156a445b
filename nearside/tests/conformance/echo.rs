//! Origins: they answer what they were asked, and who they are.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::{Map, Value, json};

/// Starts an HTTP origin on a free port of 127.0.0.1; like all here it lives as long as the process.
pub(crate) fn start(backend: &str) -> u16 {
    let backend: Arc<str> = backend.into();
    listen(move |stream| serve(stream, &backend))
}

/// Starts an HTTPS origin for some names; its certificate and port.
pub(crate) fn start_tls(backend: &str, names: &[&str]) -> (String, u16) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("made");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a pair");
    let (config, backend) = (Arc::new(config), Arc::<str>::from(backend));
    let port = listen(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a server");
        serve(StreamOwned::new(connection, stream), &backend);
    });
    (made.cert.pem(), port)
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
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader, backend) {
        let path = asked["path"].as_str().unwrap_or_default();
        let parameter = |name: &str| {
            let query = path.split_once('?')?.1;
            query.split('&').find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
        };
        if let Some(ms) = parameter("delay_ms").and_then(|text| text.parse().ok()) {
            std::thread::sleep(Duration::from_millis(ms));
        }
        let code = parameter("code").unwrap_or("200");
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
