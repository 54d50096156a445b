//! A client that writes its requests by hand: the gateway's own parser must not judge itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;

/// An answer takes at most so long.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// An answer, and what the origin said it was asked.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    headers: Vec<(String, String)>,
    pub(crate) asked: Value,
}

impl Reply {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The values of a header as the origin saw them, with commas between.
    pub(crate) fn seen(&self, name: &str) -> Option<String> {
        let values = self.asked["headers"][name].as_array()?;
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        Some(values.join(","))
    }

    /// The answer in a word or two: the code, then the backend or where a redirect leads.
    pub(crate) fn brief(&self) -> String {
        let more = self.asked["backend"].as_str().or_else(|| self.header("location"));
        more.map_or_else(|| self.code.to_string(), |more| format!("{} {more}", self.code))
    }
}

/// Sends a request: `[METHOD] host[/path] [name:value]...`.
pub(crate) fn ask(to: SocketAddr, request: &str) -> Result<Reply, String> {
    let failed = |error: std::io::Error| format!("{to}: {error}");
    let stream = connect(to).map_err(failed)?;
    exchange(stream, request).map_err(failed)
}

/// Sends a request over TLS, naming `name` and trusting the certificate in `root`.
pub(crate) fn ask_tls(
    to: SocketAddr,
    name: &str,
    root: &str,
    request: &str,
) -> Result<Reply, String> {
    ask_tls_as(to, name, (root, None), request)
}

/// As [`ask_tls`], showing a certificate and its key where one is asked for.
pub(crate) fn ask_tls_as(
    to: SocketAddr,
    name: &str,
    (root, shown): (&str, Option<(&str, &str)>),
    request: &str,
) -> Result<Reply, String> {
    let failed = |error: std::io::Error| format!("{to}: {error}");
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(root.as_bytes()).expect("a certificate");
    roots.add(certificate).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::from_pem_slice(chain.as_bytes()).expect("a certificate");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            config.with_client_auth_cert(vec![chain], key).expect("a pair")
        }
    };
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let stream = StreamOwned::new(connection, connect(to).map_err(failed)?);
    exchange(stream, request).map_err(failed)
}

fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

fn exchange(mut stream: impl Read + Write, request: &str) -> std::io::Result<Reply> {
    let mut words = request.split(' ').peekable();
    let method = words.next_if(|word| word.chars().all(|one| one.is_ascii_uppercase()));
    let target = words.next().unwrap_or_default();
    let (host, path) = target.split_at(target.find('/').unwrap_or(target.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut head = format!("{} {path} HTTP/1.1\r\nHost: {host}\r\n", method.unwrap_or("GET"));
    for word in words {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    let mut octets = Vec::new();
    if let Err(error) = stream.read_to_end(&mut octets)
        && octets.is_empty()
    {
        return Err(error);
    }
    let text = String::from_utf8_lossy(&octets);
    reply(&text).ok_or_else(|| std::io::Error::other(format!("not an answer: `{text}`")))
}

fn reply(text: &str) -> Option<Reply> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let code = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    // A document is found in a chunked body as well as in a plain one.
    let document = body.find('{').zip(body.rfind('}')).and_then(|(from, to)| body.get(from..=to));
    let asked = document.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    Some(Reply { code, headers: headers.collect(), asked })
}
