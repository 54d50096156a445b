//! Nested prefixes flattened to disjoint segments, each with the chain of prefixes around it.
//!
//! Two prefixes nest or are disjoint, so one sweep with a stack does it.

use ipnet::IpNet;

use super::runs::Key;

/// A prefix as a range of keys, with the position of what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block<K> {
    pub(crate) start: K,
    /// Leading bits that count.
    pub(crate) len: u32,
    /// The first key after it.
    pub(crate) end: Option<K>,
    /// Which prefix of the caller's list this is.
    pub(crate) item: usize,
}

/// A list of prefixes by family.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) v4: Vec<Block<u32>>,
    pub(crate) v6: Vec<Block<u64>>,
}

/// Bits of `::ffff:0:0/96`, under which IPv6 carries IPv4 (RFC 4291, section 2.5.5.2).
const MAPPED_LEN: u8 = 96;

impl Blocks {
    /// Sorts prefixes into families. A prefix under `::ffff:0:0/96` is IPv4; any other of more than
    /// 64 bits is finer than the table's unit and is left out.
    pub(crate) fn new(prefixes: impl Iterator<Item = IpNet>) -> Self {
        let mut blocks = Self::default();
        for (item, prefix) in prefixes.enumerate() {
            match prefix {
                IpNet::V4(net) => blocks.push_v4(net.network(), net.prefix_len(), item),
                IpNet::V6(net) => match net.network().to_ipv4_mapped() {
                    Some(inner) if net.prefix_len() >= MAPPED_LEN => {
                        blocks.push_v4(inner, net.prefix_len() - MAPPED_LEN, item);
                    }
                    _ if net.prefix_len() <= 64 => {
                        let start = super::key_v6(net.network());
                        let len = u32::from(net.prefix_len());
                        let end =
                            1_u64.checked_shl(64 - len).and_then(|size| start.checked_add(size));
                        blocks.v6.push(Block { start, len, end, item });
                    }
                    _ => {}
                },
            }
        }
        blocks.v4.sort();
        blocks.v6.sort();
        blocks
    }

    fn push_v4(&mut self, network: std::net::Ipv4Addr, prefix_len: u8, item: usize) {
        let (start, len) = (u32::from(network), u32::from(prefix_len));
        let end = 1_u32.checked_shl(32 - len).and_then(|size| start.checked_add(size));
        self.v4.push(Block { start, len, end, item });
    }
}

/// Segments over the whole space, in order, each with the items whose prefixes hold it, the
/// shortest prefix first. `blocks` is sorted, so that an outer block comes before its inner ones.
pub(crate) fn segments<K: Key>(blocks: &[Block<K>]) -> Vec<(K, Vec<usize>)> {
    let mut out: Vec<(K, Vec<usize>)> = vec![(K::ZERO, Vec::new())];
    let mut open: Vec<Block<K>> = Vec::new();
    for block in blocks {
        close(&mut out, &mut open, Some(block.start));
        open.push(*block);
        put(&mut out, block.start, &open);
    }
    close(&mut out, &mut open, None);
    out
}

/// Ends the open blocks that end at or before `limit` (all of them for `None`), innermost first.
fn close<K: Key>(out: &mut Vec<(K, Vec<usize>)>, open: &mut Vec<Block<K>>, limit: Option<K>) {
    while let Some(last) = open.last() {
        let Some(end) = last.end else {
            // It reaches the end of the space, and so does every block around it.
            if limit.is_none() {
                open.clear();
            }
            return;
        };
        if limit.is_some_and(|limit| end > limit) {
            return;
        }
        open.pop();
        put(out, end, open);
    }
}

fn put<K: Key>(out: &mut Vec<(K, Vec<usize>)>, start: K, open: &[Block<K>]) {
    let items = open.iter().map(|block| block.item).collect();
    match out.last_mut() {
        Some(last) if last.0 == start => last.1 = items,
        _ => out.push((start, items)),
    }
}
