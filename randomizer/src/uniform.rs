//! Uniform integers from uniform words, exactly.

use rand_core::{TryCryptoRng, TryRng};

/// A uniform integer in `0..n`, for n >= 1.
///
/// Lemire's multiplication with rejection (Lemire 2019, "Fast random integer generation in an interval", algorithm 5):
/// no modulo bias. At least one word is always drawn, also for n = 1, so that the number of words says nothing.
///
/// # Errors
/// The generator's.
#[inline]
pub fn below<R: TryCryptoRng + ?Sized>(n: u64, rng: &mut R) -> Result<u64, R::Error> {
    debug_assert!(n > 0, "there is no integer below 0");
    let product = u128::from(rng.try_next_u64()?) * u128::from(n);
    let product = if (product as u64) < n { redrawn(product, n, rng)? } else { product };
    Ok((product >> 64) as u64)
}

/// The rare case that a product may have to be rejected: only here a division is needed.
#[cold]
fn redrawn<R: TryCryptoRng + ?Sized>(mut product: u128, n: u64, rng: &mut R) -> Result<u128, R::Error> {
    let rejected = n.wrapping_neg() % n;
    while (product as u64) < rejected {
        product = u128::from(rng.try_next_u64()?) * u128::from(n);
    }
    Ok(product)
}

/// Words of a generator, up to N fetched with one call: one of the operating system costs as much as many words.
///
/// Only words that are certain to be drawn are fetched ahead, so a generator whose bytes are its words, little-endian, gives
/// the same words in the same order as without, and none is left over. It lives for one report and keeps nothing that a
/// fork or a clone of the machine could repeat.
pub struct Ahead<'a, R: ?Sized, const N: usize> {
    rng: &'a mut R,
    words: [[u8; 8]; N],
    next: usize,
    fetched: usize,
    /// Words certain to be drawn and not yet fetched.
    certain: usize,
}

impl<'a, R: TryCryptoRng + ?Sized, const N: usize> Ahead<'a, R, N> {
    /// The words of `rng`, of which at least `certain` will be drawn.
    pub const fn new(rng: &'a mut R, certain: usize) -> Self {
        Self { rng, words: [[0; 8]; N], next: 0, fetched: 0, certain }
    }

    #[cold]
    fn fetch(&mut self) -> Result<(), R::Error> {
        let words = self.certain.min(N);
        self.rng.try_fill_bytes(self.words[..words].as_flattened_mut())?;
        self.certain -= words;
        (self.next, self.fetched) = (0, words);
        Ok(())
    }
}

impl<R: TryCryptoRng + ?Sized, const N: usize> TryRng for Ahead<'_, R, N> {
    type Error = R::Error;

    fn try_next_u32(&mut self) -> Result<u32, R::Error> {
        self.try_next_u64().map(|word| word as u32)
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, R::Error> {
        if self.next == self.fetched {
            if self.certain == 0 {
                return self.rng.try_next_u64();
            }
            self.fetch()?;
        }
        let word = u64::from_le_bytes(self.words[self.next]);
        self.next += 1;
        Ok(word)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), R::Error> {
        rand_core::utils::fill_bytes_via_next_word(bytes, || self.try_next_u64())
    }
}

impl<R: TryCryptoRng + ?Sized, const N: usize> TryCryptoRng for Ahead<'_, R, N> {}

/// Shuffles `items` uniformly (Fisher, Yates).
///
/// # Errors
/// The generator's.
pub fn shuffle<T, R: TryCryptoRng + ?Sized>(items: &mut [T], rng: &mut R) -> Result<(), R::Error> {
    for done in 0..items.len() {
        let pick = done + below((items.len() - done) as u64, rng)? as usize;
        items.swap(done, pick);
    }
    Ok(())
}

/// Orders of so few integers fit bytes, and sets of them a few words, on the stack.
const SMALL: usize = 256;
const ASCENDING: [u8; SMALL] = {
    let mut order = [0; SMALL];
    let mut at = 0;
    while at < SMALL {
        order[at] = at as u8;
        at += 1;
    }
    order
};

