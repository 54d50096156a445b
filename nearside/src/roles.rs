//! The roles apart: DNS, gateway and controller as processes of their own, joined by the courier.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use controller::courier::http::Plaintext;
use controller::courier::{Token, server};
use controller::{Controller, Courier as _, HttpCourier, Hub};
use model::{Policy, SiteName};
use steering::SnapshotCell;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::admin::{self, Readiness, Shown};
use crate::cli::{ControllerArgs, CourierTarget, DnsArgs, ExternalNameArgs, LbArgs};
use crate::directory::{self, Fingerprint, Watch};
use crate::external_names::{Asking, ExternalNames, Found};
use crate::gateways::{Board, Gateways};
use crate::handover::{self, Handover, Successor, Turn};
use crate::httpdns::Gatewayed;
use crate::run::{edited, start_dns, stop_dns};
use crate::sources::{Source, Sources};
use crate::{Outcome, geo, httpdns, lifecycle, resolvers};

/// How often a gateway reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// `nearside dns`: serves from disk at once, follows the controller when there is one.
pub(crate) async fn dns(args: DnsArgs) -> anyhow::Result<Outcome> {
    let metrics = admin::install_metrics()?;
    let listener = admin::bind(args.admin.admin).await?;
    let cell = Arc::new(SnapshotCell::default());
    let hub = Hub::open(Some(&args.state_dir.join("snapshot")), Arc::clone(&cell))?;
    let has_snapshot = hub.served().is_some();
    let courier = courier(&args.courier)?;
    if !has_snapshot && courier.is_none() {
        bail!(
            "nothing to serve: no snapshot in `{}` and no controller\n  help: name a controller with \
             --controller ADDR once; after that the last good snapshot is enough",
            args.state_dir.display()
        );
    }
    let mut taken = hub.taken();
    let follow = match courier {
        Some(courier) => tokio::spawn(hub.follow(courier, lifecycle::stop_signal())),
        None => tokio::spawn(lifecycle::stop_signal()),
    };
    if !has_snapshot {
        tracing::info!("no snapshot on disk: waiting for the controller");
        tokio::select! {
            seen = taken.changed() => seen.context("the hub stopped")?,
            () = lifecycle::stop_signal() => return Ok(Outcome::Yes),
        }
    }
    let dns = Arc::new(start_dns(&args.dns, cell)?);
    let httpdns = httpdns::start(&args.httpdns, Gatewayed::No, &dns, None)?.map(Arc::new);
    let shown = Shown {
        metrics,
        dns: Some(Arc::clone(&dns)),
        httpdns: httpdns.clone(),
        gateways: Arc::default(),
    };
    let admin = admin::serve(listener, admin::plain(), shown);
    tracing::info!(dns = ?dns.local_addrs(), "serving");
    lifecycle::stop_signal().await;
    admin.abort();
    let _ = follow.await;
    stop_dns(dns, httpdns, admin).await;
    Ok(Outcome::Yes)
}

/// `nearside lb`: one site's gateway.
pub(crate) async fn lb(args: LbArgs) -> anyhow::Result<Outcome> {
    let passed = handover::passed();
    let site = SiteName::new(&args.site)
        .with_context(|| format!("`{}` cannot be a site's name", args.site))?;
    let mut sources = Sources::open(&args).await?;
    let addresses = addresses(&args, sources.policy())?;
    let metrics = admin::install_metrics()?;
    let courier = courier(&args.courier)?;
    let (readiness, seen) = watch::channel(Readiness::Waiting("this has just begun".to_owned()));
    let board = Arc::<Board>::default();
    let shown = Shown { metrics, dns: None, httpdns: None, gateways: Arc::clone(&board) };
    let mut admin = AdminPort::open(&args, seen, shown).await?;
    let mut stop = Box::pin(lifecycle::stop_signal());
    tokio::select! {
        () = until_complete(&mut sources, &readiness, &board) => {}
        () = &mut stop => return Ok(Outcome::Yes),
    }
    let (before, inherited) = handover::inherit(args.handover.as_deref(), passed).await?;
    let (external, mut resolved) = external_names(&args.external);
    let mut gateways = Gateways::taking_over(args.gateway, inherited)
        .shown_on(board)
        .resolving(external)
        .remembering(args.state_dir.as_deref());
    gateways.start_one(site.clone(), addresses.clone(), &sources.objects())?;
    let mut places = gateways.places_changed(&site);
    say_statuses(&site, &gateways, &mut sources);
    if !sources.has_cluster() {
        // A directory says nothing about who is alive; an API server does.
        gateways.checked().await;
    }
    if let Some(before) = before {
        before.replace().await;
    }
    let mut handover = args.handover.as_deref().map(Handover::listen).transpose()?;
    admin.ensure().await?;
    readiness.send_replace(Readiness::Ready);
    tracing::info!(%site, ?addresses, "serving");

    let mut reload = lifecycle::Reload::install();
    let mut reports = report_ticks();
    let successor = loop {
        let changed = tokio::select! {
            () = &mut stop => break None,
            _ = reports.tick() => {
                post(&gateways, courier.as_ref()).await;
                continue;
            }
            () = news(&mut places) => Source::Sockets,
            turn = handover::turn(&mut handover) => match turn {
                Turn::Ask(sender) => {
                    // Whoever asked may be gone again.
                    let _ = sender.send(gateways.duplicate_sockets());
                    continue;
                }
                Turn::Taken(successor) => break Some(successor),
            },
            changed = sources.changed() => changed,
            () = news(&mut resolved) => Source::Names,
            () = reload.asked() => hung_up(&gateways),
        };
        follow(changed, &site, &mut sources, &gateways).await;
    };
    readiness.send_replace(Readiness::Waiting("this is stopping".to_owned()));
    if let Some(handover) = handover {
        handover.close(successor.is_some());
    }
    release(successor, &mut admin).await;
    gateways.shutdown().await;
    admin.close().await;
    sources.shutdown().await;
    Ok(Outcome::Yes)
}

