//! The shell of aliases: asks resolvers what the book wants to know, and hands out what it learned.
//!
//! A stub: it asks recursive resolvers over UDP, over TCP when an answer is cut, one server after the
//! other, with a limit on everything. Names and subnets come from the view in use and its notes; the
//! table goes to the thread that builds views, so that a view is swapped by one hand alone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use model::name::DnsName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::book::{Book, Outcome, Question};
use super::{Kind, Note};
use crate::server::Shared;

/// Questions under way at once.
const UNDER_WAY_MAX: usize = 64;
/// How often the book is looked at: a miss is asked about well within a second.
const TICK: Duration = Duration::from_millis(50);
/// How long one server has for one answer; resolvers themselves give up after some seconds.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// Servers asked one after the other for one question.
const SERVERS_MAX: usize = 3;
/// Names in a chain of CNAMEs, and questions to follow one that a server leaves to us.
const CHAIN_MAX: usize = 16;
const QUESTIONS_MAX: usize = 8;
/// What we take over UDP (the figure of the DNS flag day 2020), and over TCP.
const UDP_OCTETS_MAX: u16 = 1232;
const TCP_OCTETS_MAX: usize = 65_535;
/// How long the absence of addresses is believed, with and without an SOA that says it.
const NEGATIVE_TTL_S_MAX: u32 = 300;
const NEGATIVE_TTL_S_DEFAULT: u32 = 30;

/// Keeps the aliases of the view in use resolved until the server stops.
pub(crate) async fn run(
    servers: Arc<[SocketAddr]>,
    notes: Receiver<Note>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let mut work = Work { book: Book::default(), servers, under_way: JoinSet::new() };
    let started = now();
    let mut names = None;
    while !*stop.borrow() {
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let wanted = shared.view().alias_names();
        if names.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &wanted)) {
            work.book.retain(wanted.all(), now_ms);
            names = Some(wanted);
        }
        notes.try_iter().for_each(|note| work.book.note(&note, now_ms));
        work.begin(now_ms);
        if work.book.is_changed() {
            shared.set_aliases(work.book.table());
        }
        tokio::select! {
            _ = stop.changed() => {}
            Some(done) = work.under_way.join_next() => work.end(done, started),
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell: the book counts from the start")]
fn now() -> Instant {
    Instant::now()
}

struct Work {
    book: Book,
    servers: Arc<[SocketAddr]>,
    under_way: JoinSet<(Question, Outcome)>,
}

impl Work {
    fn begin(&mut self, now_ms: u64) {
        let room = UNDER_WAY_MAX.saturating_sub(self.under_way.len());
        for question in self.book.due(now_ms, room) {
            let servers = Arc::clone(&self.servers);
            self.under_way.spawn(async move {
                let outcome = resolve(&servers, &question).await;
                (question, outcome)
            });
        }
    }

    fn end(&mut self, done: Result<(Question, Outcome), tokio::task::JoinError>, started: Instant) {
        match done {
            Ok((question, outcome)) => {
                if outcome == Outcome::Failed {
                    tracing::debug!(name = %question.name, "an alias was not resolved");
                }
                let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.book.take(&question, outcome, now_ms);
            }
            Err(error) => tracing::error!(%error, "a resolution ended by itself"),
        }
    }
}

/// Asks the servers in turn.
pub(crate) async fn resolve(servers: &[SocketAddr], question: &Question) -> Outcome {
    for &server in servers.iter().take(SERVERS_MAX) {
        match resolve_at(server, question).await {
            Ok(outcome @ Outcome::Resolved { .. }) => return outcome,
            Ok(Outcome::Failed) => {}
            Err(error) => tracing::debug!(%server, %error, "a resolver gives no answer"),
        }
    }
    Outcome::Failed
}

/// Asks one server, and goes on from the CNAME that it leaves to us, if it does.
async fn resolve_at(server: SocketAddr, question: &Question) -> io::Result<Outcome> {
    let mut name = name_of(&question.name)?;
    let (mut ttl_s_max, mut scope_len_min) = (u32::MAX, 0);
    for _ in 0..QUESTIONS_MAX {
        let asked = Asked { name, question };
        let answer = timeout(ANSWER_WAIT, exchange(server, &asked))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        match read(&answer, &asked) {
            Read::Found { addresses, ttl_s, scope_len } => {
                let (ttl_s, scope_len) = (ttl_s.min(ttl_s_max), scope_len.max(scope_len_min));
                return Ok(Outcome::Resolved { addresses, ttl_s, scope_len });
            }
            Read::GoOn { target, ttl_s, scope_len } => {
                name = target;
                ttl_s_max = ttl_s_max.min(ttl_s);
                scope_len_min = scope_len_min.max(scope_len);
            }
            Read::Nothing => return Ok(Outcome::Failed),
        }
    }
    Ok(Outcome::Failed)
}

/// One question of the chain.
struct Asked<'q> {
    name: Name,
    question: &'q Question,
}

