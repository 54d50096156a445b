//! Certificates by server name, swapped with the view.
//!
//! A handshake asks the current view, so a new Secret is served to the next client and nobody is cut
//! off. An edit that makes a Secret unusable changes nothing but a warning:
//! the certificate before it is kept; a Secret that never was usable is left out. A client without
//! a server name, or with one that no document names, gets the certificate of a listener for every
//! host, and where there is none the handshake is refused (`unrecognized_name`). Keys never appear in messages.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use model::gateway::{GatewayObjects, HostPattern, ListenerProtocol, Meta, Secret};
use model::name::ObjectRef;
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::route::Scheme;
use crate::socket::{Plan, TableId, TlsAction, TlsPlan};
use crate::termination::Termination;
use crate::view::Warning;

/// Why a Secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// `tls.crt` has none.
    #[error("`tls.crt` holds no certificate")]
    NoCertificate,
    /// `tls.crt` is not PEM.
    #[error("`tls.crt` is not valid PEM")]
    Certificate(#[source] rustls_pki_types::pem::Error),
    /// `tls.key` has no usable key. The cause is kept out: it could quote the key.
    #[error("`tls.key` holds no usable private key")]
    Key,
    /// The two do not belong together, or the key's kind is not supported.
    #[error("the key does not fit the certificate")]
    Mismatch(#[source] rustls::Error),
}

/// Certificates of a view.
#[derive(Default)]
pub(crate) struct Certificates {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    suffix: HashMap<Box<str>, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
    /// By Secret, so that a reload parses only what has changed.
    loaded: HashMap<ObjectRef, Option<Loaded>>,
}

/// A Secret as parsed, with what it was parsed from.
#[derive(Clone)]
struct Loaded {
    data: BTreeMap<Arc<str>, Arc<[u8]>>,
    key: Arc<CertifiedKey>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("exact", &self.exact.keys())
            .field("suffix", &self.suffix.keys())
            .field("default", &self.default.is_some())
            .finish()
    }
}

impl Certificates {
    /// Loads every Secret that a TLS listener or an Ingress refers to.
    pub(crate) fn compile(
        objects: &GatewayObjects,
        before: &Self,
        warnings: &mut Vec<Warning>,
    ) -> Self {
        let secrets = objects.secrets.iter().map(|one| (&one.meta.object, &**one)).collect();
        let mut loader = Loader { secrets, before, warnings, loaded: HashMap::new() };
        let mut certificates = Self::default();
        for gateway in &objects.gateways {
            let https = |l: &&model::gateway::Listener| l.protocol == ListenerProtocol::Https;
            for listener in gateway.listeners.iter().filter(https) {
                // The first usable one; a second key type beside it comes with the next issue.
                let mut refs = listener.tls.iter().flat_map(|tls| &tls.certificates);
                let key = refs.find_map(|secret| loader.load(&gateway.meta, &secret.object));
                if let Some(key) = key {
                    certificates.file(listener.hostname.as_ref(), key);
                }
            }
        }
        for ingress in &objects.ingresses {
            for tls in &ingress.tls {
                let Some(key) = loader.load(&ingress.meta, &tls.secret) else { continue };
                let own = ingress.paths.iter().filter_map(|path| path.host.as_ref());
                let mut hosts: Vec<&HostPattern> = tls.hosts.iter().collect();
                if hosts.is_empty() {
                    hosts.extend(own);
                }
                if hosts.is_empty() {
                    certificates.file(None, Arc::clone(&key));
                }
                for host in hosts {
                    certificates.file(Some(host), Arc::clone(&key));
                }
            }
        }
        certificates.loaded = loader.loaded;
        certificates
    }

    /// The first document that names a host keeps it.
    fn file(&mut self, host: Option<&HostPattern>, key: Arc<CertifiedKey>) {
        match host {
            Some(HostPattern::Exact(name)) => {
                self.exact.entry(Box::from(&**name)).or_insert(key);
            }
            Some(HostPattern::Suffix(name)) => {
                self.suffix.entry(Box::from(&**name)).or_insert(key);
            }
            None => {
                self.default.get_or_insert(key);
            }
        }
    }

