//! `nearside check`: documents in, every finding out.

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
    to_stdout(&format!(
        "ok: {}, {}, {}; {}, {}, {}",
        count(policy.zones.len(), "zone"),
        count(policy.sites.len(), "site"),
        count(policy.services.len(), "service"),
        count(gateway.ingresses.len() + gateway.http_routes.len(), "route object"),
        count(gateway.endpoint_slices.len(), "endpoint slice"),
        count(documents.warnings.len(), "warning"),
    ));
    Ok(Outcome::Yes)
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
