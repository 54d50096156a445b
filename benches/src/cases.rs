//! The kinds of answers whose cost is held by limits: a fixed world, and packets for each kind.
//!
//! Everything is made from seeds and from documents, with a generated locale table instead of the
//! one that ships: newer geo data must not look like a slower server. Each packet's answer is
//! checked before any is counted, so that a refusal cannot pass for a fast answer.

use std::fmt::Write as _;
use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use dns::{CookieSecrets, Settings, Transport, View, respond};
use geo_data::{Centres, LocaleTable};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::geo::{Country, Locale, Point};
use model::observe::Verdict;
use std::sync::Arc;

use crate::query::{self, Dnssec, Expectation, Shape, Subnet, Template};
use crate::random::Random;
use crate::snapshot;
use crate::world::PLACES;

/// Packets of a case: different names and clients, as many as settle a mean to a tenth of a percent.
pub const PACKETS: usize = 2000;
/// Room for one answer over UDP.
pub const OUT_OCTETS: usize = 4096;

/// Where packets come from when they carry a client subnet.
const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4053);
const ZONE: &str = "walk.example";
/// Names of each service, and static names.
const NAMES: usize = 200;
/// Generated prefixes: a thousandth of the Internet's, and as uneven.
const PREFIXES_V4: usize = 20_000;
const PREFIXES_V6: usize = 10_000;
/// Distinct places they are at.
const POINTS: usize = 500;

const A: u16 = 1;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const HTTPS: u16 = 65;
/// Option code of cookies (RFC 7873, section 4).
const COOKIE_OPTION: u16 = 10;
const CLIENT_COOKIE: [u8; 8] = *b"countme!";

/// One kind of answer, and packets that ask for it.
#[derive(Debug)]
pub struct Case {
    /// What limits and tables call it.
    pub name: &'static str,
    view: Arc<View>,
    asks: Vec<Ask>,
}

#[derive(Debug)]
struct Ask {
    packet: Vec<u8>,
    from: SocketAddr,
    template: Template,
    wanted: Expectation,
}

impl Case {
    /// Packets and whom they come from.
    pub fn packets(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        self.asks.iter().map(|ask| (ask.packet.as_slice(), ask.from))
    }

    /// The view that answers.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// How many answers are not what they must be.
    pub fn wrong(&self) -> usize {
        let mut out = vec![0; OUT_OCTETS];
        let mut is_wrong = |ask: &&Ask| {
            let octets = respond(&self.view, &ask.packet, ask.from, Transport::Udp, &mut out);
            !octets.and_then(|octets| out.get(..octets)).is_some_and(|answer| {
                let count =
                    answer.get(6..8).map(|octets| u16::from(octets[0]) << 8 | u16::from(octets[1]));
                let none_wanted = ask.wanted.answers_min == 0;
                query::check(answer, &ask.template, ask.wanted).is_ok()
                    && none_wanted == (count == Some(0))
                    && query::id_of(answer) == query::id_of(&ask.packet)
            })
        };
        self.asks.iter().filter(|ask| is_wrong(ask)).count()
    }
}

/// What all packets of a case have in common.
struct Plan {
    name: &'static str,
    /// The owner's label without its number.
    label: &'static str,
    qtype: u16,
    rcode: u8,
    answers_min: u16,
    client: Kind,
}

/// How a packet tells whose it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    SubnetV4,
    SubnetV6,
    /// No subnet: the resolver's address decides.
    Resolver,
    /// A subnet and a cookie of ours.
    Cookie,
    /// No EDNS at all.
    Bare,
}

const fn plan(name: &'static str, label: &'static str, qtype: u16, client: Kind) -> Plan {
    Plan { name, label, qtype, rcode: 0, answers_min: 1, client }
}

/// Every case.
///
/// # Errors
/// The documents are refused: they and the schema have drifted apart.
pub fn cases() -> anyhow::Result<Vec<Case>> {
    let mut random = Random::new(0x0D15);
    let world = World::new(&mut random);
    let (up, down) = (world.view(Verdict::Up)?, world.view(Verdict::Down)?);
    let plans = [
        plan("zone-hit", "static", A, Kind::Bare),
        plan("zone-hit-ecs", "static", A, Kind::SubnetV4),
        Plan { answers_min: 0, ..plan("nodata", "static", TXT, Kind::SubnetV4) },
        Plan { answers_min: 0, rcode: 3, ..plan("nxdomain", "absent", A, Kind::SubnetV4) },
        plan("steered-v4", "near", A, Kind::SubnetV4),
        plan("steered-v6", "near", AAAA, Kind::SubnetV6),
        plan("steered-resolver", "near", A, Kind::Resolver),
        plan("steered-shared", "shared", A, Kind::SubnetV4),
        plan("steered-cookie", "near", A, Kind::Cookie),
        plan("steered-https", "near", HTTPS, Kind::SubnetV4),
    ];
    let mut cases = plans
        .iter()
        .map(|plan| world.case(plan, &up, &mut random))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let failover = plan("steered-failover", "near", A, Kind::SubnetV4);
    cases.push(world.case(&failover, &down, &mut random)?);
    Ok(cases)
}

