//! `nearside run DIR`: every role in one process, composed; none of them knows the others.

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use controller::Controller;
use dns::httpdns::Explain;
use dns::{CookieSecrets, Settings};
use model::document::Documents;
use model::gateway::GatewayObjects;
use steering::SnapshotCell;
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::{self, Shown};
use crate::cli::{DnsListen, DnsSpread, RunArgs};
use crate::directory::{self, Fingerprint, Watch};
use crate::front::Front;
use crate::gateways::{Board, Gateways};
use crate::httpdns::Gatewayed;
use crate::{Outcome, geo, httpdns, lifecycle, resolvers};

/// For a trial run; a real one is told its addresses.
const DNS_PORT_DEFAULT: u16 = 5300;
/// How often gateways report.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Runs until SIGTERM or SIGINT, then drains.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<Outcome> {
    // Watched before it is read: an edit during the start is not lost.
    let watch = Watch::begin(&args.directory);
    let read = directory::read_or_resume(&args.directory, args.state_dir.as_deref())?;
    let metrics = admin::install_metrics()?;
    let listener = admin::bind(args.admin.admin).await?;
    let geo_source = args.geo.clone();
    let locales = tokio::task::spawn_blocking(move || geo::load(&geo_source)).await??;

    let cell = Arc::new(SnapshotCell::default());
    let mut gateways = Gateways::new(args.gateway).remembering(args.state_dir.as_deref());
    let (policy, objects, fingerprint) = match read {
        Some((Documents { policy, gateway, .. }, fingerprint)) => {
            gateways.follow(&policy, &gateway).await?;
            (Some(policy), gateway, fingerprint)
        }
        None => (None, GatewayObjects::default(), Fingerprint::default()),
    };
    let config = controller::Config {
        state_dir: args.state_dir,
        epoch_min: args.recovery.epoch_min,
        ..controller::Config::default()
    };
    let controller =
        Controller::start(config, policy, Arc::new(locales), Arc::clone(&cell)).await?;
    let controller = Arc::new(controller);
    gateways.checked().await;
    report(&gateways, &controller);

    let dns = Arc::new(start_dns(&args.dns, cell)?);
    let told = Arc::clone(&controller);
    let explain = Explain::new(move |name, client, place| {
        let told = match place {
            Some(place) => told.explain_at(name, place, client.ip),
            None => told.explain(name, client),
        };
        told.and_then(|told| serde_json::to_value(told).ok())
    });
    let gatewayed = if args.httpdns_host.is_some() { Gatewayed::Yes } else { Gatewayed::No };
    let httpdns = httpdns::start(&args.httpdns, gatewayed, &dns, Some(explain))?.map(Arc::new);
    if let (Some(host), Some(httpdns)) = (&args.httpdns_host, &httpdns)
        && let Some(&at) = httpdns.behind_proxy_addrs().first()
    {
        gateways.serve_front(Front::new(host, at)?, &objects);
    }
    let shown = Shown {
        metrics,
        dns: Some(Arc::clone(&dns)),
        httpdns: httpdns.clone(),
        gateways: gateways.board(),
    };
    let admin = admin::serve(listener, controller::api::router(Arc::clone(&controller)), shown);
    tracing::info!(
        dns = ?dns.local_addrs(), gateways = gateways.count(), admin = %args.admin.admin,
        "serving `{}`", args.directory.display()
    );

    let mut live = Live { path: args.directory, watch, fingerprint, gateways };
    live.follow(&controller).await;

    tracing::info!("draining");
    admin.abort();
    live.gateways.shutdown().await;
    controller.shutdown().await;
    stop_dns(dns, httpdns, admin).await;
    Ok(Outcome::Yes)
}

