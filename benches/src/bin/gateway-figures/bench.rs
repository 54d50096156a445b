//! What all parts share: cores, sizes, an origin, and where records go.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use benches::figures::Figures;
use benches::http_origin;
use benches::record::package_version;
use benches::server::Cores;
use kubesim::Sim;
use tokio::runtime::Runtime;

use crate::Options;
use crate::client::{Certificate, certificate};
use crate::contender::Kind;

/// What takes longer has failed: haproxy needs a while for a map of 40,000 backends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Octets of an origin's body.
pub(crate) const BODY_OCTETS: usize = 64;
/// jemalloc gives pages back within about ten seconds (`dirty_decay_ms`).
const SETTLE_S: u64 = 12;

/// The bench.
pub(crate) struct Bench {
    pub(crate) cores: Cores,
    pub(crate) quick: bool,
    pub(crate) settle: Duration,
    pub(crate) origin: SocketAddr,
    pub(crate) certificate: Certificate,
    pub(crate) nearside: PathBuf,
    without: Vec<Kind>,
    runs: PathBuf,
    /// Drives the API server's stand-in.
    runtime: Runtime,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let nearside = match &options.nearside {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("nearside"),
        };
        let nearside = nearside.canonicalize().with_context(|| {
            let shown = nearside.display();
            format!("there is no `{shown}`\nhelp: cargo build --release --workspace")
        })?;
        let settle_s = options.settle.unwrap_or(if options.quick { 0 } else { SETTLE_S });
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok(Self {
            cores: Cores { server: options.server_core, load: options.load_core },
            quick: options.quick,
            settle: Duration::from_secs(settle_s),
            origin: serve(listener, &[])?,
            certificate: certificate("*.bench.test")?,
            nearside,
            without: options.without.clone(),
            runs: options.runs.clone(),
            runtime: runtime.worker_threads(1).enable_all().build()?,
        })
    }

    /// The full size, or the small one.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// These, but for those that are left out.
    pub(crate) fn contenders<const N: usize>(&self, all: [Kind; N]) -> Vec<Kind> {
        all.into_iter().filter(|kind| !self.without.contains(kind)).collect()
    }

    /// An API server's stand-in with the Gateway API.
    pub(crate) fn sim(&self) -> anyhow::Result<Arc<Sim>> {
        let options =
            kubesim::Options { window: 200_000, allow_loopback: true, ..Default::default() };
        let sim = self.runtime.block_on(Sim::start(options))?;
        sim.install_gateway_api().map_err(anyhow::Error::msg)?;
        Ok(Arc::new(sim))
    }

    /// Stops it answering.
    pub(crate) fn close(&self, sim: &Sim) {
        self.runtime.block_on(sim.close());
    }

    /// Prints and writes a record.
    pub(crate) fn finish(&self, figures: &Figures) -> anyhow::Result<()> {
        println!("{}", figures.markdown());
        eprintln!("record: {}", figures.write(&self.runs)?.display());
        Ok(())
    }
}

/// A record that begins now.
pub(crate) fn record(what: &str, method: &str) -> Figures {
    let mut figures = Figures::new(what, method);
    for package in ["nginx-light", "haproxy"] {
        if let Some(version) = package_version(package) {
            figures.versions.insert(package.to_owned(), version);
        }
    }
    figures
}

/// An origin on a thread of its own, for as long as the process lives; its answers carry these
/// header lines.
pub(crate) fn serve(listener: TcpListener, headers: &[String]) -> anyhow::Result<SocketAddr> {
    let address = listener.local_addr()?;
    let mut head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_OCTETS}\r\n");
    for line in headers {
        head.push_str(line);
        head.push_str("\r\n");
    }
    let mut response = (head + "\r\n").into_bytes();
    response.resize(response.len() + BODY_OCTETS, b'x');
    std::thread::spawn(move || http_origin::serve(&listener, &response));
    Ok(address)
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// Milliseconds with their fraction.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
