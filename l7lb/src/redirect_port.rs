//! The port that a redirect names: of the listener that the request came to, or of HTTPS beside it.
//!
//! A Gateway's own socket has its listener's port. The operator's sockets serve listeners of any port,
//! because what stands before them may map ports (a load balancer's 80 to our 8080). There a client
//! that names the socket's own port came without such a map and stays beside it; every other client
//! knows the listeners' ports only.

use std::net::SocketAddr;

use crate::route::Scheme;
use crate::socket::Place;
use crate::view::GatewayView;

/// How a request arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Where its connection was accepted.
    pub(crate) place: Place,
    /// Whether in TLS.
    pub(crate) scheme: Scheme,
    /// The port that it names beside its host.
    pub(crate) named: Option<u16>,
    /// The port that its connection came to.
    pub(crate) socket: u16,
}

impl Arrival {
    /// The port of the listener that a request for a host belongs to (Gateway API,
    /// `HTTPRequestRedirectFilter.port`); `None` where none is known.
    pub(crate) fn listener_port(&self, view: &GatewayView, host: &str) -> Option<u16> {
        match self.place {
            Place::Own(address, _) => Some(address.port()),
            Place::SharedHttp | Place::SharedHttps if self.is_unmapped() => Some(self.socket),
            Place::SharedHttp | Place::SharedHttps => {
                view.routes.listener_port(self.place, host).or(self.named)
            }
        }
    }

    /// Where the same host is served over HTTPS, on these sockets.
    pub(crate) fn https_port(&self, https: &[SocketAddr]) -> u16 {
        let known = known_port(Scheme::Https);
        if !self.is_unmapped() || https.iter().any(|socket| socket.port() == known) {
            return known;
        }
        https.first().map_or(known, SocketAddr::port)
    }

    /// Whether the client sees the port that the socket has.
    fn is_unmapped(&self) -> bool {
        self.named.unwrap_or_else(|| known_port(self.scheme)) == self.socket
    }
}

/// The port that addresses of a scheme leave out.
pub(crate) fn known_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

#[cfg(test)]
mod tests;
