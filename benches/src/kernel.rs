//! The system calls that std does not offer: batched datagrams, readiness and core affinity.
//!
//! All unsafe code of this crate is here, because a generator that pays one system call per
//! datagram costs more than the server it measures. Rule: pointers handed to the kernel are
//! derived afresh before each call and point into boxes that this module owns.
#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg, epoll and affinity have no safe wrapper in std"
)]

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// Room for one datagram; what an EDNS sender of today announces (1232) fits, with some to spare.
pub const DATAGRAM_OCTETS_MAX: usize = 1536;

/// The most datagrams in a batch; the kernel takes at most 1,024 (UIO_MAXIOV) per call.
pub const BATCH_MAX: usize = 1024;

/// A batch of datagrams with their peers, for `recvmmsg` and `sendmmsg`.
pub struct Batch {
    octets: Box<[[u8; DATAGRAM_OCTETS_MAX]]>,
    lens: Box<[usize]>,
    peers: Box<[libc::sockaddr_storage]>,
    peer_lens: Box<[libc::socklen_t]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("room", &self.lens.len()).finish_non_exhaustive()
    }
}

/// Who a batch's datagrams go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The peer of the connected socket.
    Connected,
    /// Back to whoever sent the datagram in the same place.
    Sender,
}

impl Batch {
    /// Room for `room` datagrams, at most [`BATCH_MAX`].
    pub fn new(room: usize) -> Self {
        let room = room.clamp(1, BATCH_MAX);
        // SAFETY: these are plain C structs for which all zeros is a valid value.
        let (peer, iovec, header) = unsafe {
            (
                std::mem::zeroed::<libc::sockaddr_storage>(),
                std::mem::zeroed::<libc::iovec>(),
                std::mem::zeroed::<libc::mmsghdr>(),
            )
        };
        Self {
            octets: vec![[0; DATAGRAM_OCTETS_MAX]; room].into(),
            lens: vec![0; room].into(),
            peers: vec![peer; room].into(),
            peer_lens: vec![0; room].into(),
            iovecs: vec![iovec; room].into(),
            headers: vec![header; room].into(),
        }
    }

    /// How many datagrams it holds at most.
    pub fn room(&self) -> usize {
        self.lens.len()
    }

    /// The datagram at `at`, as received or filled.
    pub fn datagram(&self, at: usize) -> &[u8] {
        &self.octets[at][..self.lens[at]]
    }

    /// The same, to be changed in place.
    pub fn datagram_mut(&mut self, at: usize) -> &mut [u8] {
        &mut self.octets[at][..self.lens[at]]
    }

    /// Copies a datagram in and returns it, so that a few octets of it can be changed.
    pub fn fill(&mut self, at: usize, datagram: &[u8]) -> &mut [u8] {
        let len = datagram.len().min(DATAGRAM_OCTETS_MAX);
        self.octets[at][..len].copy_from_slice(&datagram[..len]);
        self.lens[at] = len;
        &mut self.octets[at][..len]
    }

    /// Waits for the first datagram (as long as the socket's read timeout allows), then takes what
    /// is there without waiting. Returns how many came.
    ///
    /// # Errors
    /// Whatever `recvmmsg` says; `WouldBlock` when the socket's timeout passed.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.lens.fill(DATAGRAM_OCTETS_MAX);
        let whole = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
        self.peer_lens.fill(whole);
        let room = self.room();
        self.point_headers(0..room, Destination::Sender);
        // SAFETY: the first `room` headers were just pointed at buffers, names and iovecs that
        // `self` owns and that nobody else touches during the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                libc::c_uint::try_from(room).unwrap_or(0),
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for at in 0..count {
            self.lens[at] = (self.headers[at].msg_len as usize).min(DATAGRAM_OCTETS_MAX);
            self.peer_lens[at] = self.headers[at].msg_hdr.msg_namelen;
        }
        Ok(count)
    }

    /// Sends the first `count` datagrams, in as few calls as the kernel allows.
    ///
    /// # Errors
    /// Whatever `sendmmsg` says.
    pub fn send(&mut self, socket: &UdpSocket, count: usize, to: Destination) -> io::Result<()> {
        let count = count.min(self.room());
        self.point_headers(0..count, to);
        let mut sent = 0;
        while sent < count {
            let left = &mut self.headers[sent..count];
            // SAFETY: the headers in `left` were just pointed at memory that `self` owns.
            let now = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    left.as_mut_ptr(),
                    libc::c_uint::try_from(left.len()).unwrap_or(0),
                    0,
                )
            };
            match usize::try_from(now) {
                Ok(now) => sent += now,
                Err(_) => match io::Error::last_os_error() {
                    e if e.kind() == io::ErrorKind::Interrupted => {}
                    e => return Err(e),
                },
            }
        }
        Ok(())
    }

    fn point_headers(&mut self, range: std::ops::Range<usize>, to: Destination) {
        for at in range {
            self.iovecs[at].iov_base = self.octets[at].as_mut_ptr().cast();
            self.iovecs[at].iov_len = self.lens[at];
            let header = &mut self.headers[at].msg_hdr;
            header.msg_iov = &raw mut self.iovecs[at];
            header.msg_iovlen = 1;
            (header.msg_name, header.msg_namelen) = match to {
                Destination::Connected => (ptr::null_mut(), 0),
                Destination::Sender => ((&raw mut self.peers[at]).cast(), self.peer_lens[at]),
            };
        }
    }
}

