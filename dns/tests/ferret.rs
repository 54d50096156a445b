//! What four other servers answer: the Ferret sample, small zones made to be awkward, and a recording
//! of our own with denser zones. Ours must equal one of the recorded answers: response code, AA, and
//! the three sections as sets.

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
use model::document::{SourceFile, load};
use serde::Deserialize;
use steering::{Generation, Snapshot, SteeringMap};

/// The cases of the sample.
const FERRET_CASES: usize = 363;
/// The zones of our own recording.
const RECORDED_ZONES: usize = 150;

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
    check(include_str!("data/ferret-sample.jsonl"), FERRET_CASES);
}

/// Eight questions for each zone, names that exist and names near them, most types there are.
#[test]
fn every_answer_equals_one_of_our_own_recording() {
    check(include_str!("data/recorded.jsonl"), RECORDED_ZONES);
}

#[track_caller]
fn check(recording: &str, cases: usize) {
    let mut report = String::new();
    let (mut asked, mut failed) = (0, 0);
    assert_eq!(recording.lines().count(), cases);
    for line in recording.lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        let view = view(&case.zone);
        for question in &case.tests {
            asked += 1;
            let ours = ask(&view, &question.name, &question.record_type);
            if !question.answers.iter().any(|recorded| ours == read_recorded(recorded)) {
                failed += 1;
                write_failure(&mut report, &case, question, &ours);
            }
        }
    }
    assert_eq!(failed, 0, "of {asked} questions\n{report}");
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
        RData::Unknown { code: HickoryType::DS, rdata } => ds_text(&rdata.anything),
        data => data.to_string(),
    };
    format!("{owner} {ttl_s} {record_type} {rdata}")
}

fn ds_text(octets: &[u8]) -> String {
    let (&[high, low, algorithm, digest_type], digest) =
        octets.split_first_chunk().expect("a DS record");
    let tag = u16::from_be_bytes([high, low]);
    let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{tag} {algorithm} {digest_type} {hex}")
}

/// The sample's zone as an operator would have it served: a document that names the zone file.
fn view(zone: &str) -> View {
    let soa: Vec<&str> = zone
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<&str>>())
        .find(|words| words.get(3) == Some(&"SOA"))
        .expect("an SOA");
    let document = format!(
        "apiVersion: nearside.dev/v1alpha1\nkind: Zone\nmetadata: {{name: sample}}\n\
         spec: {{apex: \"{}\", zoneFile: sample.zone}}\n",
        soa[0]
    );
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let files = [file("zone.yaml", &document), file("sample.zone", zone)];
    let policy = match load(&files) {
        Ok(documents) => documents.policy,
        Err(findings) => {
            let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
            panic!("a zone that four servers take is refused:\n{}", shown.join("\n"));
        }
    };
    // The serial is ours; the recorded one stands for it.
    let serial: u64 = soa[6].parse().expect("a serial");
    let snapshot = Snapshot {
        policy_generation: Generation { epoch: 0, counter: serial },
        policy: Arc::new(policy),
        map: Arc::new(SteeringMap { policy_generation: serial, ..SteeringMap::default() }),
        ..Snapshot::default()
    };
    View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view")
}
