//! Where a gateway listens and what is done there: what `attach` makes of the documents and the
//! accept loop carries out.
//!
//! A [`Place`] is known to the connection for its whole life; what is served there is looked up in the
//! view of the moment, so that a reload changes routes, certificates and backends without touching a
//! socket that stays.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::route::Scheme;
use crate::rule::{Share, Target};
use crate::termination::Termination;
use crate::turn;

/// The longest name looked up label by label; DNS allows 127 labels.
const LABELS_MAX: usize = 128;

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

/// How a place of a Gateway's own is doing, for its listeners' conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceState {
    /// Open, at this address (port 0 is an address of the kernel's choice).
    Open(SocketAddr),
    /// It could not be opened, for this reason; it is tried again.
    Failed(Arc<str>),
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

impl TableId {
    /// Of the operator's own sockets.
    pub(crate) fn shared(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Http => Self(0),
            Scheme::Https => Self(1),
        }
    }
}

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
/// one or more labels, else `any`. A name that meets nothing is refused: by an alert
/// (`unrecognized_name`), or by a reset where a TLS listener is among those of the place.
#[derive(Debug, Default)]
pub(crate) struct TlsPlan {
    pub(crate) exact: HashMap<Box<str>, TlsAction>,
    /// Keyed by what follows `*.`.
    pub(crate) suffix: HashMap<Box<str>, TlsAction>,
    pub(crate) any: Option<TlsAction>,
    /// TLSRoutes "reject" connections, by which Gateway API means what happens where no backend is: a
    /// reset. What passes through has no TLS of ours to say anything in.
    pub(crate) resets: bool,
}

impl TlsPlan {
    /// What is done with a client that asks for `name`, in lower case, or for none.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<&TlsAction> {
        let by_name = name.and_then(|name| {
            let mut dots = name.match_indices('.').take(LABELS_MAX).map(|(at, _)| &name[at + 1..]);
            let wild = || dots.find_map(|suffix| self.suffix.get(suffix));
            self.exact.get(name).or_else(wild)
        });
        by_name.or(self.any.as_ref())
    }
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

/// Where connections of a TLSRoute, TCPRoute or UDPRoute go.
#[derive(Debug)]
pub(crate) struct StreamPlan {
    /// `kind/namespace/name#rule`, for the log.
    pub(crate) id: Arc<str>,
    /// Weighted backends, never empty; broken ones keep their share of failures.
    pub(crate) shares: Vec<Share>,
}

impl StreamPlan {
    /// Draws a backend by weight; `None` when all weigh nothing.
    pub(crate) fn draw(&self, number: u64) -> Option<Target> {
        let weights = self.shares.iter().map(|share| share.weight);
        self.shares.get(turn::place(number, weights)?).map(|share| share.target)
    }
}