/// Starts the DNS server on the command line's addresses, or on loopback.
pub(crate) fn start_dns(args: &DnsListen, cell: Arc<SnapshotCell>) -> anyhow::Result<dns::Server> {
    let mut listen = args.dns.clone();
    if listen.is_empty() {
        listen.push((Ipv4Addr::LOCALHOST, DNS_PORT_DEFAULT).into());
        if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            listen.push((Ipv6Addr::LOCALHOST, DNS_PORT_DEFAULT).into());
        }
    }
    let settings = Settings {
        nsid: args.nsid.clone().into_bytes(),
        cookie_secrets: args.cookie_secret_file.as_deref().map(cookie_secrets).transpose()?,
        ..Settings::default()
    };
    let spread = match args.dns_spread {
        DnsSpread::Hash => dns::Spread::Hash,
        DnsSpread::Cpu => dns::Spread::Cpu,
    };
    let workers = args.dns_workers;
    let resolvers = resolvers::choose(&args.resolver);
    let config =
        dns::Config { listen, workers, spread, settings, resolvers, ..dns::Config::default() };
    dns::Server::start(config, cell).context("cannot start DNS")
}

fn cookie_secrets(path: &Path) -> anyhow::Result<CookieSecrets> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))?;
    CookieSecrets::parse(&text).with_context(|| format!("cannot use the secrets in `{shown}`"))
}

/// Stops HTTPDNS and DNS once the admin listener has let go of them.
pub(crate) async fn stop_dns(
    dns: Arc<dns::Server>,
    httpdns: Option<Arc<dns::httpdns::Server>>,
    admin: tokio::task::JoinHandle<()>,
) {
    let _ = admin.await;
    if let Some(httpdns) = httpdns.and_then(Arc::into_inner) {
        httpdns.shutdown().await;
    }
    if let Some(dns) = Arc::into_inner(dns) {
        dns.shutdown().await;
    }
}

fn report(gateways: &Gateways, controller: &Controller) {
    for report in gateways.reports() {
        if let Err(error) = controller.report(report) {
            tracing::debug!(%error, "a report was not taken");
        }
    }
}

/// What follows the directory while the process runs.
struct Live {
    path: PathBuf,
    watch: Watch,
    fingerprint: Fingerprint,
    gateways: Gateways,
}

impl Live {
    async fn follow(&mut self, controller: &Controller) {
        let mut reload = lifecycle::Reload::install();
        let mut reports = interval(REPORT_INTERVAL);
        reports.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let stop = lifecycle::stop_signal();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = reports.tick() => report(&self.gateways, controller),
                () = self.watch.changed() => self.take_edit(controller).await,
                () = reload.asked() => {
                    self.gateways.reopen_log();
                    self.take_edit(controller).await;
                }
            }
        }
    }

    async fn take_edit(&mut self, controller: &Controller) {
        let board = self.gateways.board();
        let read = edited(&self.path, &mut self.fingerprint, &board).await;
        let Some(documents) = read else { return };
        let Documents { policy, gateway, warnings } = documents;
        directory::warn_of(&warnings);
        if let Err(refused) = controller.apply(policy.clone(), None).await {
            tracing::error!("{refused}; what was served before stays");
            // The guard may have room for it later: look at the same documents again then.
            self.fingerprint = Fingerprint::default();
            return;
        }
        if let Err(error) = self.gateways.follow(&policy, &gateway).await {
            tracing::error!("{error:#}");
        }
        tracing::info!("the documents were edited; the edit is live");
    }
}

/// The directory's documents when they changed and are in order; a refusal is logged once, and
/// shown until an edit is accepted.
pub(crate) async fn edited(
    path: &Path,
    seen: &mut Fingerprint,
    board: &Board,
) -> Option<Documents> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || directory::read(&path)).await.ok()?;
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            tracing::error!("{error:#}; what was served before stays");
            return None;
        }
    };
    if std::mem::replace(seen, read.fingerprint) == read.fingerprint {
        return None;
    }
    match read.documents {
        Ok(documents) => {
            board.accept();
            Some(documents)
        }
        Err(refused) => {
            tracing::error!("the edit is refused, nothing changed:\n{refused}");
            board.refuse(refused.to_string());
            None
        }
    }
}