/// What the cases share.
struct World {
    table: LocaleTable,
    clients_v4: Vec<Ipv4Net>,
    clients_v6: Vec<Ipv6Net>,
}

impl World {
    fn new(random: &mut Random) -> Self {
        let points: Vec<Locale> = (0..POINTS).map(|_| locale(random)).collect();
        let clients_v4: Vec<Ipv4Net> = (0..PREFIXES_V4).map(|_| prefix_v4(random)).collect();
        let clients_v6: Vec<Ipv6Net> = (0..PREFIXES_V6).map(|_| prefix_v6(random)).collect();
        let nets = clients_v4.iter().map(|&net| IpNet::V4(net));
        let nets = nets.chain(clients_v6.iter().map(|&net| IpNet::V6(net)));
        let placed: Vec<(IpNet, Locale)> =
            nets.map(|net| (net, points[random.below(POINTS)].clone())).collect();
        let table = LocaleTable::from_prefixes(&placed, Centres::default());
        Self { table, clients_v4, clients_v6 }
    }

    /// The world with one site, the nearest of many, in this state.
    fn view(&self, first_site: Verdict) -> anyhow::Result<Arc<View>> {
        let mut snapshot = snapshot::of_documents(&documents(), &self.table)?;
        let mut health = (*snapshot.health).clone();
        for (at, verdict) in health.sites.iter_mut().enumerate() {
            // Every second site, so that half of the clients are led elsewhere.
            *verdict = if at % 2 == 0 { first_site } else { Verdict::Up };
        }
        snapshot.health = Arc::new(health);
        let secrets = CookieSecrets::new([7; 16], None);
        let settings = Settings { cookie_secrets: Some(secrets), ..Settings::default() };
        Ok(Arc::new(View::build(&snapshot, settings, &RandomState::new())?))
    }

    fn case(&self, plan: &Plan, view: &Arc<View>, random: &mut Random) -> anyhow::Result<Case> {
        let asks = (0..PACKETS).map(|at| self.ask(plan, view, (at, &mut *random)));
        let asks = asks.collect::<anyhow::Result<_>>()?;
        Ok(Case { name: plan.name, view: Arc::clone(view), asks })
    }

    fn ask(
        &self,
        plan: &Plan,
        view: &View,
        (at, random): (usize, &mut Random),
    ) -> anyhow::Result<Ask> {
        let shape = Shape { qtype: plan.qtype, dnssec: Dnssec::Unsigned };
        let name = format!("{}{}.{ZONE}", plan.label, random.below(NAMES));
        let template = Template::new(&name, shape)?;
        let v4 = self.clients_v4[random.below(PREFIXES_V4)].network();
        let v6 = self.clients_v6[random.below(PREFIXES_V6)].network();
        let subnet = match plan.client {
            Kind::SubnetV4 | Kind::Cookie => Subnet::of(v4.into()),
            Kind::SubnetV6 => Subnet::of(v6.into()),
            Kind::Resolver | Kind::Bare => Subnet::Absent,
        };
        let from = match plan.client {
            Kind::Resolver => SocketAddr::new(v4.into(), 4053),
            _ => RESOLVER,
        };
        let id = u16::try_from(at).unwrap_or(0);
        let mut packet = template.form(subnet).to_vec();
        query::finish(&mut packet, id, subnet);
        if plan.client == Kind::Bare {
            packet.truncate(query::HEADER_OCTETS + template.question().len());
            packet[11] = 0;
        }
        if plan.client == Kind::Cookie {
            add_cookie(&mut packet, &template, view);
        }
        let wanted = Expectation { rcode: plan.rcode, answers_min: plan.answers_min };
        Ok(Ask { packet, from, template, wanted })
    }
}

