//! Octets both ways between a client and a backend until both are done.
//!
//! Each direction reads into the stack and writes at once, so a silent tunnel holds no buffer; only
//! what the other side does not take yet is kept, and nothing more is read meanwhile. One side's end
//! is passed on as such, and the other direction goes on (half-close).

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::{Instant, sleep};

use crate::transport::Transport;

/// Octets moved at a time: what one TLS record holds.
const PIECE_OCTETS: usize = 16 * 1024;

/// How a relay came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides were done.
    Done,
    /// Neither said anything for too long.
    Idle,
    /// The client broke off.
    Client,
    /// The backend broke off.
    Origin,
}

/// The octets of both directions, also of a relay that was cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// To the backend.
    pub(crate) up: u64,
    /// To the client.
    pub(crate) down: u64,
}

/// Moves octets; `held` are the client's that were read already (after a PROXY header, if any).
pub(crate) async fn relay(
    client: &mut Transport,
    origin: &mut Transport,
    held: Vec<u8>,
    idle: Duration,
    moved: &mut Moved,
) -> End {
    let mut up = Half { rest: held, ..Half::default() };
    let mut down = Half::default();
    let mut last = Instant::now();
    let mut silence = pin!(sleep(idle));
    poll_fn(|cx| {
        let before = moved.up + moved.down;
        let sent = up.poll(cx, client, origin, &mut moved.up);
        let returned = down.poll(cx, origin, client, &mut moved.down);
        let broke = |side: Side, from, to| match side {
            Side::From => from,
            Side::To => to,
        };
        match (sent, returned) {
            (Poll::Ready(Err(side)), _) => {
                return Poll::Ready(broke(side, End::Client, End::Origin));
            }
            (_, Poll::Ready(Err(side))) => {
                return Poll::Ready(broke(side, End::Origin, End::Client));
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Done),
            _ => {}
        }
        if moved.up + moved.down > before {
            last = Instant::now();
        }
        // The timer is set anew only when it fires, not for every piece.
        while silence.as_mut().poll(cx).is_ready() {
            if last.elapsed() >= idle {
                return Poll::Ready(End::Idle);
            }
            silence.as_mut().reset(last + idle);
        }
        Poll::Pending
    })
    .await
}

/// Which side of a direction failed.
#[derive(Debug, Clone, Copy)]
enum Side {
    From,
    To,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// Read, and from `sent` on not written yet.
    rest: Vec<u8>,
    sent: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The end was read and must be passed on.
    Ending,
    Done,
}

impl Half {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Transport,
        to: &mut Transport,
        moved: &mut u64,
    ) -> Poll<Result<(), Side>> {
        loop {
            while self.sent < self.rest.len() {
                let count = written(ready!(to.write(cx, &self.rest[self.sent..])))?;
                self.sent += count;
                *moved += count as u64;
            }
            if self.sent > 0 {
                *self = Self { stage: self.stage, ..Self::default() };
            }
            match self.stage {
                Stage::Open => {}
                Stage::Ending => {
                    ready!(to.shutdown(cx)).map_err(|_| Side::To)?;
                    self.stage = Stage::Done;
                }
                Stage::Done => return Poll::Ready(Ok(())),
            }
            if self.stage == Stage::Open && self.poll_piece(cx, from, to, moved)?.is_pending() {
                // What was written must not wait in a buffer of ours for more to come.
                ready!(to.flush(cx)).map_err(|_| Side::To)?;
                return Poll::Pending;
            }
        }
    }

    /// Reads one piece and writes what is taken of it.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Transport,
        to: &mut Transport,
        moved: &mut u64,
    ) -> Result<Poll<()>, Side> {
        let mut space = [const { MaybeUninit::uninit() }; PIECE_OCTETS];
        let mut buf = ReadBuf::uninit(&mut space);
        match from.read(cx, &mut buf) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(read) => read.map_err(|_| Side::From)?,
        }
        let piece = buf.filled();
        if piece.is_empty() {
            self.stage = Stage::Ending;
            return Ok(Poll::Ready(()));
        }
        let count = match to.write(cx, piece) {
            Poll::Ready(result) => written(result)?,
            Poll::Pending => 0,
        };
        *moved += count as u64;
        self.rest = piece[count..].to_vec();
        Ok(Poll::Ready(()))
    }
}

/// A writer that takes nothing is gone.
fn written(result: io::Result<usize>) -> Result<usize, Side> {
    result.ok().filter(|&count| count > 0).ok_or(Side::To)
}
