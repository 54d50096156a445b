use super::*;

const LIMITS: Limits = Limits {
    connections_max: 4,
    connections_per_caller_max: 2,
    lookups_per_s: 10,
    lookups_burst: 5,
    idle: Duration::from_secs(10),
    life: Duration::from_secs(120),
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Any instant will do: only differences matter.
#[expect(clippy::disallowed_methods, reason = "there is no other way to have an `Instant`")]
fn start() -> Instant {
    Instant::now()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_burst_is_granted_and_then_the_rate() {
    let (mut callers, start, phone) = (Callers::default(), start(), ip("192.0.2.1"));
    for _ in 0..5 {
        assert_eq!(callers.take(phone, 1, &LIMITS, start), Ok(()));
    }
    assert_eq!(callers.take(phone, 1, &LIMITS, start), Err(ms(100)));
    assert_eq!(callers.take(phone, 1, &LIMITS, start + ms(99)), Err(ms(1)));
    assert_eq!(callers.take(phone, 1, &LIMITS, start + ms(100)), Ok(()));
    assert_eq!(callers.take(phone, 1, &LIMITS, start + ms(100)), Err(ms(100)));
    // A refusal costs nothing, and a pause fills the burst again but no more than it.
    let later = start + Duration::from_secs(60);
    assert_eq!((0..9).filter(|_| callers.take(phone, 1, &LIMITS, later).is_ok()).count(), 5);
}

#[test]
fn a_request_of_many_lookups_costs_as_many_but_can_always_be_granted() {
    let (mut callers, start, phone) = (Callers::default(), start(), ip("192.0.2.1"));
    assert_eq!(callers.take(phone, 3, &LIMITS, start), Ok(()));
    assert_eq!(callers.take(phone, 3, &LIMITS, start), Err(ms(100)));
    assert_eq!(callers.take(phone, 1_000, &LIMITS, start + ms(300)), Ok(()));
    assert_eq!(callers.take(phone, 1, &LIMITS, start + ms(300)), Err(ms(100)));
}

#[test]
fn callers_are_ipv4_addresses_and_ipv6_blocks_of_64() {
    let (mut callers, start) = (Callers::default(), start());
    let mut spend = |text: &str| callers.take(ip(text), 5, &LIMITS, start).is_ok();
    assert!(spend("192.0.2.1"));
    assert!(spend("192.0.2.2"));
    assert!(!spend("::ffff:192.0.2.1"));
    assert!(spend("2001:db8::1"));
    assert!(!spend("2001:db8::ffff:1:2:3"));
    assert!(spend("2001:db8:0:1::1"));
}

#[test]
fn connections_are_bounded_by_caller_and_in_all() {
    let (mut callers, start) = (Callers::default(), start());
    let mut enter = |text: &str| callers.enter(Some(ip(text)), &LIMITS, start);
    let entered = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
        .map(&mut enter);
    assert_eq!(entered, [true, true, false, true, true, false]);
    assert_eq!(callers.open(), 4);
    callers.leave(Some(ip("192.0.2.1")));
    assert!(callers.enter(Some(ip("192.0.2.4")), &LIMITS, start));
    for text in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"] {
        callers.leave(Some(ip(text)));
    }
    assert_eq!((callers.open(), callers.by_key.len()), (0, 0));
}

#[test]
fn the_table_is_bounded_and_forgets_those_who_are_paid_up() {
    let (mut callers, start) = (Callers::default(), start());
    for number in 0..u32::try_from(CALLERS_MAX).unwrap() {
        let caller = IpAddr::from(std::net::Ipv4Addr::from(number));
        assert_eq!(callers.take(caller, 1, &LIMITS, start), Ok(()));
    }
    let newcomer = ip("2001:db8::1");
    assert!(!callers.enter(Some(newcomer), &LIMITS, start));
    assert!(callers.enter(Some(ip("0.0.0.7")), &LIMITS, start), "one who is in the table");
    assert!(callers.enter(Some(newcomer), &LIMITS, start + ms(100)));
    assert_eq!(callers.by_key.len(), 2);
}

#[test]
fn a_proxys_connections_are_limited_together_and_its_clients_each() {
    let (mut callers, start) = (Callers::default(), start());
    for _ in 0..4 {
        assert!(callers.enter(None, &LIMITS, start));
    }
    assert!(!callers.enter(None, &LIMITS, start));
    assert!(!callers.enter(Some(ip("192.0.2.1")), &LIMITS, start));
    for last in 1..=2 {
        let phone = ip(&format!("192.0.2.{last}"));
        assert_eq!(callers.take(phone, 5, &LIMITS, start), Ok(()));
        assert_eq!(callers.take(phone, 1, &LIMITS, start), Err(ms(100)));
    }
    callers.leave(None);
    assert_eq!(callers.open(), 3);
    assert!(callers.enter(Some(ip("192.0.2.1")), &LIMITS, start));
}

#[test]
fn clients_behind_a_proxy_cannot_fill_the_memory() {
    let (mut callers, start) = (Callers::default(), start());
    let number = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
    for caller in 0..CALLERS_MAX {
        assert_eq!(callers.take(number(caller), 1, &LIMITS, start), Ok(()));
    }
    assert_eq!(callers.take(number(CALLERS_MAX), 1, &LIMITS, start), Err(ms(500)));
    assert_eq!(callers.take(number(7), 1, &LIMITS, start), Ok(()));
    // Those who have paid are forgotten when somebody new comes.
    assert_eq!(callers.take(number(CALLERS_MAX), 1, &LIMITS, start + ms(200)), Ok(()));
    assert_eq!(callers.by_key.len(), 1);
}
