//! Cuts: prefixes that tell addresses apart beyond their locale (rules' CIDRs, measured prefixes).
//!
//! Prefixes nest or are disjoint, so a sweep with a stack turns them into segments, each with the
//! list of the prefixes it lies in. Equal lists are one overlay, and overlay 0 is the empty one.

use std::collections::HashMap;

use ipnet::IpNet;

use crate::runs::{Key, last_of};

/// The overlay of an address no prefix holds.
pub(crate) const NO_OVERLAY: u32 = 0;

/// One family's segments: start and overlay, the first at 0, strictly rising.
#[derive(Debug, Default)]
pub(crate) struct Segments(pub(crate) Vec<(u64, u32)>);

impl Segments {
    /// The overlay at an address.
    pub(crate) fn at(&self, x: u64) -> u32 {
        let later = self.0.partition_point(|&(start, _)| start <= x);
        later.checked_sub(1).map_or(NO_OVERLAY, |at| self.0[at].1)
    }

    /// Where the segment after the address's begins.
    pub(crate) fn next_after(&self, x: u64) -> Option<u64> {
        let later = self.0.partition_point(|&(start, _)| start <= x);
        self.0.get(later).map(|&(start, _)| start)
    }
}

/// Both families' segments and the overlays they name.
#[derive(Debug)]
pub(crate) struct Cuts {
    pub(crate) v4: Segments,
    pub(crate) v6: Segments,
    /// Prefixes of each overlay, coarse to fine.
    overlays: Vec<Vec<IpNet>>,
}

impl Cuts {
    /// Cuts by these prefixes, in any order, repeated or not.
    pub(crate) fn new(prefixes: impl Iterator<Item = IpNet>) -> Self {
        let mut spans_v4 = Vec::new();
        let mut spans_v6 = Vec::new();
        for prefix in prefixes.map(|prefix| prefix.trunc()) {
            let span = Span::new(prefix);
            if prefix.addr().is_ipv4() { spans_v4.push(span) } else { spans_v6.push(span) }
        }
        let mut interner = HashMap::from([(Vec::new(), NO_OVERLAY)]);
        let v4 = sweep(spans_v4, last_of(u32::BITS), &mut interner);
        let v6 = sweep(spans_v6, last_of(u64::BITS), &mut interner);
        let mut overlays = vec![Vec::new(); interner.len()];
        for (prefixes, number) in interner {
            overlays[number as usize] = prefixes;
        }
        Self { v4, v6, overlays }
    }

    /// The prefixes of an overlay, coarse to fine.
    pub(crate) fn prefixes(&self, overlay: u32) -> &[IpNet] {
        &self.overlays[overlay as usize]
    }
}

/// A prefix as the tables' numbers, both ends inside. IPv6 finer than /64 takes its whole /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) last: u64,
    prefix: IpNet,
}

impl Span {
    pub(crate) fn new(prefix: IpNet) -> Self {
        let (first, last) = match prefix {
            IpNet::V4(net) => (net.network().to_bits().into(), net.broadcast().to_bits().into()),
            IpNet::V6(net) => (key_v6(net.network()), key_v6(net.broadcast())),
        };
        Self { first, last, prefix }
    }
}

/// The top 64 bits.
pub(crate) fn key_v6(ip: std::net::Ipv6Addr) -> u64 {
    u64::try_from(ip.to_bits() >> 64).unwrap_or(u64::MAX)
}

fn sweep(mut spans: Vec<Span>, last: u64, interner: &mut HashMap<Vec<IpNet>, u32>) -> Segments {
    spans.sort_by_key(|span| (span.first, span.prefix.prefix_len()));
    spans.dedup();
    let mut sweep =
        Sweep { open: Vec::new(), segments: Segments(vec![(0, NO_OVERLAY)]), last, interner };
    for span in spans {
        sweep.close_before(span.first);
        sweep.open.push(span);
        sweep.mark(span.first);
    }
    sweep.close_before(u64::MAX);
    sweep.close_all();
    sweep.segments
}

struct Sweep<'a> {
    open: Vec<Span>,
    segments: Segments,
    last: u64,
    interner: &'a mut HashMap<Vec<IpNet>, u32>,
}

impl Sweep<'_> {
    /// Closes the innermost spans that end before `next`.
    fn close_before(&mut self, next: u64) {
        while let Some(inner) = self.open.last().copied().filter(|span| span.last < next) {
            self.open.pop();
            self.mark(inner.last + 1);
        }
    }

    /// Whatever is still open reaches the end of the address space.
    fn close_all(&mut self) {
        while let Some(inner) = self.open.pop() {
            if inner.last < self.last {
                self.mark(inner.last + 1);
            }
        }
    }

    /// From `start` on, the open spans hold.
    fn mark(&mut self, start: u64) {
        if start > self.last {
            return;
        }
        let prefixes: Vec<IpNet> = self.open.iter().map(|span| span.prefix).collect();
        let fresh = u32::try_from(self.interner.len()).unwrap_or(NO_OVERLAY);
        let overlay = *self.interner.entry(prefixes).or_insert(fresh);
        match self.segments.0.last_mut() {
            Some(segment) if segment.0 == start => segment.1 = overlay,
            _ => self.segments.0.push((start, overlay)),
        }
    }
}

/// Splits runs of values at the segments' starts: (start, value, overlay), in order.
pub(crate) fn split<K: Key, T: Copy>(
    runs: impl Iterator<Item = (K, T)>,
    segments: &Segments,
    mut emit: impl FnMut(u64, T, u32),
) {
    let mut cuts = segments.0.iter().copied().peekable();
    let mut overlay = NO_OVERLAY;
    let mut before: Option<T> = None;
    for (start, value) in runs {
        let start = start.into();
        while let Some((cut, next)) = cuts.next_if(|&(cut, _)| cut <= start) {
            overlay = next;
            if let Some(before) = before.filter(|_| cut < start) {
                emit(cut, before, overlay);
            }
        }
        emit(start, value, overlay);
        before = Some(value);
    }
    if let Some(before) = before {
        cuts.for_each(|(cut, overlay)| emit(cut, before, overlay));
    }
}