/// Gives the packet the cookie that the server gives its sender.
fn add_cookie(packet: &mut Vec<u8>, template: &Template, view: &View) {
    let first = packet.clone();
    push_option(packet, template, &CLIENT_COOKIE);
    let mut out = [0; OUT_OCTETS];
    let answer = respond(view, packet, RESOLVER, Transport::Udp, &mut out)
        .and_then(|octets| out.get(..octets))
        .unwrap_or_default();
    let whole = answer.windows(CLIENT_COOKIE.len()).position(|octets| octets == CLIENT_COOKIE);
    if let Some(cookie) = whole.and_then(|at| answer.get(at..at + 24)) {
        *packet = first;
        push_option(packet, template, cookie);
    }
}

/// Adds a cookie to the OPT record, which is the message's end.
fn push_option(packet: &mut Vec<u8>, template: &Template, cookie: &[u8]) {
    packet.extend_from_slice(&COOKIE_OPTION.to_be_bytes());
    packet.extend_from_slice(&u16::try_from(cookie.len()).unwrap_or(0).to_be_bytes());
    packet.extend_from_slice(cookie);
    // The record's data begins after its root name, type, class and flags: 11 octets.
    let data = query::HEADER_OCTETS + template.question().len() + 11;
    let octets = u16::try_from(packet.len() - data).unwrap_or(0);
    packet[data - 2..data].copy_from_slice(&octets.to_be_bytes());
}

fn locale(random: &mut Random) -> Locale {
    let near = PLACES[random.below(PLACES.len())];
    let mut spread = |range: usize| i16::try_from(random.below(range)).unwrap_or(0);
    let point = Point { lat_cdeg: spread(14_000) - 6_000, lon_cdeg: spread(32_000) - 16_000 };
    Locale { country: Country::parse(near.country), point: Some(point), ..Locale::default() }
}

fn prefix_v4(random: &mut Random) -> Ipv4Net {
    let bits = u32::try_from(random.bits() >> 32).unwrap_or(0);
    // Unicast: 16.0.0.0 to 207.255.255.255.
    let bits = (bits & 0x0FFF_FFFF) | (u32::try_from(1 + random.below(12)).unwrap_or(1) << 28);
    let len = u8::try_from(16 + random.below(9)).unwrap_or(24);
    Ipv4Net::new_assert(Ipv4Addr::from_bits(bits), len).trunc()
}

fn prefix_v6(random: &mut Random) -> Ipv6Net {
    // 2400::/6 and 2800::/6: a thousand /32s, each cut up.
    let head = 0x2400 + u128::try_from(random.below(0x0800)).unwrap_or(0);
    let bits = (head << 112) | (u128::from(random.bits() >> 32) << 80);
    let len = u8::try_from(28 + random.below(21)).unwrap_or(48);
    Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), len).trunc()
}

/// Static names, one service that goes by distance and one that shares clients by weight.
fn documents() -> String {
    let mut text = format!(
        "apiVersion: nearside.dev/v1alpha1\nkind: Zone\nmetadata: {{name: walk}}\nspec:\n  \
         apex: {ZONE}\n  nameServers:\n    - {{name: ns1.{ZONE}, addresses: [127.0.0.1]}}\n  \
         records:\n"
    );
    for at in 0..NAMES {
        let address = Ipv4Addr::from_bits(0xCB00_7100 + u32::try_from(at).unwrap_or(0));
        let _ = writeln!(text, "    - {{name: static{at}, type: A, data: {address}}}");
    }
    for (at, place) in PLACES.iter().enumerate() {
        let _ = write!(
            text,
            "---\napiVersion: nearside.dev/v1alpha1\nkind: Site\nmetadata: {{name: {}}}\n\
             spec:\n  tier: core\n  location: {{country: {}, coordinates: \
             {{lat: {}, lon: {}}}}}\n  addresses: [192.0.2.{at}, \"2001:db8::{at}\"]\n",
            place.name, place.country, place.lat, place.lon
        );
    }
    for (label, steering) in [("near", "{}"), ("shared", "{spreadWithinMs: 30}")] {
        let names: Vec<_> = (0..NAMES).map(|at| format!("{label}{at}.{ZONE}")).collect();
        let _ = write!(
            text,
            "---\napiVersion: nearside.dev/v1alpha1\nkind: GlobalService\n\
             metadata: {{name: {label}, namespace: walk}}\nspec:\n  hostnames: [{}]\n  \
             class: bulk\n  steering: {steering}\n  answers: {{max: 1, ttl: 30}}\n  records:\n    \
             - {{type: HTTPS, data: ['1 . alpn=\"h2,h3\"']}}\n",
            names.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests;
