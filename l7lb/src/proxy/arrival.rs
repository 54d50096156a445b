//! What a request asks for, and the rule it meets.

use http::{Version, header};
use pingora_proxy::Session;

use super::Proxy;
use super::answer::Reason;
use super::walk::Walk;
use crate::client_io::connection_of;
use crate::forward;
use crate::head::{Fault, refused_method, split_absolute};
use crate::route::RequestParts;
use crate::{host, path};

impl Proxy {
    /// Judges a request that Pingora accepted and finds its rule. HTTP/1 heads were judged by
    /// `head` already; HTTP/2 comes here for the first time.
    pub(super) fn route(&self, session: &Session, walk: &mut Walk) -> Result<(), Reason> {
        let connection = session.digest().and_then(connection_of).ok_or(Reason::Internal)?;
        walk.peer = connection.peer;
        walk.local = connection.local;
        walk.scheme = connection.scheme;
        let request = session.req_header();
        walk.client = forward::client(walk.peer.ip(), &request.headers, &self.shared.trusted);
        if refused_method(request.method.as_str().as_bytes()) {
            return Err(Reason::Refused(Fault::Method));
        }
        let raw =
            std::str::from_utf8(request.raw_path()).map_err(|_| Reason::Refused(Fault::Target))?;
        let (authority, origin) = match split_absolute(raw) {
            Some((authority, rest)) => (Some(authority), rest),
            None => (request.uri.authority().map(http::uri::Authority::as_str), raw),
        };
        let named = request.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let authority = authority.or(named).unwrap_or_default();
        // HTTP/1.0 may come without a host; it can only meet routes for every host.
        if !(authority.is_empty() && request.version == Version::HTTP_10) {
            let host = host::parse(authority).ok_or(Reason::Refused(Fault::Host))?;
            walk.host = host.name.into_owned();
            walk.host_port = host.port;
            authority.clone_into(&mut walk.authority);
        }
        if request.version == Version::HTTP_2 {
            path::judge(origin).map_err(Reason::Refused)?;
        }
        let (routed, query) = match origin.split_once('?') {
            Some((routed, query)) => (routed, Some(query)),
            None => (origin, None),
        };
        let routed = if routed.is_empty() || routed == "*" { "/" } else { routed };
        walk.path = path::normalise(routed).into_owned();
        walk.query = query.map(str::to_owned);
        walk.absolute = (raw.len() != origin.len()).then(|| origin.to_owned());
        let table = walk.view.table(connection.place, connection.server_name.as_deref());
        let parts = RequestParts {
            host: &walk.host,
            path: &walk.path,
            query,
            method: request.method.as_str(),
            headers: &request.headers,
        };
        walk.found = table.and_then(|table| walk.view.routes.find(table, &parts));
        let asked = connection.server_name.as_deref().filter(|name| **name != *walk.host);
        // A host of no listener has no route: it is unknown rather than misdirected.
        let is_served = walk.found.is_some();
        let place = connection.place;
        if asked.is_some_and(|name| walk.view.is_misdirected(place, name, &walk.host))
            && (is_served || walk.view.has_listener(place, &walk.host))
        {
            return Err(Reason::Misdirected);
        }
        if walk.found.is_some() { Ok(()) } else { Err(Reason::NoRoute) }
    }
}
