//! Arithmetic modulo the small primes of the cyclotomic family. Trial division is enough below 2^32.

/// Whether `n` is prime.
pub fn is_prime(n: u32) -> bool {
    n >= 2 && (2..).take_while(|&divisor| divisor <= n / divisor).all(|divisor| !n.is_multiple_of(divisor))
}

/// The least prime K >= `at_least` with K = 1 mod `e`, unless it passes 2^31.
pub fn least_prime(at_least: u32, e: u32) -> Option<u32> {
    let first = 1 + (at_least - 1).div_ceil(e) * e;
    (first..1 << 31).step_by(e as usize).find(|&candidate| is_prime(candidate))
}

/// The least g whose powers are all of 1..K, for a prime `modulus` = K.
pub fn primitive_root(modulus: u32) -> u32 {
    let order = modulus - 1;
    let mut rest = order;
    let mut factors = Vec::new();
    for divisor in 2.. {
        if divisor > rest / divisor {
            factors.extend((rest > 1).then_some(rest));
            break;
        }
        if rest.is_multiple_of(divisor) {
            factors.push(divisor);
            while rest.is_multiple_of(divisor) {
                rest /= divisor;
            }
        }
    }
    let is_root = |&g: &u32| factors.iter().all(|factor| power(g, order / factor, modulus) != 1);
    (1..modulus).find(is_root).expect("a prime has primitive roots")
}

/// base^exponent mod `modulus`.
pub fn power(base: u32, exponent: u32, modulus: u32) -> u32 {
    let (mut result, mut square) = (1 % modulus, base % modulus);
    for bit in 0..u32::BITS - exponent.leading_zeros() {
        if exponent >> bit & 1 == 1 {
            result = product(result, square, modulus);
        }
        square = product(square, square, modulus);
    }
    result
}

/// a b mod `modulus`.
pub fn product(a: u32, b: u32, modulus: u32) -> u32 {
    (u64::from(a) * u64::from(b) % u64::from(modulus)) as u32
}

/// Digits of an exponent that are looked up at once.
const DIGIT_BITS: u32 = 4;

/// The powers of one number: a product of a few table entries, the same work for every exponent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Powers {
    modulus: u32,
    /// ceil(2^64 / K), for division by multiplication.
    inverse: u64,
    /// base^(digit 16^position), position by position.
    table: Vec<[u32; 1 << DIGIT_BITS]>,
}

impl Powers {
    /// The powers of `base` modulo a prime `modulus` > 2, for exponents below it.
    pub fn new(base: u32, modulus: u32) -> Self {
        let mut table = Vec::new();
        let mut step = base;
        for _ in 0..(u32::BITS - modulus.leading_zeros()).div_ceil(DIGIT_BITS) {
            let mut row = [1; 1 << DIGIT_BITS];
            for digit in 1..row.len() {
                row[digit] = product(row[digit - 1], step, modulus);
            }
            step = product(row[row.len() - 1], step, modulus);
            table.push(row);
        }
        Self { modulus, inverse: u64::MAX / u64::from(modulus) + 1, table }
    }

    /// base^exponent mod K.
    pub fn power(&self, exponent: u32) -> u32 {
        let mask = (1 << DIGIT_BITS) - 1;
        let digits = (0..).step_by(DIGIT_BITS as usize).map(|shift| (exponent >> shift & mask) as usize);
        let factors = self.table.iter().zip(digits).map(|(row, digit)| row[digit]);
        factors.fold(1, |result, factor| self.product(result, factor))
    }

    /// a b mod K, for a, b < K.
    ///
    /// Barrett's division: with v = ceil(2^64/K), q = floor(a b v / 2^64) is the quotient or one more.
    pub fn product(&self, a: u32, b: u32) -> u32 {
        let product = u64::from(a) * u64::from(b);
        let quotient = ((u128::from(product) * u128::from(self.inverse)) >> 64) as u64;
        let modulus = u64::from(self.modulus);
        let rest = product.wrapping_sub(quotient.wrapping_mul(modulus));
        // One quotient too many shows as a borrow.
        rest.wrapping_add(modulus & 0u64.wrapping_sub(rest >> 63)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_the_known_ones() {
        let small: Vec<u32> = (0..30).filter(|&n| is_prime(n)).collect();
        assert_eq!(small, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65_537) && is_prime(1_048_583) && !is_prime(65_535) && !is_prime(1_048_576));
        assert_eq!((least_prime(2, 2), least_prime(257, 4), least_prime(257, 3)), (Some(3), Some(257), Some(271)));
    }

    #[test]
    fn primitive_roots_reach_everything() {
        for modulus in [3u32, 5, 7, 23, 41, 257, 1021] {
            let g = primitive_root(modulus);
            let order = |g| (1..modulus).find(|&n| power(g, n, modulus) == 1);
            assert_eq!(order(g), Some(modulus - 1));
            assert!((1..g).all(|smaller| order(smaller) < Some(modulus - 1)));
        }
    }

    #[test]
    fn tables_and_squaring_agree() {
        for modulus in [3u32, 17, 257, 65_537, 1_048_583, 2_147_483_629] {
            let powers = Powers::new(modulus - 1 - modulus / 3, modulus);
            for exponent in (0..2000).chain((0..500).map(|i| modulus - 1 - i % modulus)) {
                let exponent = exponent % modulus;
                assert_eq!(powers.power(exponent), power(modulus - 1 - modulus / 3, exponent, modulus));
            }
        }
    }
}
