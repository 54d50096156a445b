//! A response, written in place: header and question echoed, sections filled, OPT at the end.
//!
//! Everything goes through a limit: nothing is ever written past it, and a set goes in whole or not
//! at all (RFC 2181, section 9). Room for the OPT record is set aside before the first section.
//! Owners are pointers to a name already in the packet, nearly always the question's.

use std::net::IpAddr;

use crate::ede::ExtendedError;
use crate::message::{Edns, HEADER_OCTETS, TYPE_OPT, edns};
use crate::zone::Rendered;

/// A pointer to the question's name.
pub(crate) const QUESTION: u16 = 0xc00c;
/// Pointers reach this far (RFC 1035, section 4.1.4).
const POINTER_REACH: usize = 0x3fff;
/// An OPT record without options.
const OPT_OCTETS: usize = 11;
/// Code and length of an option.
const OPTION_HEAD_OCTETS: usize = 4;
const OPTION_EDE: u16 = 15;
/// Owner pointer, type, class, TTL and length of an address record.
const ADDRESS_HEAD_OCTETS: usize = 12;
/// Family, source and scope of a client subnet.
const SUBNET_HEAD_OCTETS: usize = 4;

/// The limit is reached; nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A section that holds records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// Answer.
    Answer,
    /// Authority.
    Authority,
    /// Additional.
    Additional,
}

/// Type, class and TTL of a record written one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Type number.
    pub(crate) record_type: u16,
    /// Seconds.
    pub(crate) ttl_s: u32,
}

/// What the header and the OPT record say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Verdict {
    /// The response code, extended ones included.
    pub(crate) rcode: u16,
    /// AA.
    pub(crate) authoritative: bool,
    /// TC.
    pub(crate) truncated: bool,
    /// For how long a prefix of the client subnet's family the answer holds.
    pub(crate) scope_len: u8,
    /// Why, for people.
    pub(crate) extended: Option<ExtendedError>,
}

/// What the server says about itself in OPT.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    /// The largest UDP message we take.
    pub(crate) udp_octets_max: u16,
    /// The options that this client asks for beside its subnet, whole.
    pub(crate) extras: &'a [u8],
}

/// A response under way.
///
/// Invariant: `at <= limit <= room <= out.len()`.
#[derive(Debug)]
pub(crate) struct Response<'o> {
    out: &'o mut [u8],
    at: usize,
    question_end: usize,
    /// Where sections must end.
    limit: usize,
    /// Where the message must end.
    room: usize,
    counts: [u16; 3],
    /// Pointer to the apex of the zone.
    apex: u16,
}

impl<'o> Response<'o> {
    /// Starts a response to `packet`, whose question ends at `question_end`, of at most `room`
    /// octets. `None` when not even the question and the OPT record fit.
    pub(crate) fn begin(
        packet: &[u8],
        question_end: usize,
        room: usize,
        out: &'o mut [u8],
    ) -> Option<Self> {
        let room = room.min(out.len());
        out.get_mut(..question_end)?.copy_from_slice(packet.get(..question_end)?);
        (question_end <= room).then_some(Self {
            out,
            at: question_end,
            question_end,
            limit: room,
            room,
            counts: [0; 3],
            apex: QUESTION,
        })
    }

    /// Sets room aside for the OPT record. `None` when there is none.
    pub(crate) fn reserve(&mut self, edns: Option<&Edns<'_>>, us: &Identity<'_>) -> Option<()> {
        let Some(edns) = edns else { return Some(()) };
        let subnet = edns
            .subnet
            .as_ref()
            .map_or(0, |subnet| OPTION_HEAD_OCTETS + SUBNET_HEAD_OCTETS + subnet.sent().len());
        self.limit = self.room.checked_sub(OPT_OCTETS + subnet + us.extras.len())?;
        (self.at <= self.limit).then_some(())
    }

    /// Names the zone's apex: the last `octets` of the question's name.
    pub(crate) fn set_apex(&mut self, octets: u8) {
        // The question's name ends four octets (type and class) before the question does.
        self.apex = pointer_to(self.question_end - 4 - usize::from(octets)).unwrap_or(QUESTION);
    }

    /// The pointer to the apex.
    pub(crate) fn apex(&self) -> u16 {
        self.apex
    }

    /// How many records a section has.
    pub(crate) fn count(&self, section: Section) -> u16 {
        self.counts[section as usize]
    }

    /// Where the next record will start.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// Whether one of the address records from a place on has this rdata.
    pub(crate) fn has_address(&self, from: usize, ip: IpAddr) -> bool {
        let written = self.out.get(from..self.at).unwrap_or_default();
        let has = |octets: &[u8]| {
            written
                .chunks_exact(ADDRESS_HEAD_OCTETS + octets.len())
                .any(|record| record.ends_with(octets))
        };
        match ip {
            IpAddr::V4(ip) => has(&ip.octets()),
            IpAddr::V6(ip) => has(&ip.octets()),
        }
    }

