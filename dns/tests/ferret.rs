//! Every case of the Ferret sample: small zones made to be awkward, and what BIND, NSD, Knot DNS and
//! PowerDNS answered. Ours must equal one of the recorded answers: response code, AA, and the three
//! sections as sets. Where the recording was cut for size (TC), the sections are not compared.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;

use dns::{Settings, Transport, View};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType as HickoryType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use model::Policy;
use model::name::DnsName;
use model::record::{RecordSet, RecordType};
use model::zone::{NameServer, Soa, Zone};
use serde::Deserialize;
use steering::{Generation, Snapshot, SteeringMap};

/// Cases not met yet. A case that starts to pass must be taken off the list.
const UNMET: &[u32] = &[];
/// The cases of the sample.
const CASES: usize = 363;

#[derive(Deserialize)]
struct Case {
    id: u32,
    zone: String,
    tests: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    name: String,
    #[serde(rename = "type")]
    record_type: String,
    answers: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    servers: Vec<String>,
    response: Vec<String>,
}

/// An answer reduced to what is compared.
#[derive(Debug, PartialEq, Eq)]
struct Compared {
    rcode: String,
    authoritative: bool,
    /// Answer, authority, additional, as `owner ttl type rdata`.
    sections: [BTreeSet<String>; 3],
}

#[test]
fn every_case_equals_a_recorded_answer() {
    let sample = include_str!("data/ferret-sample.jsonl");
    let cases: Vec<Case> =
        sample.lines().map(|line| serde_json::from_str(line).expect("a case")).collect();
    assert_eq!(cases.len(), CASES);
    let mut report = String::new();
    let mut failed = BTreeSet::new();
    for case in &cases {
        let view = view(&case.zone);
        for question in &case.tests {
            let ours = ask(&view, &question.name, &question.record_type);
            if !question.answers.iter().any(|recorded| ours == read_recorded(recorded)) {
                failed.insert(case.id);
                write_failure(&mut report, case, question, &ours);
            }
        }
    }
    let unmet: BTreeSet<u32> = UNMET.iter().copied().collect();
    let unexpected: Vec<&u32> = failed.difference(&unmet).collect();
    let met: Vec<&u32> = unmet.difference(&failed).collect();
    assert!(unexpected.is_empty(), "{} cases fail: {unexpected:?}\n{report}", unexpected.len());
    assert!(met.is_empty(), "cases that pass now, take them off the list: {met:?}");
}

fn write_failure(report: &mut String, case: &Case, question: &Question, ours: &Compared) {
    let Case { id, zone, .. } = case;
    let Question { name, record_type, answers } = question;
    writeln!(report, "case {id}: {name} {record_type}\n{zone}ours: {ours:#?}").expect("a string");
    for recorded in answers {
        writeln!(report, "{:?}: {:#?}", recorded.servers, recorded.response).expect("a string");
    }
}

fn read_recorded(recorded: &Recorded) -> Compared {
    let mut compared = Compared {
        rcode: String::new(),
        authoritative: false,
        sections: std::array::from_fn(|_| BTreeSet::new()),
    };
    let mut section = None;
    for line in &recorded.response {
        match line.as_str() {
            ";QUESTION" => section = None,
            ";ANSWER" => section = Some(0),
            ";AUTHORITY" => section = Some(1),
            ";ADDITIONAL" => section = Some(2),
            line => match (section, line.split_once(' ')) {
                (Some(section), _) => {
                    compared.sections[section].insert(line.replace(" IN ", " "));
                }
                (None, Some(("rcode", rcode))) => compared.rcode = rcode.to_owned(),
                (None, Some(("flags", flags))) => {
                    compared.authoritative = flags.split(' ').any(|flag| flag == "AA");
                }
                (None, _) => {}
            },
        }
    }
    compared
}

