//! Addresses of Gateways.
//!
//! Either all share the operator's sockets, or each has an address of a pool: the one it asks for,
//! else the one it had, else one that its name leads to, so that it stays what it was.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use model::gateway::Gateway;
use model::name::ObjectRef;

use super::listener::Fault;

/// How Gateways come to their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Addressing {
    /// All on the operator's sockets: ports of HTTP and HTTPS listeners are names, others are opened
    /// on the operator's addresses.
    #[default]
    Shared,
    /// Each on an address of its own out of these, with the ports that its listeners name.
    Pool(Vec<IpNet>),
}

/// The most addresses of a pool that are looked at for a free one.
const PROBES_MAX: u128 = 65_536;

/// What there is to listen on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ground {
    pub(crate) addressing: Addressing,
    /// The operator's own sockets.
    pub(crate) http: Vec<SocketAddr>,
    pub(crate) https: Vec<SocketAddr>,
}

impl Ground {
    /// The operator's addresses, each once.
    pub(crate) fn shared(&self) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = Vec::new();
        for socket in self.http.iter().chain(&self.https) {
            if !found.contains(&socket.ip()) {
                found.push(socket.ip());
            }
        }
        found
    }
}

/// What a Gateway got.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) addresses: Vec<IpAddr>,
    /// Why the Gateway is not accepted.
    pub(super) refused: Option<Fault>,
    /// Why it cannot be programmed.
    pub(super) missing: Option<Fault>,
}

/// Gives each Gateway its addresses.
pub(super) fn assign(
    ground: &Ground,
    gateways: &[&Gateway],
    before: &BTreeMap<ObjectRef, Vec<IpAddr>>,
) -> Vec<Given> {
    let mut taken = HashSet::new();
    let mut given: Vec<Given> =
        gateways.iter().map(|gateway| asked(ground, gateway, &mut taken)).collect();
    let Addressing::Pool(pool) = &ground.addressing else { return given };
    let open: Vec<usize> = (0..given.len())
        .filter(|&at| given[at].addresses.is_empty() && given[at].missing.is_none())
        .collect();
    for &at in &open {
        let kept = before.get(&gateways[at].meta.object).into_iter().flatten();
        let mut kept = kept.filter(|ip| pool.iter().any(|net| net.contains(*ip)));
        if let Some(ip) = kept.find(|ip| taken.insert(**ip)) {
            given[at].addresses.push(*ip);
        }
    }
    for at in open {
        if given[at].addresses.is_empty() {
            match free(pool, &gateways[at].meta.object, &mut taken) {
                Some(ip) => given[at].addresses.push(ip),
                None => {
                    let message = "the pool has no free address".to_owned();
                    given[at].missing = Some(("AddressNotAssigned", message));
                }
            }
        }
    }
    given
}

/// The addresses that `spec.addresses` asks for.
fn asked(ground: &Ground, gateway: &Gateway, taken: &mut HashSet<IpAddr>) -> Given {
    let mut given = Given::default();
    let shared = ground.shared();
    for (kind, value) in &gateway.addresses {
        if &**kind != "IPAddress" {
            let message = format!("addresses of type `{kind}` are not supported");
            given.refused.get_or_insert(("UnsupportedAddress", message));
            continue;
        }
        let Some(value) = value else { continue };
        let usable = value.parse::<IpAddr>().ok().filter(|ip| match &ground.addressing {
            Addressing::Shared => shared.contains(ip),
            Addressing::Pool(pool) => pool.iter().any(|net| net.contains(ip)) && taken.insert(*ip),
        });
        match usable {
            Some(ip) => given.addresses.push(ip),
            None => {
                let message = format!("the address `{value}` cannot be used here");
                given.missing.get_or_insert(("AddressNotUsable", message));
            }
        }
    }
    if ground.addressing == Addressing::Shared && given.addresses.is_empty() {
        given.addresses = shared;
    }
    given
}

/// A free address, searched from where the name leads.
fn free(pool: &[IpNet], name: &ObjectRef, taken: &mut HashSet<IpAddr>) -> Option<IpAddr> {
    let total: u128 = pool.iter().map(size).fold(0, u128::saturating_add);
    if total == 0 {
        return None;
    }
    // The same name leads to the same place in every process: this hasher has no random state.
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let start = u128::from(hasher.finish()) % total;
    (0..total.min(PROBES_MAX))
        .filter_map(|step| nth(pool, (start + step) % total))
        .find(|ip| taken.insert(*ip))
}

/// The hosts of a prefix; in IPv4 its first and last address are not among them.
fn size(net: &IpNet) -> u128 {
    let bits = net.max_prefix_len() - net.prefix_len();
    let all = 1_u128.checked_shl(u32::from(bits)).unwrap_or(u128::MAX);
    if net.addr().is_ipv4() && bits >= 2 { all - 2 } else { all }
}

fn nth(pool: &[IpNet], mut place: u128) -> Option<IpAddr> {
    for net in pool {
        let hosts = size(net);
        if place >= hosts {
            place -= hosts;
            continue;
        }
        return Some(match net.network() {
            IpAddr::V4(first) => {
                let skipped = u32::from(net.prefix_len() <= 30);
                let place = u32::try_from(place).ok()?;
                Ipv4Addr::from(u32::from(first).checked_add(place)?.checked_add(skipped)?).into()
            }
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first).checked_add(place)?).into(),
        });
    }
    None
}

#[cfg(test)]
mod tests;
