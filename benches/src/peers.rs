//! The peers' configurations, written from the same world as ours: the same names, sites, locale
//! table and geography as far as each can express them.
//!
//! gdnsd knows distance and gets it. Knot's and PowerDNS's geoip modules know countries, so each
//! country goes to the site nearest to its centre. NSD, Knot and BIND also serve static records, the
//! floor for software that does not look where a client is.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use geo_data::LocaleTable;
use model::geo::{Country, Point};

use crate::geoip2;
use crate::world::{NAMES, PLACES, Place, ZONE, address};

/// What PowerDNS calls a client whose country no database knows.
const NOWHERE: &str = "unknown";

/// A name server to be compared with.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// What tables call it.
    pub name: &'static str,
    /// Its program, as Debian installs it.
    pub program: &'static str,
    /// Debian's packages that it needs, as `apt-get install` takes them.
    pub packages: &'static str,
    /// Writes its configuration; gives its arguments.
    pub write: fn(Home<'_>, &Geography<'_>) -> io::Result<Vec<String>>,
}

/// All of them.
pub const PEERS: [Peer; 6] = [
    Peer { name: "gdnsd", program: "gdnsd", packages: "gdnsd", write: write_gdnsd },
    Peer { name: "nsd-static", program: "nsd", packages: "nsd", write: write_nsd },
    Peer { name: "knot-static", program: "knotd", packages: "knot", write: write_knot },
    Peer {
        name: "knot-geoip",
        program: "knotd",
        packages: "knot knot-module-geoip",
        write: write_knot_geoip,
    },
    Peer { name: "bind-static", program: "named", packages: "bind9", write: write_bind },
    Peer {
        name: "pdns-geoip",
        program: "pdns_server",
        packages: "pdns-server pdns-backend-geoip",
        write: write_pdns,
    },
];

/// What a peer is told of clients' places.
#[derive(Debug, Clone, Copy)]
pub struct Geography<'a> {
    /// The table.
    pub table: &'a LocaleTable,
    /// The same as a GeoIP2 file, from [`write_mmdb`].
    pub mmdb: &'a Path,
}

/// Where a peer's files go and where it listens.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a> {
    /// Its own directory; made if it is not there.
    pub directory: &'a Path,
    /// UDP and TCP.
    pub listen: SocketAddr,
}

impl Home<'_> {
    /// Fills a template in and writes it.
    fn write(&self, name: &str, template: &str, more: &[(&str, &str)]) -> io::Result<PathBuf> {
        fs::create_dir_all(self.directory)?;
        let mut text = template
            .replace("@ADDRESS@", &self.listen.ip().to_string())
            .replace("@PORT@", &self.listen.port().to_string())
            .replace("@ZONE@", ZONE);
        for (gap, filling) in more {
            text = text.replace(gap, filling);
        }
        let path = self.directory.join(name);
        fs::write(&path, text.replace("@DIRECTORY@", &self.directory.display().to_string()))?;
        Ok(path)
    }

    fn write_zone(&self) -> io::Result<()> {
        fs::create_dir_all(self.directory)?;
        let mut zone = format!(
            "$ORIGIN {ZONE}.\n@ 300 SOA ns1 hostmaster 1 7200 1800 259200 30\n@ 300 NS ns1\n\
             ns1 300 A 127.0.0.1\n"
        );
        for at in 0..NAMES {
            let _ = writeln!(zone, "h{at} 30 A {}", address(at % PLACES.len()));
        }
        fs::write(self.directory.join(format!("{ZONE}.zone")), zone)
    }
}

/// Writes the table in the GeoIP2 City layout.
///
/// # Errors
/// The file could not be written.
pub fn write_mmdb(path: &Path, table: &LocaleTable) -> io::Result<()> {
    fs::write(path, geoip2::encode(table))
}

/// By distance.
fn write_gdnsd(home: Home<'_>, geo: &Geography<'_>) -> io::Result<Vec<String>> {
    let (mut coordinates, mut addresses) = (String::new(), String::new());
    for (at, Place { name, lat, lon, .. }) in PLACES.iter().enumerate() {
        let _ = writeln!(coordinates, "          {name} => [ {lat}, {lon} ]");
        let _ = writeln!(addresses, "          {name} => {}", address(at));
    }
    let listen = format!("\"{}\"", home.listen);
    let sites = PLACES.map(|place| place.name).join(", ");
    let gaps = [
        ("@LISTEN@", listen.as_str()),
        ("@SITES@", &sites),
        ("@COORDINATES@", &coordinates),
        ("@ADDRESSES@", &addresses),
        ("@MMDB@", &geo.mmdb.display().to_string()),
    ];
    home.write("config", include_str!("../peers/gdnsd.conf"), &gaps)?;
    fs::create_dir_all(home.directory.join("zones"))?;
    let mut zone = String::from(
        "@ 300 SOA ns1 hostmaster 1 7200 1800 259200 30\n@ 300 NS ns1\nns1 300 A 127.0.0.1\n",
    );
    for at in 0..NAMES {
        let _ = writeln!(zone, "h{at} 30 DYNA geoip!nearest");
    }
    fs::write(home.directory.join("zones").join(ZONE), zone)?;
    Ok(arguments(&["-c", &home.directory.display().to_string(), "start"]))
}