fn ask(view: &View, name: &str, record_type: &str) -> Compared {
    let name = Name::from_ascii(name).expect("a name");
    let record_type: HickoryType = record_type.parse().expect("a type");
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name, record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    message.edns = Some(edns);
    let packet = message.to_vec().expect("encodes");
    let client: SocketAddr = "127.0.0.1:5353".parse().expect("an address");
    let mut out = [0; 65_535];
    let octets = dns::respond(view, &packet, client, Transport::Tcp, &mut out).expect("an answer");
    let answer = Message::from_vec(&out[..octets]).expect("an answer that hickory reads");
    let section = |records: &[Record]| records.iter().map(record_text).collect();
    Compared {
        rcode: match u16::from(answer.metadata.response_code) {
            0 => "NOERROR".to_owned(),
            2 => "SERVFAIL".to_owned(),
            3 => "NXDOMAIN".to_owned(),
            5 => "REFUSED".to_owned(),
            6 => "YXDOMAIN".to_owned(),
            other => other.to_string(),
        },
        authoritative: answer.metadata.authoritative,
        sections: [
            section(&answer.answers),
            section(&answer.authorities),
            section(&answer.additionals),
        ],
    }
}

fn record_text(record: &Record) -> String {
    assert_eq!(record.dns_class, DNSClass::IN);
    let (owner, ttl_s, record_type) = (&record.name, record.ttl, record.record_type());
    let rdata = match &record.data {
        // hickory has no type of its own for DNAME.
        RData::Unknown { code: HickoryType::DNAME, rdata } => {
            Name::read(&mut BinDecoder::new(&rdata.anything)).expect("a name").to_string()
        }
        RData::TXT(text) => format!("\"{text}\""),
        data => data.to_string(),
    };
    format!("{owner} {ttl_s} {record_type} {rdata}")
}

/// Reads a sample's zone: one record a line, absolute names, `owner ttl IN type rdata`.
fn view(zone: &str) -> View {
    let lines: Vec<Vec<&str>> = zone
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect();
    let soa = lines.iter().find(|line| line[3] == "SOA").expect("an SOA");
    let (apex, ttl_s) = (name(soa[0]), number(soa[1]));
    let mut zone = Zone {
        apex: apex.clone(),
        soa: Soa {
            mname: name(soa[4]),
            rname: name(soa[5]),
            refresh_s: number(soa[7]),
            retry_s: number(soa[8]),
            expire_s: number(soa[9]),
            negative_ttl_s: number(soa[10]),
            ttl_s,
        },
        name_servers: Vec::new(),
        ns_ttl_s: ttl_s,
        records: Vec::new(),
    };
    for line in &lines {
        let owner = name(line[0]);
        let rdata: Box<[u8]> = match line[3] {
            "SOA" => continue,
            "NS" if owner == apex => {
                let server = NameServer { name: name(line[4]), addresses: Vec::new() };
                zone.name_servers.push(server);
                continue;
            }
            "NS" | "CNAME" | "DNAME" => name(line[4]).into(),
            "A" => ip::<std::net::Ipv4Addr>(line[4]).octets().into(),
            "AAAA" => ip::<std::net::Ipv6Addr>(line[4]).octets().into(),
            "TXT" => {
                let text = line[4].trim_matches('"');
                [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat().into()
            }
            other => panic!("no reader for `{other}`"),
        };
        let record_type = match line[3] {
            "NS" => RecordType::NS,
            "CNAME" => RecordType::CNAME,
            "DNAME" => RecordType::DNAME,
            "A" => RecordType::A,
            "AAAA" => RecordType::AAAA,
            _ => RecordType::TXT,
        };
        let rdata = vec![rdata];
        zone.records.push(RecordSet { owner, record_type, ttl_s: number(line[1]), rdata });
    }
    let serial = u64::from(number(soa[6]));
    let snapshot = Snapshot {
        policy_generation: Generation { epoch: 0, counter: serial },
        policy: Arc::new(Policy { zones: vec![zone], ..Policy::default() }),
        map: Arc::new(SteeringMap { policy_generation: serial, ..SteeringMap::default() }),
        ..Snapshot::default()
    };
    View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view")
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

fn ip<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("an address")
}
