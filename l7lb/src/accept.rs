//! The accept loop: from a listening socket to a connection that Pingora serves.
//!
//! Ours and not Pingora's, because listeners must change at run time, the handshake and the first
//! octets need a deadline, connections need a cap, and a drain must lose nothing. Each connection
//! is one task; it ends when the client is done, when it is idle too long, or when the drain's
//! deadline cuts it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pingora_core::apps::{HttpServerApp, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_proxy::HttpProxy;
use rustls::ServerConfig;
use socket2::{Domain, Protocol as SocketProtocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::client_io::{ClientIo, ClientIoParts, Connection, IoLimits, Protocol};
use crate::ledger::Ledger;
use crate::proxy::{KEEPALIVE_S, Proxy};
use crate::route::Scheme;
use crate::transport::Transport;

/// Connections the kernel completes for us while we are busy.
const BACKLOG: i32 = 4096;
/// Unacknowledged data older than this means that the client is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Silent connections are asked after so long whether they live.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// The pause after `accept` failed for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// What an HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What all connections of a gateway share.
pub(crate) struct Door {
    pub(crate) proxy: Arc<HttpProxy<Proxy>>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) limits: IoLimits,
    pub(crate) connections_max: usize,
    pub(crate) crowd: Arc<Crowd>,
    /// True once the gateway drains.
    pub(crate) draining: watch::Receiver<bool>,
    /// True once the drain's grace has passed, and with it the time of idle connections.
    pub(crate) idle_cut: watch::Receiver<bool>,
    /// True once the drain's deadline has passed.
    pub(crate) cut: watch::Receiver<bool>,
}

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    open: AtomicUsize,
    left: Notify,
}

impl Crowd {
    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    fn enter(self: &Arc<Self>, max: usize) -> Option<Seat> {
        let seat = Seat { crowd: Arc::clone(self) };
        (self.open.fetch_add(1, Ordering::AcqRel) < max).then_some(seat)
    }

    /// Waits until everyone has left.
    pub(crate) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.open() == 0 {
                return;
            }
            left.await;
        }
    }
}

/// One open connection.
#[derive(Debug)]
struct Seat {
    crowd: Arc<Crowd>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.open.fetch_sub(1, Ordering::AcqRel);
        self.crowd.left.notify_waiters();
    }
}

/// Binds a listening socket. IPv6 sockets do not take IPv4, so that both can be bound side by side.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(SocketProtocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the gateway drains, then takes what the kernel has already completed and closes.
pub(crate) async fn run(listener: TcpListener, tls: Option<Arc<ServerConfig>>, door: Arc<Door>) {
    let acceptor = tls.map(TlsAcceptor::from);
    let mut draining = door.draining.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => break,
        };
        match accepted {
            Ok((socket, peer)) => admit(socket, peer, acceptor.clone(), &door),
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // What is in the backlog was promised to the client by the kernel, which is asked itself: the
    // runtime knows of new connections only after its next look.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((socket, peer)) = listener.accept() {
        if socket.set_nonblocking(true).is_ok()
            && let Ok(socket) = TcpStream::from_std(socket)
        {
            admit(socket, peer, acceptor.clone(), &door);
        }
    }
}

fn admit(socket: TcpStream, peer: SocketAddr, acceptor: Option<TlsAcceptor>, door: &Arc<Door>) {
    // Over the cap the socket is closed at once: a clear sign, and no memory.
    let Some(seat) = door.crowd.enter(door.connections_max) else { return };
    let door = Arc::clone(door);
    tokio::spawn(async move {
        let mut cut = door.cut.clone();
        tokio::select! {
            () = serve(socket, peer, acceptor, &door) => {}
            _ = cut.wait_for(|cut| *cut) => {}
        }
        drop(seat);
    });
}

