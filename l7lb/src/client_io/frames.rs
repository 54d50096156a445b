//! What an HTTP/2 client may make us do for nothing.
//!
//! Some frames cost the sender nine octets and us a wake-up, an answer, or a request to an origin
//! that is called off at once (CVE-2019-9512 to 9518, CVE-2023-44487, CVE-2024-27316). The library
//! below bounds the memory of each; the rate is bounded here, for all of them with one purse: frames
//! without a payload of use spend from it, time, requests and what we send fill it. So a client that
//! acknowledges a large download or calls off a page of requests never meets the limit, and a flood
//! is cut after a few thousand frames. Pure: the time is an argument.

use tokio::time::{Duration, Instant};

use crate::head::Fault;

/// The preface is not a frame.
const PREFACE_OCTETS: usize = 24;
/// Frame headers (RFC 9113, section 4.1).
const HEADER_OCTETS: usize = 9;
/// The purse of a new connection and the most it holds. A browser that leaves a page calls off 128
/// streams at once, which takes 1,280.
const PURSE_MAX: u64 = 2_500;
/// Comes back per second.
const PURSE_PER_S: u64 = 500;
/// So many octets sent earn one, because they may be acknowledged with `WINDOW_UPDATE` or `PING`.
const OCTETS_PER_COIN: u64 = 512;
/// A frame without use.
const FRAME_COST: u64 = 1;
/// A request that is called off: its work has begun.
const RESET_COST: u64 = 10;
/// What a request earns, for what clients send beside one (`PRIORITY`, `WINDOW_UPDATE`).
const REQUEST_EARNS: u64 = 2;
/// A piece of a body below this is work without use, unless it is the last.
const PIECE_OCTETS_MIN: usize = 64;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The frames of one connection.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Octets of the preface, then of each payload, that are passed over.
    skip: usize,
    header: [u8; HEADER_OCTETS],
    header_octets: usize,
    /// Between `HEADERS` and `END_HEADERS`.
    open_head: bool,
    purse: u64,
    filled: Instant,
    sent: u64,
}

impl Frames {
    /// Before the preface.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            skip: PREFACE_OCTETS,
            header: [0; HEADER_OCTETS],
            header_octets: 0,
            open_head: false,
            purse: PURSE_MAX,
            filled: now,
            sent: 0,
        }
    }

    /// Whether a request's head has begun and not ended.
    pub(crate) fn is_inside_head(&self) -> bool {
        self.open_head || (self.skip > 0 && matches!(self.header[3], HEADERS | CONTINUATION))
    }

    /// So many octets have gone to the client.
    pub(crate) fn sent(&mut self, octets: usize) {
        self.sent = self.sent.saturating_add(octets as u64);
    }

    /// Follows what the client sends, in pieces of any size.
    pub(crate) fn receive(&mut self, mut octets: &[u8], now: Instant) -> Result<(), Fault> {
        while !octets.is_empty() {
            if self.skip > 0 {
                let passed = self.skip.min(octets.len());
                self.skip -= passed;
                octets = &octets[passed..];
                continue;
            }
            let taken = (HEADER_OCTETS - self.header_octets).min(octets.len());
            let (head, rest) = octets.split_at(taken);
            self.header[self.header_octets..][..taken].copy_from_slice(head);
            self.header_octets += taken;
            octets = rest;
            if self.header_octets == HEADER_OCTETS {
                self.header_octets = 0;
                self.judge(now)?;
            }
        }
        Ok(())
    }

    /// A frame's header is complete.
    fn judge(&mut self, now: Instant) -> Result<(), Fault> {
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.skip = length;
        match kind {
            DATA if length >= PIECE_OCTETS_MIN || flags & END_STREAM != 0 => Ok(()),
            HEADERS => {
                self.open_head = flags & END_HEADERS == 0;
                self.purse = self.purse.saturating_add(REQUEST_EARNS).min(PURSE_MAX);
                Ok(())
            }
            CONTINUATION => {
                self.open_head = flags & END_HEADERS == 0;
                self.spend(FRAME_COST, now)
            }
            RST_STREAM => self.spend(RESET_COST, now),
            _ => self.spend(FRAME_COST, now),
        }
    }

    fn spend(&mut self, cost: u64, now: Instant) -> Result<(), Fault> {
        if self.purse < cost {
            self.fill(now);
        }
        self.purse = self.purse.checked_sub(cost).ok_or(Fault::Flood)?;
        Ok(())
    }

    /// Pays out what time and answers have earned since the last time.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).min(Duration::from_secs(60));
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let earned = millis * PURSE_PER_S / 1_000 + self.sent / OCTETS_PER_COIN;
        if earned > 0 {
            self.filled = now;
            self.sent %= OCTETS_PER_COIN;
            self.purse = self.purse.saturating_add(earned).min(PURSE_MAX);
        }
    }
}

#[cfg(test)]
mod tests;
