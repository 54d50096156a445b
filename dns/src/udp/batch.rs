//! Batched datagrams: the one file of this crate that talks to the system with raw pointers, and so
//! the home of the few other calls that want them.
//!
//! `recvmmsg` and `sendmmsg` take arrays of headers that point at buffers, addresses and control
//! data. All of these are boxed once and never move; the headers are pointed at them when the batch
//! is made, and before each call only what the kernel changes is set back. Replies go out from the
//! address that the query came to: on a wildcard socket the kernel tells it in a control message
//! (`IP_PKTINFO`, RFC 3542 for IPv6), which is handed back with the reply.
#![allow(unsafe_code, reason = "recvmmsg and sendmmsg have no safe wrapper that keeps buffers")]

use std::io;
use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Datagrams per system call. Past some dozens the call's own cost no longer shows.
pub(super) const SLOTS: usize = 64;
/// The longest query read whole; a longer one arrives cut and is answered FORMERR.
const INPUT_OCTETS: usize = 4096;
/// The longest answer sent, `view::UDP_OCTETS_MAX`.
const OUTPUT_OCTETS: usize = crate::view::UDP_OCTETS_MAX as usize;
/// Room for one packet-info control message of either family with its header (40 octets), aligned.
const CONTROL_OCTETS: usize = 64;

#[expect(clippy::cast_possible_truncation, reason = "some dozens")]
const SLOTS_COUNT: libc::c_uint = SLOTS as libc::c_uint;
#[expect(clippy::cast_possible_truncation, reason = "128")]
const ADDRESS_OCTETS: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

/// Control data, aligned as `cmsghdr` wants it.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Control([u8; CONTROL_OCTETS]);

/// A batch of datagrams and the replies to them.
///
/// Invariant: `received[i]` and `replies[i]` point into elements of the boxed slices beside them,
/// which are never reallocated, and the lengths in them never exceed those elements' sizes.
pub(super) struct Batch {
    inputs: Box<[[u8; INPUT_OCTETS]]>,
    outputs: Box<[[u8; OUTPUT_OCTETS]]>,
    peers: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    input_vectors: Box<[libc::iovec]>,
    output_vectors: Box<[libc::iovec]>,
    received: Box<[libc::mmsghdr]>,
    replies: Box<[libc::mmsghdr]>,
    reply_count: usize,
}

impl Batch {
    /// Makes the buffers: about half a megabyte, of which only what is used is ever touched.
    pub(super) fn new() -> Self {
        // SAFETY: all-zero octets are a valid value of these C structs: integers and null pointers.
        let (peer, vector, header): (libc::sockaddr_storage, libc::iovec, libc::mmsghdr) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        let mut batch = Self {
            inputs: vec![[0; INPUT_OCTETS]; SLOTS].into_boxed_slice(),
            outputs: vec![[0; OUTPUT_OCTETS]; SLOTS].into_boxed_slice(),
            peers: vec![peer; SLOTS].into_boxed_slice(),
            controls: vec![Control([0; CONTROL_OCTETS]); SLOTS].into_boxed_slice(),
            input_vectors: vec![vector; SLOTS].into_boxed_slice(),
            output_vectors: vec![vector; SLOTS].into_boxed_slice(),
            received: vec![header; SLOTS].into_boxed_slice(),
            replies: vec![header; SLOTS].into_boxed_slice(),
            reply_count: 0,
        };
        for slot in 0..SLOTS {
            batch.input_vectors[slot] = libc::iovec {
                iov_base: batch.inputs[slot].as_mut_ptr().cast(),
                iov_len: INPUT_OCTETS,
            };
            let header = &mut batch.received[slot].msg_hdr;
            header.msg_name = (&raw mut batch.peers[slot]).cast();
            header.msg_iov = &raw mut batch.input_vectors[slot];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut batch.controls[slot]).cast();
        }
        batch
    }

    /// Waits for at least one datagram and takes as many as are there. Gives how many; none when
    /// the socket's time-out passed or a signal came.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.reply_count = 0;
        for message in &mut self.received {
            message.msg_hdr.msg_namelen = ADDRESS_OCTETS;
            message.msg_hdr.msg_controllen = CONTROL_OCTETS;
            message.msg_hdr.msg_flags = 0;
        }
        // SAFETY: the headers point at live buffers of the lengths they state (the invariant), and
        // `self` is borrowed mutably for the whole call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.received.as_mut_ptr(),
                SLOTS_COUNT,
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                    _ => Err(error),
                }
            }
        }
    }

    /// A received datagram: its octets, its sender, and room for the reply.
    pub(super) fn datagram(&mut self, slot: usize) -> Option<(&[u8], SocketAddr, &mut [u8])> {
        let length = self.received.get(slot)?.msg_len as usize;
        let packet = self.inputs.get(slot)?.get(..length)?;
        let peer = read_address(self.peers.get(slot)?)?;
        Some((packet, peer, self.outputs.get_mut(slot)?))
    }

    /// Queues the first `octets` of the slot's output as the reply to its datagram.
    pub(super) fn reply(&mut self, slot: usize, octets: usize) {
        let (Some(received), Some(output)) = (self.received.get(slot), self.outputs.get_mut(slot))
        else {
            return;
        };
        let mut header = received.msg_hdr;
        let Some(vector) = self.output_vectors.get_mut(slot) else { return };
        *vector = libc::iovec {
            iov_base: output.as_mut_ptr().cast(),
            iov_len: octets.min(OUTPUT_OCTETS),
        };
        header.msg_iov = &raw mut *vector;
        header.msg_flags = 0;
        if header.msg_controllen == 0 {
            header.msg_control = ptr::null_mut();
        } else {
            release_interface(&mut header);
        }
        if let Some(reply) = self.replies.get_mut(self.reply_count) {
            *reply = libc::mmsghdr { msg_hdr: header, msg_len: 0 };
            self.reply_count += 1;
        }
    }

    /// Sends the queued replies. Gives how many the system would not send.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>) -> u64 {
        let mut unsent = 0;
        let mut rest = &mut self.replies[..self.reply_count];
        while !rest.is_empty() {
            // SAFETY: the headers point at live buffers of the lengths they state (the invariant);
            // the count is that of the slice.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    SLOTS_COUNT.min(libc::c_uint::try_from(rest.len()).unwrap_or(SLOTS_COUNT)),
                    0,
                )
            };
            // A failure is the first message's alone (its address may be unreachable): leave it out.
            let done = usize::try_from(count).unwrap_or_else(|_| {
                unsent += 1;
                1
            });
            rest = rest.get_mut(done.max(1)..).unwrap_or_default();
        }
        self.reply_count = 0;
        unsent
    }
}

