//! A small world for the tests: one zone with everything awkward in it, three sites, four services,
//! and answers told as text.
#![allow(dead_code, reason = "every test uses its own part of the world")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::RandomState;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dns::{Arrival, Settings, Transport, View};
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use model::Policy;
use model::geo::Country;
use model::name::{DnsName, ObjectRef, SiteName};
use model::observe::Verdict;
use model::record::{RecordSet, RecordType};
use model::service::{Answers, Fallback, GlobalService, Steering, Sticky, TierStep};
use model::site::{Alias, Binding, Capacity, Site, SiteAddress, SiteId, Tier};
use model::zone::{NameServer, Soa, Zone};
use steering::map::{LeafId, Reach};
use steering::{Generation, Health, Leaf, RunTable, ServiceMap, Snapshot, SteeringMap};

pub(crate) const CORE: SiteId = SiteId(0);
pub(crate) const GD_CT: SiteId = SiteId(1);
pub(crate) const GD_CU: SiteId = SiteId(2);
const NOWHERE: &[SiteId] = &[];
const GENERATION: Generation = Generation { epoch: 0, counter: 7 };
/// Where queries come from when nothing else is said.
pub(crate) const RESOLVER: &str = "9.9.9.9:4000";

pub(crate) fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

fn set(owner: &str, record_type: RecordType, rdata: &[&[u8]]) -> RecordSet {
    let rdata = rdata.iter().map(|&rdata| rdata.into()).collect();
    RecordSet { owner: name(owner), record_type, ttl_s: 300, rdata }
}

pub(crate) fn zone() -> Zone {
    let target = |text: &str| name(text).as_wire().to_vec();
    let txt = |letter: u8| [&[200], [letter; 200].as_slice()].concat();
    let big: Vec<Vec<u8>> = (b'a'..=b'z').map(txt).collect();
    let big: Vec<&[u8]> = big.iter().map(Vec::as_slice).collect();
    let mx = [&[0, 10], name("mail.edge.example").as_wire()].concat();
    Zone {
        apex: name("edge.example"),
        soa: Soa {
            mname: name("ns1.edge.example"),
            rname: name("hostmaster.edge.example"),
            refresh_s: 7200,
            retry_s: 900,
            expire_s: 1_209_600,
            negative_ttl_s: 60,
            ttl_s: 3600,
        },
        name_servers: vec![
            NameServer {
                name: name("ns1.edge.example"),
                addresses: vec![
                    "192.0.2.53".parse().expect("v4"),
                    "2001:db8::53".parse().expect("v6"),
                ],
            },
            NameServer { name: name("ns.other.net"), addresses: Vec::new() },
        ],
        ns_ttl_s: 86_400,
        records: vec![
            set("www.edge.example", RecordType::A, &[&[192, 0, 2, 1], &[192, 0, 2, 2]]),
            set("edge.example", RecordType::MX, &[&mx]),
            set("mail.edge.example", RecordType::A, &[&[192, 0, 2, 25]]),
            set("big.edge.example", RecordType::TXT, &big),
            set("alias.edge.example", RecordType::CNAME, &[&target("hello.edge.example")]),
            set("alias2.edge.example", RecordType::CNAME, &[&target("alias.edge.example")]),
            set("loop.edge.example", RecordType::CNAME, &[&target("loop2.edge.example")]),
            set("loop2.edge.example", RecordType::CNAME, &[&target("loop.edge.example")]),
            set("out.edge.example", RecordType::CNAME, &[&target("www.other.net")]),
            set("dead.edge.example", RecordType::CNAME, &[&target("nobody.edge.example")]),
            set("old.edge.example", RecordType::DNAME, &[&target("edge.example")]),
            set("sub.edge.example", RecordType::NS, &[&target("ns.sub.edge.example")]),
            set("sub.edge.example", RecordType::DS, &[&[0, 1, 13, 2, 1, 2, 3, 4]]),
            set("ns.sub.edge.example", RecordType::A, &[&[192, 0, 2, 99]]),
            set("tosub.edge.example", RecordType::CNAME, &[&target("x.sub.edge.example")]),
            set("*.cuts.edge.example", RecordType::NS, &[&target("ns.other.net")]),
            set("deep.empty.edge.example", RecordType::TXT, &[b"\x04deep"]),
            set("*.wild.edge.example", RecordType::TXT, &[b"\x04wild"]),
            set("taken.wild.edge.example", RecordType::A, &[&[192, 0, 2, 3]]),
        ],
    }
}

