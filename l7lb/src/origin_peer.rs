//! How one endpoint is connected to: what is spoken, whether TLS lies below, how long it may take.
//!
//! Pingora pools connections by a hash that leaves out the protocol and the roots; the group key
//! keeps apart what must not be mixed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use model::gateway::ProxyProtocol;
use pingora_core::protocols::{ALPN, Digest};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, OkOrErr, Result};

use crate::origin_io::{GreetingConnector, Hold, UpgradeConnector};
use crate::origin_tls::OriginClient;
use crate::proxy_protocol::{self, Ends};
use crate::view::OriginSecurity;

/// Idle connections to origins are kept a little shorter than common origins keep theirs (Go: 75 s
/// and more, Node: 5 s; the retry of replayable requests covers the rest).
const ORIGIN_IDLE: Duration = Duration::from_secs(50);
/// Requests of one HTTP/2 connection at a time (what servers commonly allow).
const H2_STREAMS_MAX: usize = 100;
/// Reads and writes of a WebSocket may be this far apart.
pub(crate) const UPGRADED_IDLE: Duration = Duration::from_secs(3_600);

/// Tells connections that become tunnels from others in the pool.
const UPGRADE: u64 = 2;

/// Checks what Pingora cannot of the connection to a peer: the names in its certificate.
///
/// # Errors
///
/// When the certificate carries none of the wanted names, or could not be read.
pub(crate) async fn check_names(
    security: &OriginSecurity,
    peer: &HttpPeer,
    digest: Option<&Digest>,
    within: Duration,
) -> Result<()> {
    let OriginSecurity::Tls(tls) = security else { return Ok(()) };
    let seen = digest.and_then(|digest| digest.ssl_digest.as_ref());
    let seen = seen.map_or(&[][..], |seen| &seen.cert_digest);
    if !tls.must_read(seen) {
        return Ok(());
    }
    let endpoint = peer._address.as_inet();
    let endpoint = endpoint.or_err(ErrorType::InvalidCert, "an endpoint without an address")?;
    // Seldom, and large: not a part of every request's own future.
    Box::pin(tls.read_names(*endpoint, seen, within)).await.map_err(|fault| {
        Error::because(ErrorType::InvalidCert, "the origin's names", fault).into_up()
    })
}

/// What a connection is for.
#[derive(Debug, Clone)]
pub(crate) enum Usage {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: with prior knowledge, or by ALPN.
    Http2,
    /// HTTP/1.1 that becomes a tunnel; the flag is raised when the answer's head is here.
    Upgrade(Arc<AtomicBool>),
}

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerTimes {
    /// To connect.
    pub(crate) connect: Duration,
    /// To the answer, and between two reads.
    pub(crate) read: Duration,
    /// Between two writes.
    pub(crate) write: Duration,
}

/// Whom to speak to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// Where.
    pub(crate) endpoint: SocketAddr,
    /// Whether TLS lies below.
    pub(crate) security: &'a OriginSecurity,
    /// What we show of ourselves there.
    pub(crate) client: Option<&'a OriginClient>,
    /// Whom a PROXY header tells it of.
    pub(crate) told: Option<(ProxyProtocol, Ends)>,
}

/// An endpoint for Pingora; `None` when it must not be spoken to at all.
pub(crate) fn peer(origin: Origin<'_>, usage: Usage, times: PeerTimes) -> Option<HttpPeer> {
    let Origin { endpoint, security, client, told } = origin;
    let greeting = told.map(|(version, ends)| Arc::from(proxy_protocol::write(version, ends)));
    let mut peer = HttpPeer::new(endpoint, false, String::new());
    let group = match security {
        OriginSecurity::Plain => 0,
        OriginSecurity::Broken => return None,
        OriginSecurity::Tls(tls) => tls.apply(client, &mut peer),
    };
    let PeerTimes { connect, mut read, mut write } = times;
    let kind = match usage {
        Usage::Http1 => 0,
        Usage::Http2 => {
            peer.options.alpn = ALPN::H2;
            peer.options.max_h2_streams = H2_STREAMS_MAX;
            1
        }
        Usage::Upgrade(answered) => {
            let hold = if group == 0 { Hold::FirstWrite } else { Hold::EveryWrite };
            let greeting = greeting.clone();
            let answer_within = read;
            let connector =
                UpgradeConnector { within: connect, answer_within, answered, hold, greeting };
            peer.options.custom_l4 = Some(Arc::new(connector));
            // The answer to an upgrade ends with its head; the tunnel behind it has no deadline.
            (read, write) = (UPGRADED_IDLE, UPGRADED_IDLE);
            UPGRADE
        }
    };
    peer.group_key = group << 2 | kind;
    if let Some(greeting) = greeting {
        // A connection speaks for one client for its whole life, and is kept for that one alone.
        let mut hasher = DefaultHasher::new();
        (peer.group_key, &greeting).hash(&mut hasher);
        peer.group_key = hasher.finish();
        if kind != UPGRADE {
            let connector = GreetingConnector { within: connect, greeting };
            peer.options.custom_l4 = Some(Arc::new(connector));
        }
    }
    peer.options.connection_timeout = Some(connect);
    peer.options.read_timeout = Some(read);
    peer.options.write_timeout = Some(write);
    peer.options.idle_timeout = Some(ORIGIN_IDLE);
    Some(peer)
}
