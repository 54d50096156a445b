//! The framing of a chunked body, followed octet by octet, so that we and not the origin decide
//! where a request ends.
//!
//! Strict: CRLF only, hexadecimal size without sign or space, bounded extensions and trailers
//! (RFC 9112, section 7.1). Pure; nothing is stored but where we are.

use crate::head::Fault;
use crate::path::hex;

/// The longest size line and each trailer line; extensions are ignored, so they need not be long.
const LINE_OCTETS_MAX: usize = 1024;
/// All trailer lines together.
const TRAILER_OCTETS_MAX: usize = 8 * 1024;
/// Hexadecimal digits of a size: 48 bits are more than any body.
const SIZE_DIGITS_MAX: usize = 12;

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunks {
    state: State,
    /// Octets of the current line, or of all trailers.
    line: usize,
    /// Digits of the current size.
    digits: usize,
    /// The current chunk's size, then what remains of it.
    left: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Octets of the head before the body, which pass unseen.
    Head,
    Size,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataLineFeed,
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastLineFeed,
    Done,
}

impl Chunks {
    /// Before a head of so many octets, after which the first chunk's size stands.
    pub(crate) fn after_head(octets: usize) -> Self {
        let state = if octets == 0 { State::Size } else { State::Head };
        Self { state, line: 0, digits: 0, left: octets as u64 }
    }

    /// Whether the head has not passed yet.
    pub(crate) fn is_before_body(&self) -> bool {
        self.state == State::Head
    }

    /// Whether the last empty line has been seen.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Follows `octets` and returns how many of them belong to this body.
    pub(crate) fn advance(&mut self, octets: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        while at < octets.len() && self.state != State::Done {
            if matches!(self.state, State::Data | State::Head) {
                let here = octets.len() - at;
                let take = usize::try_from(self.left).map_or(here, |left| left.min(here));
                self.left -= take as u64;
                at += take;
                if self.left == 0 {
                    let head = self.state == State::Head;
                    self.state = if head { State::Size } else { State::DataEnd };
                }
                continue;
            }
            self.state = self.step(octets[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, octet: u8) -> Result<State, Fault> {
        self.line += 1;
        match (self.state, octet) {
            (State::Size, b';') if self.digits > 0 => Ok(State::Extension),
            (State::Size, b'\r') if self.digits > 0 => Ok(State::SizeEnd),
            (State::Size, octet) => {
                let digit = hex(octet).ok_or(Fault::Chunk)?;
                self.digits += 1;
                self.left = self.left * 16 + u64::from(digit);
                if self.digits > SIZE_DIGITS_MAX { Err(Fault::Chunk) } else { Ok(State::Size) }
            }
            (State::Extension, b'\r') => Ok(State::SizeEnd),
            (State::Extension, octet) if text(octet) && self.line <= LINE_OCTETS_MAX => {
                Ok(State::Extension)
            }
            (State::SizeEnd, b'\n') => {
                self.line = 0;
                self.digits = 0;
                Ok(if self.left == 0 { State::TrailerStart } else { State::Data })
            }
            (State::DataEnd, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => {
                self.line = 0;
                Ok(State::Size)
            }
            (State::TrailerStart, b'\r') => Ok(State::LastLineFeed),
            (State::TrailerStart | State::Trailer, octet)
                if octet != b'\r' && text(octet) && self.line <= TRAILER_OCTETS_MAX =>
            {
                Ok(State::Trailer)
            }
            (State::Trailer, b'\r') => Ok(State::TrailerEnd),
            (State::TrailerEnd, b'\n') => Ok(State::TrailerStart),
            (State::LastLineFeed, b'\n') => Ok(State::Done),
            _ => Err(Fault::Chunk),
        }
    }
}

/// What may stand in a line: visible, space, HTAB, obs-text.
fn text(octet: u8) -> bool {
    octet == b'\t' || (octet >= 0x20 && octet != 0x7f)
}

#[cfg(test)]
mod tests;
