//! Names: DNS names in wire form, sites, and references to namespaced objects.
//!
//! A `DnsName` is kept as lower-case wire octets, because the hot path compares and copies wire
//! octets and never text. Invariant: it is a sequence of 1..=63 octet labels ending in the root
//! label, at most 255 octets in all (RFC 1035, section 2.3.4).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name in wire form, in octets (RFC 1035, section 2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;
/// The longest label, in octets.
pub const LABEL_OCTETS_MAX: usize = 63;

/// Why a text or wire name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a leading dot.
    #[error("the name has an empty label")]
    EmptyLabel,
    /// A label over 63 octets.
    #[error("a label is longer than 63 octets")]
    LabelTooLong,
    /// More than 255 octets in wire form.
    #[error("the name is longer than 255 octets")]
    NameTooLong,
    /// A `\` escape that is neither `\DDD` nor `\X`.
    #[error("the name has a bad escape")]
    BadEscape,
    /// Wire octets that are not an uncompressed name.
    #[error("the octets are not an uncompressed name")]
    BadWire,
    /// A character that the kind of name does not allow.
    #[error("`{0}` is not allowed here")]
    BadCharacter(char),
}

/// An absolute domain name: lower-case wire octets with the root label at the end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Box<[u8]>", into = "Box<[u8]>")]
pub struct DnsName {
    wire: Box<[u8]>,
}

impl DnsName {
    /// The root, `.`.
    pub fn root() -> Self {
        Self { wire: Box::new([0]) }
    }

    /// Reads presentation format (`hello.edge.example`, with or without the last dot; `\.` and
    /// `\DDD` escapes). The name is always taken as absolute.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self::root());
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label: Vec<u8> = Vec::new();
        let mut octets = text.bytes();
        let mut ended = false;
        while let Some(octet) = octets.next() {
            ended = false;
            match octet {
                b'.' => {
                    push_label(&mut wire, &mut label)?;
                    ended = true;
                }
                b'\\' => label.push(unescape(&mut octets)?),
                other => label.push(other.to_ascii_lowercase()),
            }
        }
        if !ended {
            push_label(&mut wire, &mut label)?;
        }
        wire.push(0);
        Self::from_wire(&wire)
    }

    /// Takes uncompressed wire octets, root label included; letters become lower case.
    pub fn from_wire(octets: &[u8]) -> Result<Self, NameError> {
        if octets.len() > NAME_OCTETS_MAX {
            return Err(NameError::NameTooLong);
        }
        let mut at = 0;
        loop {
            let length = usize::from(*octets.get(at).ok_or(NameError::BadWire)?);
            if length > LABEL_OCTETS_MAX {
                return Err(NameError::BadWire);
            }
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
        if at != octets.len() {
            return Err(NameError::BadWire);
        }
        Ok(Self { wire: octets.to_ascii_lowercase().into_boxed_slice() })
    }

    /// The wire octets, root label included.
    pub fn as_wire(&self) -> &[u8] {
        &self.wire
    }

    /// The labels from the left, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.wire;
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            if length == 0 {
                return None;
            }
            let (label, tail) = tail.split_at(usize::from(length));
            rest = tail;
            Some(label)
        })
    }

    /// The number of labels without the root.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let length = usize::from(*self.wire.first()?);
        (length > 0).then(|| Self { wire: self.wire[1 + length..].into() })
    }

    /// Whether this name is `apex` or below it.
    pub fn is_within(&self, apex: &Self) -> bool {
        let mut at = 0;
        while self.wire.len() - at > apex.wire.len() {
            at += 1 + usize::from(self.wire[at]);
        }
        self.wire[at..] == *apex.wire
    }

    /// Whether the first label is a lone `*` (RFC 4592, section 2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.wire.starts_with(b"\x01*")
    }

    /// `label.self`, when it fits.
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        let length = u8::try_from(label.len()).map_err(|_| NameError::LabelTooLong)?;
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        let mut wire = Vec::with_capacity(1 + label.len() + self.wire.len());
        wire.push(length);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.wire);
        Self::from_wire(&wire)
    }
}

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>) -> Result<(), NameError> {
    if label.is_empty() {
        return Err(NameError::EmptyLabel);
    }
    if label.len() > LABEL_OCTETS_MAX {
        return Err(NameError::LabelTooLong);
    }
    wire.push(u8::try_from(label.len()).map_err(|_| NameError::LabelTooLong)?);
    wire.append(label);
    Ok(())
}

fn unescape(octets: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = octets.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok(first.to_ascii_lowercase());
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = octets.next().filter(u8::is_ascii_digit).ok_or(NameError::BadEscape)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).map(|octet| octet.to_ascii_lowercase()).map_err(|_| NameError::BadEscape)
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self.wire == [0] {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(octet))?;
                    }
                    0x21..=0x7e => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DnsName({self})")
    }
}

impl std::str::FromStr for DnsName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl TryFrom<Box<[u8]>> for DnsName {
    type Error = NameError;
    fn try_from(octets: Box<[u8]>) -> Result<Self, NameError> {
        Self::from_wire(&octets)
    }
}

impl From<DnsName> for Box<[u8]> {
    fn from(name: DnsName) -> Self {
        name.wire
    }
}

/// The name of a site: lower-case letters, digits, `-` and `.`, 1..=63 octets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct SiteName(Arc<str>);

impl SiteName {
    /// Checks and takes a site's name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        object_name(text)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Arc<str>> for SiteName {
    type Error = NameError;
    fn try_from(text: Arc<str>) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<SiteName> for Arc<str> {
    fn from(name: SiteName) -> Self {
        name.0
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteName({})", self.0)
    }
}

/// Checks a Kubernetes object name (RFC 1123 subdomain, kept to 63 octets for sites).
pub fn object_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::EmptyLabel);
    }
    if text.len() > LABEL_OCTETS_MAX {
        return Err(NameError::LabelTooLong);
    }
    let bad = |c: &char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-' || *c == '.');
    if let Some(c) = text.chars().find(bad) {
        return Err(NameError::BadCharacter(c));
    }
    for label in text.split('.') {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(NameError::BadCharacter('-'));
        }
    }
    Ok(())
}

/// `namespace/name` of a document, unique within its kind.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The namespace (tenant); empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

impl ObjectRef {
    /// Makes a reference out of two texts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

impl fmt::Debug for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectRef({self})")
    }
}

#[cfg(test)]
mod tests;
