//! From a request to its answer: status, headers that matter, body.
//!
//! Pure. The address that a request names is the client's own, not a resolver's, so it goes into
//! the lookup as a client subnet of full length; without one the caller is the client.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use model::name::DnsName;
use model::observe::Client;
use model::record::RecordType;
use serde::Serialize;
use serde_json::Value;
use steering::whereabouts::Whereabouts;

use super::lookup::{Looked, Question, Record, look_up};
use super::request::{
    Detail, Go, Hosts, HostsShape, Plain, PlainTtl, Prefix, Request, RequestError, Resolve, bare,
};
use super::signature::{Secret, SignatureError};
use crate::message::rcode;
use crate::view::View;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Who asks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Its address.
    pub ip: IpAddr,
    /// What kind of method it used.
    pub verb: Verb,
}

/// Methods, as far as they differ here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET and HEAD.
    Read,
    /// Every other.
    Write,
}

/// What answers depend on beside the view.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Where redirects lead.
    pub redirect: Redirect,
    /// Who explains; `None`: nobody here does.
    pub explain: Option<Explain>,
    /// With which requests must be signed; `None`: they need not.
    pub secret: Option<Secret>,
}

/// Where redirects lead: always to an address, so that they work for clients without DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirect {
    /// The scheme.
    pub scheme: Scheme,
    /// The port that sites serve it on.
    pub port: u16,
}

impl Default for Redirect {
    fn default() -> Self {
        Self { scheme: Scheme::Http, port: 80 }
    }
}

/// A redirect's scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// Tells why a client, which may have told its place, gets what it gets: the controller's part, given by whoever puts both together.
/// `None` when the name is no service.
#[derive(Clone)]
#[expect(clippy::type_complexity, reason = "the newtype is the name for it")]
pub struct Explain(
    Arc<dyn Fn(&DnsName, Client, Option<&Whereabouts>) -> Option<Value> + Send + Sync>,
);

impl Explain {
    /// Wraps the function. It may take its time: it is called off the runtime's threads.
    pub fn new(
        explain: impl Fn(&DnsName, Client, Option<&Whereabouts>) -> Option<Value>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(explain))
    }
}

impl fmt::Debug for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Explain(…)")
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body's type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// How long the caller, and nobody between, may keep it.
    pub cache_s: u32,
}

impl Answer {
    fn new(content_type: &'static str, body: String, cache_s: u32) -> Self {
        Self { status: 200, content_type, body, location: None, cache_s }
    }

    fn json(body: &impl Serialize, cache_s: u32) -> Self {
        match serde_json::to_string(body) {
            Ok(body) => Self::new(JSON, body, cache_s),
            Err(_) => Self::error(500, "the answer cannot be written as JSON"),
        }
    }

    /// An error as `{"error": …}`.
    pub fn error(status: u16, error: &str) -> Self {
        let body = serde_json::json!({ "error": error }).to_string();
        Self { status, content_type: JSON, body, location: None, cache_s: 0 }
    }

    fn unknown(name: &DnsName, looked: &Looked) -> Self {
        match looked.rcode {
            rcode::REFUSED => Self::error(404, &format!("`{name}` is in no zone served here")),
            code => Self::error(503, &format!("no answer for `{name}`: response code {code}")),
        }
    }
}

impl From<RequestError> for Answer {
    fn from(error: RequestError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Self::error(error.status(), &format!("{error}{}", cause.unwrap_or_default()))
    }
}

impl From<SignatureError> for Answer {
    fn from(error: SignatureError) -> Self {
        Self::error(403, &error.to_string())
    }
}

/// Answers a request that may be answered (see [`Secret::check`]).
pub fn answer(view: &View, request: &Request, asker: Asker, rules: &Rules) -> Answer {
    let desk = Desk { view, asker, rules };
    let answered = match (request, asker.verb) {
        (Request::Go(go), _) => desk.go(go),
        (_, Verb::Write) => Some(Answer::error(405, "only GET and HEAD are answered here")),
        (Request::Resolve(resolve), Verb::Read) => desk.resolve(resolve),
        (Request::Hosts(hosts), Verb::Read) => desk.hosts(hosts),
        (Request::Plain(plain), Verb::Read) => desk.plain(plain),
    };
    answered.unwrap_or_else(|| Answer::error(500, "the lookup gave no answer"))
}

/// What every form of an answer needs.
#[derive(Debug, Clone, Copy)]
struct Desk<'a> {
    view: &'a View,
    asker: Asker,
    rules: &'a Rules,
}

