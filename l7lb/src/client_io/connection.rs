//! What is known of a client's connection, and how Pingora is told.
//!
//! Pingora asks its streams for digests and descriptors; what the proxy needs of ours travels in
//! one of them, so that it is there for every request of the connection.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest,
    Ssl, TimingDigest, UniqueID,
};

use super::ClientIo;
use crate::route::Scheme;
use crate::socket::Place;

/// What the proxy may know of a connection; shared by all its requests.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The client: the other end, or whom a PROXY header names.
    pub(crate) peer: SocketAddr,
    /// Where the client connected to.
    pub(crate) local: SocketAddr,
    /// Whether the client is the other end.
    pub(crate) nearness: Nearness,
    /// Where it was accepted; what is served there is asked of the current view.
    pub(crate) place: Place,
    /// Whether there is TLS in between.
    pub(crate) scheme: Scheme,
    /// The name that the client opened it for (SNI), lower case.
    pub(crate) server_name: Option<Box<str>>,
    #[allow(dead_code, reason = "route tables by place come next")]
    /// The listener that terminated TLS (`Termination::listener`): requests that belong to another
    /// are misdirected.
    pub(crate) listener: Option<Arc<str>>,
}

/// Whether the other end of the socket is the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nearness {
    /// It is: the kernel's round-trip time is the client's.
    Direct,
    /// A balancer that sends PROXY headers is: its round-trip time says nothing about the client.
    BehindBalancer,
}

impl Connection {
    /// As Pingora carries it.
    pub(super) fn into_digest(self) -> ProxyDigest {
        // The header is that of a CONNECT answer in Pingora's own use; ours is never looked at.
        #[expect(clippy::expect_used, reason = "200 is a valid status")]
        let response = pingora_http::ResponseHeader::build(200, Some(0)).expect("a valid status");
        ProxyDigest::new(Box::new(response), Some(Box::new(self)))
    }
}

/// Finds what `ClientIo` knows of the connection in a session's digest.
pub(crate) fn connection_of(digest: &Digest) -> Option<&Connection> {
    digest.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
}

#[async_trait]
impl Shutdown for ClientIo {
    async fn shutdown(&mut self) {
        let _ = tokio::io::AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for ClientIo {
    fn id(&self) -> RawFd {
        self.transport.socket().as_raw_fd()
    }
}

impl Ssl for ClientIo {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        None
    }
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.alpn.clone()
    }
}

impl GetTimingDigest for ClientIo {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientIo {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl GetSocketDigest for ClientIo {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[async_trait]
impl Peek for ClientIo {}
