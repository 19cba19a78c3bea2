//! Coins that fall elsewhere than the declared edges say, in every family: shifted, rounded, compared wrongly.

use hubbub_privacy::Value;
use hubbub_randomizer::conformance::Law;

use super::{Planted, Source, assert_caught, cyclotomic, folded, honest, sampler, subset, subset_of_sets, window};

/// From a word to the side of the coin, given the honest edges.
type Side = fn(&[u64], u64) -> usize;

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

fn side(edges: impl Iterator<Item = u64>, word: u64) -> usize {
    edges.filter(|&edge| edge <= word).count()
}

fn scaled(edges: &[u64], word: u64, factor: f64) -> usize {
    side(edges.iter().map(|&edge| (edge as f64 * factor) as u64), word)
}

/// The edges as a float format with so many bits of significand holds them.
fn rounded(edges: &[u64], word: u64, bits: u32) -> usize {
    let round = |edge: u64| {
        let unit = 1u128 << (u64::BITS - edge.leading_zeros()).saturating_sub(bits);
        let nearest = (u128::from(edge) + unit / 2) / unit * unit;
        u64::try_from(nearest).unwrap_or(u64::MAX)
    };
    side(edges.iter().map(|&edge| round(edge)), word)
}

const SIDES: [(&str, Side); 15] = [
    ("p 1 % too large", |edges, word| scaled(edges, word, 1.01)),
    ("p 1 % too small", |edges, word| scaled(edges, word, 0.99)),
    ("p 0.1 % too large", |edges, word| scaled(edges, word, 1.001)),
    ("p and 1 - p swapped", |edges, word| side(edges.iter().rev().map(|edge| edge.wrapping_neg()), word)),
    ("threshold one too large", |edges, word| side(edges.iter().map(|edge| edge + 1), word)),
    ("threshold one too small", |edges, word| side(edges.iter().map(|edge| edge - 1), word)),
    ("<= instead of <", |edges, word| edges.iter().filter(|&&edge| word > edge).count()),
    ("threshold of 8 bits", |edges, word| side(edges.iter().map(|edge| edge >> 56), word >> 56)),
    ("threshold of 32 bits", |edges, word| side(edges.iter().map(|edge| edge >> 32), word >> 32)),
    ("probability rounded to f16", |edges, word| rounded(edges, word, 11)),
    ("probability rounded to f32", |edges, word| rounded(edges, word, 24)),
    ("uniform f64 below p", |edges, word| {
        let uniform = (word >> 11) as f64 / (1u64 << 53) as f64;
        edges.iter().filter(|&&edge| uniform >= edge as f64 / TWO_TO_64).count()
    }),
    ("coin from the word's low half", |edges, word| side(edges.iter().copied(), word << 32)),
    ("signed comparison", |edges, word| edges.iter().filter(|&&edge| edge.cast_signed() <= word.cast_signed()).count()),
    ("always the likeliest side", |edges, _| {
        let ends = || [0].iter().chain(edges).zip(edges.iter().chain([&u64::MAX]));
        (0..=edges.len()).max_by_key(|&side| ends().nth(side).map(|(from, to)| to - from)).unwrap()
    }),
];

fn in_family<M: Law + Clone + 'static>(family: &'static str, mechanism: &M) -> Vec<Planted> {
    let lie = |(name, lie): (&str, Side)| {
        let sample = move |mechanism: &M, x: &Value, words: Source| {
            let Some(coin) = mechanism.coin(x) else { return honest(mechanism, x, words) };
            let mut drawn = 0;
            honest(mechanism, x, &mut || {
                drawn += 1;
                let word = words();
                if drawn != coin.words_before + 1 {
                    return word;
                }
                // The lowest word that the honest sampler takes for the side that the lie is on.
                match lie(&coin.edges, word) {
                    0 => 0,
                    side => coin.edges[side - 1],
                }
            })
        };
        sampler(format!("{family}: {name}"), "coin", mechanism.clone(), sample)
    };
    SIDES.into_iter().map(lie).collect()
}

pub fn lies() -> Vec<Planted> {
    let mut lies = in_family("subset", &subset());
    lies.extend(in_family("sets", &subset_of_sets()));
    lies.extend(in_family("cyclotomic", &cyclotomic()));
    lies.extend(in_family("window", &window()));
    lies.extend(in_family("folded geometric", &folded()));
    lies
}

#[test]
fn every_lying_coin_is_caught() {
    assert_caught(&lies());
}