/// Lets the process that comes after this one have the admin port, and serve.
async fn release(successor: Option<Successor>, admin: &mut AdminPort) {
    if let Some(successor) = successor {
        admin.close().await;
        successor.release().await;
    }
}

/// Tells what external names lead to.
type Resolved = watch::Receiver<Arc<Found>>;

/// Begins to resolve external names, if they are to be served.
fn external_names(args: &ExternalNameArgs) -> (Option<ExternalNames>, Option<Resolved>) {
    if !args.external_names {
        return (None, None);
    }
    let external = ExternalNames::start(Asking {
        servers: resolvers::choose(&args.external_name_resolver),
        permitted: args.external_name_permit.clone(),
    });
    let changes = external.changes();
    (Some(external), Some(changes))
}

/// When somebody has something else to tell than before; never, when nobody has.
async fn news<T>(changes: &mut Option<watch::Receiver<T>>) {
    let is_news = match changes {
        Some(changes) => changes.changed().await.is_ok(),
        None => false,
    };
    if !is_news {
        std::future::pending::<()>().await;
    }
}

/// SIGHUP: the access log may have been moved, and the documents are to be read again.
fn hung_up(gateways: &Gateways) -> Source {
    gateways.reopen_log();
    Source::Directory
}

/// Hands what the gateway decided to whoever writes statuses.
fn say_statuses(site: &SiteName, gateways: &Gateways, sources: &mut Sources) {
    if sources.has_cluster() {
        sources.want_statuses(gateways.statuses(site));
        gateways.board().set_aside(sources.put_aside());
    }
}

/// Serves what has changed.
async fn follow(changed: Source, site: &SiteName, sources: &mut Sources, gateways: &Gateways) {
    if changed == Source::Directory {
        if !sources.read_again(&gateways.board()).await {
            return;
        }
        tracing::info!("the documents were edited; the edit is live");
    }
    if changed != Source::Sockets {
        gateways.reload(&sources.objects());
    }
    // Served first, told then.
    say_statuses(site, gateways, sources);
}

