//! A proxy under measurement: started with so many hosts, told of a change, asked what it cost.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use benches::account::{Account, peak_rss_kib_of_all, reaped};
use benches::kernel::{Signal, signal};
use benches::server::{Server, free_address};
use clap::ValueEnum;
use kubesim::Sim;
use tempfile::TempDir;

use crate::bench::{Bench, PATIENCE, clock};
use crate::client::{Certificate, Client};
use crate::objects::{self, Backends};
use crate::peer;

/// A free port may be somebody's a moment later: a start is tried again with others.
const STARTS_MAX: usize = 3;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// With documents in a directory
    Nearside,
    /// With an API server
    NearsideApi,
    /// Debian's
    Nginx,
    /// Debian's
    Haproxy,
}

impl Kind {
    /// As figures are named.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nearside => "nearside",
            Self::NearsideApi => "nearside-api",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Whether it is ours.
    pub(crate) fn is_nearside(self) -> bool {
        matches!(self, Self::Nearside | Self::NearsideApi)
    }
}

/// What it serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) routes: usize,
    pub(crate) backends: Backends,
}

/// A running one.
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) sim: Option<Arc<Sim>>,
    /// From its start to the last host's answer.
    pub(crate) start: Duration,
    load: Load,
    origin: SocketAddr,
    server: Option<Server>,
    directory: TempDir,
}

impl Contender {
    /// Writes its configuration and starts it; the last of its hosts is answered then.
    pub(crate) fn start(bench: &Bench, kind: Kind, load: Load) -> anyhow::Result<Self> {
        for _ in 1..STARTS_MAX {
            let mut this = Self::prepare(bench, kind, load)?;
            match this.serve(bench) {
                Ok(()) => return Ok(this),
                Err(error) => eprintln!("once more: {error:#}"),
            }
        }
        let mut this = Self::prepare(bench, kind, load)?;
        this.serve(bench)?;
        Ok(this)
    }

