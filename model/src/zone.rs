//! A delegated zone: apex, authority and static records. Steered names come from services.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::name::DnsName;
use crate::record::RecordSet;

/// A zone as checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The zone's own name.
    pub apex: DnsName,
    /// Start of authority. The serial is the policy generation, put in when the view is built.
    pub soa: Soa,
    /// At least one.
    pub name_servers: Vec<NameServer>,
    /// TTL of the NS set, in seconds.
    pub ns_ttl_s: u32,
    /// Static records within the apex, from the document and its `zoneFile`: sorted by owner and
    /// type, one set each. Never SOA, and never NS at the apex.
    pub records: Vec<RecordSet>,
}

/// The fields of the SOA record (RFC 1035, section 3.3.13), times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Soa {
    /// Primary name server.
    pub mname: DnsName,
    /// Mailbox of the person responsible, as a name.
    pub rname: DnsName,
    /// Refresh interval.
    pub refresh_s: u32,
    /// Retry interval.
    pub retry_s: u32,
    /// Expiry.
    pub expire_s: u32,
    /// Negative TTL (RFC 2308): both SOA.MINIMUM and the TTL of the SOA in negative answers.
    pub negative_ttl_s: u32,
    /// TTL of the SOA itself.
    pub ttl_s: u32,
}

/// A name server of the zone, with glue when it lies within the apex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameServer {
    /// Its name.
    pub name: DnsName,
    /// Its addresses as the document gives them; empty when the name is outside the zone, or when
    /// [`Zone::records`] has them, with a TTL of their own: either is the one place for them.
    pub addresses: Vec<IpAddr>,
}
