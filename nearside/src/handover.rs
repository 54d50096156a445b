//! One process takes over from another and no connection is lost.
//!
//! A gateway started with `--handover FILE` listens on that Unix socket for its successor, and first
//! asks whoever listens there for its open sockets. Both accept on them for a moment; once the
//! successor serves it says so, and the older process stops accepting, closes its admin port,
//! says that too and drains. Whatever goes wrong before the successor serves, the older process
//! goes on as if nobody had asked. Sockets may also come from a service manager (`LISTEN_FDS`, as
//! systemd passes them). Only processes of the same user are spoken to.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use l7lb::Inherited;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Descriptors in one message; the kernel takes 253.
const BATCH: usize = 64;
/// Descriptors in all: more than a gateway opens.
const DESCRIPTORS_MAX: usize = 2048;
/// For one step of the exchange.
const STEP: Duration = Duration::from_secs(10);
/// For the successor to load its documents and to check its endpoints.
const START: Duration = Duration::from_secs(120);
/// The first descriptor of a service manager (`sd_listen_fds`, systemd).
const FIRST_PASSED: RawFd = 3;

/// What is said beside the descriptors.
const SOCKETS: u8 = b'S';
const END: u8 = b'E';
const SERVING: u8 = b'R';
const RELEASED: u8 = b'D';

/// Where the successor is waited for.
#[derive(Debug)]
pub(crate) struct Handover {
    path: PathBuf,
    turns: mpsc::Receiver<Turn>,
    task: JoinHandle<()>,
}

/// What a successor wants.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The open sockets.
    Ask(oneshot::Sender<Vec<OwnedFd>>),
    /// To go on alone: it serves.
    Taken(Successor),
}

/// A process that serves in our place.
#[derive(Debug)]
pub(crate) struct Successor {
    stream: UnixStream,
}

/// A process whose sockets we have.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
}

impl Handover {
    /// Waits for a successor at `path`, in place of whoever waited there before.
    pub(crate) fn listen(path: &Path) -> anyhow::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                bail!("cannot replace the socket `{}`: {error}", path.display());
            }
            _ => {}
        }
        let listener = UnixListener::bind(path)
            .with_context(|| format!("cannot listen on `{}`", path.display()))?;
        let (sender, turns) = mpsc::channel(1);
        let task = tokio::spawn(wait(listener, path.to_owned(), sender));
        Ok(Self { path: path.to_owned(), turns, task })
    }

    /// Stops waiting; the path is left to a successor that has it already.
    pub(crate) fn close(self, taken: bool) {
        self.task.abort();
        if !taken {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The next turn; never, when nobody is or can be waited for.
pub(crate) async fn turn(handover: &mut Option<Handover>) -> Turn {
    if let Some(handover) = handover
        && let Some(turn) = handover.turns.recv().await
    {
        return turn;
    }
    std::future::pending().await
}

async fn wait(listener: UnixListener, path: PathBuf, turns: mpsc::Sender<Turn>) {
    while let Ok((stream, _)) = listener.accept().await {
        match serve(stream, &path, &turns).await {
            Ok(successor) => {
                let _ = turns.send(Turn::Taken(successor)).await;
                return;
            }
            Err(error) => tracing::warn!("a successor did not take over: {error:#}"),
        }
    }
}

async fn serve(
    mut stream: UnixStream,
    path: &Path,
    turns: &mpsc::Sender<Turn>,
) -> anyhow::Result<Successor> {
    let ours = std::fs::metadata(path).context("the socket's file is gone")?.uid();
    let theirs = stream.peer_cred().context("cannot ask who it is")?.uid();
    if ours != theirs {
        bail!("it belongs to the user {theirs}, not {ours}");
    }
    let (sender, sockets) = oneshot::channel();
    turns.send(Turn::Ask(sender)).await.context("stopping")?;
    let sockets = timeout(STEP, sockets).await.context("no sockets in time")??;
    timeout(STEP, give(&stream, &sockets)).await.context("it does not read")??;
    drop(sockets);
    let said = timeout(START, stream.read_u8()).await.context("it does not start in time")?;
    match said.context("it went away")? {
        SERVING => Ok(Successor { stream }),
        other => bail!("it said {other}"),
    }
}

impl Successor {
    /// Tells it that everything of ours is released but the connections that drain.
    pub(crate) async fn release(mut self) {
        let _ = timeout(STEP, self.stream.write_u8(RELEASED)).await;
    }
}

/// The open sockets of the older process, or those that were passed to us.
pub(crate) async fn inherit(
    path: Option<&Path>,
    passed: Inherited,
) -> anyhow::Result<(Option<Predecessor>, Inherited)> {
    let asked = match path {
        Some(path) => Predecessor::ask(path).await?,
        None => None,
    };
    Ok(asked.map_or_else(|| (None, passed), |(before, sockets)| (Some(before), sockets)))
}

impl Predecessor {
    /// Takes the sockets of whoever waits at `path`; `None` when nobody does.
    async fn ask(path: &Path) -> anyhow::Result<Option<(Self, Inherited)>> {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot ask at `{}`", path.display()));
            }
        };
        let taken = timeout(STEP, take(&stream)).await;
        let sockets = taken.context("no sockets in time")?.context("cannot take sockets over")?;
        Ok(Some((Self { stream }, Inherited::new(sockets))))
    }

    /// Says that we serve, and waits until the older process has released what is not shared.
    pub(crate) async fn replace(self) {
        match self.exchange().await {
            Ok(()) => tracing::info!("took over from the process before"),
            // We serve; two processes with the same sockets are better than none.
            Err(error) => tracing::warn!("took over, but: {error:#}"),
        }
    }

    async fn exchange(mut self) -> anyhow::Result<()> {
        self.stream.write_u8(SERVING).await.context("the older process went away")?;
        let said = timeout(STEP, self.stream.read_u8()).await;
        match said.context("the older process does not let go")? {
            Ok(other) if other != RELEASED => bail!("the older process said {other}"),
            // Or it ended altogether, which releases everything.
            _ => Ok(()),
        }
    }
}