fn site(name: &str, addresses: &[&str]) -> Site {
    let ips = addresses.iter().map(|text| text.parse().expect("an address"));
    Site {
        name: SiteName::new(name).expect("a name"),
        tier: Tier::Core,
        country: Country::parse("CN").expect("a country"),
        subdivision: None,
        city: None,
        point: None,
        isps: Vec::new(),
        addresses: ips.map(|ip| SiteAddress { ip, isp: None }).collect(),
        capacity: Capacity::default(),
        labels: BTreeMap::default(),
        drain: false,
        l7: true,
        alias: None,
        binding: Binding::default(),
        health: None,
    }
}

fn service(object: &str, hostname: &str, pool: &[SiteId]) -> GlobalService {
    GlobalService {
        object: ObjectRef::new("default", object),
        hostnames: vec![name(hostname)],
        protected: false,
        tiers: vec![TierStep { tier: Tier::Core, budget_us: None }],
        pool: pool.to_vec(),
        backends: Vec::new(),
        fence: None,
        steering: Steering {
            prefer: Vec::new(),
            spread_within_us: 0,
            sticky: Sticky { v4_len: 24, v6_len: 56 },
            weights: BTreeMap::default(),
            carrier_penalty_us: 0,
            border_penalty_us: 0,
        },
        answers: Answers { sites_max: 1, per_site_max: 4, ttl_s: 30, ttl_min_s: 5 },
        health: None,
        panic_below_percent: 0,
        fallback: Fallback::AnswerAll,
        rules: Vec::new(),
        records: Vec::new(),
        aliases: BTreeMap::default(),
        endpoints: Vec::new(),
    }
}

/// The documents' meaning: services in the order of their names.
pub(crate) fn policy() -> Policy {
    let everywhere = &[CORE, GD_CT, GD_CU];
    let mut fallback_none = service("none", "none.edge.example", &[GD_CU]);
    fallback_none.fallback = Fallback::AnswerNone;
    let mut hello = service("hello", "hello.edge.example", everywhere);
    hello.records = vec![RecordSet {
        owner: name("hello.edge.example"),
        record_type: RecordType::HTTPS,
        ttl_s: 30,
        rdata: vec![(*b"\x00\x01\x00").into()],
    }];
    let mut pop = service("pop", "pop.edge.example", everywhere);
    pop.aliases.insert(GD_CT, Alias::Cname(name("hello.edge.example")));
    Policy {
        zones: vec![zone()],
        sites: vec![
            site("core", &["198.51.100.1"]),
            site("gd-ct", &["198.51.100.2", "2001:db8:2::1"]),
            site("gd-cu", &["198.51.100.3", "2001:db8:3::1"]),
        ],
        services: vec![
            service("fenced", "fenced.edge.example", everywhere),
            service("fn", "*.fn.edge.example", everywhere),
            service("four", "four.edge.example", &[CORE]),
            hello,
            fallback_none,
            pop,
        ],
        ..Policy::default()
    }
}

fn leaf(sites: &[SiteId], reach: u32) -> Leaf {
    Leaf { sites: sites.iter().copied().collect(), reach, ..Leaf::default() }
}

/// 1.2.0.0/16 and 2001:db8:ff00::/40 are Guangdong Telecom, 1.3.0.0/16 Guangdong Unicom, the rest
/// of the world is the core's.
fn map_of(leaves: [&[SiteId]; 3]) -> Arc<ServiceMap> {
    let [world, ct, cu] = leaves;
    let numbers = |all: &[u32]| all.iter().map(|&leaf| LeafId(leaf)).collect();
    let v4 = vec![0, 0x0102_0000, 0x0103_0000, 0x0104_0000];
    let v6 = vec![0, 0x2001_0db8_ff00_0000, 0x2001_0db9_0000_0000];
    let mut pool: Vec<SiteId> = leaves.concat();
    pool.sort_unstable();
    pool.dedup();
    Arc::new(ServiceMap {
        v4: RunTable::new(v4, numbers(&[0, 1, 2, 0])).expect("runs"),
        v6: RunTable::new(v6, numbers(&[0, 1, 0])).expect("runs"),
        leaves: vec![leaf(world, 0), leaf(ct, 0), leaf(cu, 0)],
        reaches: vec![Reach { pool, fallback: Vec::new() }],
        ..ServiceMap::default()
    })
}

