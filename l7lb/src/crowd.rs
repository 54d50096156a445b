//! The open connections of a gateway, counted so that there is a most and a drain knows its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    open: AtomicUsize,
    left: Notify,
}

impl Crowd {
    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// A seat, unless `max` are taken.
    pub(crate) fn enter(self: &Arc<Self>, max: usize) -> Option<Seat> {
        let seat = Seat { crowd: Arc::clone(self) };
        (self.open.fetch_add(1, Ordering::AcqRel) < max).then_some(seat)
    }

    /// Waits until everyone has left.
    pub(crate) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.open() == 0 {
                return;
            }
            left.await;
        }
    }
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.open.fetch_sub(1, Ordering::AcqRel);
        self.crowd.left.notify_waiters();
    }
}
