//! Columns of numbers and texts as octets: LEB128 integers, length-prefixed texts.
//!
//! Every read is checked; what a damaged file can ask for is bounded by what it holds.

use super::FileError;

/// Writes columns.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn octet(&mut self, octet: u8) {
        self.bytes.push(octet);
    }

    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
            number >>= 7;
        }
        self.bytes.push(u8::try_from(number).unwrap_or(0));
    }

    pub(super) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(super) fn cdeg(&mut self, cdeg: i16) {
        self.bytes.extend(cdeg.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend(text.as_bytes());
    }
}

/// Reads columns.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn octet(&mut self) -> Result<u8, FileError> {
        let (&first, rest) = self.bytes.split_first().ok_or(FileError::Body("it ends early"))?;
        self.bytes = rest;
        Ok(first)
    }

    pub(super) fn number(&mut self) -> Result<u64, FileError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Ok(number);
            }
        }
        Err(FileError::Body("a number is too long"))
    }

    /// A number that indexes something of `len` items.
    pub(super) fn index(&mut self, len: usize) -> Result<usize, FileError> {
        let index = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if index >= len {
            return Err(FileError::Body("an index is out of range"));
        }
        Ok(index)
    }

    /// How many items follow. Each takes an octet at least, so that no count can ask for more memory
    /// than a few times the file.
    pub(super) fn count(&mut self) -> Result<usize, FileError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > self.bytes.len() {
            return Err(FileError::Body("a count is larger than the file"));
        }
        Ok(count)
    }

    pub(super) fn octets(&mut self, count: usize) -> Result<&'a [u8], FileError> {
        let (head, rest) =
            self.bytes.split_at_checked(count).ok_or(FileError::Body("it ends early"))?;
        self.bytes = rest;
        Ok(head)
    }

    pub(super) fn cdeg(&mut self) -> Result<i16, FileError> {
        let octets = self.octets(2)?;
        Ok(i16::from_le_bytes([octets[0], octets[1]]))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, FileError> {
        let count = self.count()?;
        std::str::from_utf8(self.octets(count)?).map_err(|_| FileError::Body("a text is not UTF-8"))
    }
}
