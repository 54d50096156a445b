//! From a packet to its answer: the walk that UDP, TCP and every test share.
//!
//! Pure, and without allocation: parse, find the zone, follow the name through it, write. Each name
//! of a chain ends in one outcome, and the outcome of the last decides the authority section
//! and the response code, as RFC 1034, section 4.3.2, and RFC 6672, section 3.2, have it.

mod extras;
mod flattened;
mod steered;

use std::net::SocketAddr;

use model::record::RecordType;
use steering::decide::Reason;
use steering::whereabouts::Whereabouts;

use crate::ede::ExtendedError;
use crate::message::{self, Edns, Fault, Query, Refusal, rcode};
use crate::name::NameBuf;
use crate::response::{Full, Head, Identity, QUESTION, Response, Section, Verdict, pointer_to};
use crate::view::{UDP_OCTETS_MIN, View};
use crate::zone::{Found, Node, Set, Zone};
use extras::Extras;

/// How many CNAMEs, synthesised ones included, an answer holds at most. A resolver goes on from the
/// last one by itself; five is where Knot DNS stops as well.
const CHAIN_MAX: usize = 5;
/// A message over TCP is at most this long: its length is 16 bits (RFC 1035, section 4.2.2).
const TCP_OCTETS_MAX: usize = 65_535;
const TYPE_HINFO: u16 = 13;
/// CPU `RFC8482`, OS empty (RFC 8482, section 4.2).
const HINFO_RDATA: &[u8] = b"\x07RFC8482\x00";
/// ANY is asked by people and amplifiers; an hour keeps both from asking again.
const HINFO_TTL_S: u32 = 3600;

/// How the packet came, which bounds the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Bounded by what the client takes.
    Udp,
    /// Bounded by the length field.
    Tcp,
}

/// An answer, and what to count about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handled {
    /// Octets of the answer.
    pub octets: usize,
    /// The response code, extended ones included.
    pub rcode: u16,
    /// Whether it was cut for its transport.
    pub truncated: bool,
    /// Why, when the name is steered.
    pub reason: Option<Reason>,
    /// Whether the query carried a client subnet.
    pub with_subnet: bool,
}

/// How a packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub client: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// When: seconds since 1970, modulo 2^32. Cookies alone go by it.
    pub now_s: u32,
}

/// Answers a packet into `out`, at the beginning of time. Gives the answer's length; `None` when it
/// deserves none.
pub fn respond(
    view: &View,
    packet: &[u8],
    client: SocketAddr,
    transport: Transport,
    out: &mut [u8],
) -> Option<usize> {
    let arrival = Arrival { client, transport, now_s: 0 };
    handle(view, packet, &arrival, out).map(|handled| handled.octets)
}

/// Answers a packet into `out`. Gives the answer's length and what to count; `None` when the packet
/// deserves no answer.
pub fn handle(view: &View, packet: &[u8], arrival: &Arrival, out: &mut [u8]) -> Option<Handled> {
    handle_at(view, packet, (arrival, None), out)
}

/// The same for a client at a place, if one is given, instead of an address. Ranking a place allocates.
pub(crate) fn handle_at(
    view: &View,
    packet: &[u8],
    (arrival, place): (&Arrival, Option<&Whereabouts>),
    out: &mut [u8],
) -> Option<Handled> {
    let mut us = Identity { udp_octets_max: view.settings.udp_octets_max, extras: &[] };
    let extras;
    let mut name = NameBuf::default();
    let query = match message::parse(packet, &mut name) {
        Ok(query) => query,
        Err(Refusal::Drop) => return None,
        Err(Refusal::Answer { mut fault, question_end, edns }) => {
            let edns = edns.as_ref();
            if let Some(edns) = edns {
                extras = Extras::of(view, edns, arrival);
                us.extras = extras.octets();
                if fault == Fault::CookieAlone {
                    fault = extras.fault_alone(edns);
                }
            }
            let room = room(&us, arrival.transport, edns);
            let response = Response::begin(packet, question_end, room, out)?;
            return refuse(response, fault, edns, &us);
        }
    };
    let edns = query.edns.as_ref();
    let room = room(&us, arrival.transport, edns);
    let mut response = Response::begin(packet, query.question_end(), room, out)?;
    if let Some(edns) = edns
        && edns.wants_extras()
    {
        extras = Extras::of(view, edns, arrival);
        us.extras = extras.octets();
        if extras.wants_cookie {
            return refuse(response, Fault::CookieUnknown, Some(edns), &us);
        }
    }
    response.reserve(edns, &us)?;
    let client = arrival.client;
    let verdict = Verdict { authoritative: true, ..Verdict::default() };
    let (chain, dnames, reason) = (0, [None; CHAIN_MAX], None);
    let query = &query;
    let mut walk = Walk { view, query, client, place, response, verdict, chain, dnames, reason };
    walk.run();
    Some(Handled {
        octets: walk.response.finish(edns, &us, walk.verdict),
        rcode: walk.verdict.rcode,
        truncated: walk.verdict.truncated,
        reason: walk.reason,
        with_subnet: edns.is_some_and(|edns| edns.subnet.is_some()),
    })
}

