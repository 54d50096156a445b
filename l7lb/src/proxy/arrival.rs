//! What a request asks for, and the rule it meets.

use std::borrow::Cow;

use pingora_proxy::Session;

use super::Proxy;
use super::answer::Reason;
use super::walk::Walk;
use crate::asked::{self, Asked, RawTarget};
use crate::client_io::connection_of;
use crate::forward;
use crate::head::{Fault, refused_method};
use crate::route::RequestParts;
use crate::view::Met;

impl Proxy {
    /// Judges a request that Pingora accepted and finds its rule.
    pub(super) fn route(&self, session: &Session, walk: &mut Walk) -> Result<(), Reason> {
        let connection = session.digest().and_then(connection_of).ok_or(Reason::Internal)?;
        walk.peer = connection.peer;
        walk.local = connection.local;
        walk.place = connection.place;
        walk.scheme = connection.scheme;
        let request = session.req_header();
        walk.client = forward::client(walk.peer.ip(), &request.headers, &self.shared.trusted);
        if refused_method(request.method.as_str().as_bytes()) {
            return Err(Reason::Refused(Fault::Method));
        }
        let target =
            std::str::from_utf8(request.raw_path()).map_err(|_| Reason::Refused(Fault::Target))?;
        let authority = request.uri.authority().map(http::uri::Authority::as_str);
        let raw = RawTarget { version: request.version, authority, target };
        let asked = Asked::read(raw, &request.headers).map_err(|fault| {
            // Whose request it was is worth knowing, whatever is wrong with the rest of it.
            walk.host = asked::host(raw, &request.headers).map(Cow::into_owned).unwrap_or_default();
            Reason::Refused(fault)
        })?;
        let parts = RequestParts {
            host: &asked.host,
            path: &asked.path,
            query: asked.query.as_deref(),
            method: request.method.as_str(),
            headers: &request.headers,
        };
        let met = walk.view.meet(connection.place, connection.server_name.as_deref(), &parts);
        let Asked { authority, host, host_port, path, query, absolute } = asked;
        walk.authority = authority;
        walk.host = host;
        walk.host_port = host_port;
        walk.path = path;
        walk.query = query;
        walk.absolute = absolute;
        match met {
            Met::Rule(found) => walk.found = Some(found),
            Met::Misdirected(found) => {
                walk.found = found;
                return Err(Reason::Misdirected);
            }
            Met::Nothing => return Err(Reason::NoRoute),
        }
        Ok(())
    }
}
