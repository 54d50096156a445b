//! Which clients may come at all: allow and deny lists as sorted ranges, so that a list of ten
//! thousand networks costs a handful of comparisons.

use std::net::IpAddr;

use ipnet::IpNet;
use model::gateway::settings::AddressRules;

/// Compiled lists.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AddressTable {
    allow: Option<Ranges>,
    deny: Ranges,
}

/// First and last address of each range, sorted, apart from each other. IPv4 is mapped into IPv6.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ranges(Box<[(u128, u128)]>);

impl AddressTable {
    /// Compiles the lists.
    pub(crate) fn compile(rules: &AddressRules) -> Self {
        let AddressRules { allow, deny } = rules;
        let allow = (!allow.is_empty()).then(|| Ranges::compile(allow));
        Self { allow, deny: Ranges::compile(deny) }
    }

    /// Whether a client may come: never when denied, and with an allow list only when on it.
    pub(crate) fn admits(&self, client: IpAddr) -> bool {
        let number = number(client);
        !self.deny.contain(number) && self.allow.as_ref().is_none_or(|all| all.contain(number))
    }
}

impl Ranges {
    fn compile(nets: &[IpNet]) -> Self {
        let ends = |net: &IpNet| (number(net.network()), number(net.broadcast()));
        let mut all: Vec<_> = nets.iter().map(ends).collect();
        all.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged.into())
    }

    fn contain(&self, number: u128) -> bool {
        let behind = self.0.partition_point(|&(first, _)| first <= number);
        behind.checked_sub(1).is_some_and(|at| number <= self.0[at].1)
    }
}

fn number(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests;
