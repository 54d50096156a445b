//! `$GENERATE`: records made from a range of numbers and a template, as BIND and NSD write it.
//!
//! Pure text to text: `$` stands for the number, `${offset,width,base}` for the number plus an
//! offset, filled up with zeros, in base `d`, `o`, `x`, `X`, or as reversed nibbles `n`, `N`; `$$` and
//! `\\$` stand for a dollar sign.

/// How to write it, for whoever wrote something else.
pub(super) const HELP: &str = "write it like `$GENERATE 1-99 host${0,3,d} A 192.0.2.$`";
/// The most records of one directive: a /16 of them.
const RECORDS_MAX: u32 = 65_536;
/// The widest number: 16 octets as nibbles with dots between.
const WIDTH_MAX: usize = 63;

/// The numbers, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    next: Option<u32>,
    last: u32,
    step: u32,
}

impl Range {
    /// Reads `first-last` or `first-last/step`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let read = || {
            let (ends, step) = text.split_once('/').unwrap_or((text, "1"));
            let (first, last) = ends.split_once('-')?;
            let (first, last) = (number(first)?, number(last)?);
            let step = number(step).filter(|&step| step > 0)?;
            (first <= last).then_some(Self { next: Some(first), last, step })
        };
        let range: Self = read().ok_or_else(|| format!("`{text}` is not a range"))?;
        let first = range.next.unwrap_or_default();
        if (range.last - first) / range.step >= RECORDS_MAX {
            return Err(format!("`{text}` makes more than {RECORDS_MAX} records"));
        }
        Ok(range)
    }
}

impl Iterator for Range {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let number = self.next?;
        self.next = number.checked_add(self.step).filter(|&next| next <= self.last);
        Some(number)
    }
}

/// 31 bits, as everybody has it.
fn number(text: &str) -> Option<u32> {
    let is_digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|&number| is_digits && number <= 0x7fff_ffff)
}

/// A word with places for the number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template<'t>(Vec<Part<'t>>);

#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    Number { offset: i32, width: usize, base: Base },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Decimal,
    Octal,
    Hex,
    HexUpper,
    Nibbles,
    NibblesUpper,
}

impl<'t> Template<'t> {
    /// Finds the places.
    pub(super) fn parse(mut text: &'t str) -> Result<Self, String> {
        let mut parts = Vec::new();
        while let Some(at) = text.find(['$', '\\']) {
            let (before, rest) = text.split_at(at);
            parts.push(Part::Text(before));
            let after = &rest[1..];
            if rest.starts_with('\\') {
                // An escape and what it escapes stay as they are, for whoever reads the word.
                let end = 1 + after.chars().next().map_or(0, char::len_utf8);
                parts.push(Part::Text(&rest[..end]));
                text = &rest[end..];
            } else if let Some(after) = after.strip_prefix('$') {
                parts.push(Part::Text("$"));
                text = after;
            } else if let Some(after) = after.strip_prefix('{') {
                let (inside, after) = after
                    .split_once('}')
                    .ok_or_else(|| format!("`${{{after}` has no closing brace"))?;
                let part = Part::parse(inside);
                parts.push(part.ok_or_else(|| format!("`${{{inside}}}` is not a place"))?);
                text = after;
            } else {
                parts.push(Part::Number { offset: 0, width: 0, base: Base::Decimal });
                text = after;
            }
        }
        parts.push(Part::Text(text));
        Ok(Self(parts))
    }

    /// The word for a number; `None` when an offset takes it below zero or out of 32 bits.
    pub(super) fn fill(&self, number: u32) -> Option<String> {
        let mut filled = String::new();
        for part in &self.0 {
            match *part {
                Part::Text(text) => filled.push_str(text),
                Part::Number { offset, width, base } => {
                    base.write(number.checked_add_signed(offset)?, width, &mut filled);
                }
            }
        }
        Some(filled)
    }
}

impl Part<'_> {
    /// Reads `offset,width,base`, the later ones if need be.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(',');
        let offset = fields.next()?.parse().ok()?;
        let width = fields.next().map_or(Some(0), |width| width.parse().ok())?;
        let base = match fields.next().unwrap_or("d") {
            "d" => Base::Decimal,
            "o" => Base::Octal,
            "x" => Base::Hex,
            "X" => Base::HexUpper,
            "n" => Base::Nibbles,
            "N" => Base::NibblesUpper,
            _ => return None,
        };
        let is_whole = fields.next().is_none() && width <= WIDTH_MAX;
        is_whole.then_some(Self::Number { offset, width, base })
    }
}

impl Base {
    fn write(self, number: u32, width: usize, filled: &mut String) {
        let digits = match self {
            Self::Decimal => format!("{number:0width$}"),
            Self::Octal => format!("{number:0width$o}"),
            Self::Hex => format!("{number:0width$x}"),
            Self::HexUpper => format!("{number:0width$X}"),
            Self::Nibbles => nibbles(number, width),
            Self::NibblesUpper => nibbles(number, width).to_ascii_uppercase(),
        };
        filled.push_str(&digits);
    }
}

/// The lowest nibble first, dots between, which count for the width.
fn nibbles(mut number: u32, width: usize) -> String {
    let mut digits = String::new();
    loop {
        digits.push(char::from_digit(number & 15, 16).unwrap_or('0'));
        number >>= 4;
        if number == 0 && digits.len() >= width {
            return digits;
        }
        digits.push('.');
    }
}

#[cfg(test)]
mod tests;
