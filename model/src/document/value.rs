//! Scalars of documents to values: text, numbers in a range, names, addresses, times.
//!
//! Every reader reports what it refuses and says what would be taken instead.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;

use super::fields::expected;
use super::master::name_under;
use super::report::Report;
use super::slug;
use super::suggest;
use super::tree::{Node, ScalarKind, Value};
use crate::gateway::HostPattern;
use crate::name::{DnsName, NameError};

/// What a domain name is (RFC 1035, section 2.3.4), for whoever wrote something else.
pub(super) const HELP_DOMAIN_NAME: &str = "write labels of up to 63 octets with single dots \
     between, 255 octets in all, for example `www.edge.example`";

/// A scalar that is text; a plain number or boolean must be quoted, as in Kubernetes.
pub(super) fn text<'n>(node: &'n Node<'_>, report: &mut Report) -> Option<&'n str> {
    let Value::Scalar(scalar) = &node.value else {
        expected(node, "text", "write one value after the colon", report);
        return None;
    };
    match scalar.kind() {
        ScalarKind::Text if !node.is_null() => Some(&scalar.text),
        ScalarKind::Text => {
            expected(node, "text", "write a value after the colon, or remove the field", report);
            None
        }
        ScalarKind::Number | ScalarKind::Boolean => {
            let message = format!("expected text, found {}", node.describe());
            let help = format!("put it in quotes: \"{}\"", scalar.text);
            report.error(node.span, message, help);
            None
        }
    }
}

/// Text as a shared string.
pub(super) fn shared(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    text(node, report).map(Into::into)
}

/// Text that is not empty.
pub(super) fn filled(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = text(node, report)?;
    if text.is_empty() {
        report.error(
            node.span,
            "expected some text, found none",
            "write a value between the quotes, or remove the field",
        );
        return None;
    }
    Some(text.into())
}

/// `true` or `false`.
pub(super) fn boolean(node: &Node<'_>, report: &mut Report) -> Option<bool> {
    if let Value::Scalar(scalar) = &node.value
        && scalar.kind() == ScalarKind::Boolean
    {
        return Some(scalar.text.starts_with(['t', 'T']));
    }
    let message = format!("expected `true` or `false`, found {}", node.describe());
    report.error(node.span, message, "write `true` or `false`, without quotes");
    None
}

/// A whole number within a range.
pub(super) fn whole<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl FnOnce(&Node<'_>, &mut Report) -> Option<T> {
    move |node, report| {
        let (low, high) = (range.start(), range.end());
        let help = format!("write a number from {low} to {high}");
        let number = match &node.value {
            Value::Scalar(scalar) if scalar.kind() == ScalarKind::Number => {
                parse_whole(&scalar.text)
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
                let wanted = format!("a whole number from {low} to {high}");
                expected(node, &wanted, help, report);
                return None;
            }
        };
        let fits = number.filter(|number| range.contains(number)).and_then(|n| n.try_into().ok());
        if fits.is_none() {
            let message = format!("{} is not a whole number from {low} to {high}", node.describe());
            report.error(node.span, message, help);
        }
        fits
    }
}

/// A whole number within a range, for lists of them.
pub(super) fn whole_again<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl FnMut(&Node<'_>, &mut Report) -> Option<T> {
    move |node, report| whole(range.clone())(node, report)
}

/// A port number.
pub(super) fn port(node: &Node<'_>, report: &mut Report) -> Option<u16> {
    whole(1..=65535)(node, report)
}

fn parse_whole(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok();
    }
    text.strip_prefix('+').unwrap_or(text).parse().ok()
}

/// A decimal number scaled to a whole one: `scaled(3, …)` reads milliseconds and gives
/// microseconds. More decimals than the scale holds are an error, never rounded.
pub(super) fn scaled<T: TryFrom<i64>>(
    decimals: u32,
    range: RangeInclusive<i64>,
) -> impl FnOnce(&Node<'_>, &mut Report) -> Option<T> {
    move |node, report| {
        let value = match &node.value {
            Value::Scalar(scalar) if scalar.kind() == ScalarKind::Number => {
                parse_scaled(&scalar.text, decimals)
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        };
        let unit = 10_i64.pow(decimals);
        let (low, high) = (range.start() / unit, range.end() / unit);
        let fits =
            value.filter(|value| range.contains(value)).and_then(|value| value.try_into().ok());
        if fits.is_none() {
            let wanted = format!("a number from {low} to {high} with at most {decimals} decimals");
            let help =
                format!("write a number from {low} to {high}, with up to {decimals} decimals");
            expected(node, &wanted, help, report);
        }
        fits
    }
}

fn parse_scaled(text: &str, decimals: u32) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    let places = u32::try_from(fraction.len()).ok()?;
    if !all_digits(whole) || !all_digits(fraction) || places > decimals {
        return None;
    }
    let number = |part: &str| if part.is_empty() { Some(0) } else { part.parse::<i64>().ok() };
    let whole = number(whole)?.checked_mul(10_i64.checked_pow(decimals)?)?;
    let fraction = number(fraction)?.checked_mul(10_i64.checked_pow(decimals - places)?)?;
    whole.checked_add(fraction)?.checked_mul(sign)
}

