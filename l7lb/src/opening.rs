//! The beginning of a connection: who it is from, what it is for, what it speaks.
//!
//! In the order in which it comes: a PROXY header where the other end is a balancer, the TLS hello
//! and by its server name what is done (terminated here, or passed on as it came), then HTTP's first
//! octets, which tell HTTP/2 from HTTP/1. Every step is bounded in octets, all of them together by
//! the deadline that the caller holds. The view is asked after the client has said what it
//! wants, so that a slow client does not get yesterday's answer.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;

use crate::accept::Entrance;
use crate::client_io::{Connection, Nearness, Protocol};
use crate::handshake::{self, HandshakeFault, Stage};
use crate::hello::{self, HelloFault};
use crate::proxy_protocol;
use crate::route::Scheme;
use crate::socket::{Place, Plan, TlsAction, Wire};
use crate::stream::{Incoming, Over};
use crate::termination::{Carried, Termination};
use crate::transport::{self, Transport};
use crate::view::GatewayView;

/// What an HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Octets read at a time.
const READ_OCTETS: usize = 2048;
/// A fatal alert in a record of its own (RFC 8446, sections 5.1 and 6).
const FATAL: [u8; 6] = [21, 3, 3, 0, 2, 2];
/// What was sent is no hello (RFC 8446, section 6.2).
const DECODE_ERROR: u8 = 50;
/// Nobody here has that name (RFC 6066, section 3).
const UNRECOGNIZED_NAME: u8 = 112;

/// A connection that can be served.
pub(crate) enum Opened {
    /// HTTP.
    Http {
        transport: Transport,
        /// Octets read already.
        held: Vec<u8>,
        protocol: Protocol,
        connection: Connection,
    },
    /// Octets for a backend.
    Stream(Box<Incoming>),
}

/// Opens a connection between these ends, the peer first; `stage` tells how far it came when it
/// failed or was given up.
pub(crate) async fn open(
    socket: TcpStream,
    (peer, local): (SocketAddr, SocketAddr),
    entrance: &Entrance,
    stage: &mut Stage,
) -> io::Result<Opened> {
    let place = **entrance.place.load();
    let door = &entrance.door;
    let mut first = First { socket, held: Vec::new() };
    let mut connection = Connection {
        peer,
        local,
        nearness: Nearness::Direct,
        place,
        scheme: Scheme::Http,
        server_name: None,
        listener: None,
    };
    let from = peer.ip().to_canonical();
    if door.balancers.iter().any(|balancer| balancer.contains(&from)) {
        first.proxy_header(&mut connection).await?;
    }
    let in_tls = matches!(place, Place::SharedHttps | Place::Own(_, Wire::Tls));
    if in_tls {
        *stage = Stage::Handshake;
        connection.server_name = first.hello().await?;
    }
    let view = door.shared.view.load_full();
    match view.places.get(&place) {
        Some(Plan::Http(_)) if !in_tls => {
            let First { socket, held } = first;
            http(Transport::Plain(socket), held, connection, None).await
        }
        Some(Plan::Stream(plan)) if !in_tls => {
            let plan = plan.clone();
            let First { socket, held } = first;
            let transport = Transport::Plain(socket);
            Ok(stream(Incoming { transport, held, connection, plan, view, over: Over::Tcp }))
        }
        Some(Plan::Tls(plan)) if in_tls => {
            let Some(action) = plan.find(connection.server_name.as_deref()).cloned() else {
                if plan.resets {
                    transport::reset_when_dropped(&first.socket);
                    return Err(HandshakeFault::UnknownName.into_io());
                }
                return first.alert(UNRECOGNIZED_NAME, HandshakeFault::UnknownName).await;
            };
            secure(first, connection, (action, view), entrance, stage).await
        }
        // Documents closed the place, or changed what is spoken there, just now.
        _ => Err(HandshakeFault::Unservable.into_io()),
    }
}

/// What a server name asks for.
async fn secure(
    first: First,
    mut connection: Connection,
    (action, view): (TlsAction, Arc<GatewayView>),
    entrance: &Entrance,
    stage: &mut Stage,
) -> io::Result<Opened> {
    connection.scheme = Scheme::Https;
    let (termination, carried, plan) = match action {
        TlsAction::Passthrough(plan) => {
            let First { socket, held } = first;
            let transport = Transport::Plain(socket);
            let over = Over::TlsPassed;
            return Ok(stream(Incoming { transport, held, connection, plan, view, over }));
        }
        TlsAction::Http(termination, _) => (termination, Carried::Http, None),
        TlsAction::Stream(termination, plan) => (termination, Carried::Octets, Some((plan, view))),
    };
    let (transport, alpn) = terminate(first, &termination, carried, entrance).await?;
    *stage = Stage::After;
    connection.listener = Some(Arc::clone(&termination.listener));
    match plan {
        None => http(transport, Vec::new(), connection, Some(alpn)).await,
        Some((plan, view)) => {
            let over = Over::TlsTerminated;
            Ok(stream(Incoming { transport, held: Vec::new(), connection, plan, view, over }))
        }
    }
}

fn stream(incoming: Incoming) -> Opened {
    Opened::Stream(Box::new(incoming))
}

