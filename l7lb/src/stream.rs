//! Connections whose octets go to a backend as they are: TCPRoute and TLSRoute.
//!
//! The backend is drawn by weight, its endpoint by the same two choices as a request's; an endpoint
//! that cannot be connected to costs the client nothing while another can (nothing was sent yet).
//! The view is let go once an endpoint is found: a tunnel may live for days.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::gateway::ProxyProtocol;
use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::Door;
use crate::access_log::Record;
use crate::client_io::Connection;
use crate::clock;
use crate::endpoint::{Lease, Outcome};
use crate::proxy_protocol::{self, Ends};
use crate::random;
use crate::relay::{self, End, Moved};
use crate::retry::RETRIES_MAX;
use crate::rule::Target;
use crate::socket::StreamPlan;
use crate::transport::{self, Transport};
use crate::view::{Cluster, GatewayView};

/// A connection to pass on.
pub(crate) struct Incoming {
    pub(crate) transport: Transport,
    /// Octets read already.
    pub(crate) held: Vec<u8>,
    pub(crate) connection: Connection,
    /// `None` when no usable route is attached.
    pub(crate) plan: Option<Arc<StreamPlan>>,
    /// What the plan's backends are numbered in.
    pub(crate) view: Arc<GatewayView>,
    pub(crate) over: Over,
}

/// How the octets came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Plain.
    Tcp,
    /// In TLS that the backend terminates.
    TlsPassed,
    /// In TLS that ended here.
    TlsTerminated,
    /// As datagrams.
    Udp,
}

impl Over {
    /// For metrics and the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::TlsPassed => "tls-passthrough",
            Self::TlsTerminated => "tls",
            Self::Udp => "udp",
        }
    }
}

/// What became of a connection or flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It was passed on and both sides were done.
    Forwarded,
    /// It was passed on and silent for too long.
    Idle,
    /// The client broke off.
    ClientGone,
    /// The backend broke off.
    OriginBroke,
    /// No usable route is attached.
    NoRoute,
    /// The route's backend cannot be used.
    BadBackend,
    /// The backend has no endpoint.
    NoEndpoints,
    /// No endpoint could be connected to.
    ConnectFailed,
    /// The table of flows is full.
    TooMany,
    /// The drain's deadline, or the end of the gateway.
    Cut,
}

impl Reason {
    /// For metrics and the log.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Idle => "idle-timeout",
            Self::ClientGone => "client-gone",
            Self::OriginBroke => "origin-broke",
            Self::NoRoute => "no-route",
            Self::BadBackend => "bad-backend",
            Self::NoEndpoints => "no-endpoints",
            Self::ConnectFailed => "connect-failed",
            Self::TooMany => "too-many-flows",
            Self::Cut => "cut",
        }
    }
}

/// Passes a connection on until it ends.
pub(crate) async fn serve(incoming: Incoming, door: &Door) {
    let Incoming { transport: mut client, held, connection, plan, view, over } = incoming;
    let ledger = Arc::clone(&door.shared.ledger);
    // Written when dropped, so that a cut stream is in the log too.
    let mut entry = Entry {
        begun: clock::instant(),
        over,
        client: connection.peer,
        host: connection.server_name.clone(),
        route: plan.as_ref().map(|plan| Arc::clone(&plan.id)),
        endpoint: None,
        moved: Moved::default(),
        retries: 0,
        reason: Reason::Cut,
        ledger,
    };
    let connected = connect(plan.as_deref(), &view, door, &mut entry).await;
    let (socket, lease, greeting) = match connected {
        Ok(Connected { socket, lease, version }) => {
            let ends = Ends { source: connection.peer, destination: connection.local };
            let greeting = version.map(|version| proxy_protocol::write(version, ends));
            (socket, lease, greeting.unwrap_or_default())
        }
        Err(reason) => {
            if over == Over::TlsPassed {
                transport::reset_when_dropped(client.socket());
            }
            entry.reason = reason;
            return;
        }
    };
    drop(view);
    let begun_with = greeting.len() as u64;
    let held = if greeting.is_empty() { held } else { [greeting, held].concat() };
    let mut origin = Transport::Plain(socket);
    let moved = &mut entry.moved;
    let end = relay::relay(&mut client, &mut origin, held, door.stream_idle, moved).await;
    entry.moved.up = entry.moved.up.saturating_sub(begun_with);
    entry.reason = match end {
        End::Done => Reason::Forwarded,
        End::Idle => Reason::Idle,
        End::Client => Reason::ClientGone,
        End::Origin => Reason::OriginBroke,
    };
    drop(lease);
}

