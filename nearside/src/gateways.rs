//! The gateways of one process: one for each site whose addresses are this machine's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use l7lb::{
    AccessLog, Addressing, ExposeSite, Gateway, Inherited, Insight, Limits, Locality, TicketSecrets,
};
use model::gateway::GatewayObjects;
use model::observe::SiteReport;
use model::site::Site;
use model::{Policy, SiteName};
use tokio::sync::watch;

use crate::access_log::LogFile;
use crate::cli::GatewayListen;
use crate::external_names::ExternalNames;
use crate::front::Front;
use crate::kept_addresses::KeptAddresses;

/// How long a start waits for the first checks of endpoints, so that the first answer knows them.
const FIRST_CHECK_DEADLINE: Duration = Duration::from_millis(800);

/// What the admin listener shows of gateways and their documents.
#[derive(Debug, Default)]
pub(crate) struct Board {
    gateways: ArcSwap<Vec<Insight>>,
    put_aside: ArcSwap<Vec<PutAside>>,
    refused: ArcSwapOption<String>,
}

/// An object of the API server that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PutAside {
    /// Its kind.
    pub(crate) kind: &'static str,
    /// `namespace/name`.
    pub(crate) object: String,
    /// The generation that cannot be read.
    pub(crate) generation: i64,
    /// Why.
    pub(crate) message: String,
}

impl Board {
    /// Those that run now, by site.
    pub(crate) fn all(&self) -> Arc<Vec<Insight>> {
        self.gateways.load_full()
    }

    /// Objects that cannot be read.
    pub(crate) fn put_aside(&self) -> Arc<Vec<PutAside>> {
        self.put_aside.load_full()
    }

    /// Replaces the objects that cannot be read.
    pub(crate) fn set_aside(&self, objects: Vec<PutAside>) {
        self.put_aside.store(Arc::new(objects));
    }

    /// Why the directory's last edit was refused, when nothing was accepted since.
    pub(crate) fn refused(&self) -> Option<Arc<String>> {
        self.refused.load_full()
    }

    /// An edit of the directory was refused.
    pub(crate) fn refuse(&self, why: String) {
        self.refused.store(Some(Arc::new(why)));
    }

    /// An edit of the directory was read.
    pub(crate) fn accept(&self) {
        self.refused.store(None);
    }
}

/// Running gateways by site.
#[derive(Debug)]
pub(crate) struct Gateways {
    listen: GatewayListen,
    front: Option<Front>,
    external: Option<ExternalNames>,
    /// Sockets that were open before us, for the first gateway.
    inherited: Inherited,
    board: Arc<Board>,
    /// Where addresses of Gateways are remembered, if they are.
    state_dir: Option<PathBuf>,
    kept: BTreeMap<SiteName, KeptAddresses>,
    /// The access log, once a gateway writes one to a file.
    log: Option<LogFile>,
    running: BTreeMap<SiteName, (Vec<IpAddr>, Gateway)>,
}

impl Gateways {
    /// None yet.
    pub(crate) fn new(listen: GatewayListen) -> Self {
        Self {
            listen,
            front: None,
            external: None,
            board: Arc::default(),
            inherited: Inherited::default(),
            state_dir: None,
            kept: BTreeMap::new(),
            log: None,
            running: BTreeMap::new(),
        }
    }

    /// None yet; the first one finds these sockets open.
    pub(crate) fn taking_over(listen: GatewayListen, inherited: Inherited) -> Self {
        Self { inherited, ..Self::new(listen) }
    }

    /// The same, shown on this board.
    pub(crate) fn shown_on(self, board: Arc<Board>) -> Self {
        Self { board, ..self }
    }

    /// The same, remembering there which addresses Gateways have out of a pool.
    pub(crate) fn remembering(self, state_dir: Option<&Path>) -> Self {
        let pooled = state_dir.filter(|_| !self.listen.gateway_addresses.is_empty());
        Self { state_dir: pooled.map(Path::to_owned), ..self }
    }

    fn drain_deadline(&self) -> Duration {
        Duration::from_secs(self.listen.drain_deadline)
    }

    /// From now on routes HTTPDNS's hostname too, beside these objects.
    pub(crate) fn serve_front(&mut self, front: Front, objects: &GatewayObjects) {
        self.front = Some(front);
        self.reload(objects);
    }

