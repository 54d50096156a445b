//! Where a gateway listens and what is done there: what `attach` makes of the documents and the
//! accept loop carries out.
//!
//! A [`Place`] is known to the connection for its whole life; what is served there is looked up in the
//! view of the moment, so that a reload changes routes, certificates and backends without touching a
//! socket that stays.
#![allow(dead_code, reason = "attach and the accept loop come next")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::rule::Share;

/// A place to listen, from the documents' point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Every plain socket that the operator named (`--http`): Ingresses, and the HTTP listeners of
    /// Gateways without an address of their own, whatever their port.
    SharedHttp,
    /// The same with TLS (`--https`).
    SharedHttps,
    /// A socket of a Gateway's own, opened and closed as documents come and go.
    Own(SocketAddr, Wire),
}

/// What is spoken first on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// HTTP/1.1 or h2c.
    Http,
    /// A TLS ClientHello.
    Tls,
    /// Octets for a TCPRoute.
    Tcp,
    /// Datagrams for a UDPRoute.
    Udp,
}

/// A route table of one place, an index into the view's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TableId(pub(crate) u32);

/// What is done with a connection (or flow) at a place.
#[derive(Debug)]
pub(crate) enum Plan {
    /// HTTP by this table.
    Http(TableId),
    /// By the ClientHello's server name.
    Tls(TlsPlan),
    /// To these backends; `None` when no usable route is attached (the connection is closed).
    Stream(Option<Arc<StreamPlan>>),
}

/// What is done with a TLS connection, by server name: an exact one, else the longest suffix after
/// one or more labels, else `any`. A name that meets nothing is refused (`unrecognized_name`).
#[derive(Debug, Default)]
pub(crate) struct TlsPlan {
    pub(crate) exact: HashMap<Box<str>, TlsAction>,
    /// Keyed by what follows `*.`.
    pub(crate) suffix: HashMap<Box<str>, TlsAction>,
    pub(crate) any: Option<TlsAction>,
}

/// What is done with one TLS connection.
#[derive(Debug, Clone)]
pub(crate) enum TlsAction {
    /// Terminated, then HTTP by this table.
    Http(Arc<Termination>, TableId),
    /// Terminated, then octets to these backends.
    Stream(Arc<Termination>, Option<Arc<StreamPlan>>),
    /// Passed on as it came.
    Passthrough(Option<Arc<StreamPlan>>),
}

/// How TLS is terminated for one listener.
#[derive(Debug)]
pub(crate) struct Termination {
    /// `gateway/namespace/name/listener`: connections of one never serve requests of another (421).
    pub(crate) listener: Arc<str>,
    /// Usable certificates; the one that names the server name is taken, else the first.
    pub(crate) certificates: Vec<Arc<rustls::sign::CertifiedKey>>,
    /// Whose certificates clients must show, if they must.
    pub(crate) clients: Option<ClientTrust>,
}

/// How clients' certificates are checked.
#[derive(Debug, Clone)]
pub(crate) struct ClientTrust {
    pub(crate) roots: Arc<rustls::RootCertStore>,
    /// A client without a certificate, or with one that does not verify, is let in all the same.
    pub(crate) insecure_fallback: bool,
}

/// Where connections of a TLSRoute, TCPRoute or UDPRoute go.
#[derive(Debug)]
pub(crate) struct StreamPlan {
    /// `kind/namespace/name#rule`, for the log.
    pub(crate) id: Arc<str>,
    /// Weighted backends, never empty; broken ones keep their share of failures.
    pub(crate) shares: Vec<Share>,
}