    /// Gives the address records from a place on the least TTL among them: a set has one
    /// (RFC 2181, section 5.2).
    pub(crate) fn level_ttl(&mut self, from: usize) {
        let Some(written) = self.out.get_mut(from..self.at) else { return };
        let mut least = [u8::MAX; 4];
        let mut at = 0;
        for is_told in [false, true] {
            while let Some(record) =
                written.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<ADDRESS_HEAD_OCTETS>)
            {
                let [_, _, _, _, _, _, a, b, c, d, high, low] = record;
                if is_told {
                    [*a, *b, *c, *d] = least;
                } else {
                    least = least.min([*a, *b, *c, *d]);
                }
                at += ADDRESS_HEAD_OCTETS + usize::from(u16::from_be_bytes([*high, *low]));
            }
            at = 0;
        }
    }

    /// Drops every record: the client is to come back over TCP.
    pub(crate) fn clear(&mut self) {
        self.at = self.question_end;
        self.counts = [0; 3];
    }

    /// Writes a set under the name that `owner` points to. Gives where its body starts.
    pub(crate) fn put_set(
        &mut self,
        section: Section,
        set: Rendered<'_>,
        owner: u16,
    ) -> Result<usize, Full> {
        let start = self.at;
        let end = start + set.body.len();
        if end > self.limit {
            return Err(Full);
        }
        let Some(body) = self.out.get_mut(start..end) else { return Err(Full) };
        body.copy_from_slice(set.body);
        let apex = self.apex.to_be_bytes();
        for &patch in set.patches {
            if let Some(place) = body.get_mut(patch as usize..patch as usize + 2) {
                place.copy_from_slice(&apex);
            }
        }
        if owner != QUESTION {
            let mut at = 0;
            while let Some(record) = body.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<12>) {
                record[..2].copy_from_slice(&owner.to_be_bytes());
                at += 12 + usize::from(u16::from_be_bytes([record[10], record[11]]));
            }
        }
        self.at = end;
        self.counts[section as usize] += set.count;
        Ok(start)
    }

    /// Overwrites the TTL of the single record whose set starts at `start`.
    pub(crate) fn lower_ttl(&mut self, start: usize, ttl_s: u32) {
        let place = self.out.get_mut(start + 6..).and_then(<[u8]>::first_chunk_mut::<4>);
        if let Some(place) = place {
            *place = u32::from_be_bytes(*place).min(ttl_s).to_be_bytes();
        }
    }

    /// Writes one record. Gives where its rdata starts.
    #[inline]
    pub(crate) fn put_record(
        &mut self,
        section: Section,
        owner: u16,
        head: Head,
        rdata: &[u8],
    ) -> Result<usize, Full> {
        let length = u16::try_from(rdata.len()).map_err(|_| Full)?;
        let rdata_at = self.at + 12;
        let end = rdata_at + rdata.len();
        if end > self.limit {
            return Err(Full);
        }
        let Some(record) = self.out.get_mut(self.at..end) else { return Err(Full) };
        record[..2].copy_from_slice(&owner.to_be_bytes());
        record[2..4].copy_from_slice(&head.record_type.to_be_bytes());
        record[4..6].copy_from_slice(&[0, 1]);
        record[6..10].copy_from_slice(&head.ttl_s.to_be_bytes());
        record[10..12].copy_from_slice(&length.to_be_bytes());
        record[12..].copy_from_slice(rdata);
        self.at = end;
        self.counts[section as usize] += 1;
        Ok(rdata_at)
    }

    /// Writes one record of the answer section from the parts of its rdata.
    pub(crate) fn put_parts(
        &mut self,
        owner: u16,
        head: Head,
        parts: &[&[u8]],
    ) -> Result<(), Full> {
        let (start, mut end) = (self.at, self.put_record(Section::Answer, owner, head, &[])?);
        for &part in parts {
            let place =
                self.out.get_mut(end..end + part.len()).filter(|_| end + part.len() <= self.limit);
            let Some(place) = place else {
                self.at = start;
                self.counts[Section::Answer as usize] -= 1;
                return Err(Full);
            };
            place.copy_from_slice(part);
            end += part.len();
        }
        let length = u16::try_from(end - start - 12).map_err(|_| Full)?.to_be_bytes();
        if let Some(place) = self.out.get_mut(start + 10..start + 12) {
            place.copy_from_slice(&length);
        }
        self.at = end;
        Ok(())
    }

    /// Writes an address record.
    #[inline]
    pub(crate) fn put_address(&mut self, owner: u16, ttl_s: u32, ip: IpAddr) -> Result<(), Full> {
        match ip {
            IpAddr::V4(ip) => {
                let head = Head { record_type: 1, ttl_s };
                self.put_record(Section::Answer, owner, head, &ip.octets())?;
            }
            IpAddr::V6(ip) => {
                let head = Head { record_type: 28, ttl_s };
                self.put_record(Section::Answer, owner, head, &ip.octets())?;
            }
        }
        Ok(())
    }

    /// Writes the OPT record and the header. Gives the message's length.
    #[inline]
    pub(crate) fn finish(
        &mut self,
        edns: Option<&Edns<'_>>,
        us: &Identity<'_>,
        verdict: Verdict,
    ) -> usize {
        let mut additional = self.counts[Section::Additional as usize];
        if let Some(edns) = edns {
            self.limit = self.room;
            if self.put_opt(edns, us, verdict).is_ok() {
                additional += 1;
            }
        }
        let question = u16::from(self.question_end > HEADER_OCTETS);
        let [answer, authority, _] = self.counts;
        if let Some(header) = self.out.first_chunk_mut::<HEADER_OCTETS>() {
            // Opcode and RD are echoed (RFC 1035, section 4.1.1); RA, Z, AD and CD are clear.
            header[2] = 0x80
                | (header[2] & 0x79)
                | (u8::from(verdict.authoritative) << 2)
                | (u8::from(verdict.truncated) << 1);
            header[3] = verdict.rcode.to_be_bytes()[1] & 0x0f;
            let counts = [question, answer, authority, additional];
            for (place, count) in header[4..].as_chunks_mut().0.iter_mut().zip(counts) {
                *place = count.to_be_bytes();
            }
        }
        self.at
    }

    #[inline]
    fn put_opt(
        &mut self,
        edns: &Edns<'_>,
        us: &Identity<'_>,
        verdict: Verdict,
    ) -> Result<(), Full> {
        let start = self.at;
        // RFC 6891, section 6.1.3: the upper eight bits of the response code, the version, flags.
        let high = (verdict.rcode >> 4).to_be_bytes()[1];
        let flags = if edns.dnssec_ok { 0x80 } else { 0 };
        let [size_high, size_low] = us.udp_octets_max.to_be_bytes();
        let [type_high, type_low] = TYPE_OPT.to_be_bytes();
        let fixed = [0, type_high, type_low, size_high, size_low, high, 0, flags, 0, 0, 0];
        match &edns.subnet {
            None => self.put(&fixed)?,
            Some(subnet) => {
                let sent = subnet.sent().len();
                let length = u16::try_from(SUBNET_HEAD_OCTETS + sent).map_err(|_| Full)?;
                let mut head = [0; OPT_OCTETS + OPTION_HEAD_OCTETS + SUBNET_HEAD_OCTETS];
                head[..OPT_OCTETS].copy_from_slice(&fixed);
                let (_, option) = head.split_at_mut(OPT_OCTETS);
                option[..2].copy_from_slice(&edns::OPTION_SUBNET.to_be_bytes());
                option[2..4].copy_from_slice(&length.to_be_bytes());
                option[4..6].copy_from_slice(&subnet.family.to_be_bytes());
                option[6..].copy_from_slice(&[subnet.source_len, verdict.scope_len]);
                self.put(&head)?;
                self.put_padded(subnet.padded(), sent)?;
            }
        }
        if !us.extras.is_empty() {
            self.put(us.extras)?;
        }
        if let Some(extended) = verdict.extended {
            let text = extended.text().as_bytes();
            // It explains and no more: where there is no room for it, it is left out.
            if self.at + OPTION_HEAD_OCTETS + 2 + text.len() <= self.room {
                self.put_option_head(OPTION_EDE, 2 + text.len())?;
                self.put(&extended.code().to_be_bytes())?;
                self.put(text)?;
            }
        }
        let length = self.at - start - OPT_OCTETS;
        let length = u16::try_from(length).map_err(|_| Full)?.to_be_bytes();
        if let Some(place) = self.out.get_mut(start + 9..start + 11) {
            place.copy_from_slice(&length);
        }
        Ok(())
    }

    fn put_option_head(&mut self, code: u16, length: usize) -> Result<(), Full> {
        let [code_high, code_low] = code.to_be_bytes();
        let [len_high, len_low] = u16::try_from(length).map_err(|_| Full)?.to_be_bytes();
        self.put(&[code_high, code_low, len_high, len_low])
    }

    /// Writes the first `len` of sixteen octets, all sixteen where there is room: a copy of known
    /// length is no call, and what comes next overwrites the rest.
    fn put_padded(&mut self, octets: &[u8; 16], len: usize) -> Result<(), Full> {
        let place = self.out.get_mut(self.at..self.limit).and_then(<[u8]>::first_chunk_mut);
        match place {
            Some(place) => {
                *place = *octets;
                self.at += len.min(octets.len());
                Ok(())
            }
            None => self.put(octets.get(..len).ok_or(Full)?),
        }
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.at + octets.len();
        if end > self.limit {
            return Err(Full);
        }
        self.out.get_mut(self.at..end).ok_or(Full)?.copy_from_slice(octets);
        self.at = end;
        Ok(())
    }
}

/// A pointer to an offset; `None` when it is out of reach.
pub(crate) fn pointer_to(offset: usize) -> Option<u16> {
    u16::try_from(offset).ok().filter(|_| offset <= POINTER_REACH).map(|offset| 0xc000 | offset)
}
