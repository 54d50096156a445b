//! The view: a snapshot compiled for DNS.
//!
//! Zones depend on the policy alone and are shared by every view of one policy; health and map
//! changes only replace what is small. A view is built off the hot path and swapped whole.

#[cfg(test)]
mod tests;

use std::hash::RandomState;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::service::{Answers, GlobalService, ServiceId};
use steering::decide::ServiceState;
use steering::whereabouts::Locator;
use steering::{Generation, ServiceMap, Snapshot};

use crate::alias::{AliasNames, Learned, Resolved};
use crate::cookie::{CookiePolicy, CookieSecrets};
use crate::presence::Presences;
use crate::tcp::TCP_IDLE_DEFAULT;
use crate::zone::{BuildError, ZoneSet};

/// The default of [`Settings::udp_octets_max`]: passes everywhere without fragments (the figure of
/// the DNS flag day 2020).
pub const UDP_OCTETS_DEFAULT: u16 = 1232;
/// Every server must take UDP messages of this size (RFC 1035, section 4.2.1).
pub const UDP_OCTETS_MIN: u16 = 512;
/// The largest UDP answer ever sent.
pub const UDP_OCTETS_MAX: u16 = 4096;
/// The longest NSID sent: it must leave room for an answer in 512 octets.
pub const NSID_OCTETS_MAX: usize = 64;

/// What an answer depends on beside the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The largest UDP answer sent, and what we say we take.
    pub udp_octets_max: u16,
    /// Identifies this server to who asks (RFC 5001); empty: not told. Cut at [`NSID_OCTETS_MAX`].
    pub nsid: Vec<u8>,
    /// What cookies are made with, the same on every node that shares a name or an address. `None`:
    /// a server draws its own when it starts, and a view by itself gives no cookies.
    pub cookie_secrets: Option<CookieSecrets>,
    /// What becomes of clients without a cookie of ours.
    pub cookie_policy: CookiePolicy,
    /// How long TCP clients are told that a connection may stay idle (RFC 7828). A server puts its
    /// own limit here.
    pub tcp_idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            udp_octets_max: UDP_OCTETS_DEFAULT,
            nsid: Vec::new(),
            cookie_secrets: None,
            cookie_policy: CookiePolicy::Offer,
            tcp_idle: TCP_IDLE_DEFAULT,
        }
    }
}

/// Why a view could not be built. The one before stays in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// The zones are too large.
    #[error("cannot render the zones")]
    Zones(#[source] BuildError),
    /// The map was compiled for another policy.
    #[error("the map is of policy generation {map}, the policy of {policy}")]
    OtherPolicy {
        /// The generation that the map names.
        map: u64,
        /// The policy's.
        policy: u64,
    },
}

/// A snapshot compiled for DNS.
#[derive(Debug)]
pub struct View {
    pub(crate) zones: Arc<ZoneSet>,
    pub(crate) settings: Settings,
    services: Arc<[ServiceView]>,
    pub(crate) presences: Arc<Presences>,
    alias_names: Arc<AliasNames>,
    /// What aliases resolve to, as of when the view was put together.
    pub(crate) aliases: Arc<Resolved>,
    learned: Learned,
    snapshot: Snapshot,
    hasher: RandomState,
    /// Made when somebody first asks by place: most servers never are.
    locator: OnceLock<Locator>,
}

/// What depends on the policy alone.
struct Rendered {
    zones: Arc<ZoneSet>,
    presences: Arc<Presences>,
    alias_names: Arc<AliasNames>,
}

/// What answers of one service need.
#[derive(Debug)]
pub(crate) struct ServiceView {
    /// `None` when the snapshot has no map for the service.
    pub(crate) map: Option<Arc<ServiceMap>>,
    pub(crate) state: ServiceState,
    pub(crate) answers: Answers,
}

impl View {
    /// Compiles a snapshot. `hasher` should be keyed at random: see [`RandomState::new`].
    ///
    /// # Errors
    /// When the map is not of this policy, or the zones are too large.
    pub fn build(
        snapshot: &Snapshot,
        settings: Settings,
        hasher: &RandomState,
    ) -> Result<Self, ViewError> {
        check_pair(snapshot)?;
        let serial = serial(snapshot.policy_generation);
        let alias_names = Arc::new(AliasNames::of(&snapshot.policy));
        let zones = ZoneSet::build(&snapshot.policy, serial, hasher, &alias_names);
        let zones = zones.map_err(ViewError::Zones)?;
        let presences = Presences::new(&snapshot.policy, &alias_names);
        let mut settings = settings;
        settings.nsid.truncate(NSID_OCTETS_MAX);
        settings.udp_octets_max = settings.udp_octets_max.clamp(UDP_OCTETS_MIN, UDP_OCTETS_MAX);
        let rendered =
            Rendered { zones: Arc::new(zones), presences: Arc::new(presences), alias_names };
        Ok(Self::assemble(snapshot, rendered, Learned::default(), (settings, hasher)))
    }

