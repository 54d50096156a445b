//! Signals: when to stop and when to read the documents again.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves on SIGTERM or SIGINT; never when handlers cannot be installed.
pub(crate) async fn stop_signal() {
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// A stream of SIGHUPs.
#[derive(Debug)]
pub(crate) struct Reload {
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Reload {
    /// Installs the handler.
    pub(crate) fn install() -> Self {
        Self { hangup: signal(SignalKind::hangup()).ok() }
    }

    /// The next SIGHUP.
    pub(crate) async fn asked(&mut self) {
        match &mut self.hangup {
            Some(hangup) => {
                hangup.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}
