//! TLS towards origins: whom to trust, by which names, and with which certificate of our own.
//!
//! Settings are parsed once and shared by all connections of a policy; connections of different
//! policies never mix, because each has a group of its own in Pingora's pool (whose hash leaves the
//! roots out). Pingora checks the chain and, without `subjectAltNames`, the host name. Names beyond
//! that it cannot check, and it shows of the origin's certificate only the SHA-256: so a certificate
//! that is seen for the first time is fetched once more from the same endpoint, compared by that
//! digest, and its names are read. A digest that passed is remembered.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::gateway::SubjectAltName;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use ring::digest::{Context, SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring as provider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates of one bundle (Mozilla's has about 140).
const ROOTS_MAX: usize = 1_000;
/// Digests remembered by one policy; beyond, the memory starts anew.
const DIGESTS_MAX: usize = 4_096;

/// Whom to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Roots<'a> {
    /// What the operating system trusts.
    System,
    /// These certificates, in PEM.
    Pem(&'a [u8]),
    /// Everybody: an Ingress's `backend-protocol: HTTPS` without more, which encrypts and no more.
    Anybody,
}

/// TLS settings as the documents say them.
#[derive(Debug, Clone)]
pub(crate) struct OriginTlsSource<'a> {
    /// Whom to trust.
    pub(crate) roots: Roots<'a>,
    /// The server name that is sent, and, without `names`, the one the certificate must be for.
    pub(crate) server_name: Arc<str>,
    /// One of these must be in the certificate, when there are any.
    pub(crate) names: &'a [SubjectAltName],
}

/// Why TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginTlsError {
    /// The bundle holds nothing usable.
    #[error("the bundle of authorities holds no usable certificate")]
    NoRoots,
    /// It is too long.
    #[error("the bundle of authorities holds more than {ROOTS_MAX} certificates")]
    TooManyRoots,
    /// The server name is none.
    #[error("`{0}` is not a DNS name")]
    ServerName(Arc<str>),
    /// Our own certificate or key cannot be used. The cause is kept out: it could quote the key.
    #[error("the client certificate or its key cannot be used")]
    Client,
}

/// TLS settings, ready to use.
#[derive(Debug)]
pub(crate) struct OriginTls {
    server_name: Arc<str>,
    group: u64,
    roots: Option<Arc<CaType>>,
    check: Check,
}

/// The certificate that a Gateway shows its backends.
#[derive(Debug)]
pub(crate) struct OriginClient {
    pair: Arc<CertKey>,
    group: u64,
}

/// What is checked of an origin's certificate.
#[derive(Debug)]
enum Check {
    /// Chain and host name, by Pingora.
    HostName,
    /// The chain by Pingora, the names by us.
    Names { names: Vec<SubjectAltName>, passed: Mutex<HashSet<Vec<u8>>> },
    /// Nothing.
    Nothing,
}

/// What an origin's certificate is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameFault {
    /// It could not be read a second time.
    #[error("the origin's certificate could not be read")]
    Unread,
    /// It carries none of the names.
    #[error("the origin's certificate carries none of the wanted names")]
    Mismatch,
}

impl OriginTlsSource<'_> {
    /// Names the settings: equal settings have equal digests.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let mut part = |octets: &[u8]| {
            context.update(&(octets.len() as u64).to_be_bytes());
            context.update(octets);
        };
        match self.roots {
            Roots::System => part(b"system"),
            Roots::Anybody => part(b"anybody"),
            Roots::Pem(pem) => {
                part(b"pem");
                part(pem);
            }
        }
        part(self.server_name.as_bytes());
        for name in self.names {
            match name {
                SubjectAltName::Hostname(host) => part(format!("dns:{host}").as_bytes()),
                SubjectAltName::Uri(uri) => part(format!("uri:{uri}").as_bytes()),
            }
        }
        let mut octets = [0; 32];
        octets.copy_from_slice(context.finish().as_ref());
        octets
    }
}

impl OriginClient {
    /// Parses a certificate with its chain and its key, both in PEM.
    pub(crate) fn new(chain: &[u8], key: &[u8], group: u64) -> Result<Self, OriginTlsError> {
        Ok(Self { pair: certificate(chain, key)?, group })
    }

    /// Names a pair: equal pairs have equal digests.
    pub(crate) fn digest(chain: &[u8], key: &[u8]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&(chain.len() as u64).to_be_bytes());
        context.update(chain);
        context.update(key);
        let mut octets = [0; 32];
        octets.copy_from_slice(context.finish().as_ref());
        octets
    }
}

impl OriginTls {
    /// Parses settings. `group` keeps its connections apart from all others.
    pub(crate) fn new(source: &OriginTlsSource<'_>, group: u64) -> Result<Self, OriginTlsError> {
        let server_name = Arc::clone(&source.server_name);
        if ServerName::try_from(&*server_name).is_err() {
            return Err(OriginTlsError::ServerName(server_name));
        }
        let roots = match source.roots {
            Roots::Pem(pem) => Some(bundle(pem)?),
            Roots::System | Roots::Anybody => None,
        };
        let check = match (source.roots, source.names) {
            (Roots::Anybody, _) => Check::Nothing,
            (_, []) => Check::HostName,
            (_, names) => Check::Names { names: names.to_vec(), passed: Mutex::default() },
        };
        Ok(Self { server_name, group, roots, check })
    }

