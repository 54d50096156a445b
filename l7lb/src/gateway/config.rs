//! What a gateway is started with, and why it may not be.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use model::name::{ObjectRef, SiteName};

use crate::access_log::AccessLog;
use crate::attach::Addressing;
use crate::client_io::{IoLimits, PaceLimits};
use crate::head::HeadLimits;
use crate::inherited::Inherited;
use crate::ticket::{TicketSecrets, TicketSecretsError};
use crate::topology::Locality;

/// Limits of one gateway. The defaults are for a site in the open.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of request heads.
    pub head: HeadLimits,
    /// Octets of heads under way beyond the first 4 KiB of each, over all connections of HTTP/1.
    pub heads_octets_max: usize,
    /// For a TLS handshake with the first octets, and for a head once it has begun.
    pub head_deadline_ms: u64,
    /// Waiting for a request's body (HTTP/1) that is always allowed.
    pub body_grace_ms: u64,
    /// Octets of a body that must come for each further second of waiting.
    pub body_octets_per_s_min: u32,
    /// Open client connections.
    pub connections_max: usize,
    /// To connect to an origin.
    pub connect_timeout_ms: u64,
    /// Between two reads from an origin.
    pub origin_read_timeout_ms: u64,
    /// After a drain began, how long idle connections are kept so that requests already on their
    /// way are answered (with `connection: close`).
    pub drain_grace_ms: u64,
    /// How long the connections of a socket may stay after documents have closed it.
    pub closed_socket_ms: u64,
    /// Silence after which a stream (TCPRoute, TLSRoute) is closed.
    pub stream_idle_ms: u64,
    /// Silence after which a flow of datagrams (UDPRoute) is forgotten.
    pub flow_idle_ms: u64,
    /// Flows of datagrams of one socket.
    pub flows_max: usize,
}

impl Limits {
    pub(crate) fn io(&self) -> IoLimits {
        IoLimits {
            head: self.head,
            head_deadline: Duration::from_millis(self.head_deadline_ms),
            pace: PaceLimits {
                grace: Duration::from_millis(self.body_grace_ms),
                octets_per_s_min: self.body_octets_per_s_min,
            },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: HeadLimits::default(),
            // A thousand of the largest heads at once; with 10,000 clients that never end theirs the
            // whole process stays under 256 MiB.
            heads_octets_max: 32 << 20,
            head_deadline_ms: 10_000,
            body_grace_ms: 5_000,
            body_octets_per_s_min: 240,
            connections_max: 20_000,
            connect_timeout_ms: 1_000,
            origin_read_timeout_ms: 60_000,
            drain_grace_ms: 1_000,
            closed_socket_ms: 30_000,
            // Envoy's default: databases and shells are silent for long.
            stream_idle_ms: 3_600_000,
            // Envoy's and most translators' default for datagrams.
            flow_idle_ms: 60_000,
            flows_max: 10_000,
        }
    }
}

/// What a gateway is started with.
#[derive(Debug)]
pub struct Config {
    /// The site it serves; documents bound to other sites are left out.
    pub site: SiteName,
    /// Plain sockets (HTTP/1.1 and h2c).
    pub http: Vec<SocketAddr>,
    /// TLS sockets (HTTP/1.1 and HTTP/2 by ALPN).
    pub https: Vec<SocketAddr>,
    /// How Gateways come to their addresses.
    pub addressing: Addressing,
    /// The addresses that Gateways had before a restart; of a pool they get the same again.
    pub assigned: BTreeMap<ObjectRef, Vec<IpAddr>>,
    /// Limits.
    pub limits: Limits,
    /// Where requests are logged.
    pub access_log: AccessLog,
    /// Between two active checks of an endpoint.
    pub health_interval_ms: u64,
    /// Proxies in front of the gateway whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Balancers in front of the gateway: their connections must begin with a PROXY header.
    pub proxy_protocol_from: Vec<IpNet>,
    /// What session tickets are sealed with, the same at every node of a site; drawn at the start
    /// when `None`.
    pub ticket_secrets: Option<TicketSecrets>,
    /// Sockets that are open already; used instead of binding the same address again.
    pub inherited: Inherited,
    /// Where the gateway is, for Services that prefer near endpoints.
    pub locality: Locality,
    /// Whether responses name the site in `x-nearside-site`.
    pub expose_site: ExposeSite,
    /// Routes that are counted with series of their own; 0 counts no route.
    pub route_series_max: usize,
}

impl Config {
    /// The defaults for a site, without any socket.
    #[must_use]
    pub fn new(site: SiteName) -> Self {
        Self {
            site,
            http: Vec::new(),
            https: Vec::new(),
            addressing: Addressing::default(),
            assigned: BTreeMap::new(),
            limits: Limits::default(),
            access_log: AccessLog::Off,
            health_interval_ms: 1_000,
            trusted_proxies: Vec::new(),
            proxy_protocol_from: Vec::new(),
            ticket_secrets: None,
            inherited: Inherited::default(),
            locality: Locality::default(),
            expose_site: ExposeSite::No,
            route_series_max: 0,
        }
    }
}

/// Whether clients are told which site answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExposeSite {
    /// In `x-nearside-site`.
    Yes,
    /// They are not.
    No,
}

/// Why a gateway could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket could not be bound.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No secret for session tickets.
    #[error("cannot set up TLS")]
    Tls(#[source] TicketSecretsError),
    /// No thread for the access log.
    #[error("cannot start the access log")]
    AccessLog(#[source] io::Error),
}