/// A connection to an endpoint.
struct Connected {
    socket: TcpStream,
    lease: Lease,
    version: Option<ProxyProtocol>,
}

async fn connect(
    plan: Option<&StreamPlan>,
    view: &GatewayView,
    door: &Door,
    entry: &mut Entry,
) -> Result<Connected, Reason> {
    let cluster = cluster(plan, view)?;
    let shared = &door.shared;
    let mut tried: SmallVec<[SocketAddr; 2]> = SmallVec::new();
    loop {
        let now = shared.clock.now();
        let picked = cluster.pick(&tried, now, random::bits());
        let lease = picked.ok_or(Reason::NoEndpoints)?.lease();
        let address = lease.endpoint().address;
        entry.endpoint = Some(address);
        let begun = clock::instant();
        match connect_to(address, shared.origin.connect).await {
            Ok(socket) => {
                let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
                let now = shared.clock.now();
                shared.ledger.observe(lease.endpoint(), Outcome::Answered(took), now);
                return Ok(Connected { socket, lease, version: cluster.proxy_protocol });
            }
            Err(error) => {
                tracing::debug!(endpoint = %address, %error, "cannot connect");
                let now = shared.clock.now();
                shared.ledger.observe(lease.endpoint(), Outcome::Failed, now);
            }
        }
        tried.push(address);
        let others = cluster.endpoints.len() > tried.len();
        let may = entry.retries < RETRIES_MAX && shared.budget.spend(shared.clock.now());
        if !others || !may {
            return Err(Reason::ConnectFailed);
        }
        entry.retries += 1;
        shared.ledger.retried();
    }
}

/// The backend of one connection or flow, by weight.
pub(crate) fn cluster<'v>(
    plan: Option<&StreamPlan>,
    view: &'v GatewayView,
) -> Result<&'v Cluster, Reason> {
    let plan = plan.ok_or(Reason::NoRoute)?;
    match plan.draw(view.kept.turns.next()) {
        Some(Target::Cluster(index)) => view.clusters.get(index as usize).ok_or(Reason::BadBackend),
        Some(Target::Broken | Target::Absent) | None => Err(Reason::BadBackend),
    }
}

async fn connect_to(address: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let Ok(connected) = timeout(within, TcpStream::connect(address)).await else {
        return Err(io::ErrorKind::TimedOut.into());
    };
    let socket = connected?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// One line of the log, written when it is dropped.
pub(crate) struct Entry {
    pub(crate) begun: Instant,
    pub(crate) over: Over,
    pub(crate) client: SocketAddr,
    pub(crate) host: Option<Box<str>>,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) moved: Moved,
    pub(crate) retries: u32,
    pub(crate) reason: Reason,
    pub(crate) ledger: Arc<crate::ledger::Ledger>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ledger.streamed(self.over, self.reason, self.moved);
        let took = self.begun.elapsed().as_micros();
        self.ledger.log(|| Record {
            host: self.host.as_deref().unwrap_or_default(),
            scheme: self.over.as_str(),
            protocol: if self.over == Over::Udp { "UDP" } else { "TCP" },
            body_octets: self.moved.down,
            duration_us: u64::try_from(took).unwrap_or(u64::MAX),
            route: self.route.as_deref(),
            endpoint: self.endpoint,
            retries: self.retries,
            reason: self.reason.code(),
            ..self.ledger.blank(self.client.ip())
        });
    }
}
