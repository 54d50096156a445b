//! Compression of responses: which coding a client takes (RFC 9110, section 12.5.3), whether a
//! response is to be compressed at all, and the encoders.
//!
//! A response is left alone when it is encoded already, a part of a whole, short, of another media
//! type, or says `no-transform`. What is compressed gets a weak validator and no ranges. A response
//! without a length may be a stream that somebody watches, so each of its pieces is flushed.

use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use model::gateway::settings::{Coding, Compression};
use pingora_core::Result;
use pingora_http::ResponseHeader;

/// Levels: what each coding does at about 50 MB/s on one core, so that a site's link is slower.
const GZIP_LEVEL: u32 = 5;
const BROTLI_LEVEL: u32 = 4;
/// The window of brotli in bits: 1 MiB, instead of 4, for each response under way.
const BROTLI_WINDOW: u32 = 20;
const ZSTD_LEVEL: i32 = 3;
/// The window of zstd in bits: 1 MiB (RFC 9659 allows 8).
const ZSTD_WINDOW: u32 = 20;
/// Weighted codings of `Accept-Encoding` that are looked at.
const ACCEPTED_MAX: usize = 32;

/// What a rule compresses.
#[derive(Debug, PartialEq)]
pub(crate) struct CompressionRule {
    codings: Vec<Coding>,
    octets_min: u64,
    /// Lower case; `text/*` ends with the slash.
    types: Vec<Box<str>>,
}

impl CompressionRule {
    /// Compiles the settings.
    pub(crate) fn compile(compression: &Compression) -> Self {
        let Compression { codings, octets_min, types } = compression;
        let kind = |kind: &Arc<str>| {
            let kind = kind.to_ascii_lowercase();
            kind.strip_suffix('*').map_or(kind.as_str(), |prefix| prefix).into()
        };
        Self {
            codings: codings.clone(),
            octets_min: u64::from(*octets_min),
            types: types.iter().map(kind).collect(),
        }
    }

    /// Prepares a response for compression and returns the encoder of its body; `None` when it goes
    /// on as it is.
    pub(crate) fn begin(
        &self,
        method: &Method,
        asked: &HeaderMap,
        response: &mut ResponseHeader,
    ) -> Result<Option<Encoder>> {
        if !self.is_suited(response) {
            return Ok(None);
        }
        // Also what is not compressed for this client would be for another.
        response.append_header(header::VARY, "accept-encoding")?;
        let Some(coding) = self.choose(asked) else { return Ok(None) };
        if method == Method::HEAD {
            return Ok(None);
        }
        let is_stream = response.remove_header(&header::CONTENT_LENGTH).is_none();
        let Ok(encoder) = Encoder::new(coding, is_stream) else { return Ok(None) };
        response.insert_header(header::CONTENT_ENCODING, name(coding))?;
        response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        response.remove_header(&header::ACCEPT_RANGES);
        response.remove_header("content-md5");
        response.remove_header("content-digest");
        let strong =
            response.headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
        let weak = strong.map(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()));
        if let Some(Ok(weak)) = weak {
            response.insert_header(header::ETAG, weak)?;
        }
        Ok(Some(encoder))
    }

    fn is_suited(&self, response: &ResponseHeader) -> bool {
        let headers = &response.headers;
        let status = response.status;
        let whole = !status.is_informational()
            && !matches!(
                status,
                StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
            );
        let plain = headers
            .get(header::CONTENT_ENCODING)
            .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let kept = text(header::CACHE_CONTROL)
            .is_some_and(|control| control.to_ascii_lowercase().contains("no-transform"));
        let trailed = headers.contains_key(header::TRAILER);
        let kind = text(header::CONTENT_TYPE).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let asked = !kind.is_empty()
            && !kind.starts_with("application/grpc")
            && self.types.iter().any(|want| match want.strip_suffix('/') {
                Some(_) => kind.starts_with(&**want),
                None => kind == **want,
            });
        whole && plain && !kept && !trailed && asked && length.is_none_or(|l| l >= self.octets_min)
    }

    /// The rule's first coding among those the client weighs highest; `None` when it takes none, or
    /// prefers the plain body.
    fn choose(&self, asked: &HeaderMap) -> Option<Coding> {
        let lines = asked.get_all(header::ACCEPT_ENCODING).iter();
        let texts = lines.filter_map(|line| line.to_str().ok());
        let items: Vec<(&str, u32)> =
            texts.flat_map(|line| line.split(',')).take(ACCEPTED_MAX).map(weigh).collect();
        let weight = |coding: &str| {
            let exact = items.iter().find(|(named, _)| named.eq_ignore_ascii_case(coding));
            exact
                .or_else(|| items.iter().find(|(named, _)| *named == "*"))
                .map(|(_, weight)| *weight)
        };
        let best = self.codings.iter().filter_map(|&coding| Some((coding, weight(name(coding))?)));
        // The first of equal weights, so the maximum is sought from the end.
        let best = best.collect::<Vec<_>>().into_iter().rev().max_by_key(|(_, weight)| *weight)?;
        let plain = items.iter().find(|(named, _)| named.eq_ignore_ascii_case("identity"));
        (best.1 > 0 && plain.is_none_or(|(_, weight)| *weight <= best.1)).then_some(best.0)
    }
}