/// A decimal number rounded to a whole one: coordinates come with as many decimals as a map gives.
pub(super) fn rounded(
    decimals: i32,
    range: RangeInclusive<i16>,
) -> impl FnOnce(&Node<'_>, &mut Report) -> Option<i16> {
    move |node, report| {
        let unit = 10_f64.powi(decimals);
        let (low, high) = (f64::from(*range.start()) / unit, f64::from(*range.end()) / unit);
        let number = match &node.value {
            Value::Scalar(scalar) if scalar.kind() == ScalarKind::Number => {
                scalar.text.parse::<f64>().ok()
            }
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        };
        let Some(number) = number.filter(|number| (low..=high).contains(number)) else {
            let help = format!("write degrees as a decimal number from {low} to {high}");
            expected(node, &format!("a number from {low} to {high}"), help, report);
            return None;
        };
        #[expect(clippy::cast_possible_truncation, reason = "checked against an i16 range above")]
        let rounded = (number * unit).round() as i16;
        Some(rounded)
    }
}

/// One of a few words.
pub(super) fn choice<'c, T: Copy>(
    words: &'c [(&'c str, T)],
) -> impl FnOnce(&Node<'_>, &mut Report) -> Option<T> + 'c {
    move |node, report| {
        let known = || words.iter().map(|(word, _)| *word);
        let found = match &node.value {
            Value::Scalar(scalar) if !node.is_null() => &*scalar.text,
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
                let help = suggest::help_for("", "write one of", known());
                expected(node, "one word", help, report);
                return None;
            }
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == found) {
            return Some(*value);
        }
        let help = suggest::help_for(found, "it is one of", known());
        report.error(node.span, format!("unknown value `{found}`"), help);
        None
    }
}

/// An IP address.
pub(super) fn ip(node: &Node<'_>, report: &mut Report) -> Option<IpAddr> {
    let found = text(node, report)?;
    let parsed = found.parse().ok();
    if parsed.is_none() {
        let message = format!("`{found}` is not an IP address");
        report.error(node.span, message, "write `192.0.2.1` or `2001:db8::1`");
    }
    parsed
}

/// The address of one host: not unspecified, not multicast, not broadcast.
pub(super) fn host_ip(node: &Node<'_>, report: &mut Report) -> Option<IpAddr> {
    let found = ip(node, report)?;
    let broadcast = matches!(found, IpAddr::V4(ip) if ip.is_broadcast());
    if found.is_unspecified() || found.is_multicast() || broadcast {
        report.error(
            node.span,
            format!("`{found}` is not the address of a host"),
            "write the address one host listens on, for example `192.0.2.1`",
        );
        return None;
    }
    Some(found)
}

/// A prefix whose host bits are zero.
pub(super) fn cidr(node: &Node<'_>, report: &mut Report) -> Option<IpNet> {
    let found = text(node, report)?;
    if let Ok(address) = found.parse::<IpAddr>() {
        let whole = IpNet::from(address);
        let message = format!("`{found}` is an address, not a prefix");
        report.error(node.span, message, format!("write `{whole}`"));
        return None;
    }
    let Ok(prefix) = found.parse::<IpNet>() else {
        let message = format!("`{found}` is not a prefix");
        report.error(node.span, message, "write `192.0.2.0/24` or `2001:db8::/48`");
        return None;
    };
    if prefix.trunc() != prefix {
        let message = format!("`{found}` has bits set after its prefix length");
        report.error(node.span, message, format!("write `{}`", prefix.trunc()));
        return None;
    }
    Some(prefix)
}

/// An absolute domain name (the last dot may be left out).
pub(super) fn dns_name(node: &Node<'_>, report: &mut Report) -> Option<DnsName> {
    name_by(node, report, DnsName::parse)
}