/// The handshake, from a hello that has been read already.
async fn terminate(
    first: First,
    termination: &Termination,
    carried: Carried,
    entrance: &Entrance,
) -> io::Result<(Transport, Protocol)> {
    let config = termination.config(carried, &entrance.door.tickets).map_err(|error| {
        let listener = &termination.listener;
        tracing::warn!(%listener, %error, cause = ?std::error::Error::source(&error), "cannot serve TLS");
        HandshakeFault::Unservable.into_io()
    })?;
    let First { mut socket, held } = first;
    let accepted = match accept(&held) {
        Ok(accepted) => accepted,
        Err(alert) => {
            socket.write_all(&alert).await?;
            return Err(HandshakeFault::Malformed.into_io());
        }
    };
    drop(held);
    let stream = StartHandshake::from_parts(accepted, socket).into_stream(config).await?;
    entrance.door.shared.ledger.handshakes.count(handshake::kind(stream.get_ref().1));
    let by_alpn = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let protocol = if by_alpn { Protocol::Http2 } else { Protocol::Http1 };
    Ok((Transport::Tls(Box::new(stream)), protocol))
}

/// Shows rustls what was read; the alert to send when it does not like it.
fn accept(held: &[u8]) -> Result<Accepted, Vec<u8>> {
    let refused = || [&FATAL[..], &[DECODE_ERROR]].concat();
    let mut acceptor = Acceptor::default();
    let mut octets = held;
    while !octets.is_empty() {
        match acceptor.read_tls(&mut octets) {
            Ok(count) if count > 0 => {}
            _ => return Err(refused()),
        }
    }
    match acceptor.accept() {
        Ok(Some(accepted)) => Ok(accepted),
        // `hello` saw a whole one.
        Ok(None) => Err(refused()),
        Err((_, mut alert)) => {
            let mut octets = Vec::new();
            // Writing to memory does not fail.
            let _ = alert.write_all(&mut octets);
            Err(octets)
        }
    }
}

/// HTTP's first octets. With TLS the handshake has settled the protocol already.
async fn http(
    mut transport: Transport,
    held: Vec<u8>,
    connection: Connection,
    alpn: Option<Protocol>,
) -> io::Result<Opened> {
    let (held, spoken) = first_octets(&mut transport, held).await?;
    let protocol = match (alpn, spoken) {
        (None, spoken) => spoken,
        (Some(Protocol::Http2), Protocol::Http2) => Protocol::Http2,
        // Who then speaks another one is refused, here or by the parser.
        (Some(Protocol::Http2), Protocol::Http1) => return Err(io::ErrorKind::InvalidData.into()),
        (Some(Protocol::Http1), _) => Protocol::Http1,
    };
    Ok(Opened::Http { transport, held, protocol, connection })
}

/// Reads until it is clear whether the client's first octets are HTTP/2's preface.
async fn first_octets(
    transport: &mut Transport,
    mut held: Vec<u8>,
) -> io::Result<(Vec<u8>, Protocol)> {
    loop {
        if held.starts_with(PREFACE) {
            return Ok((held, Protocol::Http2));
        }
        if !PREFACE.starts_with(&held) {
            return Ok((held, Protocol::Http1));
        }
        poll_fn(|cx| read_some(cx, &mut held, |cx, buf| transport.read(cx, buf))).await?;
    }
}

/// Adds what comes next; an error at the end. The space is on the stack and in no future: a
/// connection's task is as large as the largest of its states, for all its life.
fn read_some(
    cx: &mut Context<'_>,
    held: &mut Vec<u8>,
    read: impl FnOnce(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
) -> Poll<io::Result<()>> {
    let mut space = [0; READ_OCTETS];
    let mut buf = ReadBuf::new(&mut space);
    ready!(read(cx, &mut buf))?;
    if buf.filled().is_empty() {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    held.extend_from_slice(buf.filled());
    Poll::Ready(Ok(()))
}

/// A socket with what was read from it and not used yet.
struct First {
    socket: TcpStream,
    held: Vec<u8>,
}

impl First {
    async fn more(&mut self) -> io::Result<()> {
        let Self { socket, held } = self;
        poll_fn(|cx| read_some(cx, held, |cx, buf| Pin::new(&mut *socket).poll_read(cx, buf))).await
    }

    /// The header that a balancer must send.
    async fn proxy_header(&mut self, connection: &mut Connection) -> io::Result<()> {
        loop {
            match proxy_protocol::read(&self.held) {
                Ok(Some(header)) => {
                    self.held.drain(..header.octets);
                    connection.nearness = Nearness::BehindBalancer;
                    if let Some(ends) = header.ends {
                        (connection.peer, connection.local) = (ends.source, ends.destination);
                    }
                    return Ok(());
                }
                Ok(None) => self.more().await?,
                Err(fault) => {
                    tracing::debug!(peer = %connection.peer, %fault, "refused a balancer");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
                }
            }
        }
    }

    /// The server name of the hello, which stays held.
    async fn hello(&mut self) -> io::Result<Option<Box<str>>> {
        loop {
            match hello::read(&self.held) {
                Ok(Some(hello)) => return Ok(hello.server_name),
                Ok(None) => self.more().await?,
                Err(HelloFault::NotHello) => return Err(HandshakeFault::NotTls.into_io()),
                Err(HelloFault::TooLong | HelloFault::Malformed) => {
                    return self.alert(DECODE_ERROR, HandshakeFault::Malformed).await;
                }
            }
        }
    }

    /// Says why, and ends.
    async fn alert<T>(&mut self, description: u8, fault: HandshakeFault) -> io::Result<T> {
        let alert = [&FATAL[..], &[description]].concat();
        self.socket.write_all(&alert).await?;
        self.socket.shutdown().await?;
        Err(fault.into_io())
    }
}