fn write_nsd(home: Home<'_>, _: &Geography<'_>) -> io::Result<Vec<String>> {
    home.write_zone()?;
    let file = home.write("nsd.conf", include_str!("../peers/nsd.conf"), &[])?;
    Ok(arguments(&["-d", "-c", &file.display().to_string()]))
}

fn write_bind(home: Home<'_>, _: &Geography<'_>) -> io::Result<Vec<String>> {
    home.write_zone()?;
    let file = home.write("named.conf", include_str!("../peers/named.conf"), &[])?;
    Ok(arguments(&["-f", "-n", "1", "-c", &file.display().to_string()]))
}

fn write_knot(home: Home<'_>, _: &Geography<'_>) -> io::Result<Vec<String>> {
    write_knot_with(home, &[("@MODULE@", ""), ("@USE@", "")])
}

/// By country.
fn write_knot_geoip(home: Home<'_>, geo: &Geography<'_>) -> io::Result<Vec<String>> {
    fs::create_dir_all(home.directory)?;
    let mut records = String::from("  - geo: \"*\"\n    A: 192.0.2.1\n");
    for (country, at) in nearest(geo.table) {
        let _ = writeln!(records, "  - geo: \"{country}\"\n    A: {}", address(at));
    }
    let mut text = String::new();
    for at in 0..NAMES {
        let _ = write!(text, "h{at}.{ZONE}:\n{records}");
    }
    fs::write(home.directory.join("geo.conf"), text)?;
    let module = include_str!("../peers/knot-geoip.conf");
    let module = module.replace("@MMDB@", &geo.mmdb.display().to_string());
    write_knot_with(home, &[("@MODULE@", &module), ("@USE@", "    module: mod-geoip/geo")])
}

fn write_knot_with(home: Home<'_>, more: &[(&str, &str)]) -> io::Result<Vec<String>> {
    home.write_zone()?;
    for directory in ["run", "db"] {
        fs::create_dir_all(home.directory.join(directory))?;
    }
    let file = home.write("knot.conf", include_str!("../peers/knot.conf"), more)?;
    Ok(arguments(&["-c", &file.display().to_string()]))
}

/// By country.
fn write_pdns(home: Home<'_>, geo: &Geography<'_>) -> io::Result<Vec<String>> {
    let mmdb = geo.mmdb.display().to_string();
    home.write("pdns.conf", include_str!("../peers/pdns.conf"), &[("@MMDB@", &mmdb)])?;
    let mut text = format!(
        "domains:\n- domain: {ZONE}\n  ttl: 30\n  records:\n    {ZONE}:\n      \
         - soa: ns1.{ZONE} hostmaster.{ZONE} 1 7200 1800 259200 30\n      - ns: ns1.{ZONE}\n    \
         ns1.{ZONE}:\n      - a: 127.0.0.1\n    {NOWHERE}.geo.{ZONE}:\n      - a: 192.0.2.1\n"
    );
    for (country, at) in nearest(geo.table) {
        let country = country.as_str().to_ascii_lowercase();
        let _ = writeln!(text, "    {country}.geo.{ZONE}:\n      - a: {}", address(at));
    }
    text.push_str("  services:\n");
    for at in 0..NAMES {
        let _ = writeln!(text, "    h{at}.{ZONE}: ['%cc.geo.{ZONE}', '{NOWHERE}.geo.{ZONE}']");
    }
    fs::write(home.directory.join("zones.yaml"), text)?;
    Ok(arguments(&[&format!("--config-dir={}", home.directory.display())]))
}

/// Every country of the table with the site nearest to its centre.
fn nearest(table: &LocaleTable) -> Vec<(Country, usize)> {
    let countries: BTreeSet<Country> =
        table.classes().iter().filter_map(|locale| locale.country).collect();
    let site = |country: Country| {
        let centre = table.centre(country, None)?;
        let far = |at: &usize| closeness(centre, &PLACES[*at]);
        (0..PLACES.len()).max_by(|a, b| far(a).total_cmp(&far(b))).map(|at| (country, at))
    };
    countries.into_iter().filter_map(site).collect()
}

/// The cosine of the angle between two places: more is nearer.
fn closeness(centre: Point, place: &Place) -> f64 {
    let degrees = |cdeg: i16| f64::from(cdeg) / 100.0;
    let (lat, lon) = (degrees(centre.lat_cdeg).to_radians(), degrees(centre.lon_cdeg).to_radians());
    let (to_lat, to_lon) = (place.lat.to_radians(), place.lon.to_radians());
    lat.sin() * to_lat.sin() + lat.cos() * to_lat.cos() * (lon - to_lon).cos()
}

fn arguments(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests;
