//! `nearside drain` and `undrain`: orders to a running process.

use anyhow::bail;
use hyper::{Method, StatusCode};
use serde_json::json;

use crate::Outcome;
use crate::cli::DrainArgs;
use crate::client::{self, query_value};
use crate::log::to_stdout;

/// Stops new traffic to a site.
pub(crate) async fn drain(args: DrainArgs) -> anyhow::Result<Outcome> {
    order(&args, "drain").await
}

/// Takes the drain back.
pub(crate) async fn undrain(args: DrainArgs) -> anyhow::Result<Outcome> {
    order(&args, "undrain").await
}

async fn order(args: &DrainArgs, verb: &str) -> anyhow::Result<Outcome> {
    let by = std::env::var("USER").ok().filter(|user| !user.is_empty());
    let by = by.unwrap_or_else(|| "operator".to_owned());
    let reason = if args.reason.is_empty() { "not given" } else { &args.reason };
    let path = format!("/v1/sites/{}/{verb}", query_value(&args.site));
    let body = json!({ "by": by, "reason": reason });
    let (status, answer) = client::call(args.admin.admin, Method::POST, &path, &body).await?;
    if status != StatusCode::OK {
        bail!("{}", client::refusal(&answer));
    }
    let drained = answer.get("drained").and_then(serde_json::Value::as_bool) == Some(true);
    let changed = answer.get("changed").and_then(serde_json::Value::as_bool) == Some(true);
    let state = if drained { "drained" } else { "in service" };
    let already = if changed { "" } else { " (as before)" };
    to_stdout(&format!("{} is {state}{already}", args.site));
    if verb == "undrain" && drained {
        to_stdout("its document says `drain: true`: edit that to bring it back");
        return Ok(Outcome::No);
    }
    Ok(Outcome::Yes)
}
