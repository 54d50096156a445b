//! Services of `type: ExternalName`: their names resolved, and served like any others.
//!
//! Off unless the operator says so: whoever may write a Service could point the gateway at what only the
//! gateway can reach (CVE-2021-25740 and its kin). Even then addresses of this machine, of the link and of
//! clouds' metadata services are dropped, whatever a resolver says, unless they are permitted by name.
//! The gateway knows nothing of it: what resolves is laid over the documents as EndpointSlices, as if
//! somebody had written them. Rule: a good answer is kept until there is a better one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dns::Resolved;
use ipnet::IpNet;
use model::DnsName;
use model::gateway::{Endpoint, EndpointSlice, GatewayObjects, Meta, Service};
use model::name::ObjectRef;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

/// Names that are kept resolved; further ones have no endpoints.
const NAMES_MAX: usize = 1_000;
/// Questions under way at once.
const AT_ONCE_MAX: usize = 32;
/// Addresses of one name.
const ADDRESSES_MAX: usize = 64;
/// A TTL counts as at least and at most so much: not every second, and moves are followed.
const TTL_S_MIN: u32 = 5;
const TTL_S_MAX: u32 = 300;
/// When nobody answered, or not to be believed.
const RETRY_S: i64 = 5;
/// Metadata services of clouds outside the link-local block: Alibaba, Oracle, Azure, AWS over IPv6.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Addresses by name.
pub(crate) type Found = BTreeMap<DnsName, Vec<IpAddr>>;

/// Whom to ask, and which addresses may be served though they usually may not.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) permitted: Vec<IpNet>,
}

/// The names of the documents in use, kept resolved until it is dropped.
#[derive(Debug)]
pub(crate) struct ExternalNames {
    wanted: watch::Sender<BTreeSet<DnsName>>,
    found: watch::Receiver<Arc<Found>>,
    task: AbortHandle,
}

impl ExternalNames {
    /// Begins; to be called on a runtime.
    pub(crate) fn start(asking: Asking) -> Self {
        let (wanted, names) = watch::channel(BTreeSet::new());
        let (told, found) = watch::channel(Arc::default());
        let task = tokio::spawn(run(asking, names, told)).abort_handle();
        Self { wanted, found, task }
    }

    /// Says when another answer came.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Found>> {
        self.found.clone()
    }

    /// The documents' objects with the endpoints of their external names. New names are asked for.
    pub(crate) fn add(&self, objects: &GatewayObjects) -> GatewayObjects {
        let names = names(objects);
        self.wanted.send_if_modified(|wanted| {
            let is_news = *wanted != names;
            *wanted = names;
            is_news
        });
        overlay(objects, &self.found.borrow())
    }
}

impl Drop for ExternalNames {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The names of Services, as many as are followed.
fn names(objects: &GatewayObjects) -> BTreeSet<DnsName> {
    let names = objects.services.iter().filter_map(|service| name_of(service));
    names.take(NAMES_MAX).collect()
}

fn name_of(service: &Service) -> Option<DnsName> {
    DnsName::parse(service.external_name.as_deref()?).ok()
}

/// Lays an EndpointSlice beside each Service whose name is resolved.
fn overlay(objects: &GatewayObjects, found: &Found) -> GatewayObjects {
    let mut all = objects.clone();
    for service in &objects.services {
        let Some(addresses) = name_of(service).and_then(|name| found.get(&name)) else { continue };
        let Meta { object, origin, site, .. } = &service.meta;
        // `:` is in no object's name, so that no document is replaced.
        let own = ObjectRef::new(&object.namespace, &format!("external:{}", object.name));
        let endpoint = |ip: &IpAddr| Endpoint {
            addresses: vec![*ip],
            ready: true,
            serving: true,
            terminating: false,
            zone: None,
            node: None,
            for_zones: Vec::new(),
            for_nodes: Vec::new(),
        };
        all.endpoint_slices.insert(EndpointSlice {
            meta: Meta {
                object: own,
                origin: Arc::clone(origin),
                site: site.clone(),
                ..Meta::default()
            },
            service: object.clone(),
            ports: service.ports.iter().map(|port| (port.name.clone(), port.port)).collect(),
            endpoints: addresses.iter().map(endpoint).collect(),
        });
    }
    all
}

/// Whether an address may be an endpoint of an external name.
fn is_allowed(ip: IpAddr, permitted: &[IpNet]) -> bool {
    let ip = unwrapped(ip);
    if permitted.iter().any(|net| net.contains(&ip)) {
        return true;
    }
    let is_near = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast() || ip.octets()[0] == 0,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(is_near
        || ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || METADATA.contains(&ip))
}

/// The IPv4 address within an IPv6 one that only wraps it: mapped (RFC 4291, section 2.5.5.2), or behind
/// a translator at its well-known prefix (RFC 6052, section 2.1).
fn unwrapped(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(wide) if wide.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [.., a, b, c, d] = wide.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        other => other,
    }
}