/// Asks the kernel to say which address each datagram came to.
pub(super) fn ask_for_destination(socket: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    let (level, option) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    set_option(socket, level, option, 1)
}

/// Never sets DF on answers and never lets a forged ICMP message shrink the path: answers are small
/// enough to pass whole, and fragments would invite forgery.
pub(super) fn ignore_path_mtu(socket: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => {
            set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
        }
        SocketAddr::V6(_) => set_option(
            socket,
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_OMIT,
        ),
    }
}

/// Asks for a receive buffer beyond the system's cap, which an administrator may have.
pub(super) fn force_receive_buffer(socket: BorrowedFd<'_>, octets: libc::c_int) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, octets)
}

/// Has the kernel hand a datagram to the socket whose place among those that share the port is that
/// of the CPU it arrived on, counted from `first_cpu`. For any one of the sockets, once all are bound.
pub(super) fn spread_by_cpu(
    socket: BorrowedFd<'_>,
    first_cpu: u32,
    sockets: u32,
) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "operation codes are below 256")]
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU).cast_unsigned();
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, cpu),
        step(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K, first_cpu),
        // A CPU beyond them (taken into service later) still has a socket.
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, sockets.max(1)),
        step(libc::BPF_RET | BPF_A, 0),
    ];
    let program = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, program)
}

/// Asks the system for turns of at most `ns` on a CPU that others want too, at the priority that the
/// thread has (`sched_setattr(2)`). Since Linux 6.12 the shortest turn among those who wait bounds
/// the turns of all, so that an answer waits no longer than this for a compilation on its CPU;
/// before, the kernel ignores it.
pub(super) fn take_turns_of(ns: u64, nice: i32) -> io::Result<()> {
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: u32::try_from(libc::SCHED_OTHER).unwrap_or(0),
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: ns,
        sched_deadline: 0,
        sched_period: 0,
    };
    let caller: libc::pid_t = 0;
    // SAFETY: the pointer is to a live structure of the size that it states; the kernel reads it.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, caller, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Return the accumulator (linux/filter.h).
const BPF_A: u32 = 0x10;

fn set_option<T: Copy>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: T,
) -> io::Result<()> {
    let octets = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the pointer is to a live value whose size is given; the kernel copies it, and what a
    // program's own pointer leads to lives in the caller.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), octets)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn read_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage, which is large enough and aligned for every
            // address, holds a `sockaddr_in`.
            let v4 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for `sockaddr_in6`.
            let v6 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Leaves the source address of a reply as told but lets routing choose the interface: the way back
/// may not be the way here. Link-local addresses mean nothing without theirs and keep it.
fn release_interface(header: &mut libc::msghdr) {
    // SAFETY: `msg_control` points at a live, aligned buffer of which the kernel has written
    // `msg_controllen` octets; the CMSG macros stay within that length.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while !control.is_null() {
            match ((*control).cmsg_level, (*control).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = libc::CMSG_DATA(control).cast::<libc::in_pktinfo>();
                    (*info).ipi_ifindex = 0;
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = libc::CMSG_DATA(control).cast::<libc::in6_pktinfo>();
                    let ip = Ipv6Addr::from((*info).ipi6_addr.s6_addr);
                    if !ip.is_unicast_link_local() {
                        (*info).ipi6_ifindex = 0;
                    }
                }
                _ => {}
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
}
