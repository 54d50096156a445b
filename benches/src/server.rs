//! A server under test: a child process on a core of its own, with its log, ended when dropped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use crate::account::Account;
use crate::kernel::{Signal, pin_to_core, signal};

/// How long a server may take to end when asked, in steps of [`STEP`].
const STEPS_MAX: u32 = 200;
const STEP: Duration = Duration::from_millis(50);

/// The two cores of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    /// For the servers under test.
    pub server: usize,
    /// For generator and origin.
    pub load: usize,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// What tables call it.
    pub name: String,
    /// Where it answers.
    pub target: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a command on a core. The calling thread is moved there for the start, because a
    /// child inherits its parent's cores, and then back to `back_core`.
    ///
    /// # Errors
    /// The command cannot be started.
    pub fn start(
        name: &str,
        target: SocketAddr,
        command: &mut Command,
        (core, back_core): (usize, usize),
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let output = File::create(&log).with_context(|| format!("cannot write `{log:?}`"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        pin_to_core(core).with_context(|| format!("cannot run on core {core}"))?;
        let child = command.spawn();
        pin_to_core(back_core).with_context(|| format!("cannot run on core {back_core}"))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = child.with_context(|| format!("cannot start `{program}`"))?;
        Ok(Self { name: name.to_owned(), target, child, log })
    }

    /// Asks `answers` again and again until it says yes.
    ///
    /// # Errors
    /// The server ended or `patience` passed; the end of its log is in the message.
    pub fn wait(
        &mut self,
        patience: Duration,
        mut answers: impl FnMut(SocketAddr) -> bool,
    ) -> anyhow::Result<()> {
        let steps = patience.as_millis() / STEP.as_millis();
        for _ in 0..steps {
            if answers(self.target) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("`{}` ended with {status}:\n{}", self.name, self.log_end());
            }
            std::thread::sleep(STEP);
        }
        anyhow::bail!("`{}` does not answer right:\n{}", self.name, self.log_end());
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it cost up to now.
    ///
    /// # Errors
    /// It is gone.
    pub fn account(&self) -> anyhow::Result<Account> {
        Account::of(self.child.id())
            .with_context(|| format!("`{}` is gone:\n{}", self.name, self.log_end()))
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// It does not end; it is killed then.
    pub fn stop(mut self) -> anyhow::Result<()> {
        signal(self.child.id(), Signal::Terminate);
        for _ in 0..STEPS_MAX {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(STEP);
        }
        anyhow::bail!("`{}` does not end when asked", self.name)
    }

    fn log_end(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.child.id(), Signal::Terminate);
            std::thread::sleep(STEP);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A loopback port that is free for UDP and TCP at this moment.
///
/// # Errors
/// There is none among a hundred tries.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    for _ in 0..100 {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no port is free for both UDP and TCP")
}
