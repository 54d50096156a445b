//! `nearside check`: documents in, every finding out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use l7lb::Addressing;
use model::SiteName;
use model::document::Documents;
use model::name::NameError;

use crate::cli::CheckArgs;
use crate::log::{to_stderr, to_stdout};
use crate::{Outcome, audit, directory};

/// Prints what the documents hold, or every error with its place and exit status 1.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Outcome> {
    let documents = match directory::read(&args.path)?.documents {
        Ok(documents) => documents,
        Err(refused) => {
            to_stderr(&refused.to_string());
            return Ok(Outcome::No);
        }
    };
    for warning in &documents.warnings {
        to_stderr(&warning.to_string());
    }
    if let Some(name) = &args.audit {
        return audit::audit(documents.policy, name, &args.of_audit, &args.geo);
    }
    let policy = &documents.policy;
    let gateway = &documents.gateway;
    let routes = gateway.ingresses.len()
        + gateway.http_routes.len()
        + gateway.grpc_routes.len()
        + gateway.tls_routes.len()
        + gateway.tcp_routes.len()
        + gateway.udp_routes.len();
    to_stdout(&format!(
        "ok: {}, {}, {}; {}, {}, {}",
        count(policy.zones.len(), "zone"),
        count(policy.sites.len(), "site"),
        count(policy.services.len(), "service"),
        count(routes, "route object"),
        count(gateway.endpoint_slices.len(), "endpoint slice"),
        count(documents.warnings.len(), "warning"),
    ));
    for line in statuses(args, &documents)? {
        to_stdout(&line);
    }
    Ok(Outcome::Yes)
}

/// What the statuses of the gateways' documents would say that is not as it should be, at each Site
/// (where there is none, at one of the address that a gateway is tried out on).
fn statuses(args: &CheckArgs, documents: &Documents) -> Result<Vec<String>, NameError> {
    let mut sites: Vec<(SiteName, Vec<IpAddr>)> = Vec::new();
    for site in documents.policy.sites.iter().filter(|site| site.l7) {
        sites.push((site.name.clone(), site.addresses.iter().map(|one| one.ip).collect()));
    }
    if sites.is_empty() {
        sites.push((SiteName::new("site")?, vec![Ipv4Addr::LOCALHOST.into()]));
    }
    let mut lines: Vec<String> = Vec::new();
    for (site, addresses) in sites {
        let at = |port: u16| addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let pool = &args.gateway_addresses;
        let addressing =
            if pool.is_empty() { Addressing::Shared } else { Addressing::Pool(pool.clone()) };
        let config = l7lb::Config {
            http: at(args.http_port),
            https: at(args.https_port),
            addressing,
            ..l7lb::Config::new(site)
        };
        for l7lb::Warning { origin, text } in l7lb::forecast(&config, &documents.gateway) {
            let line = format!("status: {origin}: {text}");
            // Objects that are bound to no Site are the same at each.
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
