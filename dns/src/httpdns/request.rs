//! A request, parsed: path and query in, what is asked for out.
//!
//! Strict, because a parameter that is read half right is answered for the wrong client: what is
//! unknown, repeated or malformed is refused with a sentence that names it. Parameters that ask for
//! nothing we could get wrong (a client's version, padding) are listed and passed over.

mod parameters;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::name::{DnsName, NameError};
use model::record::RecordType;
use steering::whereabouts::{Claim, ClaimError};

use super::signature::Signature;
use parameters::Parameters;

/// Octets of path and query together: a name of 255 octets with every one escaped as `\DDD` and the
/// backslash percent-encoded is 1,530, and the rest is short.
pub const TARGET_OCTETS_MAX: usize = 2048;
/// Hosts of one request, as the provider whose form it is has it.
pub const HOSTS_MAX: usize = 5;
/// The longest account; it is not looked at.
const ACCOUNT_OCTETS_MAX: usize = 64;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `/resolve`: one name and type, answered as JSON.
    Resolve(Resolve),
    /// `/{account}/d` and `/{account}/resolve`: addresses as JSON, in Alibaba Cloud's form.
    Hosts(Hosts),
    /// `/d`: addresses as plain text, in Tencent Cloud's form.
    Plain(Plain),
    /// `/go/NAME/path`: a redirect to the chosen site.
    Go(Go),
}

/// A question in our own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// The name.
    pub name: DnsName,
    /// The type; `A` unless said otherwise.
    pub record_type: RecordType,
    /// Whose answer is wanted; `None`: the caller's.
    pub client: Option<Prefix>,
    /// Where that client is; `None`: where its address says.
    pub place: Option<Claim>,
    /// Whether the reasons are asked for.
    pub detail: Detail,
    /// By which the asker shows that it may.
    pub signature: Option<Signature>,
}

/// How much is asked for beside the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The answer.
    Plain,
    /// The answer and every reason of its decision.
    Explain,
}

/// A question in Alibaba Cloud's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// One name, or up to [`HOSTS_MAX`] in a batch.
    pub names: Vec<DnsName>,
    /// The client; `None`: the caller.
    pub ip: Option<IpAddr>,
    /// Which addresses are wanted.
    pub families: Families,
    /// Whether the answer is a list.
    pub shape: HostsShape,
    /// By which the asker shows that it may.
    pub signature: Option<Signature>,
}

/// How the answer to [`Hosts`] is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostsShape {
    /// One object.
    Single,
    /// An object with a list: an entry for each host and family.
    Batch,
}

/// Address families asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Both.
    Both,
}

impl Families {
    /// The record types, IPv4 first.
    pub fn record_types(self) -> &'static [RecordType] {
        match self {
            Self::V4 => &[RecordType::A],
            Self::V6 => &[RecordType::AAAA],
            Self::Both => &[RecordType::A, RecordType::AAAA],
        }
    }
}

/// A question in Tencent Cloud's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// The name.
    pub name: DnsName,
    /// The client; `None`: the caller.
    pub ip: Option<IpAddr>,
    /// `A` or `AAAA`.
    pub record_type: RecordType,
    /// Whether the time to live follows the addresses.
    pub ttl: PlainTtl,
    /// By which the asker shows that it may.
    pub signature: Option<Signature>,
}

/// What follows the addresses of a plain answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainTtl {
    /// Nothing.
    Leave,
    /// The time to live.
    Append,
}

/// A redirect that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Go {
    /// The steered name.
    pub name: DnsName,
    /// Path and query as sent, with a slash at the start.
    pub rest: String,
}

/// A block of clients.
///
/// Invariant: `len` is at most the family's, and the address has no bit set past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    ip: IpAddr,
    len: u8,
}

impl Prefix {
    /// One client.
    pub fn whole(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self { ip, len: if ip.is_ipv4() { 32 } else { 128 } }
    }

