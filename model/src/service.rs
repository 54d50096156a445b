//! A service under steering: its hostnames, what it needs of a site, and how its clients are led.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::name::{DnsName, ObjectRef};
use crate::policy::{Fence, RuleSet};
use crate::record::RecordSet;
use crate::site::{Alias, SiteId, Tier};

/// A service's index in [`crate::Policy::services`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct ServiceId(pub u32);

/// A `GlobalService` as checked, with every inherited `TrafficPolicy` already resolved into `rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalService {
    /// Namespace and name.
    pub object: ObjectRef,
    /// Exact names, or one-label wildcards (`*.fn.edge.example`), each inside some zone.
    pub hostnames: Vec<DnsName>,
    /// Never moved or shed before others (`protected: true`).
    pub protected: bool,
    /// The order of tiers with their budgets, from the class or explicit. Not empty.
    pub tiers: Vec<TierStep>,
    /// Candidate sites: the selector applied to all sites, in id order. May be empty (a warning).
    pub pool: Vec<SiteId>,
    /// What must be ready at a site; empty skips the readiness step. `backend` first, then `requires`.
    pub backends: Vec<BackendRef>,
    /// Removes candidates, always.
    pub fence: Option<Fence>,
    /// Ranking and shares.
    pub steering: Steering,
    /// What an answer holds.
    pub answers: Answers,
    /// How each pool site is probed for this service, if it is.
    pub health: Option<Probe>,
    /// Health is ignored when fewer than this percent of the pool are up (0..=100, default 0).
    pub panic_below_percent: u8,
    /// What to answer when every candidate is out.
    pub fallback: Fallback,
    /// Rules from `TrafficPolicy` documents in order of precedence: the first match of each effect wins.
    pub rules: RuleSet,
    /// Extra static records at the hostnames (never A, AAAA or CNAME). None where a site of the
    /// service is a CNAME.
    pub records: Vec<RecordSet>,
    /// Sites that are answered by another name for this service than for others.
    pub aliases: BTreeMap<SiteId, Alias>,
    /// Endpoints of the first backend at sites without a gateway, in site order.
    pub endpoints: Vec<SiteEndpoints>,
}

impl GlobalService {
    /// The endpoints that are answered for a site.
    pub fn endpoints_at(&self, site: SiteId) -> Option<&SiteEndpoints> {
        let at = self.endpoints.binary_search_by_key(&site, |endpoints| endpoints.site).ok()?;
        self.endpoints.get(at)
    }
}

/// The most endpoints of one service at one site that are answered in turn.
pub const SITE_ENDPOINTS_MAX: usize = 256;

/// Endpoints at a site without a gateway (`l7: false`), which DNS answers with their own addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SiteEndpoints {
    /// The site.
    pub site: SiteId,
    /// Whether every backend of the service has a ready endpoint there.
    pub is_ready: bool,
    /// The ready ones, or all when none is ready; IPv4 first, rising, without repeats.
    pub addresses: Vec<IpAddr>,
}

/// One step of the tier gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TierStep {
    /// The tier.
    pub tier: Tier,
    /// Bill budget in microseconds; `None` accepts any site of the tier.
    pub budget_us: Option<u32>,
}

/// What a service, or one client of it, needs: short for an order of tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Class {
    /// Access within 15 ms, aggregation within 30 ms, core.
    Realtime,
    /// Aggregation within 50 ms, access, core.
    Interactive,
    /// Core, aggregation, access.
    Bulk,
}

