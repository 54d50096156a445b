//! What every request pays, whatever its rule asks for: the futures of its phases, each of which is
//! allocated and filled once a request.

use std::pin::Pin;

use model::name::SiteName;

use super::*;
use crate::access_log::{AccessLog, LogSink};

/// Octets of a phase. One that may ask another service takes 13 KB if it does not box the question.
const PHASE_OCTETS_MAX: usize = 4 << 10;

fn proxy() -> Proxy {
    let (sink, _thread) = LogSink::start(AccessLog::Off).expect("no log");
    let site = SiteName::new("a").expect("a name");
    let clock = Clock::start();
    let second = Duration::from_secs(1);
    let shared = Shared {
        view: Arc::default(),
        ledger: Arc::new(Ledger::new(site, sink)),
        budget: Budget::new(clock.now()),
        clock,
        trusted: Vec::new(),
        site_header: None,
        origin: OriginLimits { connect: second, read: second },
        pace: crate::Limits::default().io().pace,
        errands: Arc::default(),
    };
    Proxy { shared: Arc::new(shared) }
}

#[tokio::test]
async fn a_request_is_not_given_the_room_that_few_need() {
    let proxy = proxy();
    let mut walk = proxy.new_ctx();
    let (ours, _theirs) = tokio::io::duplex(64);
    let mut session = Session::new_h1(Box::new(ours));
    let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
    let mut response = ResponseHeader::build(200, None).expect("a response");
    let peer = HttpPeer::new("127.0.0.1:9", false, String::new());
    small("request_filter", &proxy.request_filter(&mut session, &mut walk));
    small("upstream_peer", &proxy.upstream_peer(&mut session, &mut walk));
    small(
        "connected_to_upstream",
        &proxy.connected_to_upstream(&mut session, false, &peer, 0, None, &mut walk),
    );
    small(
        "upstream_request_filter",
        &proxy.upstream_request_filter(&mut session, &mut request, &mut walk),
    );
    small("response_filter", &proxy.response_filter(&mut session, &mut response, &mut walk));
    small("logging", &proxy.logging(&mut session, None, &mut walk));
    assert!(size_of::<Walk>() <= PHASE_OCTETS_MAX);
}

#[track_caller]
fn small<T>(phase: &str, future: &Pin<Box<dyn Future<Output = T> + Send + '_>>) {
    let octets = size_of_val(&**future);
    assert!(octets <= PHASE_OCTETS_MAX, "{phase}: {octets}");
}
