//! The accept loop: from a listening socket to a connection that is served.
//!
//! Ours and not Pingora's, because listeners must change at run time, the handshake and the first
//! octets need a deadline, connections need a cap, and a drain must lose nothing. Each connection
//! is one task; it ends when the client is done, when it is idle too long, or when the drain's
//! deadline cuts it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_proxy::HttpProxy;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::client_io::{ClientIo, ClientIoParts, IoLimits, Protocol, Room};
use crate::crowd::Crowd;
use crate::drain::DrainSeen;
use crate::handshake::{HandshakeFault, Stage};
use crate::opening::{self, Opened};
use crate::proxy::{KEEPALIVE_S, Proxy, Shared};
use crate::socket::Place;
use crate::stream;
use crate::ticket::TicketSecrets;

/// Unacknowledged data older than this means that the client is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Silent connections are asked after so long whether they live.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// The pause after `accept` failed for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// What all connections of a gateway share.
pub(crate) struct Door {
    pub(crate) proxy: Arc<HttpProxy<Proxy>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) limits: IoLimits,
    /// For heads that are longer than usual, of all connections.
    pub(crate) room: Arc<Room>,
    pub(crate) connections_max: usize,
    pub(crate) crowd: Arc<Crowd>,
    /// Streams that say nothing for so long are closed.
    pub(crate) stream_idle: Duration,
    /// Flows of datagrams that say nothing for so long are forgotten.
    pub(crate) flow_idle: Duration,
    /// Flows of one socket.
    pub(crate) flows_max: usize,
    /// What session tickets are sealed with.
    pub(crate) tickets: TicketSecrets,
    /// Who must send PROXY headers.
    pub(crate) balancers: Vec<IpNet>,
}

/// One listening socket's way in.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) door: Arc<Door>,
    /// What the socket stands for now.
    pub(crate) place: ArcSwap<Place>,
    pub(crate) drain: DrainSeen,
}

/// Accepts until the socket drains, then takes what the kernel has already completed and closes.
pub(crate) async fn run(listener: Arc<TcpListener>, entrance: Arc<Entrance>) {
    let mut draining = entrance.drain.begun.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => break,
        };
        match accepted {
            Ok((socket, peer)) => admit(socket, peer, &entrance),
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // What is in the backlog was promised to the client by the kernel, which is asked itself: the
    // runtime knows of new connections only after its next look.
    while let Ok((socket, peer)) = SockRef::from(&*listener).accept() {
        if let Some(peer) = peer.as_socket()
            && socket.set_nonblocking(true).is_ok()
            && let Ok(socket) = TcpStream::from_std(socket.into())
        {
            admit(socket, peer, &entrance);
        }
    }
}

fn admit(socket: TcpStream, peer: SocketAddr, entrance: &Arc<Entrance>) {
    let door = &entrance.door;
    // Over the cap the socket is closed at once: a clear sign, and no memory.
    let Some(seat) = door.crowd.enter(door.connections_max) else { return };
    let entrance = Arc::clone(entrance);
    tokio::spawn(async move {
        let mut cut = entrance.drain.cut.clone();
        tokio::select! {
            () = serve(socket, peer, &entrance) => {}
            _ = cut.wait_for(|cut| *cut) => {}
        }
        drop(seat);
    });
}

async fn serve(socket: TcpStream, peer: SocketAddr, entrance: &Entrance) {
    let door = &entrance.door;
    let Ok(local) = prepare(&socket) else { return };
    let mut stage = Stage::Before;
    // Boxed, because it is over soon: the task would have the room for it until its end.
    let opening = Box::pin(opening::open(socket, (peer, local), entrance, &mut stage));
    let opened = match timeout(door.limits.head_deadline, opening).await {
        Ok(opened) => opened.map_err(|error| HandshakeFault::of(&error)),
        Err(_) => Err(HandshakeFault::Late),
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(fault) => {
            if stage == Stage::Handshake {
                door.shared.ledger.handshake_faults.count([fault.code()]);
            }
            return;
        }
    };
    match opened {
        Opened::Http { transport, held, protocol, connection } => {
            let io = Box::new(ClientIo::new(ClientIoParts {
                transport,
                held,
                room: Arc::clone(&door.room),
                protocol,
                connection,
                limits: door.limits,
                ledger: Arc::clone(&door.shared.ledger),
            }));
            match protocol {
                Protocol::Http1 => serve_http1(io, entrance).await,
                Protocol::Http2 => {
                    door.proxy.process_new(io, &entrance.drain.begun).await;
                }
            }
        }
        Opened::Stream(stream) => stream::serve(*stream, door).await,
    }
}

fn prepare(socket: &TcpStream) -> io::Result<SocketAddr> {
    socket.set_nodelay(true)?;
    let options = SockRef::from(socket);
    options.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE_AFTER))?;
    options.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.local_addr()
}

/// Requests one after the other, as in Pingora's own loop, but each behind our judgement.
async fn serve_http1(mut io: Box<ClientIo>, entrance: &Entrance) {
    let proxy = &entrance.door.proxy;
    let mut settings: Option<HttpPersistentSettings> = None;
    loop {
        // Before a head is whole nothing of Pingora's is made: a session with its buffers and futures
        // takes five times the memory of the connection itself.
        if poll_fn(|cx| io.poll_request(cx)).await.is_err() {
            return;
        }
        let mut session = ServerSession::new_http1(io);
        match settings {
            None => session.set_keepalive(Some(KEEPALIVE_S)),
            Some(settings) => settings.apply_to_session(&mut session),
        }
        let Some(reused) = proxy.process_new_http(session, &entrance.drain.begun).await else {
            return;
        };
        let (stream, kept) = reused.consume();
        let Ok(mut again) = stream.into_any().downcast::<ClientIo>() else { return };
        if !again.is_between_requests() {
            return;
        }
        again.next_request();
        if !is_asked_again(&mut again, entrance).await {
            return;
        }
        (io, settings) = (again, kept);
    }
}

/// Waits for the next request's first octets; false when there will be none.
async fn is_asked_again(io: &mut ClientIo, entrance: &Entrance) -> bool {
    let mut idle_cut = entrance.drain.idle_cut.clone();
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