fn room(us: &Identity<'_>, transport: Transport, edns: Option<&Edns<'_>>) -> usize {
    match transport {
        Transport::Tcp => TCP_OCTETS_MAX,
        // A size below 512 means 512 (RFC 6891, section 6.2.3).
        Transport::Udp => edns
            .map_or(UDP_OCTETS_MIN, |edns| edns.udp_octets_max.min(us.udp_octets_max))
            .max(UDP_OCTETS_MIN)
            .into(),
    }
}

fn refuse(
    mut response: Response<'_>,
    fault: Fault,
    edns: Option<&Edns<'_>>,
    us: &Identity<'_>,
) -> Option<Handled> {
    response.reserve(edns, us)?;
    let extended = (fault == Fault::Subnet).then_some(ExtendedError::BadSubnet);
    let verdict = Verdict { rcode: fault.rcode(), extended, ..Verdict::default() };
    let octets = response.finish(edns, us, verdict);
    let with_subnet = fault == Fault::Subnet || edns.is_some_and(|edns| edns.subnet.is_some());
    Some(Handled { octets, rcode: verdict.rcode, truncated: false, reason: None, with_subnet })
}

/// What became of one name.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would allocate on the way of an answer")]
enum Outcome<'v> {
    /// This set of the zone is in the answer section, from this offset on.
    Hit(&'v Set, usize),
    /// The answer is complete and wants no authority: steered, or a chain that leads out.
    Done,
    /// The name exists, the type does not; what the SOA's TTL may be at most.
    NoData(u32),
    /// The name does not exist.
    NxDomain,
    /// Somebody else's from this cut on, whose name this points to.
    Referral(&'v Node, u16),
    /// Continue with this name, whose octets are at this offset.
    Follow(NameBuf, usize),
    /// A DNAME made the name too long.
    TooLong,
    /// It does not fit.
    Truncated,
    /// The server is not ready to say.
    Failed,
}

/// A name being looked up, and where the packet has it.
#[derive(Debug, Clone, Copy)]
struct Current<'n> {
    name: &'n NameBuf,
    /// The pointer to it.
    owner: u16,
}

/// One query on its way through the view.
struct Walk<'v, 'q, 'o> {
    view: &'v View,
    query: &'q Query<'q>,
    client: SocketAddr,
    place: Option<&'q Whereabouts>,
    response: Response<'o>,
    verdict: Verdict,
    /// CNAMEs in the answer.
    chain: usize,
    /// DNAMEs in the answer.
    dnames: [Option<&'v Node>; CHAIN_MAX],
    reason: Option<Reason>,
}

impl<'v> Walk<'v, '_, '_> {
    fn run(&mut self) {
        let zones = &*self.view.zones;
        let located = zones.locate(self.query.name, self.query.record_type);
        let Some((zone, found)) = located else {
            self.verdict.rcode = rcode::REFUSED;
            self.verdict.authoritative = false;
            self.verdict.extended = Some(ExtendedError::NotAuthoritative);
            return;
        };
        self.response.set_apex(zone.apex_octets);
        let outcome = self.follow(zone, found);
        if self.conclude(zone, &outcome).is_err() {
            self.response.clear();
            self.verdict.truncated = true;
        }
    }

    /// Follows the question's name to the last of its chain.
    fn follow(&mut self, zone: &Zone, found: Found<'v>) -> Outcome<'v> {
        let question = Current { name: self.query.name, owner: QUESTION };
        let mut outcome = self.step(zone, question, found);
        if !matches!(outcome, Outcome::Follow(..)) {
            return outcome;
        }
        let zones = &*self.view.zones;
        // The names of the chain by their keyed hashes: two are equal by chance once in 2^55.
        let mut seen = [zones.hash(self.query.name); CHAIN_MAX + 1];
        while let Outcome::Follow(name, offset) = outcome {
            let hash = zones.hash(&name);
            if seen[..self.chain].contains(&hash)
                || !zones.goes_on(&name, self.query.record_type, zone)
            {
                return Outcome::Done;
            }
            let Some(owner) = pointer_to(offset) else { return Outcome::Done };
            seen[self.chain] = hash;
            let found = zones.find(zone, &name);
            outcome = self.step(zone, Current { name: &name, owner }, found);
        }
        outcome
    }

    fn step(&mut self, zone: &Zone, current: Current<'_>, found: Found<'v>) -> Outcome<'v> {
        match found {
            Found::Missing => Outcome::NxDomain,
            Found::Cut(cut) => {
                Outcome::Referral(cut, self.suffix_pointer(zone, current, cut.name_octets()))
            }
            Found::Dname(node) => self.substitute(zone, current, node),
            Found::Node(node) => self.at_node(zone, current, node),
        }
    }