    /// The same, serving external names.
    pub(crate) fn resolving(self, external: Option<ExternalNames>) -> Self {
        Self { external, ..self }
    }

    /// What documents do not say: the route to HTTPDNS, and what external names lead to.
    fn with_own<'o>(&self, objects: &'o GatewayObjects) -> Cow<'o, GatewayObjects> {
        let mut all = Cow::Borrowed(objects);
        if let Some(front) = &self.front {
            all = Cow::Owned(front.add(&all));
        }
        if let Some(external) = &self.external {
            all = Cow::Owned(external.add(&all));
        }
        all
    }

    /// Starts, reloads and stops gateways until they are those of the policy's local sites.
    pub(crate) async fn follow(
        &mut self,
        policy: &Policy,
        objects: &GatewayObjects,
    ) -> anyhow::Result<()> {
        let objects = &*self.with_own(objects);
        let mut wanted: BTreeMap<SiteName, Vec<IpAddr>> = policy
            .sites
            .iter()
            .filter(|site| site.l7 && !local_addresses(site).is_empty())
            .map(|site| (site.name.clone(), local_addresses(site)))
            .collect();
        let gone: Vec<SiteName> = self
            .running
            .iter()
            .filter(|(site, (addresses, _))| wanted.get(*site) != Some(addresses))
            .map(|(site, _)| site.clone())
            .collect();
        for site in gone {
            if let Some((_, gateway)) = self.running.remove(&site) {
                tracing::info!(%site, "stopping the gateway");
                gateway.shutdown(self.drain_deadline()).await;
            }
        }
        for (site, (_, gateway)) in &self.running {
            wanted.remove(site);
            self.load(site, gateway, objects);
        }
        for (site, addresses) in wanted {
            let gateway = self.start(&site, &addresses, objects)?;
            self.running.insert(site, (addresses, gateway));
        }
        self.show();
        Ok(())
    }

    /// Starts one gateway on given addresses.
    pub(crate) fn start_one(
        &mut self,
        site: SiteName,
        addresses: Vec<IpAddr>,
        objects: &GatewayObjects,
    ) -> anyhow::Result<()> {
        let objects = self.with_own(objects);
        let gateway = self.start(&site, &addresses, &objects)?;
        self.running.insert(site, (addresses, gateway));
        self.show();
        Ok(())
    }

    /// What the admin listener looks at.
    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Puts on the board who runs now.
    fn show(&self) {
        let all = self.running.values().map(|(_, gateway)| gateway.insight());
        self.board.gateways.store(Arc::new(all.collect()));
    }

    /// Gives every gateway new documents.
    pub(crate) fn reload(&self, objects: &GatewayObjects) {
        let objects = &*self.with_own(objects);
        for (site, (_, gateway)) in &self.running {
            self.load(site, gateway, objects);
        }
    }

    fn load(&self, site: &SiteName, gateway: &Gateway, objects: &GatewayObjects) {
        gateway.reload(objects);
        self.keep(site, gateway);
    }

    fn keep(&self, site: &SiteName, gateway: &Gateway) {
        if let Some(kept) = self.kept.get(site) {
            kept.keep(gateway.assigned());
        }
    }

    /// Opens the access log again under its name, for whoever has moved it away.
    pub(crate) fn reopen_log(&self) {
        let Some(log) = &self.log else { return };
        match log.reopen() {
            Ok(()) => {
                tracing::info!(path = %log.path().display(), "the access log is opened again");
            }
            Err(error) => {
                tracing::error!(%error, path = %log.path().display(), "the access log cannot be opened again");
            }
        }
    }

    /// What is to be said in the statuses of the objects that a site's gateway serves now; nothing
    /// when it does not run.
    pub(crate) fn statuses(&self, site: &SiteName) -> l7lb::Statuses {
        self.running.get(site).map(|(_, gateway)| gateway.statuses()).unwrap_or_default()
    }

    /// Told whenever a socket of a site's gateway was opened, or could not be.
    pub(crate) fn places_changed(&self, site: &SiteName) -> Option<watch::Receiver<()>> {
        self.running.get(site).map(|(_, gateway)| gateway.places_changed())
    }

    fn start(
        &mut self,
        site: &SiteName,
        addresses: &[IpAddr],
        objects: &GatewayObjects,
    ) -> anyhow::Result<Gateway> {
        let listen = &self.listen;
        let at = |port: u16| addresses.iter().map(|&ip| SocketAddr::new(ip, port)).collect();
        let shared = |text: &Option<String>| text.as_deref().map(Into::into);
        let secrets = listen.ticket_secret_file.as_deref().map(ticket_secrets).transpose()?;
        // Idle connections get a part of the time, so that a client's next request still meets a
        // connection that answers it with `connection: close`.
        let limits = Limits {
            drain_grace_ms: listen.drain_deadline.saturating_mul(1_000) / 4,
            ..Limits::default()
        };
        let kept = self.state_dir.as_ref().map(|state| KeptAddresses::open(state, site));
        let assigned = kept.as_ref().map(KeptAddresses::assigned).unwrap_or_default();
        let pool = &listen.gateway_addresses;
        let config = l7lb::Config {
            addressing: if pool.is_empty() {
                Addressing::Shared
            } else {
                Addressing::Pool(pool.clone())
            },
            limits,
            http: at(listen.http_port),
            https: at(listen.https_port),
            access_log: access_log(&listen.access_log, &mut self.log)?,
            expose_site: ExposeSite::Yes,
            route_series_max: listen.route_metrics,
            proxy_protocol_from: listen.proxy_protocol_from.clone(),
            ticket_secrets: secrets,
            locality: Locality { node: shared(&listen.node), zone: shared(&listen.zone) },
            inherited: std::mem::take(&mut self.inherited),
            assigned,
            ..l7lb::Config::new(site.clone())
        };
        let gateway = Gateway::start(config, objects).with_context(|| {
            format!(
                "cannot start the gateway of site `{site}`\n  help: stop what listens there, or \
                 choose other ports with --http-port and --https-port"
            )
        })?;
        self.kept.extend(kept.map(|kept| (site.clone(), kept)));
        self.keep(site, &gateway);
        Ok(gateway)
    }

    /// All open sockets once more, for a successor.
    pub(crate) fn duplicate_sockets(&self) -> Vec<OwnedFd> {
        let all = self.running.values().map(|(_, gateway)| gateway.duplicate_sockets());
        let result: std::io::Result<Vec<_>> = all.collect();
        result.map(|sockets| sockets.into_iter().flatten().collect()).unwrap_or_else(|error| {
            tracing::warn!(%error, "the successor gets no sockets");
            Vec::new()
        })
    }

    /// How many run.
    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// Waits until every endpoint was checked once, but not for long.
    pub(crate) async fn checked(&self) {
        let all = async {
            for (_, gateway) in self.running.values() {
                if !gateway.ready() {
                    gateway.checked().await;
                }
            }
        };
        let _ = tokio::time::timeout(FIRST_CHECK_DEADLINE, all).await;
    }

    /// What each site sees now.
    pub(crate) fn reports(&self) -> impl Iterator<Item = SiteReport> {
        self.running.values().map(|(_, gateway)| gateway.report())
    }

    /// Drains all at once.
    pub(crate) async fn shutdown(self) {
        let deadline = self.drain_deadline();
        let stopping: Vec<_> = self
            .running
            .into_values()
            .map(|(_, gateway)| tokio::spawn(gateway.shutdown(deadline)))
            .collect();
        for one in stopping {
            let _ = one.await;
        }
    }
}

/// The addresses of a site that this machine has.
fn local_addresses(site: &Site) -> Vec<IpAddr> {
    let is_local = |ip: &IpAddr| TcpListener::bind((*ip, 0)).is_ok();
    site.addresses.iter().map(|address| address.ip).filter(is_local).collect()
}

/// What gateways of this process share is read at each start, so that a file may be renewed.
fn ticket_secrets(path: &Path) -> anyhow::Result<TicketSecrets> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))?;
    TicketSecrets::parse(&text).with_context(|| format!("cannot use the secrets in `{shown}`"))
}

/// All gateways of the process write to one file.
fn access_log(target: &str, file: &mut Option<LogFile>) -> anyhow::Result<AccessLog> {
    Ok(match (target, &file) {
        ("off", _) => AccessLog::Off,
        ("-", _) => AccessLog::To(Box::new(std::io::stdout())),
        (_, Some(open)) => AccessLog::To(Box::new(open.clone())),
        (path, None) => {
            let open = LogFile::open(Path::new(path));
            let open = open.with_context(|| format!("cannot open `{path}`"))?;
            AccessLog::To(Box::new(file.insert(open).clone()))
        }
    })
}