pub(crate) fn map() -> SteeringMap {
    SteeringMap {
        policy_generation: GENERATION.counter,
        maps: vec![
            map_of([&[CORE, GD_CT], &[GD_CT, CORE], &[GD_CU, CORE]]),
            map_of([NOWHERE; 3]),
            map_of([&[CORE]; 3]),
            map_of([&[GD_CU]; 3]),
        ],
        of_service: vec![1, 0, 2, 0, 3, 0],
        ..SteeringMap::default()
    }
}

/// Nothing known against anybody.
pub(crate) fn healthy() -> Health {
    Health { drained: vec![false; 3], ..Health::default() }
}

/// As [`healthy`], with verdicts on core, gd-ct and gd-cu.
pub(crate) fn verdicts(sites: [Verdict; 3]) -> Health {
    Health { sites: sites.to_vec(), ..healthy() }
}

pub(crate) fn snapshot(health: Health) -> Snapshot {
    Snapshot {
        policy_generation: GENERATION,
        map_generation: GENERATION,
        health_generation: GENERATION,
        policy: Arc::new(policy()),
        map: Arc::new(map()),
        health: Arc::new(health),
    }
}

pub(crate) fn view() -> View {
    view_of(&snapshot(healthy()))
}

pub(crate) fn view_of(snapshot: &Snapshot) -> View {
    let settings = Settings { nsid: b"node-1".to_vec(), ..Settings::default() };
    View::build(snapshot, settings, &RandomState::new()).expect("a view")
}

/// A query to be written as octets.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// The name's wire octets as sent.
    pub(crate) name: Vec<u8>,
    pub(crate) record_type: u16,
    pub(crate) class: u16,
    pub(crate) edns: Option<AskEdns>,
}