impl Desk<'_> {
    fn look_up(
        &self,
        name: &DnsName,
        record_type: RecordType,
        (client, place): (Option<Prefix>, Option<&Whereabouts>),
    ) -> Option<Looked> {
        let caller = self.asker.ip.to_canonical();
        let client = client.unwrap_or_else(|| Prefix::whole(caller));
        look_up(self.view, &Question { name, record_type, client, caller, place })
    }

    fn resolve(&self, resolve: &Resolve) -> Option<Answer> {
        let Resolve { name, record_type, client, place, detail, signature: _ } = resolve;
        let explain = match (detail, &self.rules.explain) {
            (Detail::Plain, _) => None,
            (Detail::Explain, Some(explain)) => Some(explain),
            (Detail::Explain, None) => {
                let error = "this server explains nothing; help: leave `explain` out";
                return Some(Answer::error(501, error));
            }
        };
        let client = client.unwrap_or_else(|| Prefix::whole(self.asker.ip));
        let place =
            place.as_ref().map(|claim| Whereabouts::find(self.view.locator().atlas(), claim));
        let place = match place.transpose() {
            Ok(place) => place,
            Err(error) => return Some(Answer::error(400, &error.to_string())),
        };
        let looked = self.look_up(name, *record_type, (Some(client), place.as_ref()))?;
        let explanation = explain.map(|explain| {
            // An alias is explained by the name that it leads to.
            let steered = looked.answers.last().map_or(name, |record| &record.owner);
            let client = match client.source_len() {
                0 => Client { ip: self.asker.ip.to_canonical(), source_len: None },
                len => Client { ip: client.ip(), source_len: Some(len) },
            };
            (explain.0)(steered, client, place.as_ref()).unwrap_or_default()
        });
        let records = |records: &[Record]| records.iter().map(RecordBody::of).collect();
        let body = ResolveBody {
            status: looked.rcode,
            truncated: false,
            recursion_desired: false,
            recursion_available: false,
            authentic_data: false,
            checking_disabled: false,
            question: [QuestionBody { name: name.to_string(), record_type: record_type.0 }],
            answer: records(&looked.answers),
            authority: records(&looked.authorities),
            client_subnet: looked.scope_len.map(|scope_len| format!("{}/{scope_len}", client.ip())),
            reason: looked.reason.map(steering::decide::Reason::as_str),
            extended_errors: looked
                .extended_errors
                .iter()
                .map(|(code, text)| ExtendedErrorBody { code: *code, text: text.clone() })
                .collect(),
            explanation,
        };
        Some(Answer::json(&body, looked.ttl_s()))
    }

    fn hosts(&self, hosts: &Hosts) -> Option<Answer> {
        let client = hosts.ip.map_or_else(|| Prefix::whole(self.asker.ip), Prefix::whole);
        let client_ip = client.ip().to_string();
        let mut entries = Vec::new();
        for name in &hosts.names {
            for record_type in hosts.families.record_types() {
                let looked = self.look_up(name, *record_type, (Some(client), None))?;
                let is_known = matches!(looked.rcode, rcode::NOERROR | rcode::NXDOMAIN);
                match hosts.shape {
                    HostsShape::Single if !is_known => return Some(Answer::unknown(name, &looked)),
                    // Whoever asked for many finds out which one is not there.
                    HostsShape::Batch if !is_known => {}
                    _ => entries.push((name, *record_type, looked)),
                }
            }
        }
        let cache_s = entries.iter().map(|(.., looked)| looked.ttl_s()).min().unwrap_or(0);
        if hosts.shape == HostsShape::Batch {
            let dns = entries.iter().map(|(name, record_type, looked)| HostEntryBody {
                host: bare(name),
                client_ip: &client_ip,
                ips: looked.addresses(*record_type).collect(),
                record_type: record_type.0,
                ttl: looked.ttl_s(),
                origin_ttl: looked.ttl_s(),
            });
            return Some(Answer::json(&HostListBody { dns: dns.collect() }, cache_s));
        }
        let addresses = |wanted: RecordType| {
            let of_type = entries.iter().filter(move |(_, record_type, _)| *record_type == wanted);
            of_type.flat_map(move |(.., looked)| looked.addresses(wanted)).collect()
        };
        let body = HostBody {
            host: bare(hosts.names.first()?),
            client_ip: &client_ip,
            ips: addresses(RecordType::A),
            ipsv6: addresses(RecordType::AAAA),
            ttl: cache_s,
            origin_ttl: cache_s,
        };
        Some(Answer::json(&body, cache_s))
    }

    fn plain(&self, plain: &Plain) -> Option<Answer> {
        let looked =
            self.look_up(&plain.name, plain.record_type, (plain.ip.map(Prefix::whole), None))?;
        if !matches!(looked.rcode, rcode::NOERROR | rcode::NXDOMAIN) {
            return Some(Answer::unknown(&plain.name, &looked));
        }
        let addresses: Vec<&str> = looked.addresses(plain.record_type).collect();
        let mut body = addresses.join(";");
        if plain.ttl == PlainTtl::Append && !body.is_empty() {
            body = format!("{body},{}", looked.ttl_s());
        }
        Some(Answer::new(TEXT, body, looked.ttl_s()))
    }

    /// The caller is the client, because it is the one that will follow.
    fn go(&self, go: &Go) -> Option<Answer> {
        let mut record_types = [RecordType::A, RecordType::AAAA];
        if self.asker.ip.to_canonical().is_ipv6() {
            record_types.reverse();
        }
        let mut reason = None;
        for record_type in record_types {
            let looked = self.look_up(&go.name, record_type, (None, None))?;
            // Redirects lead to sites only: any other name's addresses are none of our business.
            reason = reason.or(looked.reason);
            if let (Some(_), Some(address)) = (looked.reason, looked.addresses(record_type).next())
            {
                return Some(self.redirect(address, &go.rest));
            }
        }
        Some(match reason {
            None => Answer::error(404, &format!("`{}` is not steered here", go.name)),
            Some(reason) => {
                Answer::error(503, &format!("no site for this client: {}", reason.as_str()))
            }
        })
    }

    fn redirect(&self, address: &str, rest: &str) -> Answer {
        let Redirect { scheme, port } = self.rules.redirect;
        let (scheme, usual) = match scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https => ("https", 443),
        };
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let port = if port == usual { String::new() } else { format!(":{port}") };
        let location = format!("{scheme}://{host}{port}{rest}");
        // 307 keeps method and body, which 302 does not promise (RFC 9110, section 15.4).
        let status = match self.asker.verb {
            Verb::Read => 302,
            Verb::Write => 307,
        };
        let body = format!("{location}\n");
        Answer { status, content_type: TEXT, body, location: Some(location), cache_s: 0 }
    }
}