impl Asked<'_> {
    fn record_type(&self) -> RecordType {
        match self.question.kind {
            Kind::V4 => RecordType::A,
            Kind::V6 => RecordType::AAAA,
        }
    }

    fn message(&self) -> io::Result<Message> {
        let mut message = Message::query();
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        message.metadata.id = u16::from_be_bytes(id);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.record_type()));
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_OCTETS_MAX);
        if let Some(block) = self.question.block {
            let (ip, len) = block.as_prefix();
            edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new(ip, len, 0)));
        }
        message.set_edns(edns);
        Ok(message)
    }

    /// Whether a message answers this question and no other.
    fn is_answered_by(&self, answer: &Message, id: u16) -> bool {
        let [query] = &*answer.queries else { return false };
        answer.metadata.id == id
            && answer.metadata.message_type == hickory_proto::op::MessageType::Response
            && *query.name() == self.name
            && query.query_type() == self.record_type()
    }
}

fn name_of(name: &DnsName) -> io::Result<Name> {
    Name::read(&mut BinDecoder::new(name.as_wire())).map_err(io::Error::other)
}

async fn exchange(server: SocketAddr, asked: &Asked<'_>) -> io::Result<Message> {
    let message = asked.message()?;
    let id = message.metadata.id;
    let packet = message.to_vec().map_err(io::Error::other)?;
    let local: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port of the system's choice for each question, connected: what others send is not seen.
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    socket.send(&packet).await?;
    let mut buffer = [0; UDP_OCTETS_MAX as usize];
    loop {
        let octets = socket.recv(&mut buffer).await?;
        // A wrong answer may be somebody's guess: the right one may still come.
        let Ok(answer) = Message::from_vec(buffer.get(..octets).unwrap_or_default()) else {
            continue;
        };
        if !asked.is_answered_by(&answer, id) {
            continue;
        }
        if !answer.metadata.truncation {
            return Ok(answer);
        }
        let answer = exchange_over_tcp(server, &packet).await?;
        return if asked.is_answered_by(&answer, id) {
            Ok(answer)
        } else {
            Err(io::Error::from(io::ErrorKind::InvalidData))
        };
    }
}

async fn exchange_over_tcp(server: SocketAddr, packet: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).await?;
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(head)).min(TCP_OCTETS_MAX)];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(io::Error::other)
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// Addresses, or that there are none.
    Found { addresses: Vec<IpAddr>, ttl_s: u32, scope_len: u8 },
    /// A CNAME whose target the server says nothing of.
    GoOn { target: Name, ttl_s: u32, scope_len: u8 },
    /// Nothing that can be used.
    Nothing,
}

fn read(answer: &Message, asked: &Asked<'_>) -> Read {
    let code = answer.metadata.response_code;
    if code != ResponseCode::NoError && code != ResponseCode::NXDomain {
        return Read::Nothing;
    }
    let scope_len = scope_of(answer, asked);
    let (mut name, mut ttl_s) = (&asked.name, u32::MAX);
    let mut links = 0;
    while let Some((target, link_ttl_s)) = cname_of(answer, name).filter(|_| links < CHAIN_MAX) {
        (name, ttl_s, links) = (target, ttl_s.min(link_ttl_s), links + 1);
    }
    let mut addresses = Vec::new();
    for record in answer.answers.iter().filter(|record| record.name == *name) {
        let ip = match (&record.data, asked.question.kind) {
            (RData::A(ip), Kind::V4) => IpAddr::V4(ip.0),
            (RData::AAAA(ip), Kind::V6) => IpAddr::V6(ip.0),
            _ => continue,
        };
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
        ttl_s = ttl_s.min(record.ttl);
    }
    if !addresses.is_empty() {
        return Read::Found { addresses, ttl_s, scope_len };
    }
    let soa = answer.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    let is_denied = soa.is_some() || code == ResponseCode::NXDomain;
    if links > 0 && !is_denied {
        return Read::GoOn { target: name.clone(), ttl_s, scope_len };
    }
    // A referral of a server that does not recurse denies nothing.
    let is_referral = answer.authorities.iter().any(|record| matches!(record.data, RData::NS(_)));
    if !is_denied && is_referral {
        return Read::Nothing;
    }
    let denied_s = soa.map_or(NEGATIVE_TTL_S_DEFAULT, |ttl_s| ttl_s.min(NEGATIVE_TTL_S_MAX));
    Read::Found { addresses, ttl_s: ttl_s.min(denied_s), scope_len }
}

fn cname_of<'m>(answer: &'m Message, name: &Name) -> Option<(&'m Name, u32)> {
    answer.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *name => Some((&target.0, record.ttl)),
        _ => None,
    })
}

/// The scope of an answer; without the option it is for everybody (RFC 7871, section 7.3).
fn scope_of(answer: &Message, asked: &Asked<'_>) -> u8 {
    let option = answer.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet));
    match (option, asked.question.block) {
        (Some(EdnsOption::Subnet(subnet)), Some(block)) => {
            let (ip, len) = block.as_prefix();
            // One that repeats another prefix is about somebody else.
            let is_ours = subnet.addr() == ip && subnet.source_prefix() == len;
            if is_ours { subnet.scope_prefix() } else { len }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
