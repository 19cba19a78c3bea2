//! Uniform integers from uniform words, exactly.

use rand_core::TryCryptoRng;

/// A uniform integer in `0..n`, for n >= 1.
///
/// Lemire's multiplication with rejection (Lemire 2019, "Fast random integer generation in an interval", algorithm 5):
/// no modulo bias. At least one word is always drawn, also for n = 1, so that the number of words says nothing.
///
/// # Errors
/// The generator's.
pub fn below<R: TryCryptoRng + ?Sized>(n: u64, rng: &mut R) -> Result<u64, R::Error> {
    debug_assert!(n > 0, "there is no integer below 0");
    let mut product = u128::from(rng.try_next_u64()?) * u128::from(n);
    if (product as u64) < n {
        let rejected = n.wrapping_neg() % n;
        while (product as u64) < rejected {
            product = u128::from(rng.try_next_u64()?) * u128::from(n);
        }
    }
    Ok((product >> 64) as u64)
}

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

/// The first `length` of a uniform order of `0..n`.
///
/// # Errors
/// The generator's.
pub fn sequence<R: TryCryptoRng + ?Sized>(n: u32, length: u32, rng: &mut R) -> Result<Vec<u32>, R::Error> {
    if length == 1 {
        return Ok(vec![below(n.into(), rng)? as u32]);
    }
    let mut items: Vec<u32> = (0..n).collect();
    for done in 0..length {
        let pick = done + below(u64::from(n - done), rng)? as u32;
        items.swap(done as usize, pick as usize);
    }
    items.truncate(length as usize);
    Ok(items)
}

#[cfg(test)]
mod tests {
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
}
