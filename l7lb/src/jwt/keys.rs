//! JSON Web Key Sets (RFC 7517): public keys of RSA, P-256, P-384 and Ed25519.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

use super::JwtFault;

/// Keys of one set; providers rotate among two or three.
const KEYS_MAX: usize = 64;
/// Octets of a set's document.
const OCTETS_MAX: usize = 256 * 1024;

/// Why a set cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeySetError {
    /// It is not JSON of that shape.
    #[error("not a JSON Web Key Set")]
    Json(#[source] serde_json::Error),
    /// It is too long.
    #[error("more than {KEYS_MAX} keys or {OCTETS_MAX} octets")]
    TooLong,
    /// None of its keys can be used.
    #[error("no key that can verify a signature")]
    Empty,
}

/// A set of keys.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// `alg`, when the key is for one only.
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Debug, Deserialize)]
struct Document {
    keys: Vec<Jwk>,
}

#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Parses a document. Keys that are not for signatures, or of kinds that are not known, are left
    /// out, as RFC 7517, section 5, asks.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        if document.len() > OCTETS_MAX {
            return Err(KeySetError::TooLong);
        }
        let document: Document = serde_json::from_slice(document).map_err(KeySetError::Json)?;
        if document.keys.len() > KEYS_MAX {
            return Err(KeySetError::TooLong);
        }
        let keys: Vec<Key> = document.keys.into_iter().filter_map(Key::of).collect();
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self { keys }) }
    }

    /// Whether a signature is valid under one of the keys: those of this id, when the token names
    /// one, else all of the right kind.
    pub(super) fn verify(
        &self,
        algorithm: &str,
        id: Option<&str>,
        (message, signature): (&[u8], &[u8]),
    ) -> Result<(), JwtFault> {
        if !ALGORITHMS.contains(&algorithm) {
            return Err(JwtFault::Algorithm);
        }
        let fits = |key: &&Key| {
            id.is_none_or(|id| key.id.as_deref() == Some(id))
                && key.algorithm.as_deref().is_none_or(|only| only == algorithm)
        };
        let mut candidates = self.keys.iter().filter(fits);
        let valid = candidates.any(|key| key.material.verify(algorithm, message, signature));
        if valid { Ok(()) } else { Err(JwtFault::Signature) }
    }
}

/// RFC 7518, section 3.1, and RFC 8037, without HMAC and without P-521, which ring does not have.
const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let Jwk { kty, kid, alg, usage, crv, n, e, x, y } = jwk;
        if usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let octets =
            |text: Option<String>| URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok();
        let point = |length: usize| {
            let (x, y) = (octets(x.clone())?, octets(y.clone())?);
            let whole = x.len() == length && y.len() == length;
            whole.then(|| [&[4], x.as_slice(), y.as_slice()].concat())
        };
        let material = match (kty.as_str(), crv.as_deref()) {
            ("RSA", _) => Material::Rsa(RsaPublicKeyComponents { n: octets(n)?, e: octets(e)? }),
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(octets(x)?),
            _ => return None,
        };
        Some(Self { id: kid, algorithm: alg, material })
    }
}

impl Material {
    fn verify(&self, algorithm: &str, message: &[u8], signed: &[u8]) -> bool {
        let result = match (self, algorithm) {
            (Self::Rsa(key), "RS256") => {
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signed)
            }
            (Self::Rsa(key), "RS384") => {
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA384, message, signed)
            }
            (Self::Rsa(key), "RS512") => {
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA512, message, signed)
            }
            (Self::Rsa(key), "PS256") => {
                key.verify(&signature::RSA_PSS_2048_8192_SHA256, message, signed)
            }
            (Self::Rsa(key), "PS384") => {
                key.verify(&signature::RSA_PSS_2048_8192_SHA384, message, signed)
            }
            (Self::Rsa(key), "PS512") => {
                key.verify(&signature::RSA_PSS_2048_8192_SHA512, message, signed)
            }
            (Self::P256(point), "ES256") => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signed)
            }
            (Self::P384(point), "ES384") => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                    .verify(message, signed)
            }
            (Self::Ed25519(key), "EdDSA") => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signed)
            }
            // A key of another kind than the algorithm verifies nothing.
            _ => Err(ring::error::Unspecified),
        };
        result.is_ok()
    }
}