fn report_ticks() -> Interval {
    let mut ticks = interval(REPORT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// The admin port of a gateway, which may be an older process's for a while.
struct AdminPort {
    address: SocketAddr,
    /// Until they are served.
    parts: Option<(axum::Router, Shown)>,
    task: Option<JoinHandle<()>>,
}

impl AdminPort {
    /// Serves at once, or from [`AdminPort::ensure`] on when another process is to be replaced.
    async fn open(
        args: &LbArgs,
        readiness: watch::Receiver<Readiness>,
        shown: Shown,
    ) -> anyhow::Result<Self> {
        let api = admin::readyz(admin::plain(), readiness);
        let mut this = Self { address: args.admin.admin, parts: Some((api, shown)), task: None };
        match this.ensure().await {
            Err(error) if args.handover.is_none() => Err(error),
            _ => Ok(this),
        }
    }

    /// Serves from now on.
    async fn ensure(&mut self) -> anyhow::Result<()> {
        if self.parts.is_none() {
            return Ok(());
        }
        let listener = admin::bind(self.address).await?;
        self.task = self.parts.take().map(|(api, shown)| admin::serve(listener, api, shown));
        Ok(())
    }

    /// Lets go of the port.
    async fn close(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

/// Waits until everything is known: a gateway that answers 404 because it has not read its routes
/// yet is worse than one that does not answer.
async fn until_complete(
    sources: &mut Sources,
    readiness: &watch::Sender<Readiness>,
    board: &Board,
) {
    while let Some(missing) = sources.missing() {
        tracing::debug!("waiting: {missing}");
        readiness.send_replace(Readiness::Waiting(missing));
        if sources.changed().await == Source::Directory {
            sources.read_again(board).await;
        }
    }
}

async fn post(gateways: &Gateways, courier: Option<&HttpCourier>) {
    let Some(courier) = courier else { return };
    for report in gateways.reports() {
        if let Err(error) = courier.report(report).await {
            tracing::debug!(%error, "a report was not taken; the next one says it all");
        }
    }
}

/// Where the gateway listens: as told, or at the site's own addresses.
fn addresses(args: &LbArgs, policy: &Policy) -> anyhow::Result<Vec<IpAddr>> {
    if !args.listen.is_empty() {
        return Ok(args.listen.clone());
    }
    let Some(site) = policy.sites.iter().find(|site| site.name.as_str() == args.site) else {
        let known: Vec<&str> = policy.sites.iter().map(|site| site.name.as_str()).collect();
        bail!(
            "there is no Site `{}` in the documents\n  help: {}",
            args.site,
            if known.is_empty() {
                "name the addresses to listen on with --listen".to_owned()
            } else {
                format!("the sites there are {}; or name addresses with --listen", known.join(", "))
            }
        );
    };
    if site.addresses.is_empty() {
        bail!(
            "the Site `{}` has no addresses: its name alone is answered\n  help: name addresses with \
             --listen",
            args.site
        );
    }
    Ok(site.addresses.iter().map(|address| address.ip).collect())
}

/// `nearside controller`: documents in, snapshots out.
pub(crate) async fn controller(args: ControllerArgs) -> anyhow::Result<Outcome> {
    let watch = Watch::begin(&args.directory);
    let read = directory::read_or_resume(&args.directory, Some(&args.state_dir))?;
    let (policy, mut fingerprint) = match read {
        Some((documents, fingerprint)) => (Some(documents.policy), fingerprint),
        None => (None, Fingerprint::default()),
    };
    let board = Arc::<Board>::default();
    let metrics = admin::install_metrics()?;
    let listener = admin::bind(args.admin.admin).await?;
    if !args.courier.ip().is_loopback() {
        bail!(
            "the courier address `{}` is not on loopback, and this courier does not encrypt\n  help: \
             listen on loopback and tunnel",
            args.courier
        );
    }
    let courier = TcpListener::bind(args.courier).await.with_context(|| {
        format!(
            "cannot listen on the courier address `{}`\n  help: choose another with --courier",
            args.courier
        )
    })?;
    let token = args.token_file.as_deref().map(Token::read).transpose()?;
    let geo_source = args.geo.clone();
    let locales = tokio::task::spawn_blocking(move || geo::load(&geo_source)).await??;
    let config = controller::Config {
        state_dir: Some(args.state_dir),
        epoch_min: args.recovery.epoch_min,
        ..controller::Config::default()
    };
    let cell = Arc::new(SnapshotCell::default());
    let controller = Controller::start(config, policy, Arc::new(locales), cell);
    let controller = Arc::new(controller.await?);
    let api = controller::api::router(Arc::clone(&controller));
    let admin = admin::serve(
        listener,
        api,
        Shown { metrics, dns: None, httpdns: None, gateways: Arc::clone(&board) },
    );
    let nodes = server::router(controller.courier(), token);
    let nodes = tokio::spawn(async move { axum::serve(courier, nodes).await });
    tracing::info!(courier = %args.courier, admin = %args.admin.admin, "serving");

    let mut reload = lifecycle::Reload::install();
    let stop = lifecycle::stop_signal();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = watch.changed() => {}
            () = reload.asked() => {}
        }
        let Some(documents) = edited(&args.directory, &mut fingerprint, &board).await else {
            continue;
        };
        directory::warn_of(&documents.warnings);
        match controller.apply(documents.policy, None).await {
            Ok(_) => tracing::info!("the documents were edited; the edit is live"),
            Err(refused) => {
                tracing::error!("{refused}; what was served before stays");
                fingerprint = Fingerprint::default();
            }
        }
    }
    nodes.abort();
    admin.abort();
    controller.shutdown().await;
    Ok(Outcome::Yes)
}

fn courier(target: &CourierTarget) -> anyhow::Result<Option<HttpCourier>> {
    let token = target.token_file.as_deref().map(Token::read).transpose()?;
    let Some(controller) = target.controller else { return Ok(None) };
    Ok(Some(HttpCourier::new(controller, token, Plaintext::LoopbackOnly)?))
}