impl Class {
    /// Every class by its name.
    pub const ALL: [(&'static str, Self); 3] =
        [("realtime", Self::Realtime), ("interactive", Self::Interactive), ("bulk", Self::Bulk)];

    /// The class of a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, class)| class)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }

    /// The order of tiers with budgets that it stands for (design: steering).
    pub fn tiers(self) -> Vec<TierStep> {
        let step = |tier, budget_ms: Option<u32>| TierStep {
            tier,
            budget_us: budget_ms.map(|ms| ms * 1000),
        };
        match self {
            Self::Realtime => vec![
                step(Tier::Access, Some(15)),
                step(Tier::Aggregation, Some(30)),
                step(Tier::Core, None),
            ],
            Self::Interactive => vec![
                step(Tier::Aggregation, Some(50)),
                step(Tier::Access, None),
                step(Tier::Core, None),
            ],
            Self::Bulk => {
                [Tier::Core, Tier::Aggregation, Tier::Access].map(|tier| step(tier, None)).to_vec()
            }
        }
    }
}

/// A backend that must be ready at a site: a `Service` there, and its port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BackendRef {
    /// The `Service`'s namespace and name.
    pub object: ObjectRef,
    /// The `Service`'s port.
    pub port: u16,
}

/// One rung of the `prefer` ladder: the fields in which site and client must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rung {
    /// Same country.
    pub country: bool,
    /// Same subdivision.
    pub subdivision: bool,
    /// The client's ISP is one of the site's.
    pub isp: bool,
    /// Same continent.
    pub continent: bool,
}

/// How candidates are ordered and shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steering {
    /// Ladder before the bill; empty means the bill alone. A rung with no field set is `any`.
    pub prefer: Vec<Rung>,
    /// Sites whose bill is within this of the best share the clients, in microseconds. 0: never.
    pub spread_within_us: u32,
    /// Client blocks that stick together when clients are shared; default /24 and /56.
    pub sticky: Sticky,
    /// Relative weights of sites when clients are shared; absent is 100; 0 takes no share.
    pub weights: BTreeMap<SiteId, u32>,
    /// Added when the client's carrier is not among the site's (default 20 ms), microseconds.
    pub carrier_penalty_us: u32,
    /// Added when the countries differ (default 10 ms), microseconds.
    pub border_penalty_us: u32,
}

/// The block of clients that are always answered alike, as prefix lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sticky {
    /// 8..=24.
    pub v4_len: u8,
    /// 16..=56.
    pub v6_len: u8,
}

/// The most that [`Answers::per_site_max`] can be: of four sites 32 IPv6 addresses, 896 octets.
pub const PER_SITE_MAX: u8 = 8;
/// The default of [`Answers::per_site_max`].
pub const PER_SITE_DEFAULT: u8 = 4;

/// The answer section's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Sites per answer, 1..=4 (default 1).
    pub sites_max: u8,
    /// Addresses of each kind per site, 1..=8 (default 4).
    pub per_site_max: u8,
    /// TTL in seconds (default 30).
    pub ttl_s: u32,
    /// Floor of the TTL in seconds while a site of the answer is failing (default 5).
    pub ttl_min_s: u32,
}

/// What happens when every candidate is out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fallback {
    /// Answer as if all were up (the default: no answer is empty because of a guess).
    AnswerAll,
    /// NODATA with EDE.
    AnswerNone,
    /// These sites, in order, still inside the fence.
    AnswerSites(Vec<SiteId>),
}

/// An active probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Probe {
    /// What is sent.
    pub kind: ProbeKind,
    /// Destination port at the site's address.
    pub port: u16,
    /// Interval in milliseconds (default 1,000; 100..=3,600,000).
    pub interval_ms: u32,
    /// Timeout in milliseconds (default 500, at most the interval).
    pub timeout_ms: u32,
    /// Misses in a row until down (default 3).
    pub failures: u8,
    /// Hits in a row until up (default 2).
    pub successes: u8,
}

/// The kinds of probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProbeKind {
    /// A TCP connect.
    Tcp,
    /// An HTTP/1.1 GET; a status in `status_min..=status_max` (default 200..=399) is a hit.
    Http {
        /// Path and query, beginning with `/`.
        path: Arc<str>,
        /// Host header; defaults to the first hostname.
        host: Option<Arc<str>>,
        /// Lowest accepted status.
        status_min: u16,
        /// Highest accepted status.
        status_max: u16,
    },
}
