use super::{
    Dnssec, Expectation, Flaw, Shape, Subnet, Template, check, finish, first_address, scope_of,
};

const SHAPE: Shape = Shape { qtype: 1, dnssec: Dnssec::Unsigned };
const WANTED: Expectation = Expectation { rcode: 0, answers_min: 1 };

fn template() -> Template {
    Template::new("h1.bench.example", SHAPE).unwrap()
}

fn answer() -> Vec<u8> {
    let mut message = vec![0, 7, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    message.extend_from_slice(template().question());
    message.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 9]);
    message
}

#[test]
fn a_query_is_octet_for_octet_what_the_rfcs_say() {
    let subnet = Subnet::of("203.0.113.77".parse().unwrap());
    let mut message = template().form(subnet).to_vec();
    finish(&mut message, 0xABCD, subnet);
    let wanted: &[u8] = b"\xAB\xCD\0\0\0\x01\0\0\0\0\0\x01\
        \x02h1\x05bench\x07example\0\0\x01\0\x01\
        \0\0\x29\x04\xD0\0\0\0\0\0\x0B\0\x08\0\x07\0\x01\x18\0\xCB\0\x71";
    assert_eq!(message, wanted);
}

#[test]
fn the_other_forms() {
    let signed = Shape { qtype: 28, dnssec: Dnssec::Signed };
    let template = Template::new("a.example.", signed).unwrap();
    let bare = template.form(Subnet::Absent);
    assert!(bare.ends_with(b"\0\x1C\0\x01\0\0\x29\x04\xD0\0\0\x80\0\0\0"));
    let subnet = Subnet::of("2001:db8:1:2ff::1".parse().unwrap());
    let mut message = template.form(subnet).to_vec();
    finish(&mut message, 0, subnet);
    assert!(message.ends_with(b"\0\x0F\0\x08\0\x0B\0\x02\x38\0\x20\x01\x0D\xB8\0\x01\x02"));
    assert_eq!(subnet.address(), Some("2001:db8:1:200::".parse().unwrap()));
}

#[test]
fn names_that_are_none_are_refused() {
    for name in ["", "a..example", &"x".repeat(64), &"x.".repeat(130)] {
        assert!(Template::new(name, SHAPE).is_err(), "{name}");
    }
}

#[test]
fn a_good_answer_passes_and_shows_its_address() {
    assert_eq!(check(&answer(), &template(), WANTED), Ok(()));
    assert_eq!(first_address(&answer(), &template()), Some("192.0.2.9".parse().unwrap()));
}

#[test]
fn each_flaw_is_named() {
    let broken = |at: usize, octet: u8| {
        let mut message = answer();
        message[at] = octet;
        check(&message, &template(), WANTED)
    };
    assert_eq!(broken(2, 0x04), Err(Flaw::Header));
    assert_eq!(broken(2, 0xAC), Err(Flaw::Header));
    assert_eq!(broken(2, 0x86), Err(Flaw::Truncated));
    assert_eq!(broken(3, 5), Err(Flaw::Rcode));
    assert_eq!(broken(7, 0), Err(Flaw::Answers));
    assert_eq!(broken(13, b'x'), Err(Flaw::Question));
    assert_eq!(check(&answer()[..11], &template(), WANTED), Err(Flaw::Question));
    assert_eq!(check(&answer()[..20], &template(), WANTED), Err(Flaw::Question));
    assert_eq!(first_address(&answer()[..40], &template()), None);
}

#[test]
fn the_scope_is_found_behind_records_and_other_options() {
    let mut message = answer();
    message[11] = 1;
    message.extend_from_slice(b"\0\0\x29\x04\xD0\0\0\0\0\0\x11\0\x0A\0\x02\xAA\xBB");
    message.extend_from_slice(b"\0\x08\0\x07\0\x01\x18\x0D\xCB\0\x71");
    let found = Some((Subnet::of("203.0.113.0".parse().unwrap()), 13));
    assert_eq!(scope_of(&message), found);
    for end in 0..message.len() {
        assert_eq!(scope_of(&message[..end]), None, "cut at {end}");
    }
    assert_eq!(scope_of(&answer()), None);
}
