//! The resolvers that aliases are resolved by: as told, else the system's own.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Where the system says whom to ask (resolv.conf(5)).
const SYSTEM: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;
/// Servers taken of the system's: as many as its own resolver takes (resolv.conf(5), MAXNS).
const SYSTEM_MAX: usize = 3;

/// `ADDR` or `ADDR:PORT`.
pub(crate) fn parse(text: &str) -> Result<SocketAddr, String> {
    let bare = |text: &str| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT));
    text.parse().ok().or_else(|| bare(text)).ok_or_else(|| {
        "write an address, with a port if it is not 53: `192.0.2.53`, `[2001:db8::53]:5353`".into()
    })
}

/// The given ones, else the system's; none where it has none.
pub(crate) fn choose(given: &[SocketAddr]) -> Vec<SocketAddr> {
    if !given.is_empty() {
        return given.to_vec();
    }
    let text = std::fs::read_to_string(Path::new(SYSTEM)).unwrap_or_default();
    of_system(&text)
}

/// The `nameserver` lines. Addresses with a zone (`fe80::1%eth0`) are passed over.
fn of_system(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let ip = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        ip.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT))
    });
    servers.take(SYSTEM_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_be_left_out() {
        let parsed = |text| parse(text).map(|server| server.to_string());
        assert_eq!(parsed("192.0.2.53").as_deref(), Ok("192.0.2.53:53"));
        assert_eq!(parsed("192.0.2.53:5353").as_deref(), Ok("192.0.2.53:5353"));
        assert_eq!(parsed("2001:db8::53").as_deref(), Ok("[2001:db8::53]:53"));
        assert_eq!(parsed("[2001:db8::53]:5353").as_deref(), Ok("[2001:db8::53]:5353"));
        assert!(parsed("dns.example").is_err_and(|help| help.starts_with("write an address")));
    }

    #[test]
    fn the_systems_servers_are_taken_in_order() {
        let text = "# made by hand\nsearch example.com\n nameserver 192.0.2.1\nnameserver 2001:db8::1 # x\n\
                    nameserver fe80::1%eth0\n;nameserver 192.0.2.9\nnameserver 192.0.2.2\n\
                    nameserver 192.0.2.3\noptions edns0\n";
        let servers: Vec<String> = of_system(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"]);
        assert_eq!(of_system(""), []);
    }
}