#[derive(Debug, Clone)]
pub(crate) struct AskEdns {
    pub(crate) udp_octets_max: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Ask {
    pub(crate) fn new(text: &str, record_type: RecordType) -> Self {
        // By hand, because a `DnsName` would lose the case.
        let mut wire = Vec::new();
        for label in text.split('.').filter(|label| !label.is_empty()) {
            wire.push(u8::try_from(label.len()).expect("a label"));
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        let (id, flags, record_type, class) = (0x1234, 0, record_type.0, 1);
        Self { id, flags, name: wire, record_type, class, edns: None }
    }

    pub(crate) fn edns(mut self) -> Self {
        self.edns.get_or_insert(AskEdns {
            udp_octets_max: 1232,
            version: 0,
            dnssec_ok: false,
            options: Vec::new(),
        });
        self
    }

    pub(crate) fn option(self, code: u16, value: &[u8]) -> Self {
        let mut ask = self.edns();
        if let Some(edns) = &mut ask.edns {
            edns.options.push((code, value.to_vec()));
        }
        ask
    }

    /// With a client subnet, `1.2.3.0/24`.
    pub(crate) fn subnet(self, prefix: &str) -> Self {
        let (ip, len) = prefix.split_once('/').expect("a prefix");
        let len: u8 = len.parse().expect("a length");
        let (family, octets) = match ip.parse().expect("an address") {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (2, ip.octets().to_vec()),
        };
        let sent = &octets[..usize::from(len).div_ceil(8)];
        self.option(8, &[&[0, family, len, 0], sent].concat())
    }

    pub(crate) fn packet(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        let put = |packet: &mut Vec<u8>, number: u16| packet.extend(number.to_be_bytes());
        for number in [self.id, self.flags, 1, 0, 0, u16::from(self.edns.is_some())] {
            put(&mut packet, number);
        }
        packet.extend(&self.name);
        put(&mut packet, self.record_type);
        put(&mut packet, self.class);
        if let Some(edns) = &self.edns {
            packet.extend([0, 0, 41]);
            put(&mut packet, edns.udp_octets_max);
            packet.extend([0, edns.version, if edns.dnssec_ok { 0x80 } else { 0 }, 0]);
            let mut rdata = Vec::new();
            for (code, value) in &edns.options {
                put(&mut rdata, *code);
                put(&mut rdata, u16::try_from(value.len()).expect("short"));
                rdata.extend(value);
            }
            put(&mut packet, u16::try_from(rdata.len()).expect("short"));
            packet.extend(rdata);
        }
        packet
    }

    /// The answer over UDP to [`RESOLVER`], as text.
    pub(crate) fn answer(&self, view: &View) -> String {
        self.answer_over(view, Transport::Udp)
    }

    pub(crate) fn answer_over(&self, view: &View, transport: Transport) -> String {
        let client: SocketAddr = RESOLVER.parse().expect("an address");
        self.answer_to(view, Arrival { client, transport, now_s: 0 })
    }

    pub(crate) fn answer_to(&self, view: &View, arrival: Arrival) -> String {
        let mut out = [0; 65_535];
        let handled = dns::answer::handle(view, &self.packet(), &arrival, &mut out);
        handled.map_or_else(|| "silence".to_owned(), |handled| text_of(&out[..handled.octets]))
    }
}

/// `dig`'s answer in short: a line of code and flags, a line for each record, a line of EDNS.
pub(crate) fn text_of(answer: &[u8]) -> String {
    let message = Message::from_vec(answer).expect("an answer that hickory reads");
    let meta = &message.metadata;
    let mut text = rcode_text(u16::from(meta.response_code));
    for (flag, is_set) in [
        ("aa", meta.authoritative),
        ("tc", meta.truncation),
        ("rd", meta.recursion_desired),
        ("ra", meta.recursion_available),
        ("ad", meta.authentic_data),
        ("cd", meta.checking_disabled),
    ] {
        if is_set {
            write!(text, " {flag}").expect("a string");
        }
    }
    for (section, records) in
        [("", &message.answers), ("@", &message.authorities), ("+", &message.additionals)]
    {
        for record in records {
            write!(text, "\n{section}{}", record_text(record)).expect("a string");
        }
    }
    if let Some(edns) = &message.edns {
        write!(text, "\nedns {}", edns.max_payload()).expect("a string");
        if edns.flags().dnssec_ok {
            text.push_str(" do");
        }
        for (_, option) in &edns.options().options {
            write!(text, " {}", option_text(option)).expect("a string");
        }
    }
    text
}

fn rcode_text(code: u16) -> String {
    let known = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN"];
    match known.get(usize::from(code)) {
        Some(known) => (*known).to_owned(),
        None => code.to_string(),
    }
}

fn record_text(record: &Record) -> String {
    let rdata = match &record.data {
        RData::Unknown { rdata, .. } if u16::from(record.record_type()) == RecordType::DNAME.0 => {
            Name::read(&mut BinDecoder::new(&rdata.anything)).expect("a name").to_string()
        }
        // hickory ends every list with a comma; zone files do not.
        RData::HTTPS(data) => data.to_string().replace(", ", " ").trim_end_matches(',').to_owned(),
        data => data.to_string(),
    };
    format!("{} {} {} {rdata}", record.name, record.ttl, record.record_type())
}

fn option_text(option: &EdnsOption) -> String {
    match option {
        EdnsOption::Subnet(subnet) => {
            let (ip, source) = (subnet.addr(), subnet.source_prefix());
            format!("ecs={ip}/{source}/{}", subnet.scope_prefix())
        }
        EdnsOption::NSID(id) => format!("nsid={}", String::from_utf8_lossy(id.as_ref())),
        EdnsOption::Unknown(10, value) => format!("cookie={}", hex(value)),
        EdnsOption::Unknown(11, value) => format!("keepalive={}", hex(value)),
        EdnsOption::Unknown(15, value) => {
            let code = u16::from_be_bytes([value[0], value[1]]);
            format!("ede={code}:{}", String::from_utf8_lossy(&value[2..]))
        }
        other => format!("{other:?}"),
    }
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