async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    door: &Arc<Door>,
) {
    let Ok(local) = prepare(&socket) else { return };
    let first = timeout(door.limits.head_deadline, open(socket, acceptor));
    let Ok(Ok(Opened { transport, held, protocol, server_name })) = first.await else { return };
    let scheme = match transport {
        Transport::Plain(_) => Scheme::Http,
        Transport::Tls(_) => Scheme::Https,
    };
    let io = ClientIo::new(ClientIoParts {
        transport,
        held,
        protocol,
        connection: Connection { peer, local, scheme, server_name },
        limits: door.limits,
        ledger: Arc::clone(&door.ledger),
    });
    match protocol {
        Protocol::Http1 => serve_http1(io, door).await,
        Protocol::Http2 => {
            door.proxy.process_new(Box::new(io), &door.draining).await;
        }
    }
}

fn prepare(socket: &TcpStream) -> io::Result<SocketAddr> {
    socket.set_nodelay(true)?;
    let options = SockRef::from(socket);
    options.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE_AFTER))?;
    options.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.local_addr()
}

/// A connection whose protocol is known.
struct Opened {
    transport: Transport,
    held: Vec<u8>,
    protocol: Protocol,
    server_name: Option<Box<str>>,
}

/// TLS, when it is spoken here, and the first octets. The caller holds the deadline.
async fn open(socket: TcpStream, acceptor: Option<TlsAcceptor>) -> io::Result<Opened> {
    let Some(acceptor) = acceptor else {
        let mut transport = Transport::Plain(socket);
        let (held, protocol) = first_octets(&mut transport).await?;
        return Ok(Opened { transport, held, protocol, server_name: None });
    };
    let stream = acceptor.accept(socket).await?;
    let (_, session) = stream.get_ref();
    let by_alpn = session.alpn_protocol() == Some(b"h2");
    let server_name = session.server_name().map(Box::from);
    let mut transport = Transport::Tls(Box::new(stream));
    let (held, spoken) = first_octets(&mut transport).await?;
    // The handshake has settled the protocol; who then speaks another one is refused by its parser.
    let protocol = match (by_alpn, spoken) {
        (true, Protocol::Http2) => Protocol::Http2,
        (true, Protocol::Http1) => return Err(io::ErrorKind::InvalidData.into()),
        (false, _) => Protocol::Http1,
    };
    Ok(Opened { transport, held, protocol, server_name })
}

/// Reads until it is clear whether the client's first octets are HTTP/2's preface.
async fn first_octets(transport: &mut Transport) -> io::Result<(Vec<u8>, Protocol)> {
    let mut held = Vec::new();
    loop {
        let mut space = [0; 2048];
        let mut buf = tokio::io::ReadBuf::new(&mut space);
        poll_fn(|cx| transport.read(cx, &mut buf)).await?;
        if buf.filled().is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        held.extend_from_slice(buf.filled());
        if held.starts_with(PREFACE) {
            return Ok((held, Protocol::Http2));
        }
        if !PREFACE.starts_with(&held) {
            return Ok((held, Protocol::Http1));
        }
    }
}

/// Requests one after the other, as in Pingora's own loop, but each behind our judgement.
async fn serve_http1(io: ClientIo, door: &Arc<Door>) {
    let mut session = ServerSession::new_http1(Box::new(io));
    session.set_keepalive(Some(KEEPALIVE_S));
    loop {
        let Some(reused) = door.proxy.process_new_http(session, &door.draining).await else {
            return;
        };
        let (stream, settings) = reused.consume();
        let Ok(mut io) = stream.into_any().downcast::<ClientIo>() else { return };
        if !io.is_between_requests() {
            return;
        }
        io.next_request();
        // Between requests nothing of Pingora's is kept: a session with its buffers and futures
        // takes five times the memory of the connection itself.
        if !is_asked_again(&mut io, door).await {
            return;
        }
        session = ServerSession::new_http1(io);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
    }
}

/// Waits for the next request's first octets; false when there will be none.
async fn is_asked_again(io: &mut ClientIo, door: &Door) -> bool {
    let mut idle_cut = door.idle_cut.clone();
    let asked = timeout(Duration::from_secs(KEEPALIVE_S), poll_fn(|cx| io.poll_asked(cx)));
    tokio::select! {
        biased;
        asked = asked => matches!(asked, Ok(Ok(()))),
        _ = idle_cut.wait_for(|cut| *cut) => false,
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("crowd", &self.crowd).finish_non_exhaustive()
    }
}
