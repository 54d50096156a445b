//! The OPT record: EDNS (RFC 6891), the client subnet (RFC 7871), NSID (RFC 5001), cookies (RFC 7873).
//!
//! The client subnet is read strictly, because a subnet that is half right would be answered for
//! the wrong clients and cached for them. Unknown options and flags are ignored, and padding (RFC 7830)
//! with them as long as nothing is encrypted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Fault, RECORD_FIXED_OCTETS};

/// Option codes (IANA registry).
pub(crate) const OPTION_NSID: u16 = 3;
pub(crate) const OPTION_SUBNET: u16 = 8;
pub(crate) const OPTION_COOKIE: u16 = 10;
pub(crate) const OPTION_KEEPALIVE: u16 = 11;
/// Address families (IANA registry), as RFC 7871 uses them.
const FAMILY_V4: u16 = 1;
const FAMILY_V6: u16 = 2;
const DNSSEC_OK: u8 = 0x80;

/// What a query's OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edns<'a> {
    /// The largest UDP answer the sender takes, as sent.
    pub udp_octets_max: u16,
    /// The DO bit, echoed.
    pub dnssec_ok: bool,
    /// The client subnet.
    pub subnet: Option<Subnet>,
    /// Whether the server's identity is asked for.
    pub nsid: bool,
    /// The cookie option: 8 octets of the client's, and of ours if it has one.
    pub cookie: Option<&'a [u8]>,
    /// Whether it asks how long a connection may stay idle (RFC 7828).
    pub keepalive: bool,
}

/// A client subnet as sent (RFC 7871, section 6).
///
/// Invariant: the address has no bit set past `source_len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// FAMILY as sent: 1, 2, or 0 with a source of 0.
    pub family: u16,
    /// SOURCE PREFIX-LENGTH.
    pub source_len: u8,
    /// The address, unsent octets zero; IPv4 in the first four.
    address: [u8; 16],
}

impl Subnet {
    /// The address; `None` when the sender hides it (a source of 0).
    pub fn ip(&self) -> Option<IpAddr> {
        if self.source_len == 0 {
            return None;
        }
        if self.family == FAMILY_V4 {
            let [a, b, c, d, ..] = self.address;
            return Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)));
        }
        Some(IpAddr::V6(Ipv6Addr::from(self.address)))
    }

    /// The address octets as they were sent, to be echoed.
    pub fn sent(&self) -> &[u8] {
        &self.address[..octets_of(self.source_len).min(16)]
    }

    /// The address in sixteen octets, those of [`Subnet::sent`] first, zeros after them.
    pub(crate) fn padded(&self) -> &[u8; 16] {
        &self.address
    }

    fn read(option: &[u8]) -> Option<Self> {
        let (&[family_high, family_low, source_len, scope_len], sent) =
            option.split_first_chunk()?;
        let family = u16::from_be_bytes([family_high, family_low]);
        let len_max = match family {
            // Some resolvers say "no subnet" with family 0; there is nothing to misread in that.
            0 => 0,
            FAMILY_V4 => 32,
            FAMILY_V6 => 128,
            _ => return None,
        };
        if source_len > len_max || scope_len != 0 || sent.len() != octets_of(source_len) {
            return None;
        }
        let host_bits = (8 - source_len % 8) % 8;
        if sent.last().is_some_and(|last| last.trailing_zeros() < u32::from(host_bits)) {
            return None;
        }
        let mut address = [0; 16];
        address.get_mut(..sent.len())?.copy_from_slice(sent);
        Some(Self { family, source_len, address })
    }
}

fn octets_of(prefix_len: u8) -> usize {
    usize::from(prefix_len).div_ceil(8)
}

/// An OPT record found in the packet and not yet read.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawOption<'a> {
    pub(super) fixed: &'a [u8; RECORD_FIXED_OCTETS],
    pub(super) rdata: &'a [u8],
}

impl<'a> RawOption<'a> {
    /// Reads the record into `edns`. After a fault it holds what an answer's OPT needs, but never a
    /// subnet.
    #[inline]
    pub(super) fn read(&self, edns: &mut Edns<'a>) -> Result<(), Fault> {
        let [_, _, size_high, size_low, _, version, flags, ..] = *self.fixed;
        edns.udp_octets_max = u16::from_be_bytes([size_high, size_low]);
        edns.dnssec_ok = flags & DNSSEC_OK != 0;
        // Options of a version we do not know may mean anything: they are not read.
        if version != 0 {
            return Err(Fault::Version);
        }
        let read = edns.read_options(self.rdata);
        if read.is_err() {
            (edns.subnet, edns.nsid, edns.cookie) = (None, false, None);
            edns.keepalive = false;
        }
        read
    }
}

impl<'a> Edns<'a> {
    /// Whether it asks for options that few ask for.
    pub(crate) fn wants_extras(&self) -> bool {
        self.cookie.is_some() | self.nsid | self.keepalive
    }

    #[inline]
    fn read_options(&mut self, mut rest: &'a [u8]) -> Result<(), Fault> {
        while let Some((&[code_high, code_low, len_high, len_low], tail)) = rest.split_first_chunk()
        {
            let length = usize::from(u16::from_be_bytes([len_high, len_low]));
            let (value, tail) = tail.split_at_checked(length).ok_or(Fault::Malformed)?;
            self.take(u16::from_be_bytes([code_high, code_low]), value)?;
            rest = tail;
        }
        if rest.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }

    fn take(&mut self, code: u16, value: &'a [u8]) -> Result<(), Fault> {
        match code {
            OPTION_SUBNET => {
                // Two subnets would leave it open which one the answer is for.
                if self.subnet.is_some() {
                    return Err(Fault::Subnet);
                }
                self.subnet = Some(Subnet::read(value).ok_or(Fault::Subnet)?);
            }
            OPTION_NSID => self.nsid = true,
            // Clients leave it empty, and what they put there would not be for us to follow.
            OPTION_KEEPALIVE => self.keepalive = true,
            // The first counts, whatever further ones say (RFC 7873, section 5.2).
            OPTION_COOKIE if self.cookie.is_none() => match value.len() {
                8 | 16..=40 => self.cookie = Some(value),
                _ => return Err(Fault::Cookie),
            },
            _ => {}
        }
        Ok(())
    }
}