    /// Compiles the next snapshot, sharing the zones with this view when the policy is the same.
    ///
    /// # Errors
    /// As [`View::build`].
    pub fn next(&self, snapshot: &Snapshot) -> Result<Self, ViewError> {
        let settings = self.settings.clone();
        let same = Arc::ptr_eq(&snapshot.policy, &self.snapshot.policy)
            && snapshot.policy_generation == self.snapshot.policy_generation;
        if !same {
            let next = Self::build(snapshot, settings, &self.hasher)?;
            return Ok(next.with_learned(self.learned.clone()));
        }
        check_pair(snapshot)?;
        let learned = self.learned.clone();
        Ok(Self::assemble(snapshot, self.rendered(), learned, (settings, &self.hasher)))
    }

    /// The same view with what is known of aliases by now.
    pub(crate) fn with_learned(&self, learned: Learned) -> Self {
        let services = Arc::clone(&self.services);
        let (settings, snapshot) = (self.settings.clone(), self.snapshot.clone());
        Self::put_together(self.rendered(), learned, (services, settings, snapshot, &self.hasher))
    }

    fn assemble(
        snapshot: &Snapshot,
        rendered: Rendered,
        learned: Learned,
        (settings, hasher): (Settings, &RandomState),
    ) -> Self {
        let services = snapshot
            .policy
            .services()
            .map(|(id, service)| ServiceView::of(snapshot, id, service))
            .collect();
        Self::put_together(rendered, learned, (services, settings, snapshot.clone(), hasher))
    }

    fn put_together(
        rendered: Rendered,
        learned: Learned,
        (services, settings, snapshot, hasher): (
            Arc<[ServiceView]>,
            Settings,
            Snapshot,
            &RandomState,
        ),
    ) -> Self {
        let Rendered { zones, presences, alias_names } = rendered;
        let aliases = Arc::new(Resolved::new(&alias_names, &learned));
        let hasher = hasher.clone();
        Self {
            zones,
            settings,
            services,
            presences,
            alias_names,
            aliases,
            learned,
            snapshot,
            hasher,
            locator: OnceLock::new(),
        }
    }

    fn rendered(&self) -> Rendered {
        Rendered {
            zones: Arc::clone(&self.zones),
            presences: Arc::clone(&self.presences),
            alias_names: Arc::clone(&self.alias_names),
        }
    }

    /// The names that aliases of this policy stand for.
    pub(crate) fn alias_names(&self) -> Arc<AliasNames> {
        Arc::clone(&self.alias_names)
    }

    /// The snapshot that this view was compiled from.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Decides by place. The first call indexes what was measured.
    pub(crate) fn locator(&self) -> &Locator {
        self.locator.get_or_init(|| Locator::new(&self.snapshot))
    }

    pub(crate) fn service(&self, id: ServiceId) -> Option<&ServiceView> {
        self.services.get(id.0 as usize)
    }
}

impl ServiceView {
    fn of(snapshot: &Snapshot, id: ServiceId, service: &GlobalService) -> Self {
        Self {
            map: snapshot.map.service(id).cloned(),
            state: ServiceState::new(id, service, &snapshot.health),
            answers: service.answers,
        }
    }
}

fn check_pair(snapshot: &Snapshot) -> Result<(), ViewError> {
    let (map, policy) = (snapshot.map.policy_generation, snapshot.policy_generation.counter);
    if map == policy { Ok(()) } else { Err(ViewError::OtherPolicy { map, policy }) }
}

/// The SOA serial of a generation. An epoch starts 2^24 above the one before, so that a counter
/// that starts anew does not take the serial back (RFC 1982 arithmetic bears steps below 2^31).
fn serial(generation: Generation) -> u32 {
    let [_, _, _, _, low @ ..] = generation.counter.to_be_bytes();
    (generation.epoch << 24).wrapping_add(u32::from_be_bytes(low))
}