    /// Everything but the start.
    pub(crate) fn prepare(bench: &Bench, kind: Kind, load: Load) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let (http, https) = (free_address()?, free_address()?);
        let sim = if kind == Kind::NearsideApi { Some(bench.sim()?) } else { None };
        let this = Self {
            kind,
            http,
            https,
            sim,
            start: Duration::ZERO,
            load,
            origin: bench.origin,
            server: None,
            directory,
        };
        let mut all = objects::ground(&bench.certificate);
        all.extend(objects::world(load.routes, load.backends, bench.origin));
        match (&this.sim, kind) {
            (Some(sim), _) => {
                for object in &all {
                    sim.put(object).map_err(anyhow::Error::msg)?;
                }
                std::fs::write(this.directory.path().join("kubeconfig"), sim.kubeconfig())?;
            }
            (None, Kind::Nginx | Kind::Haproxy) => {
                let Certificate { chain_pem, key_pem, .. } = &bench.certificate;
                std::fs::write(
                    this.directory.path().join("cert.pem"),
                    format!("{chain_pem}{key_pem}"),
                )?;
            }
            (None, _) => objects::write(&this.directory.path().join("documents"), &all)?,
        }
        this.write_version(0)?;
        Ok(this)
    }

    /// Starts it and waits for the last host's answer.
    pub(crate) fn serve(&mut self, bench: &Bench) -> anyhow::Result<()> {
        let started = clock();
        let server = self.spawn(bench)?;
        let server = self.server.insert(server);
        let (host, status) = match self.load.routes {
            0 => (objects::host(0), 404),
            routes => (objects::host(routes - 1), 200),
        };
        let kind = self.kind;
        server.wait(PATIENCE, |target| {
            let answer = Client::plain(target).and_then(|mut client| client.get(&host));
            // A peer without hosts has nothing to say; a connection is enough.
            match answer {
                Ok(answer) => answer.status == status || (status == 404 && !kind.is_nearside()),
                Err(_) => false,
            }
        })?;
        self.start = started.elapsed();
        Ok(())
    }

    /// Starts it.
    pub(crate) fn spawn(&self, bench: &Bench) -> anyhow::Result<Server> {
        let at = |name: &str| self.directory.path().join(name);
        let mut command = match self.kind {
            Kind::Nearside | Kind::NearsideApi => {
                let mut command = Command::new(&bench.nearside);
                command.args(["lb", "--site", "bench", "--listen", "127.0.0.1"]);
                command.args(["--http-port", &self.http.port().to_string()]);
                command.args(["--https-port", &self.https.port().to_string()]);
                command.args(["--admin", &free_address()?.to_string()]);
                if self.sim.is_some() {
                    command.arg("--kubeconfig").arg(at("kubeconfig"));
                    command.arg("--state-dir").arg(at("state"));
                } else {
                    command.arg(at("documents"));
                }
                command
            }
            Kind::Nginx => {
                let mut command = Command::new("/usr/sbin/nginx");
                command.arg("-p").arg(at("")).arg("-c").arg(at("nginx.conf"));
                command
            }
            Kind::Haproxy => {
                let mut command = Command::new("/usr/sbin/haproxy");
                command.args(["-W", "-db", "-f"]).arg(at("haproxy.cfg"));
                command
            }
        };
        ensure!(
            std::path::Path::new(command.get_program()).exists(),
            "there is no `{}`\nhelp: apt-get install nginx-light haproxy, or --without it",
            command.get_program().to_string_lossy()
        );
        let cores = (bench.cores.server, bench.cores.load);
        Server::start(self.kind.name(), self.http, &mut command, cores, at("log"))
    }

    /// Gives the first host another version and says so to the process.
    pub(crate) fn change(&self, version: u64) -> anyhow::Result<()> {
        self.write_version(version)?;
        match self.kind {
            // Both watch.
            Kind::Nearside | Kind::NearsideApi => {}
            Kind::Nginx => signal(self.server()?.id(), Signal::Hangup),
            Kind::Haproxy => signal(self.server()?.id(), Signal::User2),
        }
        Ok(())
    }

    fn write_version(&self, version: u64) -> anyhow::Result<()> {
        if self.load.routes == 0 && self.kind.is_nearside() {
            return Ok(());
        }
        let first = objects::numbered(0, self.load.backends, version);
        let directory = self.directory.path();
        match (&self.sim, self.kind) {
            (Some(sim), _) => sim.put(&first).map(drop).map_err(anyhow::Error::msg),
            (None, Kind::Nginx) => peer::write_nginx(directory, &self.hosts(version)),
            (None, Kind::Haproxy) => peer::write_haproxy(directory, &self.hosts(version)),
            (None, _) => objects::write_one(&directory.join("documents/first.yaml"), &[first]),
        }
    }

    fn hosts(&self, version: u64) -> peer::Hosts {
        peer::Hosts {
            http: self.http,
            https: self.https,
            origin: self.origin,
            routes: self.load.routes.max(1),
            backends: self.load.backends,
            version,
        }
    }

    fn server(&self) -> anyhow::Result<&Server> {
        self.server.as_ref().ok_or_else(|| anyhow::anyhow!("`{}` is not started", self.kind.name()))
    }

    /// Resident memory of all its processes, KiB.
    pub(crate) fn rss_kib(&self) -> anyhow::Result<u64> {
        Ok(self.server()?.account()?.rss_kib)
    }

    /// The most that its processes had resident, KiB.
    pub(crate) fn peak_kib(&self) -> anyhow::Result<u64> {
        peak_rss_kib_of_all(self.server()?.id())
    }

    /// CPU time of all its processes, those that have ended among them.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let id = self.server()?.id();
        Ok(Account::of(id)?.run + reaped(id)?)
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.server.take().map_or(Ok(()), Server::stop)
    }
}
