//! How TLS is terminated for one listener: its certificates, whose clients it trusts, its tickets.
//!
//! A listener's configuration for rustls is made at its first handshake and lives as long as the
//! view that holds it, so a reload of thousands of listeners makes none. Invariant: tickets of one
//! listener are worth nothing at another, nor after the authorities it trusts have changed.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ring::digest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
    VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::ticket::TicketSecrets;

/// How TLS is terminated for one listener.
pub(crate) struct Termination {
    /// `gateway/namespace/name/listener`: connections of one never serve requests of another (421).
    pub(crate) listener: Arc<str>,
    /// Usable certificates; the one that names the server name is taken, else the first.
    certificates: Arc<[Arc<CertifiedKey>]>,
    /// Whose certificates clients must show, if they must.
    clients: Option<ClientTrust>,
    http: OnceLock<Arc<ServerConfig>>,
    octets: OnceLock<Arc<ServerConfig>>,
}

/// What is inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    /// HTTP/2 or HTTP/1.1, by ALPN.
    Http,
    /// Octets for a backend; what they are is its business.
    Octets,
}

/// How clients' certificates are checked.
#[derive(Debug, Clone)]
pub(crate) struct ClientTrust {
    /// The authorities.
    pub(crate) roots: Arc<RootCertStore>,
    /// Whether a client without a certificate, or with one that does not verify, is let in.
    pub(crate) otherwise: Unverified,
}

/// What becomes of a client that does not prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// The handshake fails.
    Refuse,
    /// It is let in all the same (`AllowInsecureFallback`).
    Admit,
}

/// Why a listener cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TerminationError {
    /// The authorities cannot be used.
    #[error("cannot check clients' certificates")]
    Clients(#[source] VerifierBuilderError),
    /// No usable configuration.
    #[error("cannot set up TLS")]
    Tls(#[source] Error),
}

impl fmt::Debug for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Termination")
            .field("listener", &self.listener)
            .field("certificates", &self.certificates.len())
            .field("authorities", &self.clients.as_ref().map(|trust| trust.roots.len()))
            .finish_non_exhaustive()
    }
}

impl Termination {
    /// Of a listener with at least one certificate.
    pub(crate) fn new(
        listener: Arc<str>,
        certificates: Vec<Arc<CertifiedKey>>,
        clients: Option<ClientTrust>,
    ) -> Self {
        let (http, octets) = (OnceLock::new(), OnceLock::new());
        Self { listener, certificates: certificates.into(), clients, http, octets }
    }

    /// Its certificates.
    pub(crate) fn certificates(&self) -> &[Arc<CertifiedKey>] {
        &self.certificates
    }

    /// TLS 1.2 and 1.3, made at the first call.
    pub(crate) fn config(
        &self,
        carried: Carried,
        tickets: &TicketSecrets,
    ) -> Result<Arc<ServerConfig>, TerminationError> {
        let (place, alpn) = match carried {
            Carried::Http => (&self.http, vec![b"h2".to_vec(), b"http/1.1".to_vec()]),
            Carried::Octets => (&self.octets, Vec::new()),
        };
        if let Some(config) = place.get() {
            return Ok(Arc::clone(config));
        }
        let mut made = self.configure(tickets)?;
        made.alpn_protocols = alpn;
        Ok(Arc::clone(place.get_or_init(|| Arc::new(made))))
    }

    fn configure(&self, tickets: &TicketSecrets) -> Result<ServerConfig, TerminationError> {
        let provider = Arc::new(provider::default_provider());
        let verifier = self.clients.as_ref().map(|trust| verifier(trust, &provider)).transpose()?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TerminationError::Tls)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let certificates = Resolver { certificates: Arc::clone(&self.certificates) };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        // Tickets carry the session; nothing is kept here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(tickets.for_listener(&self.ticket_context()));
        Ok(config)
    }

    /// What a ticket must not cross.
    fn ticket_context(&self) -> Vec<u8> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.listener.as_bytes());
        if let Some(ClientTrust { roots, otherwise }) = &self.clients {
            context.update(match otherwise {
                Unverified::Refuse => b"\0require",
                Unverified::Admit => b"\0admit..",
            });
            for root in &roots.roots {
                for part in [&root.subject, &root.subject_public_key_info] {
                    context.update(&(part.len() as u64).to_be_bytes());
                    context.update(part);
                }
            }
        }
        context.finish().as_ref().to_vec()
    }
}

fn verifier(
    trust: &ClientTrust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TerminationError> {
    match trust.otherwise {
        Unverified::Refuse => {
            let roots = Arc::clone(&trust.roots);
            let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
            Ok(builder.build().map_err(TerminationError::Clients)?)
        }
        Unverified::Admit => Ok(Arc::new(Admitting {
            subjects: trust.roots.subjects(),
            provider: Arc::clone(provider),
        })),
    }
}

/// Chooses the certificate of a handshake.
struct Resolver {
    certificates: Arc<[Arc<CertifiedKey>]>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("certificates", &self.certificates.len()).finish()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let named = hello.server_name().filter(|_| self.certificates.len() > 1);
        let name = named.and_then(|name| ServerName::try_from(name).ok());
        let by_name = name.and_then(|name| {
            let mut usable = self.certificates.iter().filter(usable);
            usable.find(|key| names(key, &name))
        });
        // Without a key of the client's kind, rustls says so when it signs.
        let first = || self.certificates.iter().find(usable).or_else(|| self.certificates.first());
        by_name.or_else(first).map(Arc::clone)
    }
}

/// Whether a certificate is for this name.
fn names(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let leaf = key.end_entity_cert().ok().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    leaf.is_some_and(|leaf| verify_server_name(&leaf, name).is_ok())
}

/// Asks for a certificate and lets in whoever shows any, or none.
struct Admitting {
    subjects: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Admitting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitting").field("subjects", &self.subjects.len()).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Admitting {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