/// A coding and its weight in thousandths.
fn weigh(item: &str) -> (&str, u32) {
    let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
    let quality = parameters.split(';').find_map(|one| {
        let one = one.trim();
        one.strip_prefix("q=").or_else(|| one.strip_prefix("Q="))
    });
    let weight = quality.map_or(1_000, |text| {
        let (whole, part) = text.trim().split_once('.').unwrap_or_else(|| (text.trim(), ""));
        let digits = format!("{part:0<3}");
        match (whole, digits.get(..3).and_then(|digits| digits.parse::<u32>().ok())) {
            ("0", Some(thousandths)) => thousandths,
            ("1", Some(0)) => 1_000,
            // What cannot be read is not wanted.
            _ => 0,
        }
    });
    (coding.trim(), weight)
}

/// As in `Content-Encoding`.
fn name(coding: Coding) -> &'static str {
    match coding {
        Coding::Gzip => "gzip",
        Coding::Brotli => "br",
        Coding::Zstd => "zstd",
    }
}

/// The encoder of one response's body.
pub(crate) struct Encoder {
    kind: Kind,
    is_stream: bool,
}

enum Kind {
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Over,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("is_stream", &self.is_stream).finish_non_exhaustive()
    }
}

impl Encoder {
    fn new(coding: Coding, is_stream: bool) -> io::Result<Self> {
        let kind = match coding {
            Coding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Kind::Gzip(flate2::write::GzEncoder::new(Vec::new(), level))
            }
            Coding::Brotli => {
                let writer =
                    brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_LEVEL, BROTLI_WINDOW);
                Kind::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW)?;
                Kind::Zstd(encoder)
            }
        };
        Ok(Self { kind, is_stream })
    }

    /// Encodes a piece; what comes back may be empty.
    ///
    /// # Errors
    ///
    /// Never, as all writing is to memory; the encoders' types say otherwise.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        let flush = self.is_stream;
        let written = match &mut self.kind {
            Kind::Gzip(encoder) => {
                encoder.write_all(piece)?;
                if flush {
                    encoder.flush()?;
                }
                encoder.get_mut()
            }
            Kind::Brotli(encoder) => {
                encoder.write_all(piece)?;
                if flush {
                    encoder.flush()?;
                }
                encoder.get_mut()
            }
            Kind::Zstd(encoder) => {
                encoder.write_all(piece)?;
                if flush {
                    encoder.flush()?;
                }
                encoder.get_mut()
            }
            Kind::Over => return Ok(Bytes::new()),
        };
        Ok(std::mem::take(written).into())
    }

    /// The end of the encoded body.
    ///
    /// # Errors
    ///
    /// As [`Encoder::feed`].
    pub(crate) fn finish(&mut self) -> io::Result<Bytes> {
        let rest = match std::mem::replace(&mut self.kind, Kind::Over) {
            Kind::Gzip(encoder) => encoder.finish()?,
            Kind::Brotli(encoder) => encoder.into_inner(),
            Kind::Zstd(encoder) => encoder.finish()?,
            Kind::Over => Vec::new(),
        };
        Ok(rest.into())
    }
}

#[cfg(test)]
mod tests;