    /// Takes `192.0.2.0/24`, or an address alone for that one client.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((ip, len)) = text.split_once('/') else {
            return text.parse().ok().map(Self::whole);
        };
        if len.is_empty() || len.len() > 3 || !len.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        let (ip, len): (IpAddr, u8) = (ip.parse().ok()?, len.parse().ok()?);
        let masked = match ip {
            IpAddr::V4(ip) => {
                let host = u32::MAX.checked_shr(len.into()).unwrap_or(0);
                (len <= 32).then(|| IpAddr::V4(Ipv4Addr::from(u32::from(ip) & !host)))
            }
            IpAddr::V6(ip) => {
                let host = u128::MAX.checked_shr(len.into()).unwrap_or(0);
                (len <= 128).then(|| IpAddr::V6(Ipv6Addr::from(u128::from(ip) & !host)))
            }
        };
        (masked == Some(ip)).then_some(Self { ip, len })
    }

    /// The first address.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// How many bits of it count.
    pub fn source_len(self) -> u8 {
        self.len
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Over [`TARGET_OCTETS_MAX`].
    #[error("path and query are longer than {TARGET_OCTETS_MAX} octets")]
    TooLong,
    /// None of the forms.
    #[error(
        "no such path; help: ask `/resolve?name=`, `/d?dn=`, `/ACCOUNT/d?host=` or `/go/NAME/`"
    )]
    NoSuchPath,
    /// Over the limit of parameters.
    #[error("more than {} parameters", parameters::PARAMETERS_MAX)]
    TooManyParameters,
    /// A `%` without two digits, or octets that are not UTF-8.
    #[error("`{text}` is not percent-encoded UTF-8")]
    Encoding {
        /// As sent.
        text: String,
    },
    /// A parameter is given twice.
    #[error("`{parameter}` is given twice")]
    Repeated {
        /// Its name.
        parameter: String,
    },
    /// A parameter that this form does not have.
    #[error("unsupported parameter `{parameter}`; help: this form takes {taken}")]
    Unsupported {
        /// Its name.
        parameter: String,
        /// Those it has.
        taken: &'static str,
    },
    /// Two parameters that say the same thing.
    #[error("`{one}` and `{other}` exclude each other")]
    Exclusive {
        /// The first.
        one: &'static str,
        /// The second.
        other: &'static str,
    },
    /// A parameter that must be there is not.
    #[error("`{parameter}` is missing")]
    Missing {
        /// Its name.
        parameter: &'static str,
    },
    /// A parameter's value is not what it must be.
    #[error("`{parameter}` is not {wanted}")]
    Invalid {
        /// Its name.
        parameter: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// The parameters that tell a place do not tell one.
    #[error(transparent)]
    Place(#[from] ClaimError),
    /// A parameter is no domain name.
    #[error("`{parameter}` is not a domain name")]
    Name {
        /// Its name.
        parameter: &'static str,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
}

impl RequestError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLong => 414,
            Self::NoSuchPath => 404,
            _ => 400,
        }
    }
}

