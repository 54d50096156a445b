//! `nearside explain-route`: what a gateway would do with a request, from a running process or from
//! documents.

use std::path::Path;

use anyhow::{Context as _, bail};
use hyper::{Method, StatusCode};
use l7lb::{Question, RouteExplanation};
use model::SiteName;

use crate::Outcome;
use crate::cli::ExplainRouteArgs;
use crate::client::{self, query_value};
use crate::directory;
use crate::log::to_stdout;

/// Prints the explanation; exit status 1 when nobody serves the request.
pub(crate) async fn explain_route(args: ExplainRouteArgs) -> anyhow::Result<Outcome> {
    let question = Question::parse(&args.request, &args.headers, args.client)?;
    let explanation = match &args.documents {
        Some(path) => from_documents(path, args.site.as_deref(), &question)?,
        None => from_process(&args).await?,
    };
    if args.json {
        to_stdout(&serde_json::to_string_pretty(&explanation)?);
    } else {
        to_stdout(explanation.to_string().trim_end());
    }
    Ok(if explanation.is_served() { Outcome::Yes } else { Outcome::No })
}

async fn from_process(args: &ExplainRouteArgs) -> anyhow::Result<RouteExplanation> {
    let mut path = format!("/v1/routes/explain?request={}", query_value(&args.request));
    for header in &args.headers {
        path.push_str(&format!("&header={}", query_value(header)));
    }
    if let Some(client) = args.client {
        path.push_str(&format!("&client={client}"));
    }
    if let Some(site) = &args.site {
        path.push_str(&format!("&site={}", query_value(site)));
    }
    let nothing = serde_json::Value::Null;
    let (status, answer) = client::call(args.admin.admin, Method::GET, &path, &nothing).await?;
    if status != StatusCode::OK {
        bail!("{}", client::refusal(&answer));
    }
    serde_json::from_value(answer)
        .context("the running process speaks another version of the routes API")
}

fn from_documents(
    path: &Path,
    site: Option<&str>,
    question: &Question,
) -> anyhow::Result<RouteExplanation> {
    let (documents, _) = directory::read_first(path)?;
    let sites: Vec<&SiteName> =
        documents.policy.sites.iter().filter(|site| site.l7).map(|site| &site.name).collect();
    let site = match (site, sites.as_slice()) {
        (Some(name), _) => {
            SiteName::new(name).with_context(|| format!("`{name}` cannot be a site's name"))?
        }
        (None, [only]) => (*only).clone(),
        (None, _) => bail!(
            "whose gateway is asked is missing\n  help: name it with --site; the sites there are {}",
            listed(&sites)
        ),
    };
    Ok(l7lb::explain_documents(&site, &documents.gateway, question))
}

fn listed(sites: &[&SiteName]) -> String {
    let names: Vec<&str> = sites.iter().map(|site| site.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
