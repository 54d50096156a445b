//! Work that takes a core for a while and that no client waits for, on a thread that yields.
//!
//! In one process with DNS and gateways, on one or two cores, a compilation would otherwise take
//! turns of milliseconds with the threads that answer. A thread of its own, because a niceness stays:
//! an unprivileged process cannot give a pooled thread its old one back.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::oneshot;

/// How much nicer such a thread is: an eighth of a core that others keep busy (sched(7)). A quarter was
/// more than a DNS worker at 80 % could spare.
const NICE: i32 = 9;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackgroundError {
    /// There is no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The work did not return.
    #[error("the thread panicked")]
    Panicked,
}

/// Does work on a thread of this name.
///
/// # Errors
/// When there is no thread for it, or it panicked.
pub(crate) async fn run<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BackgroundError> {
    let (result, waits) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned());
    let spawned = thread.spawn(move || {
        if getpriority_process(None).is_ok_and(|nice| nice < NICE) {
            // What the system refuses costs smoothness, not correctness.
            let _refused = setpriority_process(None, NICE);
        }
        // Nobody waits any more when the process ends.
        let _nobody = result.send(work());
    });
    spawned.map_err(BackgroundError::Thread)?;
    waits.await.map_err(|_| BackgroundError::Panicked)
}

#[cfg(test)]
mod tests;
