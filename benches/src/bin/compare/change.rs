//! What a running Nearside is changed by: an edit of its documents, and orders through its API.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use benches::{snapshot, world};
use steering::Snapshot;

/// The site that is drained and given back.
pub(crate) const DRAINED: &str = "tokyo";

/// Documents before and after the edit.
pub(crate) fn texts() -> [String; 2] {
    let mut places = world::PLACES;
    for place in &mut places {
        // London moves to Madrid: a tenth of the world changes sides.
        if place.name == "london" {
            (place.lat, place.lon) = (40.42, -3.70);
        }
    }
    [world::dns_documents(), world::dns_documents_of(&places, 31)]
}

/// What the server may serve at one time or another.
pub(crate) fn states(table: &geo_data::LocaleTable) -> anyhow::Result<Vec<Snapshot>> {
    let mut states = Vec::new();
    for text in texts() {
        let up = snapshot::of_documents(&text, table)?;
        let mut health = (*up.health).clone();
        let site = up.policy.site_id(DRAINED).context("the drained site is not in the world")?;
        health.drained[usize::from(site.0)] = true;
        states.push(Snapshot { health: Arc::new(health), ..up.clone() });
        states.push(up);
    }
    Ok(states)
}

/// Replaces a document whole, as a careful editor does.
pub(crate) fn edit(document: &Path, text: &str) -> anyhow::Result<()> {
    let beside = document.with_extension("next");
    std::fs::write(&beside, text)?;
    Ok(std::fs::rename(&beside, document)?)
}

/// Drains that site, or gives it back (`drain`, `undrain`).
pub(crate) fn order(admin: SocketAddr, verb: &str) -> anyhow::Result<()> {
    let body = r#"{"by": "bench", "reason": "a change under load"}"#;
    http(admin, "POST", &format!("/v1/sites/{DRAINED}/{verb}"), body).map(drop)
}

/// How many views the server has swapped in.
pub(crate) fn views(admin: SocketAddr) -> anyhow::Result<u64> {
    metric(admin, "nearside_dns_views_total")
}

/// The generation of the map that a node has taken.
pub(crate) fn map_generation(admin: SocketAddr) -> anyhow::Result<u64> {
    metric(admin, "nearside_generation{channel=\"map\"}")
}

/// A metric that counts.
fn metric(admin: SocketAddr, name: &str) -> anyhow::Result<u64> {
    let text = http(admin, "GET", "/metrics", "")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let count = line.and_then(|count| count.trim().parse().ok());
    count.with_context(|| format!("the server's metrics do not tell `{name}`"))
}

/// One request to the admin API; its answer with the head.
pub(crate) fn http(
    admin: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        admin,
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "`{method} {path}`: {answer}");
    Ok(answer)
}