/// Readiness of many sockets, level-triggered (`epoll`).
#[derive(Debug)]
pub struct Poll {
    epoll: OwnedFd,
}

/// What a socket is ready for, with the number it was registered under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The number given to [`Poll::watch`].
    pub key: usize,
    /// There is something to read, an end or an error.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something to read.
    Read,
    /// Something to read or room to write.
    ReadWrite,
}

/// Events taken per call; more are taken by the next one.
const EVENTS_MAX: usize = 256;

impl Poll {
    /// An empty set.
    ///
    /// # Errors
    /// Whatever `epoll_create1` says.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a fresh descriptor that nobody else owns.
        Ok(Self { epoll: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Adds a socket under a number. Closing the socket removes it.
    ///
    /// # Errors
    /// Whatever `epoll_ctl` says.
    pub fn watch(&self, socket: &impl AsRawFd, key: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, key, Interest::Read)
    }

    /// Changes what a socket is watched for.
    ///
    /// # Errors
    /// Whatever `epoll_ctl` says.
    pub fn change(&self, socket: &impl AsRawFd, key: usize, to: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket, key, to)
    }

    fn control(
        &self,
        operation: libc::c_int,
        socket: &impl AsRawFd,
        key: usize,
        interest: Interest,
    ) -> io::Result<()> {
        let bits = match interest {
            Interest::Read => libc::EPOLLIN,
            Interest::ReadWrite => libc::EPOLLIN | libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event { events: bits.cast_unsigned(), u64: key as u64 };
        // SAFETY: `event` lives across the call; both descriptors are open.
        let code = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), operation, socket.as_raw_fd(), &raw mut event)
        };
        if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits for at most `timeout_ms` and puts what is ready into `ready` (cleared first).
    ///
    /// # Errors
    /// Whatever `epoll_wait` says, except an interruption, which is an empty result.
    pub fn wait(&self, ready: &mut Vec<Ready>, timeout_ms: i32) -> io::Result<()> {
        ready.clear();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        let room = libc::c_int::try_from(EVENTS_MAX).unwrap_or(1);
        // SAFETY: `events` has `room` places and lives across the call.
        let count = unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), room, timeout_ms)
        };
        let Ok(count) = usize::try_from(count) else {
            let e = io::Error::last_os_error();
            return if e.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(e) };
        };
        ready.extend(events[..count].iter().map(|event| {
            let bits = event.events.cast_signed();
            Ready {
                key: usize::try_from(event.u64).unwrap_or(usize::MAX),
                readable: bits & (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP) != 0,
                writable: bits & libc::EPOLLOUT != 0,
            }
        }));
        Ok(())
    }
}

/// Keeps the calling thread, and every process it starts from now on, on one core.
///
/// # Errors
/// Whatever `sched_setaffinity` says, for example when there is no such core.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    // SAFETY: all zeros is the empty set; CPU_SET checks the bound itself; the set lives across
    // the call, and 0 means the calling thread.
    let code = unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Clock ticks per second, the unit of `/proc/PID/stat`.
pub fn ticks_per_second() -> u64 {
    // SAFETY: no pointers.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100).max(1)
}

/// What a process can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// End in an orderly way (SIGTERM).
    Terminate,
    /// Read the configuration again (SIGHUP).
    Hangup,
    /// What the process makes of it (SIGUSR2); haproxy's master starts a new worker.
    User2,
}

/// Tells a process something.
pub fn signal(pid: u32, signal: Signal) {
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Hangup => libc::SIGHUP,
        Signal::User2 => libc::SIGUSR2,
    };
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: no pointers; a process that is gone is an error that does not matter here.
        unsafe { libc::kill(pid, number) };
    }
}
