//! What Gateway API's conformance suite checks, asked of the real binary in our own words.
//!
//! Each test is named after the suite's and asks what that one asks: the statuses through the API
//! server, the traffic at the Gateway's address. Objects, names and origins are ours.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "real processes are waited for in real time")]

mod conformance {
    mod backend_tls;
    mod backends;
    mod client;
    mod client_certificates;
    mod echo;
    mod external_names;
    mod gateway;
    mod grpc_route;
    mod guides;
    mod http2;
    mod http_route;
    mod http_route_filters;
    mod http_route_mirrors;
    mod http_route_status;
    mod listener_set;
    mod object;
    mod stage;
    mod streams;
    mod world;
}
