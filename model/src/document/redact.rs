//! Findings in documents with Secrets: what may be shown of them.
//!
//! A Secret may be broken in a way that its own reader never sees (bad YAML, a value under the wrong
//! key), so this goes by lines and not by what was read. Rule: keys are shown, values are not.

use std::ops::Range;

use super::quote::split_line;

/// In place of a value.
const HIDDEN: &str = "<hidden>";
/// A longer quotation in a message may be a value; names of fields and objects are shorter.
const SHOWN_CHARS_MAX: usize = 32;

/// The lines (from 1) of each document that is a Secret or has one among its items.
pub(super) fn secret_lines(text: &str) -> Vec<Range<u32>> {
    let mut found = Vec::new();
    if !text.contains("Secret") {
        return found;
    }
    let (mut rest, mut line, mut start) = (text, 0_u32, 1_u32);
    let mut signs = Signs::default();
    while !rest.is_empty() {
        let (current, tail) = split_line(rest);
        (rest, line) = (tail, line.saturating_add(1));
        if current.starts_with("---") {
            if signs.are_of_a_secret() {
                found.push(start..line);
            }
            (start, signs) = (line, Signs::default());
        }
        signs.see(current);
    }
    if signs.are_of_a_secret() {
        found.push(start..u32::MAX);
    }
    found
}

/// What tells a Secret from a document that only refers to one (a Gateway's certificates do).
#[derive(Debug, Default)]
struct Signs {
    is_secret: bool,
    names_secret: bool,
    has_values: bool,
}

impl Signs {
    fn see(&mut self, line: &str) {
        if line.contains("kind") && line.contains("Secret") {
            self.names_secret = true;
            self.is_secret |= line.starts_with("kind");
        }
        let values = ["tls.key", "stringData", "\"data\"", " data:", "{data:", "-data:"];
        self.has_values |= line.starts_with("data") || values.iter().any(|v| line.contains(v));
    }

    fn are_of_a_secret(&self) -> bool {
        self.is_secret || (self.names_secret && self.has_values)
    }
}

/// A line up to its key; a key longer than any of ours is taken for a value.
pub(super) fn line(line: &str) -> String {
    let is_key = |colon: &usize| line[..*colon].chars().nth(SHOWN_CHARS_MAX).is_none();
    match line.find(':').filter(is_key) {
        Some(colon) if line[colon + 1..].trim().is_empty() => line.to_owned(),
        Some(colon) => format!("{}: {HIDDEN}", &line[..colon]),
        None => {
            let indent = line.len() - line.trim_start().len();
            format!("{}{HIDDEN}", &line[..indent])
        }
    }
}

/// A message without long quotations.
pub(super) fn message(message: &str) -> String {
    let part = |(at, part): (usize, &str)| {
        let quoted = at % 2 == 1;
        let long = part.chars().nth(SHOWN_CHARS_MAX).is_some();
        if quoted && long { HIDDEN.to_owned() } else { part.to_owned() }
    };
    message.split('`').enumerate().map(part).collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests;
