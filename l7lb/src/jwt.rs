//! JSON Web Tokens (RFC 7519) of requests: signature, times, issuer, audience, claims.
//!
//! Only asymmetric signatures are known here, and a key is used only with the algorithms of its own
//! kind: `none` is no algorithm, and no public key can ever serve as the secret of an HMAC. Pure: the
//! wall time is an argument.

mod keys;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use model::gateway::settings::Jwt;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use self::keys::{KeySet, KeySetError};

/// Octets of a token; heads are limited too, but less strictly.
const TOKEN_OCTETS_MAX: usize = 16 * 1024;

/// What a rule asks of tokens.
#[derive(Debug)]
pub(crate) struct JwtRule {
    keys: Arc<KeySet>,
    header: HeaderName,
    issuer: Option<Arc<str>>,
    audiences: Vec<Arc<str>>,
    claims: Vec<(Arc<str>, Vec<Arc<str>>)>,
    forward: Vec<(Arc<str>, HeaderName)>,
    leeway_s: u64,
}

/// Why a token does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtFault {
    /// There is none.
    #[error("no token")]
    Missing,
    /// It is not three base64url parts of JSON and signature.
    #[error("the token is malformed")]
    Malformed,
    /// Its algorithm is none that is known, or it has critical extensions.
    #[error("the token's algorithm is not supported")]
    Algorithm,
    /// No key verifies it.
    #[error("the token's signature is not valid")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    Early,
    /// `iss` is another.
    #[error("the token's issuer is not accepted")]
    Issuer,
    /// `aud` names others.
    #[error("the token's audience is not accepted")]
    Audience,
    /// A required claim is missing or has another value.
    #[error("the token lacks a required claim")]
    Claim,
}

/// The head of a token.
#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl JwtRule {
    /// Compiles the settings; `None` when a header's name cannot be one.
    pub(crate) fn compile(jwt: &Jwt, keys: Arc<KeySet>) -> Option<Self> {
        let Jwt { issuer, audiences, keys: _, header, claims, forward, leeway_s } = jwt;
        let named = |name: &Arc<str>| HeaderName::from_bytes(name.as_bytes()).ok();
        let header = match header {
            Some(name) => named(name)?,
            None => header::AUTHORIZATION,
        };
        let forward = forward.iter().map(|(claim, name)| Some((Arc::clone(claim), named(name)?)));
        Some(Self {
            keys,
            header,
            issuer: issuer.clone(),
            audiences: audiences.clone(),
            claims: claims.iter().map(|(name, of)| (Arc::clone(name), of.clone())).collect(),
            forward: forward.collect::<Option<_>>()?,
            leeway_s: u64::from(*leeway_s),
        })
    }

    /// Headers that only this rule may write: a client's own are taken away.
    pub(crate) fn written(&self) -> impl Iterator<Item = &HeaderName> {
        self.forward.iter().map(|(_, name)| name)
    }

    /// Judges a request and returns the headers for its backend.
    ///
    /// # Errors
    ///
    /// When there is no token, or it does not do.
    pub(crate) fn judge(
        &self,
        headers: &HeaderMap,
        now_s: u64,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, JwtFault> {
        let mut lines = headers.get_all(&self.header).iter();
        let line = lines.next().ok_or(JwtFault::Missing)?;
        // Two credentials are none: the backend could look at the other one.
        if lines.next().is_some() {
            return Err(JwtFault::Malformed);
        }
        let text = line.to_str().map_err(|_| JwtFault::Malformed)?;
        let token = match text.split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
            Some(_) => return Err(JwtFault::Missing),
            None if self.header == header::AUTHORIZATION => return Err(JwtFault::Missing),
            None => text,
        };
        let claims = self.verify(token)?;
        self.check(&claims, now_s)?;
        let told = self.forward.iter().filter_map(|(claim, name)| {
            let value = HeaderValue::try_from(text_of(claims.get(&**claim)?)).ok()?;
            Some((name.clone(), value))
        });
        Ok(told.collect())
    }

    /// The claims of a token with a valid signature.
    fn verify(&self, token: &str) -> Result<Map<String, Value>, JwtFault> {
        if token.len() > TOKEN_OCTETS_MAX {
            return Err(JwtFault::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtFault::Malformed)?;
        let (head, payload) = signed.split_once('.').ok_or(JwtFault::Malformed)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtFault::Malformed);
        let head: Head =
            serde_json::from_slice(&decoded(head)?).map_err(|_| JwtFault::Malformed)?;
        if head.crit.is_some() {
            return Err(JwtFault::Algorithm);
        }
        let signature = decoded(signature)?;
        self.keys.verify(&head.alg, head.kid.as_deref(), (signed.as_bytes(), &signature))?;
        serde_json::from_slice(&decoded(payload)?).map_err(|_| JwtFault::Malformed)
    }

    fn check(&self, claims: &Map<String, Value>, now_s: u64) -> Result<(), JwtFault> {
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(JwtFault::Malformed),
        };
        let seconds = |s: u64| std::time::Duration::from_secs(s).as_secs_f64();
        if time("exp")?.is_some_and(|exp| seconds(now_s) >= exp + seconds(self.leeway_s)) {
            return Err(JwtFault::Expired);
        }
        if time("nbf")?.is_some_and(|nbf| seconds(now_s.saturating_add(self.leeway_s)) < nbf) {
            return Err(JwtFault::Early);
        }
        let issuer = claims.get("iss").and_then(Value::as_str);
        if self.issuer.as_deref().is_some_and(|wanted| issuer != Some(wanted)) {
            return Err(JwtFault::Issuer);
        }
        let among = |name: &str, wanted: &[Arc<str>]| match claims.get(name) {
            Some(value) => has_one(name, value, wanted),
            None => false,
        };
        if !self.audiences.is_empty() && !among("aud", &self.audiences) {
            return Err(JwtFault::Audience);
        }
        if !self.claims.iter().all(|(name, wanted)| among(name, wanted)) {
            return Err(JwtFault::Claim);
        }
        Ok(())
    }
}

/// Whether a claim has one of the values: it is one, or a list with one. `scope` is a list written
/// as words (RFC 8693, section 4.2).
fn has_one(name: &str, value: &Value, wanted: &[Arc<str>]) -> bool {
    let is_wanted = |text: &str| wanted.iter().any(|want| **want == *text);
    match value {
        Value::Array(all) => all.iter().any(|one| is_wanted(&text_of(one))),
        Value::String(words) if name == "scope" => words.split(' ').any(is_wanted),
        one => is_wanted(&text_of(one)),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl JwtFault {
    /// Whether the token itself is fine, but not enough (403).
    pub(crate) fn is_forbidden(self) -> bool {
        self == Self::Claim
    }

    /// `WWW-Authenticate` (RFC 6750, section 3).
    pub(crate) fn challenge(self) -> &'static str {
        match self {
            Self::Missing => "Bearer",
            Self::Claim => "Bearer error=\"insufficient_scope\"",
            _ => "Bearer error=\"invalid_token\"",
        }
    }
}

#[cfg(test)]
mod tests;
