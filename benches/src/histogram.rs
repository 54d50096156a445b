//! Latencies in logarithmic buckets: 16 to an octave, so a percentile is right within 6.25 %.

/// Buckets to an octave, as a power of two.
const STEPS_BITS: u32 = 4;
const BUCKETS: usize = 64 << STEPS_BITS;

/// Counts of durations in nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration_ns: u64) {
        self.counts[bucket(duration_ns)] += 1;
        self.total += 1;
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The duration that `per_mille` of 1,000 do not exceed, in ns; 0 when nothing was counted.
    pub fn quantile_ns(&self, per_mille: u64) -> u64 {
        let rank = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound_ns(at);
            }
        }
        0
    }
}

/// Values below 16 have a bucket each; above, the octave and the next four bits choose.
fn bucket(value: u64) -> usize {
    if value < 1 << STEPS_BITS {
        return usize::try_from(value).unwrap_or(0);
    }
    let octave = value.ilog2();
    let step = (value >> (octave - STEPS_BITS)) & ((1 << STEPS_BITS) - 1);
    let at = (u64::from(octave - STEPS_BITS + 1) << STEPS_BITS) + step;
    usize::try_from(at).unwrap_or(BUCKETS - 1).min(BUCKETS - 1)
}

fn upper_bound_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 1 << STEPS_BITS {
        return bucket;
    }
    let octave = (bucket >> STEPS_BITS) - 1;
    let step = bucket & ((1 << STEPS_BITS) - 1);
    (((1 << STEPS_BITS) + step + 1) << octave) - 1
}

#[cfg(test)]
mod tests;
