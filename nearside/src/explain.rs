//! `nearside explain`: why a client gets what it gets, from a running process or from documents.

use anyhow::{Context as _, bail};
use hyper::{Method, StatusCode};
use model::DnsName;
use model::observe::Client;
use steering::explain::Explanation;

use crate::Outcome;
use crate::cli::ExplainArgs;
use crate::client::{self, query_value};
use crate::compiled::Compiled;
use crate::log::{to_stderr, to_stdout};

/// Prints the explanation; exit status 1 when the name is not steered.
pub(crate) async fn explain(args: ExplainArgs) -> anyhow::Result<Outcome> {
    let name = DnsName::parse(&args.name)
        .with_context(|| format!("`{}` is not a domain name", args.name))?;
    let client = match (args.ecs, args.client) {
        // A subnet of no bits hides the client: the resolver's own address counts, as on the wire.
        (Some(ecs), Some(ip)) if ecs.prefix_len() == 0 => Client { ip, source_len: None },
        (Some(ecs), _) => Client { ip: ecs.network(), source_len: Some(ecs.prefix_len()) },
        (None, Some(ip)) => Client { ip, source_len: None },
        (None, None) => bail!(
            "who is asking is missing\n  help: give --client IP, or --ecs PREFIX as a resolver would \
             send it"
        ),
    };
    let explanation = match &args.policy {
        Some(_) => {
            tokio::task::spawn_blocking({
                let name = name.clone();
                move || from_documents(&args, &name, client).map(|told| (args, told))
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

async fn from_process(args: &ExplainArgs, name: &DnsName) -> anyhow::Result<Option<Explanation>> {
    let mut path = format!("/v1/explain?name={}", query_value(&name.to_string()));
    if let Some(ip) = args.client {
        path.push_str(&format!("&client={}", query_value(&ip.to_string())));
    }
    if let Some(ecs) = args.ecs {
        path.push_str(&format!("&ecs={}", query_value(&ecs.to_string())));
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
    client: Client,
) -> anyhow::Result<Option<Explanation>> {
    let Some(path) = &args.policy else { return Ok(None) };
    let compiled = Compiled::read(path, &args.geo)?;
    let Some(service) = compiled.policy.service_for(name) else { return Ok(None) };
    let snapshot = compiled.snapshot();
    Ok(steering::explain::explain(&compiled.inputs(), &snapshot, service, client))
}
