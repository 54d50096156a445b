//! Limits on counts, as a text file kept beside the code: a name and a number a line.
//!
//! A count a little over its limit is noise, one far over fails, and one far under says that the
//! limit has become too wide to hold anything. A case without a limit fails too: limits are not
//! forgotten when a case is added.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context;

/// How far a count may move before it means something, in thousandths: several times what counts
/// move between runs (benches/src/callgrind.rs).
pub const TOLERANCE_PERMILLE: u64 = 30;

/// What a count is to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within the tolerance.
    Holds,
    /// More than the limit and its tolerance.
    Over,
    /// So much less that the limit should be lowered.
    Loose,
    /// There is no limit.
    Missing,
}

/// Limits by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits(BTreeMap<String, u64>);

impl Limits {
    /// Reads the file's text; `#` begins a comment.
    ///
    /// # Errors
    /// A line is not a name and a number, or a name comes twice.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut limits = BTreeMap::new();
        for (at, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let entry = line.split_once(' ').and_then(|(name, count)| {
                Some((name.to_owned(), count.trim().parse::<u64>().ok()?))
            });
            let (name, limit) =
                entry.with_context(|| format!("line {at}: `{line}` is not a name and a number"))?;
            anyhow::ensure!(!limits.contains_key(&name), "line {at}: `{name}` comes twice");
            limits.insert(name, limit);
        }
        Ok(Self(limits))
    }

    /// The limit of a name.
    pub fn limit(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// Names with a limit that are none of these: cases that are gone.
    pub fn unused<'a>(&'a self, counts: &'a [(String, u64)]) -> impl Iterator<Item = &'a str> {
        let is_counted = |name: &str| counts.iter().any(|(counted, _)| counted == name);
        self.0.keys().map(String::as_str).filter(move |name| !is_counted(name))
    }

    /// Judges a count.
    pub fn judge(&self, name: &str, count: u64) -> Verdict {
        let Some(limit) = self.limit(name) else { return Verdict::Missing };
        let share = |permille: u64| limit.saturating_mul(permille);
        match count.saturating_mul(1000) {
            count if count > share(1000 + TOLERANCE_PERMILLE) => Verdict::Over,
            count if count < share(1000 - TOLERANCE_PERMILLE) => Verdict::Loose,
            _ => Verdict::Holds,
        }
    }

    /// The file's text with these counts as limits, its comment lines kept.
    pub fn rewrite(text: &str, counts: &[(String, u64)]) -> String {
        let mut whole = String::new();
        for comment in text.lines().filter(|line| line.starts_with('#')) {
            let _ = writeln!(whole, "{comment}");
        }
        for (name, count) in counts {
            let _ = writeln!(whole, "{name} {count}");
        }
        whole
    }
}

#[cfg(test)]
mod tests;