    /// What is done with TLS connections: terminated with the name's certificate, then HTTP.
    pub(crate) fn plan(&self) -> Plan {
        let action = |name: &str, key: &Arc<CertifiedKey>| {
            let listener = Arc::from(name);
            let termination = Termination::new(listener, vec![Arc::clone(key)], None);
            TlsAction::Http(Arc::new(termination), TableId::shared(Scheme::Https))
        };
        let all = |keys: &HashMap<Box<str>, Arc<CertifiedKey>>, prefix: &str| {
            let mut actions = HashMap::with_capacity(keys.len());
            for (name, key) in keys {
                actions.insert(name.clone(), action(&format!("{prefix}{name}"), key));
            }
            actions
        };
        Plan::Tls(TlsPlan {
            exact: all(&self.exact, ""),
            suffix: all(&self.suffix, "*."),
            any: self.default.as_ref().map(|key| action("*", key)),
        })
    }

    /// The certificate for a server name: exact, then the longest wildcard, then the default.
    /// rustls gives the name in lower case.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let by_name = name.and_then(|name| {
            let wild = || {
                let mut dots = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
                dots.find_map(|suffix| self.suffix.get(suffix))
            };
            self.exact.get(name).or_else(wild)
        });
        by_name.or(self.default.as_ref())
    }
}

struct Loader<'a> {
    secrets: HashMap<&'a ObjectRef, &'a Secret>,
    before: &'a Certificates,
    warnings: &'a mut Vec<Warning>,
    /// Each Secret is parsed once, whatever it is used for; `None` is one without a usable key.
    loaded: HashMap<ObjectRef, Option<Loaded>>,
}

impl Loader<'_> {
    fn load(&mut self, user: &Meta, secret: &ObjectRef) -> Option<Arc<CertifiedKey>> {
        if secret.namespace != user.object.namespace {
            self.warn(&user.origin, format!("the Secret `{secret}` is in another namespace"));
            return None;
        }
        if let Some(known) = self.loaded.get(secret) {
            return known.as_ref().map(|known| Arc::clone(&known.key));
        }
        let Some(&found) = self.secrets.get(secret) else {
            self.warn(&user.origin, format!("no Secret `{secret}` of type kubernetes.io/tls"));
            return None;
        };
        let same = |old: &&Loaded| old.data == found.data;
        let before = self.before.loaded.get(secret).and_then(Option::as_ref);
        let loaded = match before.filter(same) {
            Some(same) => Some(same.clone()),
            None => match parse(found) {
                Ok(key) => Some(Loaded { data: found.data.clone(), key: Arc::new(key) }),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                    let cause = cause.unwrap_or_default();
                    let instead = before.map_or("", |_| "; the certificate before it is kept");
                    let text =
                        format!("the Secret `{secret}` is not used: {error}{cause}{instead}");
                    self.warn(&found.meta.origin, text);
                    // What was parsed stays beside its own text, so that the fault is said again.
                    before.cloned()
                }
            },
        };
        let key = loaded.as_ref().map(|loaded| Arc::clone(&loaded.key));
        self.loaded.insert(secret.clone(), loaded);
        key
    }

    fn warn(&mut self, origin: &Arc<str>, text: String) {
        self.warnings.push(Warning { origin: Arc::clone(origin), text });
    }
}

fn parse(secret: &Secret) -> Result<CertifiedKey, CertificateError> {
    let (certificate, key) = secret.certificate_and_key().ok_or(CertificateError::NoCertificate)?;
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(CertificateError::Certificate)?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::Key)?;
    let signer = ring::sign::any_supported_type(&key).map_err(|_| CertificateError::Key)?;
    let certified = CertifiedKey::new(chain, signer);
    certified.keys_match().map_err(CertificateError::Mismatch)?;
    Ok(certified)
}

#[cfg(test)]
mod tests;
