//! The world of the comparisons: the same sites, names and clients for every server, written in
//! each server's own configuration.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use geo_data::LocaleTable;

use crate::query::Subnet;
use crate::random::Random;

/// The zone all names are in.
pub const ZONE: &str = "bench.example";
/// Names h0 to h999; as many as the published comparisons use.
pub const NAMES: usize = 1000;
/// Services that share the names: a tenth of them each.
const SERVICES: usize = 10;
/// Client subnets drawn; far more than any cache line of a map would hold.
const CLIENTS: usize = 200_000;

/// A site: name, country, latitude and longitude in degrees.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Name of the site or datacentre.
    pub name: &'static str,
    /// Its country.
    pub country: &'static str,
    /// Latitude, degrees.
    pub lat: f64,
    /// Longitude, degrees.
    pub lon: f64,
}

const fn place(name: &'static str, country: &'static str, lat: f64, lon: f64) -> Place {
    Place { name, country, lat, lon }
}

/// Twelve cities in which content networks commonly stand.
pub const PLACES: [Place; 12] = [
    place("ashburn", "US", 39.04, -77.49),
    place("beijing", "CN", 39.90, 116.41),
    place("frankfurt", "DE", 50.11, 8.68),
    place("guangzhou", "CN", 23.13, 113.26),
    place("johannesburg", "ZA", -26.20, 28.05),
    place("london", "GB", 51.51, -0.13),
    place("mumbai", "IN", 19.08, 72.88),
    place("san-jose", "US", 37.34, -121.89),
    place("sao-paulo", "BR", -23.55, -46.63),
    place("singapore", "SG", 1.35, 103.82),
    place("sydney", "AU", -33.87, 151.21),
    place("tokyo", "JP", 35.68, 139.69),
];

/// The address of the n-th site (documentation addresses: nothing is there).
pub fn address(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, u8::try_from(at + 1).unwrap_or(u8::MAX))
}

/// Every name.
pub fn names() -> Vec<String> {
    (0..NAMES).map(|at| format!("h{at}.{ZONE}")).collect()
}

/// The locale table of the comparison: the one that ships, and gdnsd gets the same.
pub fn table() -> LocaleTable {
    LocaleTable::embedded()
}

/// Random /24s among those whose country the table knows.
pub fn clients(table: &LocaleTable, seed: u64) -> Vec<Subnet> {
    let mut random = Random::new(seed);
    let known = |ip: &Ipv4Addr| table.lookup((*ip).into()).locale.country.is_some();
    // A table of a few networks would be drawn from for ever: this many tries are enough for one
    // that knows a hundredth of the space.
    let tries = (0..CLIENTS * 100).map(|_| {
        let bits = u32::try_from(random.bits() >> 32).unwrap_or(0);
        Ipv4Addr::from_bits(bits & 0xFFFF_FF00)
    });
    tries.filter(known).take(CLIENTS).map(|ip| Subnet::of(ip.into())).collect()
}

/// Nearside's documents for the name server's comparison. Distance alone decides, as in gdnsd's
/// nearest mode: sites on no carrier and no penalty for borders.
pub fn dns_documents() -> String {
    dns_documents_of(&PLACES, 30)
}

/// The same with the sites elsewhere and another TTL: what an operator's edit changes.
pub fn dns_documents_of(places: &[Place], ttl_s: u32) -> String {
    let mut text = format!(
        "apiVersion: nearside.dev/v1alpha1\nkind: Zone\nmetadata: {{name: bench}}\nspec:\n  \
         apex: {ZONE}\n  ttl: 300\n  negativeTtl: 30\n  nameServers:\n    \
         - {{name: ns1.{ZONE}, addresses: [127.0.0.1]}}\n"
    );
    for (at, place) in places.iter().enumerate() {
        let Place { name, country, lat, lon } = place;
        let address = address(at);
        let _ = write!(
            text,
            "---\napiVersion: nearside.dev/v1alpha1\nkind: Site\nmetadata: {{name: {name}}}\n\
             spec:\n  tier: core\n  location: {{country: {country}, coordinates: \
             {{lat: {lat}, lon: {lon}}}}}\n  addresses: [{address}]\n"
        );
    }
    for service in 0..SERVICES {
        let names = (service..NAMES).step_by(SERVICES).map(|at| format!("h{at}.{ZONE}"));
        let names = names.collect::<Vec<_>>().join(", ");
        let _ = write!(
            text,
            "---\napiVersion: nearside.dev/v1alpha1\nkind: GlobalService\n\
             metadata: {{name: s{service}, namespace: bench}}\nspec:\n  hostnames: [{names}]\n  \
             class: bulk\n  steering: {{borderPenaltyMs: 0}}\n  answers: {{max: 1, ttl: {ttl_s}}}\n"
        );
    }
    text
}

/// Nearside's documents for the gateway's comparison: one site, one host, one endpoint.
pub fn gateway_documents(origin: SocketAddr) -> String {
    let (ip, port) = (origin.ip(), origin.port());
    format!(
        "apiVersion: nearside.dev/v1alpha1\nkind: Site\nmetadata: {{name: bench}}\nspec:\n  \
         tier: core\n  location: {{country: DE, coordinates: {{lat: 50.11, lon: 8.68}}}}\n  \
         addresses: [127.0.0.1]\n\
         ---\napiVersion: networking.k8s.io/v1\nkind: Ingress\n\
         metadata: {{name: bench, namespace: default}}\nspec:\n  rules:\n    - host: h0.{ZONE}\n      \
         http:\n        paths:\n          - {{path: /, pathType: Prefix, backend: \
         {{service: {{name: bench, port: {{number: 80}}}}}}}}\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {{name: bench, namespace: default}}\nspec:\n  \
         ports: [{{name: http, port: 80, targetPort: {port}}}]\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: bench-1\n  \
         namespace: default\n  labels: {{kubernetes.io/service-name: bench, \
         nearside.dev/site: bench}}\naddressType: IPv4\nports: [{{name: http, port: {port}}}]\n\
         endpoints: [{{addresses: [\"{ip}\"], conditions: {{ready: true}}}}]\n"
    )
}

/// Writes nginx's configuration below `directory`; `access_log` is `off` or a file.
///
/// # Errors
/// A file could not be written.
pub fn write_nginx(
    directory: &Path,
    listen: SocketAddr,
    origin: SocketAddr,
    access_log: &str,
) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let text = include_str!("../peers/nginx.conf")
        .replace("@LISTEN@", &listen.to_string())
        .replace("@ORIGIN@", &origin.to_string())
        .replace("@ACCESS_LOG@", access_log)
        .replace("@DIRECTORY@", &directory.display().to_string());
    fs::write(directory.join("nginx.conf"), text)
}

#[cfg(test)]
mod tests;
