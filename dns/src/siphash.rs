//! SipHash-2-4 (Aumasson and Bernstein, 2012), the keyed hash that RFC 9018 names for cookies.
//!
//! The standard library's is 1-3 and keeps its choice to itself; cookies are checked by other
//! servers, so theirs must be exactly this one.

/// The secret key.
pub(crate) type Key = [u8; 16];

/// Rounds for each word, and at the end: the 2 and the 4 of the name.
const WORD_ROUNDS: usize = 2;
const LAST_ROUNDS: usize = 4;

/// The hash of `message` under `key`, as octets in the order of the reference implementation.
pub(crate) fn siphash(key: &Key, message: &[u8]) -> [u8; 8] {
    let (low, high) = halves(key);
    // "somepseudorandomlygeneratedbytes", as the paper has it.
    let mut state = State([
        low ^ 0x736f_6d65_7073_6575,
        high ^ 0x646f_7261_6e64_6f6d,
        low ^ 0x6c79_6765_6e65_7261,
        high ^ 0x7465_6462_7974_6573,
    ]);
    let (words, rest) = message.as_chunks::<8>();
    for word in words {
        state.take(u64::from_le_bytes(*word));
    }
    // The last word: what is left, and the length's low octet on top.
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = message.len().to_le_bytes()[0];
    state.take(u64::from_le_bytes(last));
    state.0[2] ^= 0xff;
    state.mix(LAST_ROUNDS);
    let [a, b, c, d] = state.0;
    (a ^ b ^ c ^ d).to_le_bytes()
}

struct State([u64; 4]);

impl State {
    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.mix(WORD_ROUNDS);
        self.0[0] ^= word;
    }

    fn mix(&mut self, rounds: usize) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..rounds {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.0 = [a, b, c, d];
    }
}

fn halves(key: &Key) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, high @ ..] = *key;
    (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's appendix: key and message count up from 0. Further lengths are checked by the
    /// cookies of RFC 9018.
    #[test]
    fn the_papers_example_comes_out() {
        let counting: [u8; 16] = std::array::from_fn(|at| at.to_le_bytes()[0]);
        assert_eq!(siphash(&counting, &counting[..15]), 0xa129_ca61_49be_45e5_u64.to_le_bytes());
    }
}
