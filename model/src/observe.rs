//! What sites see: ready backends, load and clients' round-trip times, as totals since boot.
//!
//! Totals make a lost report harmless: the next one says it all. A receiver takes differences only
//! within one `boot_id`. These types also travel as JSON on the courier.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::name::{DnsName, SiteName};
use crate::service::BackendRef;

/// The most client prefixes one report carries; the busiest are kept.
pub const RTT_CELLS_MAX: usize = 4096;

/// A gateway's report about its own site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteReport {
    /// Whose.
    pub site: SiteName,
    /// Chosen at random when the process starts.
    pub boot_id: u64,
    /// Counts up within a boot; an older one is ignored.
    pub sequence: u64,
    /// Every `Service` port this gateway knows, with the endpoints able to take traffic.
    pub backends: Vec<BackendReport>,
    /// Work done and in hand.
    pub load: LoadReport,
    /// Clients' RTT by prefix.
    pub rtt: Vec<RttCell>,
}

/// How many endpoints of a backend can take traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendReport {
    /// The backend.
    pub backend: BackendRef,
    /// Endpoints that are ready in the documents and healthy here.
    pub ready: u32,
    /// Endpoints known.
    pub total: u32,
}

/// Work of a gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Requests finished since boot.
    pub requests_total: u64,
    /// Of them, answered 5xx by the gateway or a backend.
    pub errors_total: u64,
    /// Requests under way.
    pub in_flight: u32,
}

/// RTT samples of one client prefix (/24 or /48), totals since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RttCell {
    /// The clients.
    pub prefix: IpNet,
    /// Samples taken.
    pub count: u64,
    /// Their sum in microseconds.
    pub sum_us: u64,
    /// The least, in microseconds.
    pub min_us: u32,
}

/// What a probe or report makes of a target, after hysteresis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Never judged: taken as up.
    #[default]
    Unknown,
    /// In service.
    Up,
    /// In service, but its last probe missed: TTLs are halved.
    Failing,
    /// Out of service.
    Down,
}

/// Whether a site has what a service needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Readiness {
    /// No report was ever made: not ready.
    #[default]
    NeverReported,
    /// All backends ready (the last report holds while it is stale).
    Ready,
    /// Some backend has no ready endpoint.
    NotReady,
}

/// A client as DNS or HTTPDNS sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client {
    /// The subnet's address (host bits zero) or the resolver's address.
    pub ip: std::net::IpAddr,
    /// The source prefix length of ECS; `None` when the resolver's own address stands in.
    pub source_len: Option<u8>,
}

/// A question about one name, for explanations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name.
    pub name: DnsName,
    /// The client.
    pub client: Client,
}
