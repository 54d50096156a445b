//! Datagrams with the address they were sent to.
//!
//! A socket bound to the unspecified address serves every address of the machine, and a client
//! takes an answer only from the one it asked. So the kernel is asked for the destination of each
//! datagram (`IP_PKTINFO`, RFC 3542 for IPv6), and answers name it as their source.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The largest datagram (RFC 768: the length field, without the header).
pub(crate) const DATAGRAM_OCTETS_MAX: usize = 65_527;
/// What the kernel is asked to keep while we are busy; a second of a small site.
const RECEIVE_BUFFER_OCTETS: usize = 1 << 20;

/// A socket for datagrams of many clients.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: Arc<UdpSocket>,
    /// Whether the destination differs from datagram to datagram.
    any_address: bool,
}

/// One datagram's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    /// Who sent it.
    pub(crate) client: SocketAddr,
    /// The address it was sent to.
    pub(crate) local: IpAddr,
}

/// Binds a socket for datagrams. IPv6 sockets do not take IPv4.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // The kernel gives what its administrator allows.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

impl Datagrams {
    /// Prepares a bound socket.
    pub(crate) fn new(socket: Arc<UdpSocket>) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let any_address = local.ip().is_unspecified();
        if any_address {
            match local {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
        }
        Ok(Self { socket, any_address })
    }

    /// The next datagram.
    pub(crate) async fn receive(&self, space: &mut [u8]) -> io::Result<(usize, Path)> {
        if !self.any_address {
            let local = self.socket.local_addr()?.ip();
            let (count, client) = self.socket.recv_from(space).await?;
            return Ok((count, Path { client, local }));
        }
        let take = || receive_with_path(&self.socket.as_fd(), space);
        self.socket.async_io(Interest::READABLE, take).await
    }

    /// Sends a datagram back along its path; `WouldBlock` when the kernel takes none just now.
    pub(crate) fn answer(&self, octets: &[u8], path: Path) -> io::Result<usize> {
        // The kernel is asked itself: what it does not take at once is lost anyway.
        if self.any_address {
            return send_from(&self.socket.as_fd(), octets, path);
        }
        SockRef::from(&self.socket).send_to(octets, &path.client.into())
    }
}

fn receive_with_path(socket: &impl AsFd, space: &mut [u8]) -> io::Result<(usize, Path)> {
    let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(space)];
    let fd = socket.as_fd().as_raw_fd();
    let received =
        recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
    let mut local = None;
    for message in received.cmsgs()? {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                local = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                local = Some(IpAddr::from(info.ipi6_addr.s6_addr));
            }
            _ => {}
        }
    }
    let client = received.address.as_ref().and_then(client_of);
    let (Some(client), Some(local)) = (client, local) else {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    };
    Ok((received.bytes, Path { client, local }))
}

fn client_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    let v6 = || address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()));
    v4().or_else(v6)
}

fn send_from(socket: &impl AsFd, octets: &[u8], path: Path) -> io::Result<usize> {
    let parts = [IoSlice::new(octets)];
    let to = SockaddrStorage::from(path.client);
    let fd = socket.as_fd().as_raw_fd();
    let sent = match path.local {
        IpAddr::V4(local) => {
            let address = nix::libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) };
            let nowhere = nix::libc::in_addr { s_addr: 0 };
            let info =
                nix::libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: nowhere };
            let source = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(fd, &parts, &source, MsgFlags::empty(), Some(&to))?
        }
        IpAddr::V6(local) => {
            let address = nix::libc::in6_addr { s6_addr: local.octets() };
            let info = nix::libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
            let source = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(fd, &parts, &source, MsgFlags::empty(), Some(&to))?
        }
    };
    Ok(sent)
}