async fn give(stream: &UnixStream, sockets: &[OwnedFd]) -> io::Result<()> {
    for batch in sockets.chunks(BATCH) {
        let fds: Vec<RawFd> = batch.iter().map(AsRawFd::as_raw_fd).collect();
        send(stream, SOCKETS, &[ControlMessage::ScmRights(&fds)]).await?;
    }
    send(stream, END, &[]).await
}

async fn send(stream: &UnixStream, word: u8, with: &[ControlMessage<'_>]) -> io::Result<()> {
    let fd = stream.as_raw_fd();
    let send = || {
        let parts = [IoSlice::new(std::slice::from_ref(&word))];
        Ok(sendmsg::<UnixAddr>(fd, &parts, with, MsgFlags::empty(), None)?)
    };
    // One octet is sent whole or not at all.
    stream.async_io(Interest::WRITABLE, send).await.map(|_| ())
}

async fn take(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut sockets = Vec::new();
    loop {
        let fd = stream.as_raw_fd();
        let (word, mut more) = stream.async_io(Interest::READABLE, || receive(fd)).await?;
        sockets.append(&mut more);
        match word {
            Some(SOCKETS) if sockets.len() <= DESCRIPTORS_MAX => {}
            Some(END) => return Ok(sockets),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// One word with its descriptors; `None` at the end of the stream.
fn receive(fd: RawFd) -> io::Result<(Option<u8>, Vec<OwnedFd>)> {
    let mut word = [0];
    let mut control = nix::cmsg_space!([RawFd; BATCH]);
    let mut parts = [IoSliceMut::new(&mut word)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<UnixAddr>(fd, &mut parts, Some(&mut control), flags)?;
    let mut sockets = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = message {
            sockets.extend(fds.into_iter().map(own));
        }
    }
    let any = received.bytes > 0;
    Ok((any.then_some(word[0]), sockets))
}

#[expect(unsafe_code, reason = "a received descriptor has no owner but its number")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, or a service manager has before we
    // started, and nothing else in this process knows its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The sockets of a service manager, when it has passed any to this very process.
///
/// Called once, before anything else opens descriptors.
pub(crate) fn passed() -> Inherited {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Inherited::default();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).min(1024);
    let all = (FIRST_PASSED..).take(count as usize);
    // Descriptors that are not open have no entry; owning one would close another's later.
    let open = all.filter(|fd| Path::new(&format!("/proc/self/fd/{fd}")).exists());
    Inherited::new(open.map(own))
}
