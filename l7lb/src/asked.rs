//! What a request asks for, in the one form that routes compare: host, path and query, whatever form
//! of target it came in. Pure: serving and explaining read a request alike.

use std::borrow::Cow;

use http::{HeaderMap, Version, header};

use crate::head::{Fault, split_absolute};
use crate::{host, path};

/// A request's target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `Host` or `:authority` as sent.
    pub(crate) authority: String,
    /// Lower case, without port.
    pub(crate) host: String,
    pub(crate) host_port: Option<u16>,
    /// In normal form.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    /// Path and query of a request in absolute form, which goes on in origin form.
    pub(crate) absolute: Option<String>,
}

/// A target as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawTarget<'a> {
    pub(crate) version: Version,
    /// Of HTTP/2's pseudo-header.
    pub(crate) authority: Option<&'a str>,
    /// The request line's, or `:path`.
    pub(crate) target: &'a str,
}

/// The host alone, where there is one: of a request that is refused for something else.
pub(crate) fn host<'a>(raw: RawTarget<'a>, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    host::parse(divided(raw, headers).0).map(|host| host.name)
}

/// The authority, empty when there is none, and the rest of the target.
fn divided<'a>(raw: RawTarget<'a>, headers: &'a HeaderMap) -> (&'a str, &'a str) {
    let RawTarget { authority, target, .. } = raw;
    let (authority, origin) = match split_absolute(target) {
        Some((authority, rest)) => (Some(authority), rest),
        None => (authority, target),
    };
    let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    (authority.or(named).unwrap_or_default(), origin)
}

impl Asked {
    /// Reads a target. HTTP/1 heads were judged by `head` before; HTTP/2 is judged here.
    ///
    /// # Errors
    /// What is wrong with the host or the path.
    pub(crate) fn read(raw: RawTarget<'_>, headers: &HeaderMap) -> Result<Self, Fault> {
        let RawTarget { version, target, .. } = raw;
        let (authority, origin) = divided(raw, headers);
        let mut asked = Self::default();
        // HTTP/1.0 may come without a host; it can only meet routes for every host.
        if !(authority.is_empty() && version == Version::HTTP_10) {
            let host = host::parse(authority).ok_or(Fault::Host)?;
            asked.host = host.name.into_owned();
            asked.host_port = host.port;
            authority.clone_into(&mut asked.authority);
        }
        if version == Version::HTTP_2 {
            path::judge(origin)?;
        }
        let (routed, query) = match origin.split_once('?') {
            Some((routed, query)) => (routed, Some(query)),
            None => (origin, None),
        };
        let routed = if routed.is_empty() || routed == "*" { "/" } else { routed };
        asked.path = path::normalise(routed).into_owned();
        asked.query = query.map(str::to_owned);
        asked.absolute = (target.len() != origin.len()).then(|| origin.to_owned());
        Ok(asked)
    }
}
