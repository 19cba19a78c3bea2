//! An index drawn with integer weights of any size, exactly.

use dashu_int::UBig;
use dashu_int::ops::BitTest;
use rand_core::TryCryptoRng;

/// Index i comes with probability w_i / (w_0 + w_1 + ...).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighted {
    /// Words per draw; each sum below has as many, least significant first.
    words: usize,
    /// What is kept of a draw's most significant word.
    mask: u64,
    /// w_0, w_0 + w_1, ..., without the total: one after the other.
    sums: Vec<u64>,
    /// The total, unless every draw is below it.
    total: Option<Vec<u64>>,
}

impl Weighted {
    /// The law of `weights`; their sum must be positive.
    pub fn new(weights: &[UBig]) -> Self {
        let add = |sum: &mut UBig, weight: &UBig| {
            *sum += weight;
            Some(sum.clone())
        };
        let mut sums: Vec<UBig> = weights.iter().scan(UBig::ZERO, add).collect();
        let total = sums.pop().filter(|total| *total > UBig::ZERO).expect("some weight is positive");
        let bits = (&total - UBig::ONE).bit_len();
        let words = bits.div_ceil(64).max(1);
        let mask = if bits > 0 && bits.is_multiple_of(64) { u64::MAX } else { (1 << (bits % 64)) - 1 };
        let limbs = |sum: &UBig| -> Vec<u64> {
            let low = |i: usize| (sum >> (64 * i)) & UBig::from(u64::MAX);
            (0..words).map(|i| u64::try_from(low(i)).expect("64 bits fit")).collect()
        };
        let power_of_two = total == UBig::ONE << bits;
        Self { words, mask, sums: sums.iter().flat_map(limbs).collect(), total: (!power_of_two).then(|| limbs(&total)) }
    }

    /// How many words a draw takes at least.
    pub const fn words(&self) -> usize {
        self.words
    }

    /// An index.
    ///
    /// How many words are drawn depends on the words alone: a draw at or above the total is thrown away.
    ///
    /// # Errors
    /// The generator's.
    pub fn sample<R: TryCryptoRng + ?Sized>(&self, rng: &mut R) -> Result<usize, R::Error> {
        let mut draw = vec![0u64; self.words];
        loop {
            for word in &mut draw {
                *word = rng.try_next_u64()?;
            }
            if let Some(highest) = draw.last_mut() {
                *highest &= self.mask;
            }
            let is_at_most_draw = |sum: &[u64]| sum.iter().rev().le(draw.iter().rev());
            if !self.total.as_deref().is_some_and(is_at_most_draw) {
                return Ok(self.sums.chunks_exact(self.words).filter(|sum| is_at_most_draw(sum)).count());
            }
        }
    }
}

/// C(n, k), the weight of k of n.
pub fn binomial(n: u32, k: u32) -> UBig {
    if k > n {
        return UBig::ZERO;
    }
    (0..k).fold(UBig::ONE, |product, i| product * UBig::from(n - i) / UBig::from(i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{ScriptedRng, SplitMix};

    fn weighted(weights: &[u64]) -> Weighted {
        Weighted::new(&weights.iter().map(|&weight| UBig::from(weight)).collect::<Vec<_>>())
    }

    #[test]
    fn every_draw_below_the_total_belongs_to_one_index() {
        for weights in [&[3u64, 2, 4][..], &[1], &[8, 8], &[5, 0, 1]] {
            let total: u64 = weights.iter().sum();
            let mut seen = vec![0; weights.len()];
            for word in 0..total {
                seen[weighted(weights).sample(&mut ScriptedRng::new([word])).unwrap()] += 1;
            }
            assert_eq!(seen, weights);
        }
        // 9 needs four bits, so 9..16 are drawn again.
        let mut rng = ScriptedRng::new([9, 15, 16 + 8]);
        assert_eq!(weighted(&[3, 2, 4]).sample(&mut rng), Ok(2));
        assert_eq!(rng.words_left(), 0);
    }

    #[test]
    fn weights_of_many_words_are_compared_whole() {
        let big = |high: u64, low: u64| (UBig::from(high) << 64) + UBig::from(low);
        let weighted = Weighted::new(&[big(1, 5), big(2, 0)]);
        for (low, high, index) in [(4, 1, 0), (5, 1, 1), (u64::MAX, 0, 0), (4, 3, 1)] {
            assert_eq!(weighted.sample(&mut ScriptedRng::new([low, high])), Ok(index), "{high}:{low}");
        }
        let mut rng = ScriptedRng::new([5, 3, 0, 0]);
        assert_eq!(weighted.sample(&mut rng), Ok(0), "3:5 is the total, so it is drawn again");
        // A total of exactly 2^64 uses every word.
        let full = Weighted::new(&[UBig::ONE << 63, UBig::ONE << 63]);
        assert_eq!(full.sample(&mut ScriptedRng::new([u64::MAX])), Ok(1));
        assert_eq!(full.sample(&mut ScriptedRng::new([(1 << 63) - 1])), Ok(0));
    }

    #[test]
    fn frequencies_are_the_weights() {
        let weighted = weighted(&[1, 2, 6]);
        let mut rng = SplitMix::new(4);
        let mut seen = [0u32; 3];
        for _ in 0..90_000 {
            let Ok(index) = weighted.sample(&mut rng);
            seen[index] += 1;
        }
        // Five standard deviations.
        assert!(seen[0].abs_diff(10_000) < 472 && seen[2].abs_diff(60_000) < 708, "{seen:?}");
    }
}
