//! The parameters of a query: decoded once, taken by name, and none left over.

use std::net::IpAddr;

use model::name::DnsName;
use model::record::RecordType;

use super::{Prefix, RequestError};
use crate::httpdns::signature::{CODE_OCTETS, Signature};

/// Parameters of one request: all forms together have fewer.
pub(super) const PARAMETERS_MAX: usize = 32;

/// Parameters not yet taken. Invariant: no two have one name.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn parse(query: &str) -> Result<Self, RequestError> {
        let mut all: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if all.len() == PARAMETERS_MAX {
                return Err(RequestError::TooManyParameters);
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key)?, decode(value)?);
            if all.iter().any(|(other, _)| *other == key) {
                return Err(RequestError::Repeated { parameter: key });
            }
            all.push((key, value));
        }
        Ok(Self(all))
    }

    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == key)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn name(&mut self, key: &'static str) -> Result<DnsName, RequestError> {
        let text = self.take(key).ok_or(RequestError::Missing { parameter: key })?;
        name(key, &text)
    }

    /// Names with commas between them, each once.
    pub(super) fn names(
        &mut self,
        key: &'static str,
        names_max: usize,
    ) -> Result<Vec<DnsName>, RequestError> {
        let text = self.take(key).ok_or(RequestError::Missing { parameter: key })?;
        let mut names: Vec<DnsName> = Vec::new();
        for part in text.split(',') {
            if names.len() == names_max {
                let wanted = if names_max == 1 { "one name" } else { "a list of up to 5" };
                return Err(RequestError::Invalid { parameter: key, wanted });
            }
            let name = name(key, part)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    pub(super) fn record_type(&mut self, key: &'static str) -> Result<RecordType, RequestError> {
        let Some(text) = self.take(key) else { return Ok(RecordType::A) };
        let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        let record_type =
            if is_number { text.parse().ok().map(RecordType) } else { RecordType::parse(&text) };
        record_type.ok_or(RequestError::Invalid { parameter: key, wanted: "a record type" })
    }

    pub(super) fn ip(&mut self, key: &'static str) -> Result<Option<IpAddr>, RequestError> {
        let parsed = self.take(key).map(|text| text.parse::<IpAddr>());
        let invalid = |_| RequestError::Invalid { parameter: key, wanted: "an IP address" };
        Ok(parsed.transpose().map_err(invalid)?.map(|ip| ip.to_canonical()))
    }

    pub(super) fn prefix(&mut self, key: &'static str) -> Result<Option<Prefix>, RequestError> {
        let Some(text) = self.take(key) else { return Ok(None) };
        let wanted = "an IP prefix without host bits";
        let prefix = Prefix::parse(&text);
        prefix.map(Some).ok_or(RequestError::Invalid { parameter: key, wanted })
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, RequestError> {
        match self.take(key).as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(RequestError::Invalid { parameter: key, wanted: "0 or 1" }),
        }
    }

    /// `t` and `s`: both or neither.
    pub(super) fn signature(&mut self) -> Result<Option<Signature>, RequestError> {
        let (until_s, code) = match (self.take("t"), self.take("s")) {
            (Some(until_s), Some(code)) => (until_s, code),
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(RequestError::Missing { parameter: "t" }),
            (Some(_), None) => return Err(RequestError::Missing { parameter: "s" }),
        };
        let invalid = |parameter, wanted| RequestError::Invalid { parameter, wanted };
        let is_number = until_s.bytes().all(|octet| octet.is_ascii_digit());
        let until_s = until_s.parse().ok().filter(|_| is_number);
        let until_s = until_s.ok_or_else(|| invalid("t", "a time in Unix seconds"))?;
        let code = code_of(&code).ok_or_else(|| invalid("s", "64 hexadecimal digits"))?;
        Ok(Some(Signature { until_s, code }))
    }

    /// Nothing may be left but what is passed over.
    pub(super) fn end(self, passed_over: &[&str], taken: &'static str) -> Result<(), RequestError> {
        let left = self.0.into_iter().map(|(key, _)| key);
        let mut unknown = left.filter(|key| !passed_over.contains(&key.as_str()));
        match unknown.next() {
            Some(parameter) => Err(RequestError::Unsupported { parameter, taken }),
            None => Ok(()),
        }
    }
}

fn code_of(text: &str) -> Option<[u8; CODE_OCTETS]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut code = [0; CODE_OCTETS];
    if pairs.len() != code.len() || !rest.is_empty() {
        return None;
    }
    for (octet, [high, low]) in code.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *octet = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(code)
}

/// A domain name; one in another script must come as it goes over the wire.
pub(super) fn name(parameter: &'static str, text: &str) -> Result<DnsName, RequestError> {
    if !text.is_ascii() {
        return Err(RequestError::Invalid { parameter, wanted: "in ASCII (`xn--…`)" });
    }
    DnsName::parse(text).map_err(|source| RequestError::Name { parameter, source })
}

/// Undoes percent-encoding; `+` is a space (URL standard, `application/x-www-form-urlencoded`).
pub(super) fn decode(text: &str) -> Result<String, RequestError> {
    let bad = || RequestError::Encoding { text: text.to_owned() };
    let mut decoded = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        decoded.push(match octet {
            b'%' => {
                let mut digit = || char::from(octets.next()?).to_digit(16);
                let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                value.and_then(|value| u8::try_from(value).ok()).ok_or_else(bad)?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| bad())
}
