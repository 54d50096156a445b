//! The policy: everything the documents mean for steering, checked and cross-referenced.
//!
//! Invariant: `sites`, `services` and `zones` are sorted by name, and every id in them points into
//! the same policy. A policy holds no key and no secret.

use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::geo::{Area, Continent, Country, Isp, Locale, Subdivision};
use crate::name::{DnsName, SiteName};
use crate::service::{GlobalService, Rung, ServiceId};
use crate::site::{Alias, Site, SiteId};
use crate::zone::Zone;

/// Everything the documents say about zones, sites and services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// By apex.
    pub zones: Vec<Zone>,
    /// By name; `SiteId` indexes it.
    pub sites: Vec<Site>,
    /// By namespace and name; `ServiceId` indexes it.
    pub services: Vec<GlobalService>,
    /// The operator's own locales and the resolvers' places.
    pub locale_overrides: LocaleOverrides,
    /// Limits on change.
    pub guard: GuardPolicy,
}

impl Policy {
    /// The site of this id.
    ///
    /// # Panics
    /// When the id comes from another policy.
    pub fn site(&self, id: SiteId) -> &Site {
        &self.sites[usize::from(id.0)]
    }

    /// Finds a site by name.
    pub fn site_id(&self, name: &str) -> Option<SiteId> {
        let at = self.sites.binary_search_by(|site| site.name.as_str().cmp(name)).ok()?;
        u16::try_from(at).ok().map(SiteId)
    }

    /// The service of this id.
    ///
    /// # Panics
    /// When the id comes from another policy.
    pub fn service(&self, id: ServiceId) -> &GlobalService {
        &self.services[id.0 as usize]
    }

    /// The service that steers a name: one with this exact hostname, else one with the wildcard one
    /// label up, unless a static record stands at or below the name (RFC 4592, section 2.2.1).
    pub fn service_for(&self, name: &DnsName) -> Option<ServiceId> {
        let named = |wanted: &DnsName| {
            self.services()
                .find(|(_, service)| service.hostnames.contains(wanted))
                .map(|(id, _)| id)
        };
        named(name).or_else(|| {
            let records = self.zones.iter().flat_map(|zone| &zone.records).map(|set| &set.owner);
            let hostnames = self.services.iter().flat_map(|service| &service.hostnames);
            let wildcard = name.parent()?.child(b"*").ok()?;
            let exists = records.chain(hostnames).any(|owner| owner.is_within(name));
            if exists { None } else { named(&wildcard) }
        })
    }

    /// The name that stands for a site in a service's answers: the service's own, else the site's.
    pub fn alias_at<'p>(&'p self, service: &'p GlobalService, site: SiteId) -> Option<&'p Alias> {
        let of_site = || self.sites.get(usize::from(site.0))?.alias.as_ref();
        service.aliases.get(&site).or_else(of_site)
    }

    /// Every service with its id.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &GlobalService)> {
        (0..).map(ServiceId).zip(&self.services)
    }

    /// Every site with its id.
    pub fn sites(&self) -> impl Iterator<Item = (SiteId, &Site)> {
        (0..).map(SiteId).zip(&self.sites)
    }
}

/// A hard limit on candidates: a site outside is never answered, whatever happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fence {
    /// Site and client must agree in these fields. A client whose field is unknown matches no site.
    Match(Rung),
    /// Only these sites.
    Sites(Vec<SiteId>),
}

/// Rules of `TrafficPolicy` documents that apply to one service, highest precedence first.
pub type RuleSet = Vec<Rule>;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `policy-namespace/policy-name/rule-name`, for reasons.
    pub origin: Arc<str>,
    /// By which way it reaches the service.
    pub level: RuleLevel,
    /// Who it is about.
    pub matches: Match,
    /// What it does.
    pub effect: Effect,
}

