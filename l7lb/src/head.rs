//! Heads of HTTP/1 requests, judged before Pingora sees them.
//!
//! Pingora's parser is lenient where proxies disagree with each other (bare LF, raw spaces, equal
//! duplicates of `Content-Length`), and that is what request smuggling is made of. So the socket
//! wrapper shows it only heads that passed here: one spelling per meaning, RFC 9112 without the
//! "MAY be lenient". Pure; the clock and the socket are in `client_io`.

use memchr::memchr;

use crate::octet;
use crate::{host, path};

/// How large a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Octets of the whole head, request line and last empty line included.
    pub octets_max: usize,
    /// Octets of the request line.
    pub request_line_octets_max: usize,
    /// Header lines. Pingora's own parser gives up at 256.
    pub headers_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        // nginx allows 4 x 8 KiB of headers and Apache 100 lines; browsers stay well below both.
        Self { octets_max: 32 * 1024, request_line_octets_max: 16 * 1024, headers_max: 128 }
    }
}

/// How the end of the request's body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many octets follow; 0 without a body.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
}

/// A head that may be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Octets up to and including the empty line.
    pub(crate) octets: usize,
    /// What follows.
    pub(crate) body: Framing,
    /// The client asks to leave HTTP (`Upgrade`): what follows is not framed by us.
    pub(crate) upgrade: bool,
}

/// Why a request was refused before routing. Each has one status and one code for the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A line feed without a carriage return, or the reverse (RFC 9112, section 2.2).
    BareLineEnd,
    /// Not `method SP target SP version`.
    RequestLine,
    /// The target is not origin form, absolute form or `*`, or holds a forbidden octet.
    Target,
    /// A path with `.` or `..` segments, a backslash, NUL or a broken escape.
    Path,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    Version,
    /// TRACE, TRACK and CONNECT are not served.
    Method,
    /// No `Host`, two of them, or one that is not a host.
    Host,
    /// A header line that is not `name: value`, or folded over lines.
    Header,
    /// `Content-Length` twice or not a number.
    ContentLength,
    /// A transfer coding other than one lone `chunked`.
    TransferEncoding,
    /// `Content-Length` and `Transfer-Encoding` together.
    Framing,
    /// An expectation other than `100-continue`.
    Expect,
    /// The request line is too long.
    TargetTooLong,
    /// The head is too large, or has too many lines.
    TooLarge,
    /// There is no room for more of the head: too many clients have long ones under way.
    Crowded,
    /// A chunk that is not `size CRLF octets CRLF`, or a trailer too large.
    Chunk,
    /// The head did not arrive in time.
    Slow,
    /// The body came too slowly.
    SlowBody,
    /// More HTTP/2 frames that cost us and not the client than any honest one sends.
    Flood,
}

impl Fault {
    /// The status a client gets.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Slow | Self::SlowBody => 408,
            Self::TargetTooLong => 414,
            Self::Expect => 417,
            Self::Flood => 429,
            Self::TooLarge | Self::Crowded => 431,
            Self::TransferEncoding => 501,
            Self::Version => 505,
            _ => 400,
        }
    }

    /// The code in the response body and the access log.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::BareLineEnd => "bare-line-end",
            Self::RequestLine => "bad-request-line",
            Self::Target => "bad-target",
            Self::Path => "bad-path",
            Self::Version => "bad-version",
            Self::Method => "method-refused",
            Self::Host => "bad-host",
            Self::Header => "bad-header",
            Self::ContentLength => "bad-content-length",
            Self::TransferEncoding => "bad-transfer-encoding",
            Self::Framing => "ambiguous-framing",
            Self::Expect => "bad-expect",
            Self::TargetTooLong => "target-too-long",
            Self::TooLarge => "head-too-large",
            Self::Crowded => "heads-too-many",
            Self::Chunk => "bad-chunk",
            Self::Slow => "head-too-slow",
            Self::SlowBody => "body-too-slow",
            Self::Flood => "frame-flood",
        }
    }
}

/// Finds the end of a head in octets that arrive in pieces, each octet looked at once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HeadScan {
    /// Octets already looked at.
    seen: usize,
    /// Where the current line starts.
    line: usize,
    /// Whether the request line has ended.
    in_headers: bool,
}

