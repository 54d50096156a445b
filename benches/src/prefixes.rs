//! Millions of prefixes with a place each: what the largest maps are measured with.
//!
//! Made from a seed: neighbours one after the other, as an operator's own address plan has them,
//! each at another of a few hundred places, so that next to nothing merges and a map has about as
//! many runs as there are prefixes. Three in five are IPv4, and in both families one block in ten is
//! left to nobody.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::geo::{Country, Locale, Point};

use crate::query::Subnet;
use crate::random::Random;
use crate::world::PLACES;

/// Places that prefixes are at.
const POINTS: usize = 500;
/// Where the IPv4 prefixes begin: room for 13.6 million /24s of unicast space.
const FIRST_V4: u32 = 0x1000_0000;
/// Where the IPv6 prefixes begin; they are /48s.
const FIRST_V6: u128 = 0x2400 << 112;

/// `count` prefixes, disjoint, rising within their family.
pub fn prefixes(count: usize, seed: u64) -> Vec<(IpNet, Locale)> {
    let mut random = Random::new(seed);
    let points: Vec<Locale> = (0..POINTS).map(|_| locale(&mut random)).collect();
    let v4_count = count / 5 * 3;
    let (mut v4, mut v6) = (0, 0);
    let mut all = Vec::with_capacity(count);
    for at in 0..count {
        let gap = u32::from(random.below(10) == 0);
        let net = if at < v4_count {
            v4 += 1 + gap;
            let bits = FIRST_V4.saturating_add((v4 - 1) << 8);
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_bits(bits), 24))
        } else {
            v6 += 1 + u128::from(gap);
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(FIRST_V6 + ((v6 - 1) << 80)), 48))
        };
        all.push((net, points[random.below(POINTS)].clone()));
    }
    all
}

/// Some of the prefixes as clients, drawn with a seed.
pub fn clients(prefixes: &[(IpNet, Locale)], count: usize, seed: u64) -> Vec<Subnet> {
    let mut random = Random::new(seed);
    let one = |_| Subnet::of(prefixes[random.below(prefixes.len())].0.addr());
    (0..count).map(one).collect()
}

fn locale(random: &mut Random) -> Locale {
    let near = PLACES[random.below(PLACES.len())];
    let mut within = |range: usize| i16::try_from(random.below(range)).unwrap_or(0);
    let point = Point { lat_cdeg: within(14_000) - 6_000, lon_cdeg: within(32_000) - 16_000 };
    Locale { country: Country::parse(near.country), point: Some(point), ..Locale::default() }
}

#[cfg(test)]
mod tests;
