use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{A, CNAME, NS, SOA};

use super::*;
use crate::alias::Block;

fn question(block: Option<Block>) -> Question {
    let name = DnsName::parse("a.example").expect("a name");
    Question { name, kind: Kind::V4, block }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn record(owner: &str, ttl_s: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl_s, data)
}

fn address(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn cname(target: &str) -> RData {
    RData::CNAME(CNAME(name(target)))
}

fn soa(minimum_s: u32) -> RData {
    RData::SOA(SOA::new(name("example."), name("example."), 1, 2, 3, 4, minimum_s))
}

/// What is read of an answer with these records and this authority.
fn told(answers: Vec<Record>, authority: Option<Record>, code: ResponseCode) -> Read {
    let question = question(None);
    let asked = Asked { name: name("a.example."), question: &question };
    let mut message = asked.message().expect("a message").into_response();
    message.metadata.response_code = code;
    message.add_answers(answers);
    message.add_authorities(authority);
    let octets = message.to_vec().expect("octets");
    read(&Message::from_vec(&octets).expect("a message"), &asked)
}

fn found(last: &[u8], ttl_s: u32) -> Read {
    let ip = |&last: &u8| IpAddr::from([192, 0, 2, last]);
    Read::Found { addresses: last.iter().map(ip).collect(), ttl_s, scope_len: 0 }
}

#[test]
fn addresses_are_those_at_the_end_of_the_chain_with_the_least_ttl() {
    let no_error = ResponseCode::NoError;
    let told = |answers| told(answers, None, no_error);
    assert_eq!(
        told(vec![
            record("a.example.", 60, address(1)),
            record("A.Example.", 50, address(2)),
            record("a.example.", 60, address(1)),
            record("b.example.", 1, address(3)),
        ]),
        found(&[1, 2], 50)
    );
    assert_eq!(
        told(vec![
            record("c.example.", 90, address(1)),
            record("b.example.", 20, cname("c.example.")),
            record("a.example.", 30, cname("b.example.")),
        ]),
        found(&[1], 20)
    );
    let go_on = Read::GoOn { target: name("b.other."), ttl_s: 30, scope_len: 0 };
    assert_eq!(told(vec![record("a.example.", 30, cname("b.other."))]), go_on);
    // A loop ends, and leads to nothing but another question.
    let looped = told(vec![
        record("a.example.", 30, cname("b.example.")),
        record("b.example.", 30, cname("a.example.")),
    ]);
    assert!(matches!(looped, Read::GoOn { ttl_s: 30, .. }), "{looped:?}");
}

#[test]
fn absence_is_believed_as_long_as_it_says_and_failure_never() {
    let soa = |ttl_s, minimum_s| Some(record("example.", ttl_s, soa(minimum_s)));
    let no_error = ResponseCode::NoError;
    assert_eq!(told(vec![], soa(60, 20), no_error), found(&[], 20));
    assert_eq!(told(vec![], soa(9_000, 9_000), ResponseCode::NXDomain), found(&[], 300));
    assert_eq!(told(vec![], None, no_error), found(&[], 30));
    let dead_end = vec![record("a.example.", 10, cname("b.example."))];
    assert_eq!(told(dead_end, soa(60, 60), ResponseCode::NXDomain), found(&[], 10));
    let referral = record("example.", 60, RData::NS(NS(name("ns.example."))));
    assert_eq!(told(vec![], Some(referral), no_error), Read::Nothing);
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::FormErr] {
        assert_eq!(told(vec![record("a.example.", 60, address(1))], None, code), Read::Nothing);
    }
}

#[test]
fn a_scope_is_about_what_was_asked_or_about_nobody_else() {
    let block = Block { is_v6: false, first: 0x0a01_0200_0000_0000, len: 24 };
    let question = question(Some(block));
    let asked = Asked { name: name("a.example."), question: &question };
    let scope = |subnet: Option<ClientSubnet>| {
        let mut message = asked.message().expect("a message").into_response();
        let mut edns = Edns::new();
        if let Some(subnet) = subnet {
            edns.options_mut().insert(EdnsOption::Subnet(subnet));
        }
        message.set_edns(edns);
        scope_of(&message, &asked)
    };
    let subnet = |ip: [u8; 4], len, scope_len| Some(ClientSubnet::new(ip.into(), len, scope_len));
    assert_eq!(scope(None), 0);
    assert_eq!(scope(subnet([10, 1, 2, 0], 24, 16)), 16);
    assert_eq!(scope(subnet([10, 9, 9, 0], 24, 8)), 24, "somebody else's");
    assert_eq!(scope(subnet([10, 1, 0, 0], 16, 0)), 24, "not what was sent");
}

#[test]
fn an_answer_to_another_question_is_none() {
    let question = question(None);
    let asked = Asked { name: name("a.example."), question: &question };
    let query = asked.message().expect("a message");
    let id = query.metadata.id;
    assert!(!asked.is_answered_by(&query, id), "it is a query");
    let answer = query.into_response();
    assert!(asked.is_answered_by(&answer, id));
    assert!(!asked.is_answered_by(&answer, id.wrapping_add(1)));
    let mut other = answer.clone();
    other.queries[0].set_name(name("b.example."));
    assert!(!asked.is_answered_by(&other, id));
    let mut none = answer;
    none.queries.clear();
    assert!(!asked.is_answered_by(&none, id));
}
