//! Seeded randomness, so that two runs ask the same questions in the same order.

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, by multiplication (the bias is below 2^-32 for our bounds).
    pub fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.bits()) * bound as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

/// Chooses among `len` things: evenly, or by Zipf's law (the k-th has weight 1/k^s).
#[derive(Debug, Clone)]
pub struct Choice {
    len: usize,
    /// Cumulative weights scaled to 64 bits; empty for an even choice.
    cumulative: Vec<u64>,
}

impl Choice {
    /// `exponent` 0 is even; 1 is what measured popularity of names comes close to.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "weights are in 0..=1 and only steer a random choice"
    )]
    pub fn new(len: usize, exponent: f64) -> Self {
        if exponent == 0.0 {
            return Self { len, cumulative: Vec::new() };
        }
        let weight = |k: usize| (k as f64).powf(-exponent);
        let total: f64 = (1..=len).map(weight).sum();
        let mut sum = 0.0;
        let cumulative = (1..=len)
            .map(|k| {
                sum += weight(k) / total;
                (sum * u64::MAX as f64) as u64
            })
            .collect();
        Self { len, cumulative }
    }

    /// The next choice, below `len`.
    pub fn pick(&self, random: &mut Random) -> usize {
        if self.cumulative.is_empty() {
            return random.below(self.len);
        }
        let bits = random.bits();
        self.cumulative.partition_point(|&sum| sum < bits).min(self.len.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests;