/// What is known of names, and when each is to be asked again.
#[derive(Debug, Default)]
struct Book(BTreeMap<DnsName, Entry>);

#[derive(Debug, Default)]
struct Entry {
    addresses: Option<Vec<IpAddr>>,
    /// Seconds until it is asked for again; below zero, how long it has been due.
    left_s: i64,
}

impl Book {
    /// Forgets names that nobody wants any more, and takes new ones in.
    fn follow(&mut self, wanted: &BTreeSet<DnsName>) {
        self.0.retain(|name, _| wanted.contains(name));
        for name in wanted {
            self.0.entry(name.clone()).or_default();
        }
    }

    /// A second has passed.
    fn tick(&mut self) {
        for entry in self.0.values_mut() {
            entry.left_s -= 1;
        }
    }

    /// The names to ask for now, those that have waited longest first.
    fn due(&self) -> Vec<DnsName> {
        let mut due: Vec<(i64, &DnsName)> =
            self.0.iter().map(|(name, entry)| (entry.left_s, name)).collect();
        due.retain(|(left_s, _)| *left_s <= 0);
        due.sort_unstable();
        due.into_iter().take(AT_ONCE_MAX).map(|(_, name)| name.clone()).collect()
    }

    /// Takes an answer; what it drops is said once for each change.
    fn take(&mut self, name: &DnsName, answer: Option<Resolved>, permitted: &[IpNet]) {
        let Some(entry) = self.0.get_mut(name) else { return };
        let Some(Resolved { addresses, ttl_s }) = answer else {
            entry.left_s = RETRY_S;
            return;
        };
        entry.left_s = ttl_s.clamp(TTL_S_MIN, TTL_S_MAX).into();
        let (kept, dropped): (Vec<IpAddr>, Vec<IpAddr>) =
            addresses.into_iter().partition(|ip| is_allowed(*ip, permitted));
        let kept: Vec<IpAddr> = kept.into_iter().take(ADDRESSES_MAX).collect();
        if !dropped.is_empty() && entry.addresses.as_ref() != Some(&kept) {
            tracing::warn!(%name, ?dropped, "an external name leads to addresses that are not served");
        }
        entry.addresses = Some(kept);
    }

    /// What is known, in an order that does not turn with each answer.
    fn found(&self) -> Found {
        let known = self.0.iter().filter_map(|(name, entry)| {
            let mut addresses = entry.addresses.clone()?;
            addresses.sort_unstable();
            addresses.dedup();
            Some((name.clone(), addresses))
        });
        known.collect()
    }
}

async fn run(
    asking: Asking,
    mut wanted: watch::Receiver<BTreeSet<DnsName>>,
    told: watch::Sender<Arc<Found>>,
) {
    let Asking { servers, permitted } = asking;
    let servers: Arc<[SocketAddr]> = servers.into();
    let mut book = Book::default();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = seconds.tick() => book.tick(),
            changed = wanted.changed() => if changed.is_err() { return },
        }
        book.follow(&wanted.borrow_and_update().clone());
        let mut asked = JoinSet::new();
        for name in book.due() {
            let servers = Arc::clone(&servers);
            asked.spawn(async move { (dns::look_up(&servers, &name).await, name) });
        }
        while let Some(done) = asked.join_next().await {
            if let Ok((answer, name)) = done {
                book.take(&name, answer, &permitted);
            }
        }
        let found = book.found();
        told.send_if_modified(|known| {
            let is_news = **known != found;
            *known = Arc::new(found);
            is_news
        });
    }
}

#[cfg(test)]
mod tests;