    /// The name exists, or a wildcard stands for it.
    fn at_node(&mut self, zone: &Zone, current: Current<'_>, node: &'v Node) -> Outcome<'v> {
        let zones = &*self.view.zones;
        let record_type = self.query.record_type;
        // At a cut only DS is ours (RFC 4035, section 3.1.4.1). What a wildcard makes is no cut: step 3c
        // of RFC 1034, section 4.3.2, knows of no referral, and a wildcard's NS are data like others.
        if node.is_cut && record_type != RecordType::DS && zones.is_named(node, current.name) {
            return Outcome::Referral(node, current.owner);
        }
        if let Some(service) = node.service()
            && (record_type == RecordType::A || record_type == RecordType::AAAA)
        {
            return self.steer(service, current.owner);
        }
        if let Some(alias) = zones.alias(node)
            && (record_type == RecordType::A || record_type == RecordType::AAAA)
        {
            return self.flatten(alias, current.owner);
        }
        if let Some(service) = node.service()
            && self.view.presences.kinds(service).cname
        {
            return self.steer_cname(service, current.owner);
        }
        let wanted = match record_type {
            RecordType::ANY => None,
            _ => zones.set(node, record_type),
        };
        if let (Some(set), Some(service)) = (wanted, node.service())
            && set.is_hinted()
        {
            return self.steer_hints(service, set, current.owner);
        }
        if let Some(set) = wanted {
            // A DNAME that is asked for may have led here, and a set must not stand there twice.
            if record_type == RecordType::DNAME
                && self.has_dname(node)
                && zones.is_named(node, current.name)
            {
                return Outcome::Hit(set, 0);
            }
            return match self.put(set, current.owner) {
                Some(start) => Outcome::Hit(set, start),
                None => Outcome::Truncated,
            };
        }
        if let Some(set) = zones.set(node, RecordType::CNAME) {
            return self.alias(zone, current, set);
        }
        if record_type == RecordType::ANY && !node.is_empty() {
            let head = Head { record_type: TYPE_HINFO, ttl_s: HINFO_TTL_S };
            let put = self.response.put_record(Section::Answer, current.owner, head, HINFO_RDATA);
            return if put.is_ok() { Outcome::Done } else { Outcome::Truncated };
        }
        Outcome::NoData(u32::MAX)
    }

    fn put(&mut self, set: &Set, owner: u16) -> Option<usize> {
        self.response.put_set(Section::Answer, self.view.zones.render(set), owner).ok()
    }

    /// The name is an alias: into the answer with it, and on to the target.
    fn alias(&mut self, zone: &Zone, current: Current<'_>, set: &Set) -> Outcome<'v> {
        if self.chain == CHAIN_MAX {
            return Outcome::Done;
        }
        let Some(start) = self.put(set, current.owner) else { return Outcome::Truncated };
        self.chain += 1;
        if self.query.record_type == RecordType::ANY {
            return Outcome::Done;
        }
        match self.view.zones.target(zone, set) {
            Some((_, target)) => Outcome::Follow(target, start + crate::zone::RDATA_AT),
            None => Outcome::Failed,
        }
    }

    /// The name is below a DNAME (RFC 6672, section 3.2): the DNAME goes into the answer once, and
    /// a CNAME made from it for each name.
    fn substitute(&mut self, zone: &Zone, current: Current<'_>, node: &'v Node) -> Outcome<'v> {
        let zones = &*self.view.zones;
        let Some(place) = self.dnames.get(self.chain).map(|_| self.chain) else {
            return Outcome::Done;
        };
        let Some(set) = zones.set(node, RecordType::DNAME) else { return Outcome::Failed };
        let Some((ttl_s, target)) = zones.target(zone, set) else { return Outcome::Failed };
        if !self.has_dname(node) {
            let owner = self.suffix_pointer(zone, current, node.name_octets());
            if self.put(set, owner).is_none() {
                return Outcome::Truncated;
            }
            self.dnames[place] = Some(node);
        }
        let kept = current.name.octet_count().saturating_sub(node.name_octets());
        let made = current.name.wire().get(..kept).unwrap_or_default();
        let Some(name) = NameBuf::join(made, target.wire()) else { return Outcome::TooLong };
        let head = Head { record_type: RecordType::CNAME.0, ttl_s };
        match self.response.put_record(Section::Answer, current.owner, head, name.wire()) {
            Ok(offset) => {
                self.chain += 1;
                match self.query.record_type {
                    // The CNAME made is what was asked for.
                    RecordType::CNAME | RecordType::ANY => Outcome::Done,
                    _ => Outcome::Follow(name, offset),
                }
            }
            Err(_) => Outcome::Truncated,
        }
    }

    /// Whether this node's DNAME is in the answer.
    fn has_dname(&self, node: &Node) -> bool {
        self.dnames.iter().flatten().any(|seen| std::ptr::eq(*seen, node))
    }

    /// The pointer to the last `octets` of a name of the zone. In the packet such a name is literal
    /// down to the apex, and the apex has a pointer of its own.
    fn suffix_pointer(&self, zone: &Zone, current: Current<'_>, octets: usize) -> u16 {
        if octets == usize::from(zone.apex_octets) {
            return self.response.apex();
        }
        let before = current.name.octet_count().saturating_sub(octets);
        // A chain of five CNAMEs ends well within reach of a pointer, see `CHAIN_MAX`.
        pointer_to(usize::from(current.owner & 0x3fff) + before).unwrap_or(current.owner)
    }

    /// The addresses of the hosts that a set from `start` on names, as far as they fit, but for those
    /// that the answer `given` already holds or names.
    fn put_addresses(&mut self, set: &Set, start: usize, given: Option<&Set>) {
        let zones = &*self.view.zones;
        for additional in zones.additional(set) {
            let is_given = given.is_some_and(|given| {
                std::ptr::eq(given, additional.set)
                    || zones.additional(given).any(|other| std::ptr::eq(other.set, additional.set))
            });
            if let Some(owner) = pointer_to(start + additional.owner_at).filter(|_| !is_given) {
                let addresses = zones.render(additional.set);
                if self.response.put_set(Section::Additional, addresses, owner).is_err() {
                    return;
                }
            }
        }
    }

    /// Authority, additional and response code of the last outcome.
    fn conclude(&mut self, zone: &Zone, outcome: &Outcome<'v>) -> Result<(), Full> {
        let zones = &*self.view.zones;
        match outcome {
            // An NS set is already where it belongs; every other answer is followed by the zone's
            // servers and their addresses if they fit, as BIND and NSD do.
            Outcome::Hit(set, start) => {
                let record_type = self.query.record_type;
                let mut servers_at = None;
                if record_type != RecordType::NS && record_type != RecordType::DS {
                    let (servers, apex) = (&zone.name_servers, self.response.apex());
                    let put =
                        self.response.put_set(Section::Authority, zones.render(servers), apex);
                    servers_at = put.ok().map(|at| (servers, at));
                }
                self.put_addresses(set, *start, None);
                if let Some((servers, at)) = servers_at {
                    self.put_addresses(servers, at, Some(set));
                }
            }
            Outcome::Done | Outcome::Follow(..) => {}
            Outcome::NoData(ttl_s_max) => self.put_soa(zone, *ttl_s_max)?,
            Outcome::NxDomain => {
                self.verdict.rcode = rcode::NXDOMAIN;
                self.put_soa(zone, u32::MAX)?;
            }
            Outcome::Referral(cut, owner) => self.refer(cut, *owner)?,
            Outcome::TooLong => self.verdict.rcode = rcode::YXDOMAIN,
            Outcome::Truncated => return Err(Full),
            Outcome::Failed => {
                self.response.clear();
                self.verdict.rcode = rcode::SERVFAIL;
                self.verdict.authoritative = false;
            }
        }
        Ok(())
    }

    fn put_soa(&mut self, zone: &Zone, ttl_s_max: u32) -> Result<(), Full> {
        let soa = self.view.zones.soa_negative(zone);
        let start = self.response.put_set(Section::Authority, soa, self.response.apex())?;
        if ttl_s_max < u32::MAX {
            self.response.lower_ttl(start, ttl_s_max);
        }
        Ok(())
    }

    /// A referral: the cut's servers, and their addresses as far as we have them. Without the
    /// addresses of servers below the cut nobody could go on (RFC 9471, section 3.1).
    fn refer(&mut self, cut: &Node, owner: u16) -> Result<(), Full> {
        let zones = &*self.view.zones;
        // AA speaks for the first name of the answer (RFC 1034, section 6.2.7).
        self.verdict.authoritative = self.response.count(Section::Answer) > 0;
        let Some(servers) = zones.set(cut, RecordType::NS) else { return Ok(()) };
        let start = self.response.put_set(Section::Authority, zones.render(servers), owner)?;
        for additional in zones.additional(servers) {
            let Some(owner) = pointer_to(start + additional.owner_at) else { continue };
            let addresses = zones.render(additional.set);
            let put = self.response.put_set(Section::Additional, addresses, owner);
            if put.is_err() {
                self.verdict.truncated = additional.required;
                break;
            }
        }
        Ok(())
    }
}
