//! Static records: a set of wire-format rdata under one owner, type and TTL.

use serde::{Deserialize, Serialize};

use crate::name::DnsName;

/// A record type by number (RFC 1035, section 3.2.2; IANA registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordType(pub u16);

impl RecordType {
    /// Host address.
    pub const A: Self = Self(1);
    /// Name server.
    pub const NS: Self = Self(2);
    /// Alias.
    pub const CNAME: Self = Self(5);
    /// Start of authority.
    pub const SOA: Self = Self(6);
    /// Mail exchange.
    pub const MX: Self = Self(15);
    /// Text.
    pub const TXT: Self = Self(16);
    /// IPv6 address.
    pub const AAAA: Self = Self(28);
    /// Service location.
    pub const SRV: Self = Self(33);
    /// Subtree redirection (RFC 6672).
    pub const DNAME: Self = Self(39);
    /// Delegation signer.
    pub const DS: Self = Self(43);
    /// Service binding for HTTP (RFC 9460).
    pub const HTTPS: Self = Self(65);
    /// Any type (query only, RFC 8482).
    pub const ANY: Self = Self(255);
}

/// A set of records with the same owner and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// Owner name.
    pub owner: DnsName,
    /// Type.
    pub record_type: RecordType,
    /// TTL in seconds, RFC 2181 range (31 bits).
    pub ttl_s: u32,
    /// Each record's rdata, wire format, names uncompressed, in document order without repeats.
    pub rdata: Vec<Box<[u8]>>,
}
