//! The binary as its users run it: real processes, real clients, loopback only.

mod end_to_end {
    mod edits;
    mod refusals;
    mod roles;
    mod session;
    mod world;
}
