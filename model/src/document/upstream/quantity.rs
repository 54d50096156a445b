//! Octets as Kubernetes (`8Mi`) and nginx (`8m`) write them.

use crate::document::report::Report;
use crate::document::tree::{Node, Value};

/// Reads a number of octets, with one of Kubernetes' suffixes.
pub(super) fn octets(node: &Node<'_>, report: &mut Report) -> Option<u64> {
    let found = match &node.value {
        Value::Scalar(scalar) => &*scalar.text,
        Value::List(_) | Value::Map(_) => "",
    };
    let parsed = parse(found);
    if parsed.is_none() {
        let message = format!("expected a size, found {}", node.describe());
        report.error(node.span, message, "write octets, as in `65536`, `64Ki` or `8Mi`");
    }
    parsed
}

fn parse(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    let unit = UNITS.iter().find(|(suffix, _)| text.ends_with(suffix));
    let (digits, factor) = match unit {
        Some((suffix, factor)) => (&text[..text.len() - suffix.len()], *factor),
        None => (text, 1),
    };
    number(digits)?.checked_mul(factor)
}

/// nginx's sizes: `8m`, `64k`, `1g`, or octets. There 0 means no limit, which is `None` here.
pub(super) fn parse_nginx(text: &str) -> Option<Option<u64>> {
    let lower = text.trim().to_ascii_lowercase();
    let (digits, factor) = match lower.as_bytes().last()? {
        b'k' => (&lower[..lower.len() - 1], 1 << 10),
        b'm' => (&lower[..lower.len() - 1], 1 << 20),
        b'g' => (&lower[..lower.len() - 1], 1 << 30),
        _ => (&*lower, 1),
    };
    let octets = number(digits)?.checked_mul(factor)?;
    Some((octets > 0).then_some(octets))
}

fn number(digits: &str) -> Option<u64> {
    let fine = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    fine.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests;
