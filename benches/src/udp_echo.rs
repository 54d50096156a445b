//! The floor: receive a batch, set QR, send it back. No name server can cost less per datagram.

use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::kernel::{Batch, Destination};

/// Receive buffer asked for, as a name server under bursts would: 2 MiB.
pub const RECEIVE_OCTETS: usize = 2 << 20;

/// A socket that shares its port with the others of its kind. With 0 octets its receive buffer is as
/// large as the system makes it by itself.
///
/// # Errors
/// Whatever the socket calls say, for example that the port is in use.
pub fn bind(address: SocketAddr, receive_octets: usize) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    if receive_octets > 0 {
        socket.set_recv_buffer_size(receive_octets)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Echoes for ever, `batch` datagrams at a time.
///
/// # Errors
/// Whatever the kernel says about receiving or sending.
pub fn serve(socket: &UdpSocket, batch: usize) -> std::io::Result<()> {
    let mut batch = Batch::new(batch);
    loop {
        let count = match batch.receive(socket) {
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        for at in 0..count {
            if let Some(flags) = batch.datagram_mut(at).get_mut(2) {
                *flags |= 0x80;
            }
        }
        batch.send(socket, count, Destination::Sender)?;
    }
}
