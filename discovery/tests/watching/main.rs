//! Watching an API server that behaves, and one that does not.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod disk;
mod following;
mod secure;
mod statuses;
mod trouble;
mod world;
