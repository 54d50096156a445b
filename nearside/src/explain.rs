//! `nearside explain`: why a client gets what it gets, from a running process or from documents.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, bail};
use hyper::{Method, StatusCode};
use model::DnsName;
use model::observe::Client;
use steering::explain::Explanation;
use steering::whereabouts::{Claim, Whereabouts};

use crate::Outcome;
use crate::cli::ExplainArgs;
use crate::client::{self, query_value};
use crate::compiled::Compiled;
use crate::log::{to_stderr, to_stdout};

/// Who asks.
enum Asker {
    /// By address.
    At(Client),
    /// By place; the address decides shares alone.
    Somewhere(Claim, IpAddr),
}

/// Prints the explanation; exit status 1 when the name is not steered.
pub(crate) async fn explain(args: ExplainArgs) -> anyhow::Result<Outcome> {
    let name = DnsName::parse(&args.name)
        .with_context(|| format!("`{}` is not a domain name", args.name))?;
    let asker = asker(&args)?;
    let explanation = match &args.policy {
        Some(_) => {
            tokio::task::spawn_blocking({
                let name = name.clone();
                move || from_documents(&args, &name, &asker).map(|told| (args, told))
            })
            .await??
        }
        None => {
            let told = from_process(&args, &name).await?;
            (args, told)
        }
    };
    let (args, Some(explanation)) = explanation else {
        to_stderr(&format!("`{name}` is not a steered name"));
        return Ok(Outcome::No);
    };
    if args.json {
        to_stdout(&serde_json::to_string_pretty(&explanation)?);
    } else {
        to_stdout(explanation.to_string().trim_end());
    }
    Ok(Outcome::Yes)
}

fn asker(args: &ExplainArgs) -> anyhow::Result<Asker> {
    let claim = Claim::read(|key| args.place.of(key).cloned()).context("this is no place")?;
    if let Some(claim) = claim {
        let caller = args.client.or_else(|| args.ecs.map(|ecs| ecs.addr()));
        return Ok(Asker::Somewhere(claim, caller.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))));
    }
    Ok(Asker::At(match (args.ecs, args.client) {
        // A subnet of no bits hides the client: the resolver's own address counts, as on the wire.
        (Some(ecs), Some(ip)) if ecs.prefix_len() == 0 => Client { ip, source_len: None },
        (Some(ecs), _) => Client { ip: ecs.network(), source_len: Some(ecs.prefix_len()) },
        (None, Some(ip)) => Client { ip, source_len: None },
        (None, None) => bail!(
            "who is asking is missing\n  help: give --client IP, or --ecs PREFIX as a resolver would \
             send it, or a place: --lat and --lon, --cell, --area, --subdivision, --country"
        ),
    }))
}

async fn from_process(args: &ExplainArgs, name: &DnsName) -> anyhow::Result<Option<Explanation>> {
    let mut path = format!("/v1/explain?name={}", query_value(&name.to_string()));
    if let Some(ip) = args.client {
        path.push_str(&format!("&client={}", query_value(&ip.to_string())));
    }
    if let Some(ecs) = args.ecs {
        path.push_str(&format!("&ecs={}", query_value(&ecs.to_string())));
    }
    for key in Claim::KEYS {
        if let Some(text) = args.place.of(key) {
            path.push_str(&format!("&{key}={}", query_value(text)));
        }
    }
    let nothing = serde_json::Value::Null;
    let (status, answer) = client::call(args.admin.admin, Method::GET, &path, &nothing).await?;
    match status {
        StatusCode::OK => serde_json::from_value(answer)
            .context("the running process speaks another version of the explain API"),
        StatusCode::NOT_FOUND => Ok(None),
        _ => bail!("{}", client::refusal(&answer)),
    }
}

fn from_documents(
    args: &ExplainArgs,
    name: &DnsName,
    asker: &Asker,
) -> anyhow::Result<Option<Explanation>> {
    let Some(path) = &args.policy else { return Ok(None) };
    let compiled = Compiled::read(path, &args.geo)?;
    let Some(service) = compiled.policy.service_for(name) else { return Ok(None) };
    let (snapshot, inputs) = (compiled.snapshot(), compiled.inputs());
    Ok(match asker {
        Asker::At(client) => steering::explain::explain(&inputs, &snapshot, service, *client),
        Asker::Somewhere(claim, caller) => {
            let place = Whereabouts::find(&snapshot.map.atlas, claim)?;
            steering::explain::explain_at(&inputs, &snapshot, service, (&place, *caller))
        }
    })
}
