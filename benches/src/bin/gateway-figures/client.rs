//! A client that takes its time: one connection, one request after the other, every answer read whole.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use benches::loopback_only;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// Largest answer that is read.
const ANSWER_OCTETS_MAX: usize = 64 << 10;
/// An answer that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A self-signed certificate.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: Vec<u8>,
}

/// A new certificate for a name.
pub(crate) fn certificate(name: &str) -> anyhow::Result<Certificate> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
    Ok(Certificate {
        chain_pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
        der: made.cert.der().to_vec(),
    })
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
}

impl Answer {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A header that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.parse().ok()
    }
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    held: Vec<u8>,
}

impl Client {
    /// Without TLS.
    pub(crate) fn plain(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { stream: Stream::Plain(connect(address)?), held: Vec::new() })
    }

    /// With TLS, the handshake done.
    pub(crate) fn tls(
        address: SocketAddr,
        name: &str,
        config: &Arc<ClientConfig>,
    ) -> anyhow::Result<Self> {
        let name = ServerName::try_from(name.to_owned())?;
        let connection = ClientConnection::new(Arc::clone(config), name)?;
        let mut stream = StreamOwned::new(connection, connect(address)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).context("the handshake")?;
        }
        Ok(Self { stream: Stream::Tls(Box::new(stream)), held: Vec::new() })
    }

    /// The server's certificate.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => stream.conn.peer_certificates()?.first().map(|der| &**der),
        }
    }

    /// One request and its whole answer.
    pub(crate) fn get(&mut self, host: &str) -> anyhow::Result<Answer> {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        self.write(request.as_bytes())?;
        let end = loop {
            if let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.fill()?;
        };
        let head = std::str::from_utf8(&self.held[..end - 4])?.to_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("`{head}` has no status"))?;
        let answer = Answer { status, head };
        let length = answer.number("content-length").context("an answer without a length")?;
        let whole = end + usize::try_from(length)?;
        while self.held.len() < whole {
            self.fill()?;
        }
        self.held.drain(..whole);
        Ok(answer)
    }

    fn write(&mut self, octets: &[u8]) -> anyhow::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets)?,
            Stream::Tls(stream) => stream.write_all(octets)?,
        }
        Ok(())
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        let mut space = [0; 4096];
        let count = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut space)?,
            Stream::Tls(stream) => stream.read(&mut space)?,
        };
        if count == 0 || self.held.len() > ANSWER_OCTETS_MAX {
            bail!("the answer has no end");
        }
        self.held.extend_from_slice(&space[..count]);
        Ok(())
    }
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&loopback_only(address)?, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// HTTP/1.1 over TLS, each handshake a full one; certificates are looked at by whoever asks.
pub(crate) fn tls_config() -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Takes every certificate whose key signs the handshake.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
