//! The three steps in which a socket and its connections come to their end.
//!
//! Each open socket has steps of its own, because documents close one while the others stay. First
//! nothing new is taken and answers say so; after the grace idle connections are closed; after the
//! deadline what is left is cut. A step is never taken back.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// Takes the steps.
#[derive(Debug)]
pub(crate) struct Drain {
    begun: watch::Sender<bool>,
    idle_cut: watch::Sender<bool>,
    cut: watch::Sender<bool>,
}

/// Sees the steps.
#[derive(Debug, Clone)]
pub(crate) struct DrainSeen {
    /// True once nothing new is taken. Pingora asks it too.
    pub(crate) begun: watch::Receiver<bool>,
    /// True once idle connections are closed.
    pub(crate) idle_cut: watch::Receiver<bool>,
    /// True once everything is cut.
    pub(crate) cut: watch::Receiver<bool>,
}

impl Drain {
    /// No step taken yet.
    pub(crate) fn new() -> Self {
        Self {
            begun: watch::Sender::new(false),
            idle_cut: watch::Sender::new(false),
            cut: watch::Sender::new(false),
        }
    }

    /// For whoever must see the steps.
    pub(crate) fn seen(&self) -> DrainSeen {
        DrainSeen {
            begun: self.begun.subscribe(),
            idle_cut: self.idle_cut.subscribe(),
            cut: self.cut.subscribe(),
        }
    }

    /// Takes nothing new.
    pub(crate) fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Closes what is idle.
    pub(crate) fn cut_idle(&self) {
        self.idle_cut.send_replace(true);
    }

    /// Cuts what is left.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// All three, for a socket that no document names any longer.
    pub(crate) async fn run(&self, grace: Duration, deadline: Duration) {
        self.begin();
        sleep(grace).await;
        self.cut_idle();
        sleep(deadline).await;
        self.cut();
    }
}
