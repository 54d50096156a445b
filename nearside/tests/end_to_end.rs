//! The binary as its users run it: real processes, real clients, loopback only.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "real processes are waited for in real time")]

mod end_to_end {
    mod audit;
    mod browser;
    mod cluster;
    mod edits;
    mod explain_route;
    mod handover;
    mod httpdns;
    mod log_rotation;
    mod metrics;
    mod refusals;
    mod roles;
    mod session;
    mod world;
}