/// The first `length` of a uniform order of `0..n`.
///
/// # Errors
/// The generator's.
pub fn sequence<R: TryCryptoRng + ?Sized>(n: u32, length: u32, rng: &mut R) -> Result<Vec<u32>, R::Error> {
    if length == 1 {
        return Ok(vec![below(n.into(), rng)? as u32]);
    }
    if n as usize > SMALL {
        let mut items: Vec<u32> = (0..n).collect();
        for done in 0..length {
            let pick = done + below(u64::from(n - done), rng)? as u32;
            items.swap(done as usize, pick as usize);
        }
        items.truncate(length as usize);
        return Ok(items);
    }
    let (mut items, mut order) = (vec![0; length as usize], ASCENDING);
    for (done, item) in items.iter_mut().enumerate() {
        let pick = done + below(u64::from(n) - done as u64, rng)? as usize;
        // What stands before `pick` takes its place; the place it leaves is never looked at again.
        *item = order[pick].into();
        order[pick] = order[done];
    }
    Ok(items)
}

/// Sorts distinct indices below `width`; by a bit set where that is faster.
pub(crate) fn ascending(mut items: Vec<u32>, width: usize) -> Vec<u32> {
    if width > SMALL {
        items.sort_unstable();
        return items;
    }
    let mut set = [0u64; SMALL / 64];
    for item in &items {
        set[*item as usize / 64] |= 1 << (item % 64);
    }
    let mut block = 0;
    for item in &mut items {
        while set[block] == 0 {
            block += 1;
        }
        *item = block as u32 * 64 + set[block].trailing_zeros();
        set[block] &= set[block] - 1;
    }
    items
}

/// The `index`-th integer, from 0, that is not in `sorted`.
pub(crate) fn outside(index: u32, sorted: &[u32]) -> u32 {
    // Every held integer is looked at, so the work does not depend on where they are.
    sorted.iter().fold(index, |integer, &held| integer + u32::from(held <= integer))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::conformance::ScriptedRng;

    #[test]
    fn the_lowest_word_is_rejected_where_it_would_bias() {
        // n = 3: 2^64 mod 3 = 1, so only the word 0 must be drawn again.
        let mut rng = ScriptedRng::new([0, u64::MAX]);
        assert_eq!(below(3, &mut rng), Ok(2));
        assert_eq!(rng.words_left(), 0);
        let mut rng = ScriptedRng::new([1]);
        assert_eq!(below(3, &mut rng), Ok(0));
    }

    #[test]
    fn every_residue_is_equally_likely() {
        // With words on a grid of 2^64 / (3 * 5 * 2^20) the exact law is visible: each result gets the same share.
        const STEPS: u64 = 15 << 12;
        for n in [1u64, 2, 3, 5, 15] {
            let mut seen = vec![0u64; n as usize];
            for step in 0..STEPS {
                let word = ((u128::from(step) << 64) / u128::from(STEPS)) as u64 + 1;
                seen[below(n, &mut ScriptedRng::new([word])).unwrap() as usize] += 1;
            }
            assert!(seen.iter().all(|&count| count == STEPS / n), "{n}: {seen:?}");
        }
    }

    #[test]
    fn a_failing_generator_gives_nothing() {
        assert!(below(3, &mut ScriptedRng::new([])).is_err());
    }

    #[test]
    fn fetching_ahead_changes_no_word_and_leaves_none() {
        for certain in [0, 1, 4, 5, 11] {
            let mut rng = ScriptedRng::new(1..=12);
            let mut ahead = Ahead::<_, 4>::new(&mut rng, certain);
            for word in 1..=11 {
                assert_eq!(ahead.try_next_u64(), Ok(word));
            }
            assert_eq!(rng.words_left(), 1, "{certain}");
        }
        // A generator of 32-bit words in the middle of a block.
        let mut plain = ChaCha12Rng::from_seed([3; 32]);
        let mut fetched = plain.clone();
        for _ in 0..3 {
            assert_eq!(plain.try_next_u32(), fetched.try_next_u32());
        }
        let mut ahead = Ahead::<_, 7>::new(&mut fetched, 100);
        for _ in 0..100 {
            assert_eq!(plain.try_next_u64(), ahead.try_next_u64());
        }
        assert_eq!(plain, fetched);
    }

    #[test]
    fn a_short_order_is_that_of_swaps() {
        // 255 and 256 take bytes, 257 words; both follow the textbook.
        for (n, length) in [(2, 2), (16, 5), (255, 255), (256, 70), (257, 257)] {
            let (mut rng, mut same) = (ChaCha12Rng::from_seed([5; 32]), ChaCha12Rng::from_seed([5; 32]));
            let mut swapped: Vec<u32> = (0..n).collect();
            for done in 0..length {
                let Ok(pick) = below(u64::from(n - done), &mut same);
                swapped.swap(done as usize, done as usize + pick as usize);
            }
            swapped.truncate(length as usize);
            assert_eq!(sequence(n, length, &mut rng), Ok(swapped));
        }
    }
}
