//! `Zone`: apex, name servers, SOA, and static records from the document and its zone file.

use std::net::IpAddr;
use std::sync::Arc;

use super::fields::{self, Fields};
use super::files::Files;
use super::master::Lexer;
use super::rdata::{self, RdataError};
use super::records::{StaticRecord, StaticSets, refusal};
use super::report::{Report, Span, Spanned};
use super::tree::{Node, Value};
use super::zone_file::{self, Defaults};
use super::{suggest, value};
use crate::name::DnsName;
use crate::record::{MNEMONICS, RecordType};
use crate::zone::{NameServer, Soa, Zone};

/// TTL of static records, of the NS set and of the SOA when the document gives none.
const TTL_DEFAULT_S: u32 = 300;
/// Negative TTL when neither the document nor the zone file gives one: names of a steered zone
/// come and go, and resolvers should notice.
const NEGATIVE_TTL_DEFAULT_S: u32 = 30;
/// RFC 2181, section 8.
const TTL_MAX_S: u64 = 0x7fff_ffff;
/// SOA timers when nothing gives them: hourly checks, a week until a secondary gives up (RFC 1912,
/// section 2.2, with the retry of a small zone).
const REFRESH_DEFAULT_S: u32 = 3600;
const RETRY_DEFAULT_S: u32 = 600;
const EXPIRE_DEFAULT_S: u32 = 604_800;

/// A `Zone` document's `spec`.
#[derive(Debug)]
pub(super) struct ZoneSpec {
    /// `None` after an error.
    pub(super) apex: Option<Spanned<DnsName>>,
    ttl_s: u32,
    negative_ttl_s: Option<u32>,
    soa: Option<SoaSpec>,
    name_servers: Option<Vec<NameServerSpec>>,
    /// Whether `nameServers` has something, right or wrong.
    names_servers: bool,
    records: Vec<StaticRecord>,
    zone_file: Option<Spanned<Arc<str>>>,
    whole: Span,
}

#[derive(Debug, Default)]
struct SoaSpec {
    mname: Option<DnsName>,
    rname: Option<DnsName>,
    refresh_s: Option<u32>,
    retry_s: Option<u32>,
    expire_s: Option<u32>,
}

#[derive(Debug)]
struct NameServerSpec {
    name: Spanned<DnsName>,
    addresses: Vec<IpAddr>,
    /// Whether `addresses` has something, right or wrong.
    has_addresses: bool,
}

/// Reads the document.
pub(super) fn read(document: &mut Fields<'_, '_>, report: &mut Report) -> Option<ZoneSpec> {
    let node = document.required("spec", report, |node, _| Some(node))?;
    let mut fields = Fields::open("`spec` of the Zone", node, report)?;
    let apex = fields.required("apex", report, fields::spanned(value::dns_name));
    let ttl_s = fields.optional("ttl", report, ttl).unwrap_or(TTL_DEFAULT_S);
    let negative_ttl_s = fields.optional("negativeTtl", report, ttl);
    let soa = fields.optional("soa", report, read_soa);
    let servers = fields.take("nameServers").map(|entry| &entry.value);
    let name_servers = servers.and_then(|node| fields::list(node, report, read_name_server));
    let names_servers =
        servers.is_some_and(|node| !matches!(&node.value, Value::List(items) if items.is_empty()));
    let origin = apex.as_ref().map_or_else(DnsName::root, |apex| apex.value.clone());
    let records =
        fields.list("records", report, |node, report| read_record(&origin, ttl_s, node, report));
    let zone_file = fields.optional("zoneFile", report, fields::named);
    let whole = fields.span();
    fields.finish(report);
    let records = records.into_iter().flatten().collect();
    Some(ZoneSpec {
        apex,
        ttl_s,
        negative_ttl_s,
        soa,
        name_servers,
        names_servers,
        records,
        zone_file,
        whole,
    })
}

/// Whether a node is anything but an empty list, right or wrong.
fn is_filled(node: &Node<'_>) -> bool {
    !matches!(&node.value, Value::List(items) if items.is_empty())
}

fn ttl(node: &Node<'_>, report: &mut Report) -> Option<u32> {
    value::whole(0..=TTL_MAX_S)(node, report)
}

