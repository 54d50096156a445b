//! HTTPDNS as the command line asks for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use dns::httpdns::{Config, Explain, Redirect, Rules, Scheme, Secret, Server};

use crate::cli::HttpDnsListen;

/// Whether gateways serve HTTPDNS as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gatewayed {
    /// A listener of its own, on loopback, is for them.
    Yes,
    /// It is reached at its own addresses alone.
    No,
}

/// Starts HTTPDNS where an address is given for it, or gateways serve it. `explain` tells sites and their health to whoever
/// asks, so it is offered on loopback alone.
pub(crate) fn start(
    args: &HttpDnsListen,
    gatewayed: Gatewayed,
    dns: &Arc<dns::Server>,
    explain: Option<Explain>,
) -> anyhow::Result<Option<Server>> {
    let behind_proxy = match gatewayed {
        Gatewayed::Yes => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        Gatewayed::No => Vec::new(),
    };
    if args.httpdns.is_empty() && behind_proxy.is_empty() {
        return Ok(None);
    }
    let is_local = args.httpdns.iter().all(|address| address.ip().is_loopback());
    let rules = Rules {
        redirect: Redirect { scheme: Scheme::Http, port: args.httpdns_redirect_port },
        explain: explain.filter(|_| is_local),
        secret: args.httpdns_secret_file.as_deref().map(secret).transpose()?,
    };
    let config = Config { listen: args.httpdns.clone(), behind_proxy, rules, ..Config::default() };
    let server = Server::start(config, Arc::clone(dns)).context("cannot start HTTPDNS")?;
    let (httpdns, gateways) = (server.local_addrs(), server.behind_proxy_addrs());
    tracing::info!(?httpdns, ?gateways, "serving HTTPDNS");
    Ok(Some(server))
}

fn secret(path: &Path) -> anyhow::Result<Secret> {
    let shown = path.display();
    let octets = std::fs::read(path).with_context(|| format!("cannot read `{shown}`"))?;
    Secret::new(&octets).with_context(|| {
        format!("the secret in `{shown}` is too short or too long\n  help: `openssl rand -hex 32` makes one")
    })
}
