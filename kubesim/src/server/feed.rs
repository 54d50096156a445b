//! The body of a watch: lines as they come, with the faults that a test ordered.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Shared, lock};
use crate::fault::InitialEvents;
use crate::refusal::Refusal;
use crate::watch::{Start, Watch};

/// Lines on their way to one watch.
const LINES_MAX: usize = 64;

/// How long a watch that is to be cut may still drain.
const CUT_AFTER: Duration = Duration::from_millis(20);

/// Starts to feed a watch.
pub(super) fn begin(watch: Watch, start: Start, shared: Arc<Shared>) -> Lines {
    let (lines, receiver) = mpsc::channel(LINES_MAX);
    tokio::spawn(async move {
        let mut feed = Feed { watch, shared, lines, told: 0 };
        // The client went away or the watch was cut: either way it is over.
        let _ = feed.run(start).await;
    });
    Lines(receiver)
}

/// One watch being fed.
struct Feed {
    watch: Watch,
    shared: Arc<Shared>,
    lines: mpsc::Sender<io::Result<Bytes>>,
    told: u32,
}

/// The watch is over.
struct Over;

impl Feed {
    async fn run(&mut self, start: Start) -> Result<(), Over> {
        let (mut version, mut faults) =
            (self.shared.version.subscribe(), self.shared.faults.subscribe());
        if start == Start::Streamed && faults.borrow().initial_events == InitialEvents::Fail {
            let refusal =
                Refusal::new(500, "InternalError", "etcdserver: requests are not supported");
            return self.error(&refusal).await;
        }
        let deadline = Instant::now() + Duration::from_secs(self.watch.timeout_s);
        let (first, mut at) = self.watch.begin(&lock(&self.shared.store), start);
        self.tell(first).await?;
        let mut bookmarks = tokio::time::interval(self.shared.bookmark_every);
        bookmarks.tick().await;
        loop {
            let next = self.watch.next(&lock(&self.shared.store), at);
            match next {
                Ok((lines, next)) => {
                    at = next;
                    self.tell(lines).await?;
                }
                Err(refusal) => return self.error(&refusal).await,
            }
            let _ = faults.wait_for(|faults| !faults.silent).await;
            tokio::select! {
                seen = version.changed() => seen.map_err(|_| Over)?,
                _ = faults.changed() => {}
                () = self.lines.closed() => return Err(Over),
                () = tokio::time::sleep_until(deadline) => {
                    // A real server sends one shortly before the end.
                    let bookmark = self.bookmark(at);
                    return self.tell(bookmark).await;
                }
                _ = bookmarks.tick() => self.tell(self.bookmark(at)).await?,
            }
        }
    }

    /// A bookmark of what has happened; there is none for a version of the future.
    fn bookmark(&self, at: u64) -> Vec<Value> {
        let current = lock(&self.shared.store).version();
        let wanted = self.watch.bookmarks && at <= current;
        if wanted { vec![self.watch.bookmark(at)] } else { Vec::new() }
    }

    async fn error(&self, refusal: &Refusal) -> Result<(), Over> {
        let line = serde_json::json!({"type": "ERROR", "object": refusal.status()});
        self.send(Ok(format!("{line}\n").into())).await
    }

    async fn tell(&mut self, lines: Vec<Value>) -> Result<(), Over> {
        for line in lines {
            let faults = self.shared.faults.borrow().clone();
            let mut text = format!("{line}\n");
            if faults.cut_watch_after.is_some_and(|most| self.told >= most) {
                text.truncate(text.len() / 2);
                self.send(Ok(text.into())).await?;
                // What was written before the end is to arrive.
                tokio::time::sleep(CUT_AFTER).await;
                self.send(Err(io::Error::other("cut by order of the test"))).await?;
                return Err(Over);
            }
            self.told += 1;
            self.send(Ok(text.into())).await?;
        }
        Ok(())
    }

    async fn send(&self, line: io::Result<Bytes>) -> Result<(), Over> {
        self.lines.send(line).await.map_err(|_| Over)
    }
}

/// A body of lines as they come.
#[derive(Debug)]
pub(super) struct Lines(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| line.map(Frame::data)))
    }
}