fn read_soa(node: &Node<'_>, report: &mut Report) -> Option<SoaSpec> {
    let mut fields = Fields::open("`soa`", node, report)?;
    let soa = SoaSpec {
        mname: fields.optional("mname", report, value::dns_name),
        rname: fields.optional("rname", report, value::dns_name),
        refresh_s: fields.optional("refresh", report, ttl),
        retry_s: fields.optional("retry", report, ttl),
        expire_s: fields.optional("expire", report, ttl),
    };
    fields.finish(report);
    Some(soa)
}

fn read_name_server(node: &Node<'_>, report: &mut Report) -> Option<NameServerSpec> {
    let mut fields = Fields::open("a name server", node, report)?;
    let name = fields.required("name", report, fields::spanned(value::dns_name));
    let listed = fields.take("addresses").map(|entry| &entry.value);
    let addresses = listed.and_then(|node| fields::list(node, report, value::host_ip));
    let has_addresses = listed.is_some_and(is_filled);
    fields.finish(report);
    Some(NameServerSpec { name: name?, addresses: addresses.unwrap_or_default(), has_addresses })
}

/// One item of `records`: an owner, a type and texts of rdata, relative names below `origin`.
fn read_record(
    origin: &DnsName,
    ttl_default_s: u32,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Vec<StaticRecord>> {
    let mut fields = Fields::open("a record", node, report)?;
    let owner =
        fields.required("name", report, |node, report| value::dns_name_under(origin, node, report));
    let record_type = fields.required("type", report, read_type);
    let ttl_s = fields.optional("ttl", report, ttl).unwrap_or(ttl_default_s);
    let data = fields.required("data", report, read_data);
    fields.finish(report);
    let record_type = record_type?;
    let records = data?.into_iter().filter_map(|text| {
        let span = text.span;
        let text = Spanned { value: text.value.as_str(), span };
        let rdata = encode_rdata(record_type, &text, origin, report)?;
        Some(StaticRecord { owner: owner.clone()?, record_type, ttl_s, rdata, span })
    });
    Some(records.collect())
}

/// One text of rdata or several, at least one.
pub(super) fn read_data(node: &Node<'_>, report: &mut Report) -> Option<Vec<Spanned<String>>> {
    let data = fields::one_or_more(node, report, |node, report| {
        Some(Spanned { value: value::text(node, report)?.to_owned(), span: node.span })
    })?;
    if let Value::List(items) = &node.value
        && items.is_empty()
    {
        report.error(
            node.span,
            "a record needs some `data`",
            "write `data: ...`, or remove the record",
        );
    }
    Some(data)
}

/// Rdata of a document: one line of master-file text.
pub(super) fn encode_rdata(
    record_type: RecordType,
    text: &Spanned<&str>,
    origin: &DnsName,
    report: &mut Report,
) -> Option<Box<[u8]>> {
    let mut lexer = Lexer::new(text.value);
    let words = match lexer.next_line() {
        Some(Ok(line)) => line.words,
        Some(Err(error)) => {
            report.error(text.span, error.message, error.help);
            return None;
        }
        None => Vec::new(),
    };
    if lexer.next_line().is_some() {
        report.error(
            text.span,
            "this is more than one line of rdata",
            "write each record's data as an item of its own: `data: [..., ...]`",
        );
        return None;
    }
    let encoded = rdata::encode(record_type, &words, origin);
    let bad = |error: RdataError| report.error(text.span, error.message, rdata::help(record_type));
    encoded.map_err(bad).ok()
}

/// A record type that documents may hold.
pub(super) fn read_type(node: &Node<'_>, report: &mut Report) -> Option<RecordType> {
    let found = value::text(node, report)?;
    let Some(record_type) = RecordType::parse(found) else {
        let known = MNEMONICS.iter().map(|(name, _)| *name);
        let help = suggest::help_for(found, "types are", known);
        report.error(node.span, format!("unknown record type `{found}`"), help);
        return None;
    };
    if let Some(why) = refusal(record_type) {
        report.error(
            node.span,
            format!("a zone cannot hold {record_type} records: {why}"),
            "remove this record",
        );
        return None;
    }
    Some(record_type)
}

/// The zone and what it takes to check hostnames against it.
#[derive(Debug)]
pub(super) struct CheckedZone {
    pub(super) zone: Zone,
    pub(super) sets: StaticSets,
}

/// Reads the zone file of a Zone without an apex for its own mistakes: every name is below the root.
pub(super) fn check_zone_file(spec: &ZoneSpec, files: &mut Files<'_>, report: &mut Report) {
    let found = spec.zone_file.as_ref().and_then(|path| files.find(path, report));
    if let Some((file, text)) = found {
        let root = DnsName::root();
        let defaults = Defaults { apex: &root, ttl_s: spec.ttl_s };
        zone_file::read(file, text, defaults, files, report);
    }
}

/// Spec -> model, with the zone file that lies beside the document.
pub(super) fn convert(
    apex: DnsName,
    spec: ZoneSpec,
    files: &mut Files<'_>,
    report: &mut Report,
) -> CheckedZone {
    let ZoneSpec {
        apex: _,
        ttl_s,
        negative_ttl_s,
        soa,
        name_servers,
        names_servers,
        mut records,
        zone_file,
        whole,
    } = spec;
    let mut file_soa = None;
    let mut file_servers = Vec::new();
    let file = zone_file.as_ref().and_then(|path| files.find(path, report));
    // Those that could not be read are reported, and are not missing.
    let may_have_servers = names_servers || (zone_file.is_some() && file.is_none());
    if let Some((file, text)) = file {
        let defaults = Defaults { apex: &apex, ttl_s };
        for record in zone_file::read(file, text, defaults, files, report) {
            match record.record_type {
                RecordType::SOA if record.owner == apex => keep_soa(&mut file_soa, &record, report),
                RecordType::NS if record.owner == apex => file_servers.push(record),
                _ => records.push(record),
            }
        }
    }
    let mut sets = StaticSets::assemble(apex.clone(), records, report);
    let (servers, ns_ttl_s) = match (name_servers, file_servers.first()) {
        (Some(given), _) => {
            warn_of_other_servers(&given, &file_servers, report);
            (given, ttl_s)
        }
        (None, Some(first)) => {
            let servers = file_servers.iter().filter_map(server_of_record).collect();
            (servers, first.ttl_s)
        }
        (None, None) => (Vec::new(), ttl_s),
    };
    let name_servers = settle_servers(&apex, servers, whole.file, &mut sets, report);
    if name_servers.is_empty() && !may_have_servers {
        let help = "add `nameServers: [{name: ..., addresses: [...]}]`, or NS to the zone file";
        report.error(whole, "the Zone has no name server", help);
    }
    let base = file_soa.unwrap_or_else(|| default_soa(&apex, ttl_s, &name_servers));
    let soa = settle_soa(soa.unwrap_or_default(), negative_ttl_s, base);
    let records = sets.to_model();
    CheckedZone { zone: Zone { apex, soa, name_servers, ns_ttl_s, records }, sets }
}

fn keep_soa(slot: &mut Option<Soa>, record: &StaticRecord, report: &mut Report) {
    if slot.is_some() {
        report.error(record.span, "the zone file has a second SOA", "remove one of the two");
    }
    *slot = soa_of_record(record);
}

/// Reads our own encoding back: two names and five numbers.
fn soa_of_record(record: &StaticRecord) -> Option<Soa> {
    let (mname, rest) = split_name(&record.rdata)?;
    let (rname, rest) = split_name(rest)?;
    let mut numbers = rest.chunks_exact(4).map(|n| u32::from_be_bytes([n[0], n[1], n[2], n[3]]));
    let _serial = numbers.next()?;
    Some(Soa {
        mname,
        rname,
        refresh_s: numbers.next()?,
        retry_s: numbers.next()?,
        expire_s: numbers.next()?,
        negative_ttl_s: numbers.next()?,
        ttl_s: record.ttl_s,
    })
}

fn split_name(octets: &[u8]) -> Option<(DnsName, &[u8])> {
    let mut at = 0;
    loop {
        let length = usize::from(*octets.get(at)?);
        at += 1 + length;
        if length == 0 {
            let (name, rest) = octets.split_at_checked(at)?;
            return Some((DnsName::from_wire(name).ok()?, rest));
        }
    }
}

fn server_of_record(record: &StaticRecord) -> Option<NameServerSpec> {
    let value = DnsName::from_wire(&record.rdata).ok()?;
    let name = Spanned { value, span: record.span };
    Some(NameServerSpec { name, addresses: Vec::new(), has_addresses: false })
}

fn warn_of_other_servers(given: &[NameServerSpec], file: &[StaticRecord], report: &mut Report) {
    for server in file.iter().filter_map(server_of_record) {
        if !given.iter().any(|known| known.name.value == server.name.value) {
            let message = format!("`{}` is not in `nameServers` and is ignored", server.name.value);
            report.warn(
                server.name.span,
                message,
                "`nameServers` of the Zone replaces the apex's NS",
            );
        }
    }
}

/// Checks that in-zone servers have addresses. Invariant: where the document gives them, the static sets
/// hold none at those names, so that an address of a name server has one place. A file other than the
/// document, a zone file, may name servers without addresses: it was written for other servers,
/// which take it.
fn settle_servers(
    apex: &DnsName,
    servers: Vec<NameServerSpec>,
    document: u32,
    sets: &mut StaticSets,
    report: &mut Report,
) -> Vec<NameServer> {
    let mut settled: Vec<NameServer> = Vec::with_capacity(servers.len());
    for NameServerSpec { name: Spanned { value: name, span }, mut addresses, has_addresses } in
        servers
    {
        if settled.iter().any(|server| server.name == name) {
            report.error(
                span,
                format!("the name server `{name}` is given twice"),
                "remove one of the two, and keep all its addresses",
            );
            continue;
        }
        if !name.is_within(apex) {
            if !addresses.is_empty() {
                let message = format!("`{name}` is not in the zone, its addresses are ignored");
                report.warn(span, message, "the zone that holds the name has its addresses");
            }
            settled.push(NameServer { name, addresses: Vec::new() });
            continue;
        }
        let mut static_addresses = Vec::new();
        for record_type in [RecordType::A, RecordType::AAAA] {
            let rdata = sets.rdata(&name, record_type);
            static_addresses.extend(rdata.iter().filter_map(|octets| address(octets)));
        }
        if !addresses.is_empty() {
            if static_addresses.iter().any(|ip| !addresses.contains(ip)) {
                let message = format!("`{name}` has other addresses among the static records");
                report.error(span, message, "give a name server's addresses in one place");
            }
            sets.remove_addresses(&name);
        }
        if addresses.is_empty() && static_addresses.is_empty() && !has_addresses {
            let message = format!("the name server `{name}` has no address");
            if span.file == document {
                report.error(
                    span,
                    message,
                    "a name within the zone needs `addresses`, for example `addresses: [192.0.2.1]`",
                );
            } else {
                let help = "add its A or AAAA records: without them nobody finds it";
                report.warn(span, message, help);
            }
        }
        if sets.at(&name).any(|(t, _)| t == RecordType::CNAME) {
            let message = format!("the name server `{name}` is a CNAME");
            let help = "name the host that the CNAME leads to, or replace the CNAME by addresses";
            if span.file == document {
                report.error(span, message, help);
            } else {
                report.warn(span, message, help);
            }
        }
        addresses.dedup();
        settled.push(NameServer { name, addresses });
    }
    settled
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
    }
}

