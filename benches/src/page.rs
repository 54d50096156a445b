//! Pages whose numbers are those of the records: a gap names where its number is.
//!
//! `<!--dns /verdicts/nearside/ratio 3-->1.049<!---->` is the number at that place (RFC 6901) of the
//! newest record of `dns`, with three digits; `1/1048576` gives one digit after a division. What no
//! record has is a dash. So nobody copies a figure by hand, and a test holds page and records
//! together.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

const BEGIN: &str = "<!--";
const MIDDLE: &str = "-->";
const END: &str = "<!---->";
/// What stands for a number that no record has.
const ABSENT: &str = "-";

/// The newest record of each kind.
#[derive(Debug, Clone, Default)]
pub struct Records(BTreeMap<String, Value>);

impl Records {
    /// Reads `<date>-<what>.json` of a directory; of each kind the one with the last date counts.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn read(directory: &Path) -> anyhow::Result<Self> {
        let mut paths: Vec<_> = fs::read_dir(directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort();
        let mut records = BTreeMap::new();
        for path in paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            // A date is ten characters, and a dash follows it.
            let Some(what) = name.get(11..) else { continue };
            let shown = path.display();
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read `{shown}`"))?;
            let value = serde_json::from_str(&text).with_context(|| format!("`{shown}`"))?;
            records.insert(what.to_owned(), value);
        }
        Ok(Self(records))
    }

    /// What a gap is filled with.
    fn fill(&self, gap: &str) -> anyhow::Result<String> {
        let words: Vec<&str> = gap.split(' ').collect();
        let [what, pointer, format] = words[..] else {
            anyhow::bail!("`{gap}` is not a record, a place and a format");
        };
        let (digits, divisor) = format.split_once('/').unwrap_or((format, "1"));
        let digits: usize = digits.parse().with_context(|| format!("the digits of `{gap}`"))?;
        let divisor: f64 = divisor.parse().with_context(|| format!("the divisor of `{gap}`"))?;
        let Some(found) = self.0.get(what).and_then(|record| record.pointer(pointer)) else {
            return Ok(ABSENT.to_owned());
        };
        Ok(match found {
            Value::String(text) => text.clone(),
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or(f64::NAN) / divisor;
                grouped(&format!("{number:.digits$}"))
            }
            _ => anyhow::bail!("`{gap}` is neither a number nor a text"),
        })
    }
}

/// The page with every gap filled anew.
///
/// # Errors
/// A gap does not name a place, or has no end.
pub fn fill(page: &str, records: &Records) -> anyhow::Result<String> {
    let mut filled = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (gap, after) = after.split_once(MIDDLE).context("a gap has no end")?;
        let (_, after) = after.split_once(END).with_context(|| format!("`{gap}` has no end"))?;
        let number = records.fill(gap)?;
        filled.extend([before, BEGIN, gap, MIDDLE, &number, END]);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Thousands apart.
fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, rest) = number.find('.').map_or((number, ""), |at| number.split_at(at));
    let mut grouped = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests;
