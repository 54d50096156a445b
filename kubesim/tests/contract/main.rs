//! What a Kubernetes API server does that a client relies on, asked from outside.
//!
//! Runs against the stand-in, and against a real server when `NEARSIDE_TEST_KUBECONFIG` names a
//! kubeconfig (it makes namespaces `contract-*` there and deletes them). The expectations were first
//! seen on a kube-apiserver 1.36; one that holds on one side alone is a bug in the stand-in.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "how long a server waits is part of the contract")]

mod reading;
mod server;
mod watching;
mod writing;
