//! Static records: a set of wire-format rdata under one owner, type and TTL.

use std::fmt;

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
    /// An address alias: the addresses of another name, found in the background. No type of the wire:
    /// a number for private use (RFC 6895, section 3.1), the one PowerDNS has for it.
    pub const ALIAS: Self = Self(65_401);
    /// Any type (query only, RFC 8482).
    pub const ANY: Self = Self(255);

    /// Takes a mnemonic (`AAAA`) or `TYPE` and a number (RFC 3597, section 5), of either case.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((_, number)) =
            MNEMONICS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text))
        {
            return Some(Self(*number));
        }
        let (prefix, number) = text.split_at_checked(4)?;
        let digits = number.bytes().all(|octet| octet.is_ascii_digit());
        (prefix.eq_ignore_ascii_case("TYPE") && digits).then(|| number.parse().ok().map(Self))?
    }

    /// The mnemonic, where the type has one here.
    pub fn mnemonic(self) -> Option<&'static str> {
        MNEMONICS.iter().find(|(_, number)| *number == self.0).map(|(name, _)| *name)
    }
}

/// Mnemonics of the IANA registry that documents, zone files and logs use.
pub(crate) const MNEMONICS: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AFSDB", 18),
    ("AAAA", 28),
    ("LOC", 29),
    ("SRV", 33),
    ("NAPTR", 35),
    ("KX", 36),
    ("CERT", 37),
    ("DNAME", 39),
    ("OPT", 41),
    ("DS", 43),
    ("SSHFP", 44),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("SMIMEA", 53),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("SPF", 99),
    ("EUI48", 108),
    ("EUI64", 109),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
    ("ALIAS", 65_401),
];

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(name) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
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