    /// Makes a peer use these settings, and returns what keeps its connections apart.
    pub(crate) fn apply(&self, client: Option<&OriginClient>, peer: &mut HttpPeer) -> u64 {
        // Never empty, as parsed: Pingora verifies nothing without a server name.
        self.server_name.as_ref().clone_into(&mut peer.sni);
        peer.scheme = pingora_core::upstreams::peer::Scheme::HTTPS;
        peer.options.ca = self.roots.as_ref().map(Arc::clone);
        peer.client_cert_key = client.map(|client| Arc::clone(&client.pair));
        match self.check {
            Check::HostName => {}
            Check::Names { .. } => peer.options.verify_hostname = false,
            Check::Nothing => peer.options.verify_cert = false,
        }
        // Groups are counted from 1 by one counter per gateway, far below these widths.
        self.group << 28 | client.map_or(0, |client| client.group)
    }

    /// The server name that is sent.
    #[cfg(test)]
    pub(crate) fn server_name(&self) -> &str {
        &self.server_name
    }

    /// Whether the names of the certificate with this digest have to be read first.
    pub(crate) fn must_read(&self, seen: &[u8]) -> bool {
        match &self.check {
            Check::Names { passed, .. } => {
                !passed.lock().unwrap_or_else(PoisonError::into_inner).contains(seen)
            }
            Check::HostName | Check::Nothing => false,
        }
    }

    /// Fetches the certificate of an endpoint, which must have the digest seen, and reads its names.
    pub(crate) async fn read_names(
        &self,
        endpoint: SocketAddr,
        seen: &[u8],
        within: Duration,
    ) -> Result<(), NameFault> {
        let Check::Names { names, passed } = &self.check else { return Ok(()) };
        let fetched = timeout(within, fetch(endpoint, &self.server_name)).await;
        let leaf = fetched.ok().flatten().ok_or(NameFault::Unread)?;
        if digest(&SHA256, &leaf).as_ref() != seen {
            return Err(NameFault::Unread);
        }
        if !carries(&leaf, names) {
            return Err(NameFault::Mismatch);
        }
        let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.len() >= DIGESTS_MAX {
            passed.clear();
        }
        passed.insert(seen.to_vec());
        Ok(())
    }
}

fn bundle(pem: &[u8]) -> Result<Arc<CaType>, OriginTlsError> {
    let mut checked = RootCertStore::empty();
    let mut roots = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem).flatten() {
        if roots.len() >= ROOTS_MAX {
            return Err(OriginTlsError::TooManyRoots);
        }
        // Both parsers that will see it must agree; Pingora's would panic otherwise.
        if X509Certificate::from_der(&der).is_ok() && checked.add(der.clone()).is_ok() {
            roots.push(WrappedX509::new(der.to_vec(), parse_x509));
        }
    }
    if roots.is_empty() { Err(OriginTlsError::NoRoots) } else { Ok(roots.into()) }
}

fn certificate(chain: &[u8], key: &[u8]) -> Result<Arc<CertKey>, OriginTlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| OriginTlsError::Client)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| OriginTlsError::Client)?;
    let readable = chain.iter().all(|der| X509Certificate::from_der(der).is_ok());
    let fits = rustls::sign::CertifiedKey::from_der(
        chain.clone(),
        key.clone_key(),
        &provider::default_provider(),
    );
    if chain.is_empty() || !readable || fits.is_err() {
        return Err(OriginTlsError::Client);
    }
    let chain = chain.into_iter().map(|der| der.to_vec()).collect();
    Ok(Arc::new(CertKey::new(chain, key.secret_der().to_vec())))
}

/// Whether a certificate carries one of the names.
fn carries(leaf: &[u8], wanted: &[SubjectAltName]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else { return false };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|has| {
        wanted.iter().any(|want| match (has, want) {
            (GeneralName::DNSName(has), SubjectAltName::Hostname(want)) => same_host(has, want),
            (GeneralName::URI(has), SubjectAltName::Uri(want)) => *has == &**want,
            _ => false,
        })
    })
}

/// Whether a DNS name of a certificate covers a host: equal, or a wildcard for its first label
/// (RFC 9525, section 6.3). A wanted wildcard is met by itself or by any name of one more label.
fn same_host(has: &str, want: &str) -> bool {
    let below = |name: &str, suffix: &str| {
        name.split_once('.').is_some_and(|(first, rest)| {
            !first.is_empty() && first != "*" && rest.eq_ignore_ascii_case(suffix)
        })
    };
    has.eq_ignore_ascii_case(want)
        || has.strip_prefix("*.").is_some_and(|suffix| below(want, suffix))
        || want.strip_prefix("*.").is_some_and(|suffix| below(has, suffix))
}

/// The leaf certificate that an endpoint shows; the handshake is broken off behind it.
async fn fetch(endpoint: SocketAddr, server_name: &str) -> Option<Vec<u8>> {
    let shown = Arc::new(Showing { leaf: Mutex::new(None) });
    let crypto = Arc::new(provider::default_provider());
    let config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&shown) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(server_name.to_owned()).ok()?;
    let socket = TcpStream::connect(endpoint).await.ok()?;
    // Always an error: the verifier only looks.
    let _ = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    shown.leaf.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Keeps the certificate that is shown and ends the handshake; nothing is ever sent behind it.
#[derive(Debug)]
struct Showing {
    leaf: Mutex<Option<Vec<u8>>>,
}

impl ServerCertVerifier for Showing {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.leaf.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.to_vec());
        Err(rustls::Error::General("only looking".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only looking".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only looking".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