impl Request {
    /// Reads path and query, as sent: `/resolve?name=www.example.com`.
    ///
    /// # Errors
    /// What is wrong with it, for the one who sent it.
    pub fn parse(target: &str) -> Result<Self, RequestError> {
        if target.len() > TARGET_OCTETS_MAX {
            return Err(RequestError::TooLong);
        }
        if let Some(rest) = target.strip_prefix("/go/") {
            return Go::parse(rest).map(Self::Go);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix('/').ok_or(RequestError::NoSuchPath)?;
        let segments = path.split_once('/');
        match (path, segments) {
            ("resolve", _) => Resolve::parse(query).map(Self::Resolve),
            ("d", _) => Plain::parse(query).map(Self::Plain),
            (_, Some((account, "d"))) if is_account(account) => {
                Hosts::parse(query, HostsShape::Single).map(Self::Hosts)
            }
            (_, Some((account, "resolve"))) if is_account(account) => {
                Hosts::parse(query, HostsShape::Batch).map(Self::Hosts)
            }
            _ => Err(RequestError::NoSuchPath),
        }
    }

    /// How many lookups it stands for, for the caller's rate limit. A place ranks every site of the
    /// pool, and an explanation tells it all.
    pub fn lookups(&self) -> u32 {
        match self {
            Self::Resolve(resolve) => match (resolve.detail, &resolve.place) {
                (Detail::Explain, _) => 10,
                (Detail::Plain, Some(_)) => 5,
                (Detail::Plain, None) => 1,
            },
            Self::Hosts(hosts) => {
                let lookups = hosts.names.len() * hosts.families.record_types().len();
                u32::try_from(lookups).unwrap_or(u32::MAX)
            }
            Self::Plain(_) | Self::Go(_) => 1,
        }
    }

    /// The signature it brings along.
    pub fn signature(&self) -> Option<Signature> {
        match self {
            Self::Resolve(resolve) => resolve.signature,
            Self::Hosts(hosts) => hosts.signature,
            Self::Plain(plain) => plain.signature,
            Self::Go(_) => None,
        }
    }

    /// The names as a signature has them; `None` when the form is not signed.
    pub fn signed_names(&self) -> Option<String> {
        let names = match self {
            Self::Resolve(Resolve { name, .. }) | Self::Plain(Plain { name, .. }) => {
                std::slice::from_ref(name)
            }
            Self::Hosts(hosts) => &hosts.names,
            Self::Go(_) => return None,
        };
        Some(names.iter().map(bare).collect::<Vec<_>>().join(","))
    }
}

/// A name as people and providers write it: without the last dot.
pub(super) fn bare(name: &DnsName) -> String {
    let mut text = name.to_string();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

impl Resolve {
    const TAKEN: &'static str = "`name`, `type`, `ip`, `edns_client_subnet`, `lat`, `lon`, `cell`, `area`, `country`, \
         `subdivision`, `isp`, `class`, `explain`, `t` and `s`";

    fn parse(query: &str) -> Result<Self, RequestError> {
        let mut parameters = Parameters::parse(query)?;
        let signature = parameters.signature()?;
        let name = parameters.name("name")?;
        let record_type = parameters.record_type("type")?;
        let ip = parameters.ip("ip")?;
        let subnet = parameters.prefix("edns_client_subnet")?;
        let client = match (ip, subnet) {
            (Some(_), Some(_)) => {
                return Err(RequestError::Exclusive { one: "ip", other: "edns_client_subnet" });
            }
            (Some(ip), None) => Some(Prefix::whole(ip)),
            (None, subnet) => subnet,
        };
        let place = Claim::read(|key| parameters.take(key))?;
        let detail = match parameters.flag("explain")? {
            true => Detail::Explain,
            false => Detail::Plain,
        };
        // What public resolvers take in this form and what changes nothing here: we validate
        // nothing, sign nothing yet, and give JSON whatever is asked for.
        parameters.end(&["cd", "do", "ct", "random_padding"], Self::TAKEN)?;
        Ok(Self { name, record_type, client, place, detail, signature })
    }
}

impl Hosts {
    const TAKEN: &'static str = "`host`, `ip`, `query`, `t` and `s`";

    fn parse(query: &str, shape: HostsShape) -> Result<Self, RequestError> {
        let mut parameters = Parameters::parse(query)?;
        let signature = parameters.signature()?;
        let names = match shape {
            HostsShape::Single => parameters.names("host", 1)?,
            HostsShape::Batch => parameters.names("host", HOSTS_MAX)?,
        };
        let ip = parameters.ip("ip")?;
        let families = match parameters.take("query").as_deref() {
            None | Some("4") => Families::V4,
            Some("6") => Families::V6,
            Some("4,6" | "6,4") => Families::Both,
            Some(_) => {
                return Err(RequestError::Invalid { parameter: "query", wanted: "4, 6 or 4,6" });
            }
        };
        // What the provider's clients say of themselves.
        parameters.end(&["sdk", "sid", "net", "bssid", "platform", "region"], Self::TAKEN)?;
        Ok(Self { names, ip, families, shape, signature })
    }
}

impl Plain {
    const TAKEN: &'static str = "`dn`, `ip`, `ttl`, `type`, `t` and `s`";

    fn parse(query: &str) -> Result<Self, RequestError> {
        let mut parameters = Parameters::parse(query)?;
        let signature = parameters.signature()?;
        let name = parameters.name("dn")?;
        let ip = parameters.ip("ip")?;
        let ttl = match parameters.flag("ttl")? {
            true => PlainTtl::Append,
            false => PlainTtl::Leave,
        };
        let record_type = parameters.record_type("type")?;
        if record_type != RecordType::A && record_type != RecordType::AAAA {
            return Err(RequestError::Invalid { parameter: "type", wanted: "`A` or `AAAA`" });
        }
        parameters.end(&["timeout", "token"], Self::TAKEN)?;
        Ok(Self { name, ip, record_type, ttl, signature })
    }
}

impl Go {
    /// Takes what follows `/go/`.
    fn parse(target: &str) -> Result<Self, RequestError> {
        let end = target.find(['/', '?']).unwrap_or(target.len());
        let (name, rest) = target.split_at(end);
        if name.is_empty() {
            return Err(RequestError::Missing { parameter: "NAME" });
        }
        let name = parameters::name("NAME", &parameters::decode(name)?)?;
        let slash = if rest.starts_with('/') { "" } else { "/" };
        Ok(Self { name, rest: format!("{slash}{rest}") })
    }
}

fn is_account(text: &str) -> bool {
    let is_word = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_' || octet == b'-';
    (1..=ACCOUNT_OCTETS_MAX).contains(&text.len()) && text.bytes().all(is_word)
}
