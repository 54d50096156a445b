//! Sockets that somebody else has opened for us: the process before, or a service manager.
//!
//! Taking a listening socket over instead of binding it again loses no connection: those that the
//! kernel has completed wait in it, whoever holds it. Each socket is asked for its kind and
//! address, so nothing has to be said about it. Invariant: sockets that nothing has asked for when
//! the gateway has started are closed, or clients would wait in them for ever.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, SockRef, Type};

use crate::listen::{Carrier, Spot};

/// Open sockets by what they are.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: BTreeMap<Spot, OwnedFd>,
}

impl Inherited {
    /// Keeps those that are listening TCP or bound UDP sockets over IP.
    #[must_use]
    pub fn new(descriptors: impl IntoIterator<Item = OwnedFd>) -> Self {
        let known = |fd: OwnedFd| spot(&fd).ok().flatten().map(|spot| (spot, fd));
        Self { sockets: descriptors.into_iter().filter_map(known).collect() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The socket there, if there is one.
    pub(crate) fn take(&mut self, spot: Spot) -> Option<OwnedFd> {
        self.sockets.remove(&spot)
    }
}

fn spot(fd: &OwnedFd) -> io::Result<Option<Spot>> {
    let socket = SockRef::from(fd);
    let over_ip = matches!(socket.domain()?, Domain::IPV4 | Domain::IPV6);
    let carrier = match socket.r#type()? {
        Type::STREAM if socket.is_listener()? => Carrier::Tcp,
        Type::DGRAM => Carrier::Udp,
        _ => return Ok(None),
    };
    let address: Option<SocketAddr> = socket.local_addr()?.as_socket();
    socket.set_nonblocking(true)?;
    Ok(address.filter(|_| over_ip).map(|address| Spot { address, carrier }))
}
