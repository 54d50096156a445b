//! No heap allocation per answer, from socket to socket: the server's UDP worker and the whole walk
//! run under a counting allocator, and twice the answers must not cost more.
#![expect(clippy::unwrap_used, reason = "a test's own fixed inputs")]

use std::sync::Arc;
use std::time::Duration;

use benches::counting::Counting;
use benches::dns_load::{self, Pace, Questions};
use benches::query::{Dnssec, Expectation, Shape, Subnet, Template};
use benches::random::Choice;
use benches::{snapshot, world};
use dns::{Config, Server};
use geo_data::{Centres, LocaleTable};
use model::geo::{Country, Locale, Point};
use steering::SnapshotCell;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// Answers of the smaller run.
const ANSWERS: u64 = 20_000;
/// What threads that serve nothing may ask for meanwhile (a test harness has its own).
const STRAY_MAX: u64 = 20;

fn table() -> LocaleTable {
    let at = |lat_cdeg, lon_cdeg| Locale {
        country: Country::parse("FR"),
        point: Some(Point { lat_cdeg, lon_cdeg }),
        ..Locale::default()
    };
    let prefixes = [("64.0.0.0/3", at(4886, 235)), ("2001:db8::/32", at(-3793, 14498))];
    let prefixes = prefixes.map(|(prefix, locale)| (prefix.parse().unwrap(), locale));
    LocaleTable::from_prefixes(&prefixes, Centres::default())
}

fn questions(subnets: Vec<Subnet>) -> Questions {
    let shape = Shape { qtype: 1, dnssec: Dnssec::Unsigned };
    let names = world::names();
    let templates: Vec<_> = names.iter().map(|name| Template::new(name, shape).unwrap()).collect();
    let choice = Choice::new(templates.len(), 0.0);
    let expectation = Expectation { rcode: 0, answers_min: 1 };
    Questions { templates, choice, subnets, expectation, right: Vec::new() }
}

#[test]
fn an_answer_over_udp_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        workers: Some(1),
        ..Config::default()
    };
    let snapshot = snapshot::snapshot(&table()).unwrap();
    let server = Server::start(config, Arc::new(SnapshotCell::new(snapshot))).unwrap();
    let target = server.local_addrs()[0];

    let v6 = Subnet::of("2001:db8::".parse().unwrap());
    for subnets in [vec![Subnet::Absent], vec![Subnet::V4([65, 1, 2]), v6, Subnet::V4([9, 9, 9])]] {
        let questions = questions(subnets);
        let spent = |answers: u64| {
            let pace = Pace {
                window: 64,
                sockets: 1,
                per_second: 0,
                duration: Duration::from_secs(60),
                queries_max: answers,
                timeout: Duration::from_secs(5),
                seed: 1,
            };
            let before = ALLOCATOR.allocations();
            let outcome = dns_load::run(target, &questions, pace).unwrap();
            assert_eq!((outcome.good, outcome.wrong()), (answers, 0));
            ALLOCATOR.allocations() - before
        };
        spent(ANSWERS); // What the first packets set up is not counted.
        let (one, two) = (spent(ANSWERS), spent(2 * ANSWERS));
        assert!(one > 0, "the generator's own buffers must have been counted");
        let more = two.saturating_sub(one);
        assert!(more <= STRAY_MAX, "{more} allocations for {ANSWERS} more answers");
    }
}
