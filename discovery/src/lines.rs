//! A stream of octets cut into lines, each of bounded length.
//!
//! A line that is too long is skipped whole: one huge object must not end the watch of the others.

use bytes::{Buf as _, Bytes, BytesMut};

/// The longest line: an object in etcd is at most 1.5 MiB, and JSON may double it.
pub(crate) const LINE_OCTETS_MAX: usize = 4 << 20;

/// The octets that are not a whole line yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    held: BytesMut,
    /// Octets that have been searched for an end.
    searched: usize,
    skipping: bool,
    skipped: u64,
}

impl Lines {
    /// Adds octets as they came.
    pub(crate) fn add(&mut self, octets: &[u8]) {
        self.held.extend_from_slice(octets);
    }

    /// The next whole line, without its end.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        loop {
            let end = self.held[self.searched..].iter().position(|octet| *octet == b'\n');
            let Some(end) = end.map(|at| at + self.searched) else {
                self.searched = self.held.len();
                if self.held.len() > LINE_OCTETS_MAX {
                    self.skipping = true;
                    self.held.clear();
                    self.searched = 0;
                }
                return None;
            };
            let line = self.held.split_to(end).freeze();
            self.held.advance(1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) || line.len() > LINE_OCTETS_MAX {
                self.skipped += 1;
            } else if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// Lines that were too long.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_OCTETS_MAX, Lines};

    fn read(parts: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for part in parts {
            lines.add(part);
            while let Some(line) = lines.next() {
                found.push(line.to_vec());
            }
        }
        (found, lines.skipped())
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let whole = b"one\n\ntwo\nthree";
        let expected = (vec![b"one".to_vec(), b"two".to_vec()], 0);
        assert_eq!(read(&[whole]), expected);
        let octets: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(read(&octets), expected, "octet by octet; the last has no end yet");
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_one_read() {
        let long = vec![b'x'; LINE_OCTETS_MAX + 1];
        assert_eq!(read(&[&long, b"yy\nafter\n"]), (vec![b"after".to_vec()], 1));
        let mut at_once = long;
        at_once.extend_from_slice(b"\nafter\n");
        assert_eq!(read(&[&at_once]), (vec![b"after".to_vec()], 1));
    }
}