/// The way by which a rule reaches a service, in order of precedence (GEP-713: an override of the
/// wider target goes first, a default of the narrower).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum RuleLevel {
    /// `overrides` of a policy on the Zone.
    ZoneOverride,
    /// `overrides` of a policy on the service.
    ServiceOverride,
    /// The service's own `canary`: its document comes before the policies about it.
    Canary,
    /// `rules` of a policy on the service.
    #[default]
    Service,
    /// `defaults` of a policy on the service.
    ServiceDefault,
    /// `rules` of a policy on the Zone.
    Zone,
    /// `defaults` of a policy on the Zone.
    ZoneDefault,
}

impl RuleLevel {
    /// In words, as `explain` prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZoneOverride => "override of the zone",
            Self::ServiceOverride => "override of the service",
            Self::Canary => "canary of the service",
            Self::Service => "rule of the service",
            Self::ServiceDefault => "default of the service",
            Self::Zone => "rule of the zone",
            Self::ZoneDefault => "default of the zone",
        }
    }
}

/// The clients of a rule: every given field must hold, any value of a field will do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Continents.
    pub continents: Vec<Continent>,
    /// Countries.
    pub countries: Vec<Country>,
    /// Subdivisions.
    pub subdivisions: Vec<Subdivision>,
    /// ISP groups.
    pub isps: Vec<Isp>,
    /// The operator's areas.
    pub areas: Vec<Area>,
    /// Origin ASNs.
    pub asns: Vec<u32>,
    /// Client prefixes. What is finer than /24 or /56 counts by the majority of its block.
    pub cidrs: Vec<IpNet>,
    /// A weekly window in UTC; `None` always holds.
    pub window: Option<Window>,
}

/// A window of time within the week, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Bit 0 is Monday, bit 6 Sunday: the days on which the window starts.
    pub days: u8,
    /// Start, in minutes after midnight UTC (0..1440).
    pub start_min: u16,
    /// Length in minutes (1..=1440); it may run past midnight.
    pub length_min: u16,
}

impl Window {
    /// Whether it holds at a minute of the week (Monday 00:00 UTC is 0).
    pub fn holds(&self, minute_of_week: u16) -> bool {
        const DAY_MIN: u32 = 24 * 60;
        const WEEK_MIN: u32 = 7 * DAY_MIN;
        (0..7).filter(|day| self.days & (1 << day) != 0).any(|day| {
            let start = day * DAY_MIN + u32::from(self.start_min);
            let since = (u32::from(minute_of_week) + WEEK_MIN - start % WEEK_MIN) % WEEK_MIN;
            since < u32::from(self.length_min)
        })
    }
}

/// What a rule does to the candidates of matching clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Hard limit.
    Fence(Fence),
    /// These sites first, in this order, before the ladder and the bill.
    Pin(Vec<SiteId>),
    /// Weights for sharing among the spread group of these clients.
    Weights(Vec<(SiteId, u32)>),
    /// This share of the matching client blocks goes to the site first; monotone in the percent.
    Shift {
        /// The site.
        to: SiteId,
        /// Hundredths of a percent, 0..=10,000.
        share_bp: u16,
    },
}

/// The operator's `LocaleMap`s, merged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocaleOverrides {
    /// Client prefixes; the longest match sets the fields it has and leaves the others.
    pub clients: Vec<(IpNet, Locale)>,
    /// Resolver egress prefixes: used only for queries without a client subnet.
    pub resolvers: Vec<(IpNet, Locale)>,
    /// Cell ids (HTTPDNS).
    pub cells: Vec<(Arc<str>, Locale)>,
}

/// Limits on what a change may destroy at once. `None` does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardPolicy {
    /// Objects that may not be removed: `Site/name`, `GlobalService/namespace/name`, `Zone/apex`.
    pub protected: Vec<Arc<str>>,
    /// Sites, services and zones removed per window.
    pub removals_max: Option<u32>,
    /// The window in seconds (default 300).
    pub window_s: u32,
    /// Sites drained or withdrawn by machines at once, percent of all sites' count.
    pub withdrawn_percent_max: Option<u8>,
    /// Sites that nobody may drain in the overlay.
    pub undrainable: Vec<SiteName>,
}