/// The form of public resolvers' JSON, with our own additions in lower case at its end.
#[derive(Debug, Serialize)]
struct ResolveBody {
    #[serde(rename = "Status")]
    status: u16,
    #[serde(rename = "TC")]
    truncated: bool,
    #[serde(rename = "RD")]
    recursion_desired: bool,
    #[serde(rename = "RA")]
    recursion_available: bool,
    #[serde(rename = "AD")]
    authentic_data: bool,
    #[serde(rename = "CD")]
    checking_disabled: bool,
    #[serde(rename = "Question")]
    question: [QuestionBody; 1],
    #[serde(rename = "Answer", skip_serializing_if = "Vec::is_empty")]
    answer: Vec<RecordBody>,
    #[serde(rename = "Authority", skip_serializing_if = "Vec::is_empty")]
    authority: Vec<RecordBody>,
    /// The client's address and the scope: for whom the answer holds.
    #[serde(rename = "edns_client_subnet", skip_serializing_if = "Option::is_none")]
    client_subnet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extended_errors: Vec<ExtendedErrorBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Value>,
}

#[derive(Debug, Serialize)]
struct QuestionBody {
    name: String,
    #[serde(rename = "type")]
    record_type: u16,
}

#[derive(Debug, Serialize)]
struct RecordBody {
    name: String,
    #[serde(rename = "type")]
    record_type: u16,
    #[serde(rename = "TTL")]
    ttl_s: u32,
    data: String,
}

impl RecordBody {
    fn of(record: &Record) -> Self {
        let Record { owner, record_type, ttl_s, data } = record;
        let (name, record_type) = (owner.to_string(), record_type.0);
        Self { name, record_type, ttl_s: *ttl_s, data: data.clone() }
    }
}

#[derive(Debug, Serialize)]
struct ExtendedErrorBody {
    code: u16,
    text: String,
}

#[derive(Debug, Serialize)]
struct HostBody<'a> {
    host: String,
    client_ip: &'a str,
    ips: Vec<&'a str>,
    ipsv6: Vec<&'a str>,
    ttl: u32,
    origin_ttl: u32,
}

#[derive(Debug, Serialize)]
struct HostListBody<'a> {
    dns: Vec<HostEntryBody<'a>>,
}

#[derive(Debug, Serialize)]
struct HostEntryBody<'a> {
    host: String,
    client_ip: &'a str,
    ips: Vec<&'a str>,
    #[serde(rename = "type")]
    record_type: u16,
    ttl: u32,
    origin_ttl: u32,
}
