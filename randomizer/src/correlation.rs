//! Exact cyclic sums over translates of a set, by Fourier transform.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// What a transform may be off by, relative to the Euclidean norms of what it multiplies, before rounding is no longer
/// trusted: rounding unit times this many operations per point and level. Higham ("Accuracy and Stability of Numerical
/// Algorithms", section 24.1) proves about 7 per level; three transforms and their twiddle factors leave a wide margin.
const OPERATIONS_PER_LEVEL: f64 = 64.0;
/// Rounding to the nearest integer is exact below one half; half of that is kept in reserve.
const TRUSTED_ERROR: f64 = 0.25;
/// Counts too large for one pass are split into digits of so many bits, which any 2^26 counters can be trusted with.
const DIGIT_BITS: u32 = 12;

/// For every x in `0..length`: the sum over parts j and elements b of `sets(j)` of `parts[j][(x + b) mod length]`.
///
/// Each part has `length` counts, each set at most `set_size` elements; the result is exact. Time
/// O(parts x length log length).
pub fn translates(parts: &[&[u64]], sets: impl Fn(usize) -> Vec<u32>, set_size: usize, length: usize) -> Vec<u64> {
    let norms: f64 = parts.iter().map(|part| norm(part)).sum();
    if error(norms, set_size, length) < TRUSTED_ERROR {
        return rounded(parts, &sets, length);
    }
    let mut sums = vec![0u64; length];
    for shift in (0..u64::BITS).step_by(DIGIT_BITS as usize) {
        let digit =
            |part: &&[u64]| -> Vec<u64> { part.iter().map(|count| count >> shift & ((1 << DIGIT_BITS) - 1)).collect() };
        let digits: Vec<Vec<u64>> = parts.iter().map(digit).collect();
        if digits.iter().flatten().any(|&digit| digit > 0) {
            let digits: Vec<&[u64]> = digits.iter().map(Vec::as_slice).collect();
            let partial = rounded(&digits, &sets, length);
            sums.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part << shift);
        }
    }
    sums
}

/// How far a sum may be off: relative to the product of the norms, which no sum exceeds (Cauchy, Schwarz).
fn error(norms: f64, set_size: usize, length: usize) -> f64 {
    let levels = f64::from((4 * length).ilog2() + 1);
    f64::EPSILON * OPERATIONS_PER_LEVEL * levels * norms * (set_size as f64).sqrt()
}

/// The least length of a fast transform that is at least `least`: a power of two, times 3, 5, 9 or 15.
///
/// A level of radix 3 or 5 does more operations than one of radix 2, and stands for more levels in [`error`].
fn transform_length(least: usize) -> usize {
    let lengths = [1, 3, 5, 9, 15].map(|odd| odd * least.div_ceil(odd).next_power_of_two().max(2));
    lengths.into_iter().min().expect("there are five")
}

fn norm(part: &[u64]) -> f64 {
    part.iter().map(|&count| (count as f64).powi(2)).sum::<f64>().sqrt()
}

/// One pass: transforms of at least 2 `length`, so that nothing wraps but what is meant to.
fn rounded(parts: &[&[u64]], sets: &impl Fn(usize) -> Vec<u32>, length: usize) -> Vec<u64> {
    let size = transform_length(2 * length);
    let mut planner = RealFftPlanner::<f64>::new();
    let forward = planner.plan_fft_forward(size);
    let inverse = planner.plan_fft_inverse(size);
    let (mut counts, mut marks) = (forward.make_input_vec(), forward.make_input_vec());
    let (mut left, mut right) = (forward.make_output_vec(), forward.make_output_vec());
    let mut scratch = forward.make_scratch_vec();
    let mut sum = vec![Complex::new(0.0, 0.0); left.len()];
    const LENGTHS: &str = "the planner made these vectors";
    for (j, part) in parts.iter().enumerate() {
        counts.fill(0.0);
        counts.iter_mut().zip(*part).for_each(|(place, &count)| *place = count as f64);
        marks.fill(0.0);
        for b in sets(j) {
            marks[b as usize] = 1.0;
        }
        forward.process_with_scratch(&mut counts, &mut left, &mut scratch).expect(LENGTHS);
        forward.process_with_scratch(&mut marks, &mut right, &mut scratch).expect(LENGTHS);
        for ((sum, left), right) in sum.iter_mut().zip(&left).zip(&right) {
            *sum += left * right.conj();
        }
    }
    let mut output = inverse.make_output_vec();
    inverse.process(&mut sum, &mut output).expect(LENGTHS);
    let place = |at: usize| (output[at] / size as f64).round() as i64;
    // The linear correlation at x and at x - length fold into the cyclic one.
    (0..length).map(|x| (place(x) + place(size - length + x)).unsigned_abs()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn direct(parts: &[&[u64]], sets: impl Fn(usize) -> Vec<u32>, length: usize) -> Vec<u64> {
        let at = |x: usize, j: usize| sets(j).into_iter().map(|b| parts[j][(x + b as usize) % length]).sum::<u64>();
        (0..length).map(|x| (0..parts.len()).map(|j| at(x, j)).sum()).collect()
    }

    proptest! {
        #[test]
        fn transforms_and_sums_agree(
            length in 1usize..60,
            shift in 0u32..44,
            words in prop::collection::vec(any::<u64>(), 180),
            marks in prop::collection::vec(any::<bool>(), 180),
        ) {
            // Up to 2^64 >> shift each, so that both single passes and digits are met.
            let counts: Vec<u64> = words.iter().map(|word| word >> 8 >> shift).collect();
            let parts: Vec<&[u64]> = counts.chunks(length).take(3).collect();
            let set = |j: usize| (0..length as u32).filter(|&b| marks[(j * length + b as usize) % 180]).collect::<Vec<_>>();
            prop_assert_eq!(translates(&parts, set, length, length), direct(&parts, set, length));
        }
    }

    #[test]
    fn lengths_of_transforms_are_even_and_not_much_longer() {
        for least in 2..5000 {
            let size = transform_length(least);
            assert!(size >= least && size.is_multiple_of(2) && 4 * size <= 5 * least + 4, "{least}: {size}");
        }
        assert_eq!((transform_length(32_834), transform_length(2_097_170)), (36_864, 2_359_296));
    }

    #[test]
    fn one_huge_count_is_exact() {
        let mut part = vec![0u64; 1021];
        part[7] = (1 << 60) + 3;
        let sums = translates(&[&part], |_| vec![7, 8, 1020], 3, 1021);
        let supported: Vec<usize> = (0..1021).filter(|&x| sums[x] == (1 << 60) + 3).collect();
        assert_eq!((supported, sums.iter().filter(|&&sum| sum > 0).count()), (vec![0, 8, 1020], 3));
    }

    #[test]
    fn digits_can_be_trusted_at_the_ceiling_of_counters() {
        let digit = f64::from((1 << DIGIT_BITS) - 1);
        for (parts, length) in [(64.0, 1usize << 20), (4096.0, 1 << 14), (2.0, 1 << 20)] {
            assert!(
                error(parts * digit * (length as f64).sqrt(), length, length) < TRUSTED_ERROR,
                "{parts} x {length}"
            );
        }
    }
}
