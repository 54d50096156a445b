//! The PROXY protocol, versions 1 and 2: who the client behind a balancer is.
//!
//! Read before anything else on connections from networks that the operator named, where it is
//! required (a balancer that sends it sends it always, and a client must not be able to choose), and
//! written to backends that ask for it. Pure: octets in, addresses out. The format is HAProxy's
//! `proxy-protocol.txt`, sections 2.1 and 2.2; type-length-values are skipped by their lengths. A
//! balancer may write IPv4 clients of a v6 socket as mapped addresses; what is read is the plain one,
//! because rules name that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use model::gateway::ProxyProtocol;

/// The most octets of a header. A version 1 line has 107 at most; version 2 with every registered
/// type-length-value stays far below this.
pub(crate) const HEADER_OCTETS_MAX: usize = 2048;
/// The most octets of a version 1 line, its end included (section 2.1).
const LINE_OCTETS_MAX: usize = 107;
/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;

/// A connection's two ends, as its client saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client.
    pub(crate) source: SocketAddr,
    /// What it connected to.
    pub(crate) destination: SocketAddr,
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// `None` when the balancer speaks for itself (`LOCAL`, `UNKNOWN`): the socket's own ends count.
    pub(crate) ends: Option<Ends>,
    /// Octets of the header.
    pub(crate) octets: usize,
}

/// Why octets are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderFault {
    /// They begin otherwise.
    #[error("no PROXY header")]
    Absent,
    /// Longer than [`HEADER_OCTETS_MAX`].
    #[error("the PROXY header is too long")]
    TooLong,
    /// A header that contradicts itself.
    #[error("the PROXY header is malformed")]
    Malformed,
}

/// Reads a header from the first octets of a connection; `None` when more are needed.
pub(crate) fn read(octets: &[u8]) -> Result<Option<Header>, HeaderFault> {
    let begins = |with: &[u8]| {
        let seen = octets.len().min(with.len());
        octets[..seen] == with[..seen]
    };
    if begins(&SIGNATURE) {
        return if octets.len() < SIGNATURE.len() { Ok(None) } else { read_binary(octets) };
    }
    if begins(b"PROXY ") { read_line(octets) } else { Err(HeaderFault::Absent) }
}

fn read_line(octets: &[u8]) -> Result<Option<Header>, HeaderFault> {
    let within = &octets[..octets.len().min(LINE_OCTETS_MAX)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        let too_long = octets.len() >= LINE_OCTETS_MAX;
        return if too_long { Err(HeaderFault::TooLong) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&octets[..end]).map_err(|_| HeaderFault::Malformed)?;
    let octets = end + 2;
    let mut words = line.split(' ').skip(1);
    let family = words.next().ok_or(HeaderFault::Malformed)?;
    if family == "UNKNOWN" {
        return Ok(Some(Header { ends: None, octets }));
    }
    let ends = ends_of_line(family, words).ok_or(HeaderFault::Malformed)?;
    Ok(Some(Header { ends: Some(ends), octets }))
}

fn ends_of_line<'a>(family: &str, mut words: impl Iterator<Item = &'a str>) -> Option<Ends> {
    let mut ip = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(|ip| ip.to_canonical()),
            _ => None,
        }
    };
    let (source, destination) = (ip()?, ip()?);
    let mut port = || -> Option<u16> {
        let word = words.next()?;
        // Digits only, without a sign or leading zeros: one number has one spelling.
        let plain = word.bytes().all(|octet| octet.is_ascii_digit());
        let canonical = plain && (word == "0" || !word.starts_with('0'));
        canonical.then(|| word.parse().ok()).flatten()
    };
    let (source_port, destination_port) = (port()?, port()?);
    words.next().is_none().then(|| Ends {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

fn read_binary(octets: &[u8]) -> Result<Option<Header>, HeaderFault> {
    let Some(fixed) = octets.first_chunk::<FIXED>() else { return Ok(None) };
    let (command, family) = (fixed[12], fixed[13]);
    if !matches!(command, 0x20 | 0x21) {
        return Err(HeaderFault::Malformed);
    }
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let whole = FIXED + length;
    if whole > HEADER_OCTETS_MAX {
        return Err(HeaderFault::TooLong);
    }
    let Some(body) = octets.get(FIXED..whole) else { return Ok(None) };
    let ends = match (command, family) {
        (0x21, 0x11) => Some(ends_v4(body).ok_or(HeaderFault::Malformed)?),
        (0x21, 0x21) => Some(ends_v6(body).ok_or(HeaderFault::Malformed)?),
        // LOCAL is the balancer's own check, whatever family it names; unspecified ends, datagrams
        // and unix sockets say nothing that could stand for a client here.
        (0x20, _) | (_, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => None,
        _ => return Err(HeaderFault::Malformed),
    };
    let tail = match family {
        0x11 => 12,
        0x21 => 36,
        _ => length,
    };
    if command == 0x21 && !are_values(body.get(tail..).unwrap_or_default()) {
        return Err(HeaderFault::Malformed);
    }
    Ok(Some(Header { ends, octets: whole }))
}

fn ends_v4(body: &[u8]) -> Option<Ends> {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *body.first_chunk::<12>()?;
    Some(Ends {
        source: (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([i, j])).into(),
        destination: (Ipv4Addr::new(e, f, g, h), u16::from_be_bytes([k, l])).into(),
    })
}

fn ends_v6(body: &[u8]) -> Option<Ends> {
    let (source, rest) = body.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    let [a, b, c, d] = *rest.first_chunk::<4>()?;
    let plain = |octets: [u8; 16]| Ipv6Addr::from(octets).to_canonical();
    Some(Ends {
        source: SocketAddr::new(plain(*source), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(plain(*destination), u16::from_be_bytes([c, d])),
    })
}

/// Whether octets are type-length-values from end to end.
fn are_values(mut octets: &[u8]) -> bool {
    while let Some((header, rest)) = octets.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([header[1], header[2]]));
        let Some(rest) = rest.get(length..) else { return false };
        octets = rest;
    }
    octets.is_empty()
}

/// The header that tells a backend of these ends.
pub(crate) fn write(version: ProxyProtocol, ends: Ends) -> Vec<u8> {
    let Ends { source, destination } = in_one_family(ends);
    let (from, to) = (source.port(), destination.port());
    if version == ProxyProtocol::V1 {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        return format!("PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip())
            .into_bytes();
    }
    let mut octets = SIGNATURE.to_vec();
    octets.push(0x21);
    octets.extend(if source.is_ipv4() { [0x11, 0, 12] } else { [0x21, 0, 36] });
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(ip) => octets.extend(ip.octets()),
            IpAddr::V6(ip) => octets.extend(ip.octets()),
        }
    }
    octets.extend(from.to_be_bytes());
    octets.extend(to.to_be_bytes());
    octets
}

/// A header has one family: with mixed ends both are written as IPv6.
fn in_one_family(ends: Ends) -> Ends {
    let Ends { source, destination } = ends;
    let (source_ip, destination_ip) = (source.ip().to_canonical(), destination.ip().to_canonical());
    let mapped = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        IpAddr::V6(_) => ip,
    };
    let (source_ip, destination_ip) = if source_ip.is_ipv4() == destination_ip.is_ipv4() {
        (source_ip, destination_ip)
    } else {
        (mapped(source_ip), mapped(destination_ip))
    };
    Ends {
        source: SocketAddr::new(source_ip, source.port()),
        destination: SocketAddr::new(destination_ip, destination.port()),
    }
}

#[cfg(test)]
mod tests;