/// A domain name that is below `origin` unless it ends with a dot; `@` is the origin.
pub(super) fn dns_name_under(
    origin: &DnsName,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<DnsName> {
    name_by(node, report, |text| name_under(text, origin))
}

fn name_by(
    node: &Node<'_>,
    report: &mut Report,
    parse: impl FnOnce(&str) -> Result<DnsName, NameError>,
) -> Option<DnsName> {
    let found = text(node, report)?;
    if let Some(c) = found.chars().find(|c| !c.is_ascii_graphic()) {
        let message = format!("`{found}` is not a domain name: `{c}` is not allowed");
        let help = if c.is_ascii() {
            HELP_DOMAIN_NAME
        } else {
            "write international names as they are on the wire (`xn--...`)"
        };
        report.error(node.span, message, help);
        return None;
    }
    let bad = |error| {
        let message = format!("`{found}` is not a domain name: {error}");
        report.error(node.span, message, HELP_DOMAIN_NAME);
    };
    parse(found).map_err(bad).ok()
}

/// A hostname of a route or listener: RFC 1123 labels, or `*.` before them.
pub(super) fn host_pattern(node: &Node<'_>, report: &mut Report) -> Option<HostPattern> {
    let found = text(node, report)?;
    let (wildcard, name) = match found.strip_prefix("*.") {
        Some(suffix) => (true, suffix),
        None => (false, found),
    };
    if name.parse::<IpAddr>().is_ok() {
        report.error(
            node.span,
            format!("`{found}` is an address, not a hostname"),
            "write a name, for example `www.edge.example`",
        );
        return None;
    }
    if let Some(why) = not_a_hostname(name) {
        let message = format!("`{found}` is not a hostname: {why}");
        report.error(node.span, message, slug::help_for_hostname(name));
        return None;
    }
    let name: Arc<str> = name.to_ascii_lowercase().into();
    Some(if wildcard { HostPattern::Suffix(name) } else { HostPattern::Exact(name) })
}

/// Why a text is not a hostname (RFC 1123, section 2.1), if it is none.
pub(super) fn not_a_hostname(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("it is longer than 253 characters".into());
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Some("it has an empty label".into());
        }
        if label.len() > 63 {
            return Some("a label is longer than 63 characters".into());
        }
        if let Some(c) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
            return Some(format!("`{c}` is not allowed"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some("a label starts or ends with `-`".into());
        }
    }
    None
}

/// A Gateway API duration in milliseconds (GEP-2257: `1h30m`, `10s`, `500ms`).
pub(super) fn duration_ms(node: &Node<'_>, report: &mut Report) -> Option<u32> {
    // A number alone is told of its unit, not of quotes.
    let found = match &node.value {
        Value::Scalar(scalar) => &*scalar.text,
        Value::List(_) | Value::Map(_) => "",
    };
    let parsed = parse_duration_ms(found);
    if parsed.is_none() {
        let message = format!("expected a duration, found {}", node.describe());
        let help = "write up to five digits and `h`, `m`, `s` or `ms`, as in `10s` or `1h30m`";
        report.error(node.span, message, help);
    }
    parsed
}

fn parse_duration_ms(text: &str) -> Option<u32> {
    let mut rest = text;
    let mut total_ms: u32 = 0;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = rest[..digits].parse().ok().filter(|_| digits <= 5)?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit_ms = match &rest[digits..unit_end] {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        total_ms = total_ms.checked_add(number.checked_mul(unit_ms)?)?;
        rest = &rest[unit_end..];
        parts += 1;
    }
    (1..=4).contains(&parts).then_some(total_ms)
}

/// `HH:MM` as minutes after midnight; `24:00` is the day's end.
pub(super) fn minute_of_day(node: &Node<'_>, report: &mut Report) -> Option<u16> {
    let found = match &node.value {
        Value::Scalar(scalar) => &*scalar.text,
        Value::List(_) | Value::Map(_) => "",
    };
    let parsed = parse_minute(found);
    if parsed.is_none() {
        let message = format!("expected a time of day, found {}", node.describe());
        report.error(node.span, message, "write `\"08:00\"`, in UTC");
    }
    parsed
}

fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| {
        let fine = part.len() == 2 && part.bytes().all(|octet| octet.is_ascii_digit());
        fine.then(|| part.parse::<u16>().ok())?
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    (minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
}

/// A timestamp (RFC 3339) in seconds since the epoch.
pub(super) fn timestamp_s(node: &Node<'_>, report: &mut Report) -> Option<i64> {
    let found = text(node, report)?;
    let parsed = parse_timestamp_s(found);
    if parsed.is_none() {
        let message = format!("`{found}` is not a time");
        report.error(node.span, message, "write it as `2026-01-31T08:00:00Z`");
    }
    parsed
}

fn parse_timestamp_s(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let part = text.get(range)?;
        part.bytes().all(|octet| octet.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let mark = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|o| marks.contains(o));
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let separators = mark(4, b"-") && mark(7, b"-") && mark(10, b"Tt ") && mark(13, b":");
    let ranges = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    if !separators || !ranges || !mark(16, b":") || second > 60 {
        return None;
    }
    let mut zone = text.get(19..)?;
    if let Some(fraction) = zone.strip_prefix('.') {
        zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if zone.len() == fraction.len() {
            return None;
        }
    }
    let offset_s = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(u8::is_ascii_digit) =>
        {
            let two = |a: u8, b: u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
            let size = two(h1, h2) * 3600 + two(m1, m2) * 60;
            if sign == b'+' { size } else { -size }
        }
        _ => return None,
    };
    let clock_s = hour * 3600 + minute * 60 + second;
    Some(days_since_epoch(year, month, day) * 86_400 + clock_s - offset_s)
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, years counted from March so that the
/// leap day is the last of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    days + day_of_year - 719_468
}

#[cfg(test)]
mod tests;
