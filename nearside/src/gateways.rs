//! The gateways of one process: one for each site whose addresses are this machine's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use l7lb::{AccessLog, ExposeSite, Gateway};
use model::gateway::GatewayObjects;
use model::observe::SiteReport;
use model::site::Site;
use model::{Policy, SiteName};

use crate::cli::GatewayListen;
use crate::front::Front;

/// How long a stopping gateway waits for requests under way.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// How long a start waits for the first checks of endpoints, so that the first answer knows them.
const FIRST_CHECK_DEADLINE: Duration = Duration::from_millis(800);

/// Running gateways by site.
#[derive(Debug)]
pub(crate) struct Gateways {
    listen: GatewayListen,
    front: Option<Front>,
    running: BTreeMap<SiteName, (Vec<IpAddr>, Gateway)>,
}

impl Gateways {
    /// None yet.
    pub(crate) fn new(listen: GatewayListen) -> Self {
        Self { listen, front: None, running: BTreeMap::new() }
    }

    /// From now on routes HTTPDNS's hostname too, beside these objects.
    pub(crate) fn serve_front(&mut self, front: Front, objects: &GatewayObjects) {
        self.front = Some(front);
        self.reload(objects);
    }

    fn with_front<'o>(&self, objects: &'o GatewayObjects) -> Cow<'o, GatewayObjects> {
        match &self.front {
            Some(front) => Cow::Owned(front.add(objects)),
            None => Cow::Borrowed(objects),
        }
    }

    /// Starts, reloads and stops gateways until they are those of the policy's local sites.
    pub(crate) async fn follow(
        &mut self,
        policy: &Policy,
        objects: &GatewayObjects,
    ) -> anyhow::Result<()> {
        let objects = &*self.with_front(objects);
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
                gateway.shutdown(DRAIN_DEADLINE).await;
            }
        }
        for (site, (_, gateway)) in &self.running {
            wanted.remove(site);
            gateway.reload(objects);
        }
        for (site, addresses) in wanted {
            let gateway = start(&site, &addresses, &self.listen, objects)?;
            self.running.insert(site, (addresses, gateway));
        }
        Ok(())
    }

    /// Starts one gateway on given addresses.
    pub(crate) fn start_one(
        &mut self,
        site: SiteName,
        addresses: Vec<IpAddr>,
        objects: &GatewayObjects,
    ) -> anyhow::Result<()> {
        let gateway = start(&site, &addresses, &self.listen, &self.with_front(objects))?;
        self.running.insert(site, (addresses, gateway));
        Ok(())
    }

    /// Gives every gateway new documents.
    pub(crate) fn reload(&self, objects: &GatewayObjects) {
        let objects = &*self.with_front(objects);
        for (_, gateway) in self.running.values() {
            gateway.reload(objects);
        }
    }

    /// What is to be said in the statuses of the objects that are served now.
    pub(crate) fn statuses(&self) -> Vec<l7lb::StatusUpdate> {
        self.running.values().flat_map(|(_, gateway)| gateway.statuses()).collect()
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
        let stopping: Vec<_> = self
            .running
            .into_values()
            .map(|(_, gateway)| tokio::spawn(gateway.shutdown(DRAIN_DEADLINE)))
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

fn start(
    site: &SiteName,
    addresses: &[IpAddr],
    listen: &GatewayListen,
    objects: &GatewayObjects,
) -> anyhow::Result<Gateway> {
    let at = |port: u16| addresses.iter().map(|&ip| SocketAddr::new(ip, port)).collect();
    let mut config = l7lb::Config::new(site.clone());
    config.http = at(listen.http_port);
    config.https = at(listen.https_port);
    if !listen.gateway_addresses.is_empty() {
        config.addressing = l7lb::Addressing::Pool(listen.gateway_addresses.clone());
    }
    config.access_log = access_log(&listen.access_log)?;
    config.expose_site = ExposeSite::Yes;
    Gateway::start(config, objects).with_context(|| {
        format!(
            "cannot start the gateway of site `{site}`\n  help: stop what listens there, or choose \
             other ports with --http-port and --https-port"
        )
    })
}

fn access_log(target: &str) -> anyhow::Result<AccessLog> {
    Ok(match target {
        "off" => AccessLog::Off,
        "-" => AccessLog::To(Box::new(std::io::stdout())),
        path => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            AccessLog::To(Box::new(file.with_context(|| format!("cannot open `{path}`"))?))
        }
    })
}
