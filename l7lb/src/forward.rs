//! Who the client is, told to the origin: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! What a client claims about itself is replaced, because anyone can claim; only proxies on the
//! trusted list are believed, and then we append to what they say.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;
use pingora_core::Result;
use pingora_http::RequestHeader;

use crate::route::Scheme;

/// What is known first-hand of the hop before us.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'a> {
    /// The other end of the connection.
    pub(crate) peer: IpAddr,
    /// Whether it is on the trusted list.
    pub(crate) trust: Trust,
    /// How it came.
    pub(crate) scheme: Scheme,
    /// The `Host` it sent.
    pub(crate) host: &'a str,
    /// Our port.
    pub(crate) port: u16,
}

/// Whether the previous hop is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A client: its claims are replaced.
    Replace,
    /// A trusted proxy: its claims are kept and ours appended.
    Append,
}

impl Trust {
    /// By the list.
    pub(crate) fn of(peer: IpAddr, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        if trusted.iter().any(|net| net.contains(&peer)) { Self::Append } else { Self::Replace }
    }
}

/// The client's address: the peer, or, through trusted proxies, the last address in
/// `X-Forwarded-For` that is not a trusted proxy itself.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if Trust::of(peer, trusted) == Trust::Replace {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
    let mut client = peer;
    for hop in hops {
        // Beyond something unreadable nothing is believed.
        let Ok(address) = hop.trim().parse::<IpAddr>() else { return client };
        client = address.to_canonical();
        if Trust::of(client, trusted) == Trust::Replace {
            return client;
        }
    }
    client
}

/// Writes the forwarding headers of a request to an origin.
pub(crate) fn apply(request: &mut RequestHeader, hop: &Hop<'_>) -> Result<()> {
    let peer = hop.peer.to_canonical();
    // Written once: formatting an address costs as much as setting a header.
    let client = peer.to_string();
    let forwarded = element((&client, peer.is_ipv6()), hop);
    match hop.trust {
        Trust::Replace => {
            request.insert_header("x-forwarded-for", client.as_str())?;
            request.insert_header("forwarded", forwarded)?;
            request.insert_header("x-real-ip", client)?;
        }
        Trust::Append => {
            append(request, "x-forwarded-for", &client)?;
            append(request, "forwarded", &forwarded)?;
        }
    }
    let facts = [
        ("x-forwarded-proto", hop.scheme.as_str()),
        ("x-forwarded-host", hop.host),
        ("x-forwarded-port", &hop.port.to_string()),
    ];
    for (name, value) in facts {
        if value.is_empty() {
            request.remove_header(name);
            continue;
        }
        let believed = hop.trust == Trust::Append && request.headers.contains_key(name);
        if !believed {
            request.insert_header(name, value)?;
        }
    }
    Ok(())
}

fn append(request: &mut RequestHeader, name: &'static str, value: &str) -> Result<()> {
    let lines = request.headers.get_all(name).iter();
    let said: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    let joined =
        if said.is_empty() { value.to_owned() } else { format!("{}, {value}", said.join(", ")) };
    request.insert_header(name, joined)
}

/// One element of `Forwarded`. IPv6 addresses are bracketed and quoted; so is a host with a port
/// (RFC 7239, section 6).
fn element((client, is_v6): (&str, bool), hop: &Hop<'_>) -> String {
    let mut text = String::with_capacity(96);
    let (open, close) = if is_v6 { ("for=\"[", "]\"") } else { ("for=", "") };
    for part in [open, client, close] {
        text.push_str(part);
    }
    if !hop.host.is_empty() {
        for part in [";host=\"", hop.host, "\""] {
            text.push_str(part);
        }
    }
    text.push_str(";proto=");
    text.push_str(hop.scheme.as_str());
    text
}

#[cfg(test)]
mod tests;
