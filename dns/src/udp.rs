//! UDP: per listening address one socket and one thread for each core, sharing the port.
//!
//! The kernel spreads clients over the sockets (`SO_REUSEPORT`; by the CPU that received, where
//! [`crate::cpu`] planned so), so workers share nothing but the view, which each loads once per
//! batch. Between receive and send there is no lock, no allocation and no await.

mod batch;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::getpriority_process;
use socket2::{Domain, Protocol, Socket, Type};

use crate::answer::{Arrival, Transport, handle};
use crate::clock;
use crate::cpu::Workers;
use crate::server::Shared;
use crate::stats::{Counters, Tally};
use batch::Batch;

/// Receive buffer asked for: at 130,000 queries a second the default of 208 KiB loses bursts, and
/// with 2 MiB none were lost (benches).
const RECEIVE_BUFFER_OCTETS: usize = 2 << 20;
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "2 MiB")]
const RECEIVE_BUFFER_INT: libc::c_int = RECEIVE_BUFFER_OCTETS as libc::c_int;
/// How often an idle worker looks whether it should stop.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a full send queue may hold a worker.
const SEND_TIMEOUT: Duration = Duration::from_millis(100);
/// Pause after a failed receive, so that a broken socket does not take a core.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// A worker's turn on a CPU that others want too: some hundred answers, a tenth of the usual turn.
const TURN_NS: u64 = 200_000;
/// Batches a worker still answers after it was told to stop, so that a flood cannot keep it.
const DRAIN_BATCHES_MAX: usize = 64;

/// Opens the workers' sockets for one address. With port 0 the system chooses one for all.
pub(crate) fn bind(address: SocketAddr, workers: &Workers) -> io::Result<Vec<UdpSocket>> {
    // A socket that shares its port binds even where another process of the same user listens, and
    // each would get half of the queries. One that does not share finds out first.
    drop(open(address, Sharing::Alone)?);
    let first = open(address, Sharing::Among)?;
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    while sockets.len() < workers.count {
        sockets.push(open(bound, Sharing::Among)?);
    }
    if let (Some(&[first, ..]), [socket, ..]) = (workers.cpus.as_deref(), sockets.as_slice()) {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        batch::spread_by_cpu(socket.as_fd(), number(first), number(sockets.len()))?;
    }
    Ok(sockets)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Among,
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if sharing == Sharing::Among {
        socket.set_reuse_port(true)?;
        // Refused sizes are not errors: what is short is told by `receive_buffer_shortfall`.
        let _capped = socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS);
        let _not_allowed = batch::force_receive_buffer(socket.as_fd(), RECEIVE_BUFFER_INT);
        let _capped = socket.set_send_buffer_size(RECEIVE_BUFFER_OCTETS);
        socket.set_read_timeout(Some(STOP_CHECK_INTERVAL))?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        if address.ip().is_unspecified() {
            batch::ask_for_destination(socket.as_fd(), address)?;
        }
        batch::ignore_path_mtu(socket.as_fd(), address)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// How much smaller than wanted the receive buffer is: wanted and given octets, when the system
/// caps it.
pub(crate) fn receive_buffer_shortfall(socket: &UdpSocket) -> Option<(usize, usize)> {
    // Linux reports twice what it took, to account for its own overhead (socket(7)).
    let given = socket2::SockRef::from(socket).recv_buffer_size().ok()? / 2;
    (given < RECEIVE_BUFFER_OCTETS).then_some((RECEIVE_BUFFER_OCTETS, given))
}

/// Serves one socket until the server stops.
pub(crate) fn serve(socket: &UdpSocket, shared: &Arc<Shared>, counters: &Counters) {
    if let Ok(nice) = getpriority_process(None) {
        // What the system refuses costs smoothness, not correctness.
        let _refused = batch::take_turns_of(TURN_NS, nice);
    }
    // A panic would silence one worker's share of the clients for ever. None is known; should one
    // come, it costs its batch.
    while std::panic::catch_unwind(AssertUnwindSafe(|| work(socket, shared, counters))).is_err() {
        tracing::error!("a UDP worker panicked and was started again");
    }
}

fn work(socket: &UdpSocket, shared: &Shared, counters: &Counters) {
    let mut batch = Batch::new();
    let mut drained = 0;
    loop {
        let stopping = shared.is_stopping();
        let count = match batch.receive(socket.as_fd()) {
            Ok(count) => count,
            Err(_) => {
                shared.count_receive_error();
                std::thread::sleep(ERROR_PAUSE);
                0
            }
        };
        if stopping {
            drained += 1;
            if count == 0 || drained > DRAIN_BATCHES_MAX {
                return;
            }
        }
        if count > 0 {
            counters.add(&answer_batch(&mut batch, count, socket, shared));
        }
    }
}

fn answer_batch(batch: &mut Batch, count: usize, socket: &UdpSocket, shared: &Shared) -> Tally {
    let mut tally = Tally::default();
    let (view, now_s) = (shared.view(), clock::now_s());
    for slot in 0..count {
        let Some((packet, peer, out)) = batch.datagram(slot) else { continue };
        // Nothing can be sent to port 0, and nothing honest comes from it.
        let handled = match peer.port() {
            0 => None,
            _ => {
                let arrival = Arrival { client: peer, transport: Transport::Udp, now_s };
                handle(&view, packet, &arrival, out)
            }
        };
        tally.count(handled.as_ref());
        if let Some(handled) = handled {
            batch.reply(slot, handled.octets);
        }
    }
    tally.unsent = batch.send(socket.as_fd());
    tally
}

#[cfg(test)]
mod tests;
