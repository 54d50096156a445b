//! Certificates and keys out of Secrets.
//!
//! Each Secret is parsed once and found again by the next view while it stays the same. An edit that
//! makes it unusable changes nothing but what is said of it: the certificate before it is kept; a
//! Secret that never was usable is left out. Keys never appear in messages.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use model::gateway::Secret;
use model::name::ObjectRef;
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

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

/// Secrets as parsed, for the next view.
#[derive(Default)]
pub(crate) struct Keys(HashMap<ObjectRef, Loaded>);

/// A Secret as parsed, with what it was parsed from.
#[derive(Clone)]
struct Loaded {
    data: BTreeMap<Arc<str>, Arc<[u8]>>,
    key: Arc<CertifiedKey>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Keys {
    /// Each Secret in use with its certificate.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&ObjectRef, &CertifiedKey)> {
        self.0.iter().map(|(secret, loaded)| (secret, &*loaded.key))
    }
}

/// Loads Secrets for one view.
pub(crate) struct Keyring<'b> {
    before: &'b Keys,
    loaded: HashMap<ObjectRef, (Option<Loaded>, Option<String>)>,
}

impl<'b> Keyring<'b> {
    pub(crate) fn new(before: &'b Keys) -> Self {
        Self { before, loaded: HashMap::new() }
    }

    /// The certificate of a Secret, and what is wrong with it. Both, when it was usable before.
    pub(crate) fn load(&mut self, secret: &Secret) -> (Option<Arc<CertifiedKey>>, Option<String>) {
        let object = &secret.meta.object;
        if !self.loaded.contains_key(object) {
            let before = self.before.0.get(object);
            let found = match before.filter(|old| old.data == secret.data) {
                Some(same) => (Some(same.clone()), None),
                None => match parse(secret) {
                    Ok(key) => {
                        let loaded = Loaded { data: secret.data.clone(), key: Arc::new(key) };
                        (Some(loaded), None)
                    }
                    // What was parsed stays beside its own text, so that the fault is said again.
                    Err(error) => (before.cloned(), Some(fault(object, &error, before))),
                },
            };
            self.loaded.insert(object.clone(), found);
        }
        let found = self.loaded.get(object);
        let key = found.and_then(|(loaded, _)| loaded.as_ref());
        let key = key.map(|loaded| Arc::clone(&loaded.key));
        (key, found.and_then(|(_, fault)| fault.clone()))
    }

    /// What the next view may find again.
    pub(crate) fn finish(self) -> Keys {
        let all = self.loaded.into_iter();
        Keys(all.filter_map(|(object, (loaded, _))| Some((object, loaded?))).collect())
    }
}

fn fault(object: &ObjectRef, error: &CertificateError, before: Option<&Loaded>) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let cause = cause.unwrap_or_default();
    let instead = before.map_or("", |_| "; the certificate before it is kept");
    format!("the Secret `{object}` is not used: {error}{cause}{instead}")
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