/// The SOA when there is no zone file with one.
fn default_soa(apex: &DnsName, ttl_s: u32, servers: &[NameServer]) -> Soa {
    Soa {
        mname: servers.first().map_or_else(|| apex.clone(), |server| server.name.clone()),
        rname: apex.child(b"hostmaster").unwrap_or_else(|_| apex.clone()),
        refresh_s: REFRESH_DEFAULT_S,
        retry_s: RETRY_DEFAULT_S,
        expire_s: EXPIRE_DEFAULT_S,
        negative_ttl_s: NEGATIVE_TTL_DEFAULT_S,
        ttl_s,
    }
}

/// Field by field: the document, else what there is.
fn settle_soa(spec: SoaSpec, negative_ttl_s: Option<u32>, base: Soa) -> Soa {
    let SoaSpec { mname, rname, refresh_s, retry_s, expire_s } = spec;
    Soa {
        mname: mname.unwrap_or(base.mname),
        rname: rname.unwrap_or(base.rname),
        refresh_s: refresh_s.unwrap_or(base.refresh_s),
        retry_s: retry_s.unwrap_or(base.retry_s),
        expire_s: expire_s.unwrap_or(base.expire_s),
        negative_ttl_s: negative_ttl_s.unwrap_or(base.negative_ttl_s),
        ttl_s: base.ttl_s,
    }
}
