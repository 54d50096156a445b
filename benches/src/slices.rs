//! Interleaved slices and what is concluded from them.
//!
//! Each slice of a contender lies between two of the reference, on the same core, seconds apart;
//! its ratio is against the mean of those two. Ratios move by a few percent where absolute times
//! move by tens, because both sides see the same weather.

use std::collections::BTreeMap;

use serde::Serialize;

/// What one slice gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Slice {
    /// Good answers or responses.
    pub operations: u64,
    /// CPU time of the server's process and its children, nanoseconds.
    pub cpu_ns: u64,
    /// The user-mode part as the kernel samples it, nanoseconds.
    pub user_ns: u64,
    /// Lost or failed.
    pub failed: u64,
    /// Wrong.
    pub wrong: u64,
    /// Wall-clock time, nanoseconds.
    pub elapsed_ns: u64,
}

impl Slice {
    /// CPU nanoseconds per good operation.
    pub fn cpu_ns_each(&self) -> f64 {
        ratio(self.cpu_ns, self.operations)
    }
}

/// All slices of one round by contender; the reference has one more than the others together.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Round {
    /// The reference's, in order.
    pub reference: Vec<Slice>,
    /// The contenders', in order: the n-th lies between the reference's n-th and (n+1)-th.
    pub contenders: Vec<(String, Slice)>,
}

/// What the rounds say of one contender.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Median paired ratio of CPU per operation to the reference.
    pub ratio: f64,
    /// Least and greatest paired ratio.
    pub ratio_range: (f64, f64),
    /// Median CPU per operation, nanoseconds.
    pub cpu_ns_each: f64,
    /// User-mode share of all slices together, nanoseconds per operation.
    pub user_ns_each: f64,
    /// Median operations per second (wall clock: context, not a figure).
    pub per_second: f64,
    /// Over all slices.
    pub operations: u64,
    /// Over all slices.
    pub failed: u64,
    /// Over all slices.
    pub wrong: u64,
    /// How many slices.
    pub slices: usize,
}

/// Judges every contender, and the reference against itself (each slice against the next).
pub fn judge(rounds: &[Round], reference: &str) -> BTreeMap<String, Verdict> {
    let mut pairs: BTreeMap<String, Vec<(Slice, f64)>> = BTreeMap::new();
    for round in rounds {
        for two in round.reference.windows(2) {
            let paired = two[0].cpu_ns_each() / two[1].cpu_ns_each();
            pairs.entry(reference.to_owned()).or_default().push((two[0], paired));
        }
        for ((name, slice), two) in round.contenders.iter().zip(round.reference.windows(2)) {
            let floor = f64::midpoint(two[0].cpu_ns_each(), two[1].cpu_ns_each());
            let paired = slice.cpu_ns_each() / floor;
            pairs.entry(name.clone()).or_default().push((*slice, paired));
        }
    }
    pairs.into_iter().map(|(name, pairs)| (name, verdict(&pairs))).collect()
}

fn verdict(pairs: &[(Slice, f64)]) -> Verdict {
    let of = |value: fn(&(Slice, f64)) -> f64| pairs.iter().map(value).collect::<Vec<_>>();
    let sum = |value: fn(&Slice) -> u64| pairs.iter().map(|(slice, _)| value(slice)).sum::<u64>();
    let ratios = of(|(_, ratio)| *ratio);
    Verdict {
        ratio: median(&ratios),
        ratio_range: (
            ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ),
        cpu_ns_each: median(&of(|(slice, _)| slice.cpu_ns_each())),
        user_ns_each: ratio(sum(|slice| slice.user_ns), sum(|slice| slice.operations)),
        per_second: median(&of(|(slice, _)| ratio(slice.operations, slice.elapsed_ns) * 1e9)),
        operations: sum(|slice| slice.operations),
        failed: sum(|slice| slice.failed),
        wrong: sum(|slice| slice.wrong),
        slices: pairs.len(),
    }
}

/// The middle value, or the mean of the middle two; NaN for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests;