impl HeadScan {
    /// Looks at `octets`, everything received of this head so far; `None` means more is needed.
    pub(crate) fn advance(
        &mut self,
        octets: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Head>, Fault> {
        while let Some(found) = memchr(b'\n', &octets[self.seen..]) {
            let end = self.seen + found;
            if end == self.line || octets[end - 1] != b'\r' {
                return Err(Fault::BareLineEnd);
            }
            let empty = end - self.line == 1;
            self.seen = end + 1;
            self.line = end + 1;
            if self.seen > limits.octets_max {
                return Err(Fault::TooLarge);
            }
            match (empty, self.in_headers) {
                (true, true) => return judge(&octets[..self.seen], limits).map(Some),
                // RFC 9112, section 2.2: at least one empty line before the request line is
                // ignored. Pingora's parser would too, but nobody needs it: refuse.
                (true, false) => return Err(Fault::RequestLine),
                (false, _) => self.in_headers = true,
            }
        }
        self.seen = octets.len();
        // The last octet may be the carriage return, which is not the line's.
        if !self.in_headers && octets.len() > limits.request_line_octets_max + 1 {
            return Err(Fault::TargetTooLong);
        }
        if octets.len() > limits.octets_max {
            return Err(Fault::TooLarge);
        }
        Ok(None)
    }
}

/// What the header lines said about framing and the host.
#[derive(Default)]
struct Seen {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// Judges a whole head: `head` ends with the empty line.
fn judge(head: &[u8], limits: &HeadLimits) -> Result<Head, Fault> {
    let mut lines = Lines(head);
    let request_line = lines.next().ok_or(Fault::RequestLine)?;
    if request_line.len() > limits.request_line_octets_max {
        return Err(Fault::TargetTooLong);
    }
    let version = judge_request_line(request_line)?;
    let mut seen = Seen::default();
    let mut count = 0;
    for line in lines {
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > limits.headers_max {
            return Err(Fault::TooLarge);
        }
        judge_header(line, &mut seen)?;
    }
    if version == HttpVersion::Http11 && seen.hosts == 0 {
        return Err(Fault::Host);
    }
    let body = match (seen.length, seen.chunked, version) {
        // RFC 9112, section 6.1: an HTTP/1.0 message with a transfer coding has faulty framing.
        (Some(_), true, _) | (None, true, HttpVersion::Http10) => return Err(Fault::Framing),
        (None, true, HttpVersion::Http11) => Framing::Chunked,
        (length, false, _) => Framing::Length(length.unwrap_or(0)),
    };
    Ok(Head { octets: head.len(), body, upgrade: seen.upgrade })
}

/// The lines of a head without their CRLF. Invariant: the scan has found every LF after a CR.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr(b'\n', self.0)?;
        let line = &self.0[..end - 1];
        self.0 = &self.0[end + 1..];
        Some(line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HttpVersion {
    Http10,
    Http11,
}

fn judge_request_line(line: &[u8]) -> Result<HttpVersion, Fault> {
    let mut words = line.split(|&octet| octet == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Fault::RequestLine);
    };
    if target.is_empty() || method.is_empty() || !octet::TOKEN.holds(method) {
        return Err(Fault::RequestLine);
    }
    let version = match version {
        b"HTTP/1.1" => HttpVersion::Http11,
        b"HTTP/1.0" => HttpVersion::Http10,
        other if other.starts_with(b"HTTP/") => return Err(Fault::Version),
        _ => return Err(Fault::RequestLine),
    };
    if refused_method(method) {
        return Err(Fault::Method);
    }
    judge_target(method, target)?;
    Ok(version)
}

/// TRACE echoes credentials back, TRACK is its twin, CONNECT turns a gateway into an open proxy.
pub(crate) fn refused_method(method: &[u8]) -> bool {
    [&b"TRACE"[..], b"TRACK", b"CONNECT"].iter().any(|refused| method.eq_ignore_ascii_case(refused))
}

fn judge_target(method: &[u8], target: &[u8]) -> Result<(), Fault> {
    if target == b"*" {
        return if method == b"OPTIONS" { Ok(()) } else { Err(Fault::Target) };
    }
    let target = std::str::from_utf8(target).map_err(|_| Fault::Target)?;
    let origin = match split_absolute(target) {
        Some((authority, rest)) => {
            host::parse(authority).ok_or(Fault::Target)?;
            rest
        }
        None => target,
    };
    if !origin.is_empty() && !origin.starts_with(['/', '?']) {
        return Err(Fault::Target);
    }
    path::judge(origin)
}

/// Splits `http://authority/rest` into authority and rest; `None` for other forms.
pub(crate) fn split_absolute(target: &str) -> Option<(&str, &str)> {
    // Nearly all; a scheme starts with a letter.
    if target.starts_with('/') {
        return None;
    }
    let scheme_end = target.find("://")?;
    let scheme = &target[..scheme_end];
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let rest = &target[scheme_end + 3..];
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    Some(rest.split_at(at))
}

fn judge_header(line: &[u8], seen: &mut Seen) -> Result<(), Fault> {
    let colon = memchr(b':', line).ok_or(Fault::Header)?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    // A line that starts with a space is obs-fold (RFC 9112, section 5.2); space is no token.
    if name.is_empty() || !octet::TOKEN.holds(name) {
        return Err(Fault::Header);
    }
    if !octet::VALUE.holds(value) {
        let is_bare = value.contains(&b'\r');
        return Err(if is_bare { Fault::BareLineEnd } else { Fault::Header });
    }
    if name.eq_ignore_ascii_case(b"host") {
        seen.hosts += 1;
        let text = std::str::from_utf8(value).map_err(|_| Fault::Host)?;
        if seen.hosts > 1 || host::parse(text).is_none() {
            return Err(Fault::Host);
        }
    } else if name.eq_ignore_ascii_case(b"content-length") {
        if seen.length.is_some() {
            return Err(Fault::ContentLength);
        }
        seen.length = Some(decimal(value).ok_or(Fault::ContentLength)?);
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
        if seen.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::TransferEncoding);
        }
        seen.chunked = true;
    } else if name.eq_ignore_ascii_case(b"upgrade") {
        seen.upgrade = true;
    } else if name.eq_ignore_ascii_case(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") {
        return Err(Fault::Expect);
    }
    Ok(())
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |octet: &u8| *octet == b' ' || *octet == b'\t';
    let start = value.iter().position(|octet| !blank(octet)).unwrap_or(value.len());
    let end = value.iter().rposition(|octet| !blank(octet)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// Digits only, no sign, at most 18 of them, so that it never overflows.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
