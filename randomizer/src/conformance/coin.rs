//! The coin, exactly: its edges against the law, scripted words around every edge, and the same number of words whatever
//! the input and the coin.

use std::convert::Infallible;

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use hubbub_privacy::Value;
use rand_core::{Rng, TryCryptoRng, TryRng};

use super::{Coin, Law, SplitMix, Table, Violation, sum};

/// Reports per word and edge: what follows the coin must not move its verdict.
const REPORTS_PER_WORD: u32 = 8;
/// Streams from which all inputs must draw equally many words, whatever the coin says.
const STREAMS: u64 = 32;

/// A good stream with one word replaced, which counts.
struct Replaced {
    stream: SplitMix,
    at: usize,
    word: u64,
    drawn: usize,
}

impl TryRng for Replaced {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.next_u64() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let word = self.stream.next_u64();
        self.drawn += 1;
        Ok(if self.drawn == self.at + 1 { self.word } else { word })
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Replaced {}

/// Every edge of every input's coin: the words below, at and above it, and the ends of the range; that the edges give the
/// declared probabilities; and that neither the input nor the coin decides how many words are drawn.
pub(super) fn check<M: Law>(mechanism: &M, table: &Table, seed: u64) -> Result<(), Violation> {
    let coins: Vec<Option<Coin>> = table.inputs.iter().map(|input| mechanism.coin(input)).collect();
    if coins.iter().all(Option::is_none) {
        return Err(Violation::NoCoin);
    }
    let mut seeds = SplitMix::new(seed);
    for ((input, law), coin) in table.inputs.iter().zip(&table.laws).zip(&coins) {
        let Some(coin) = coin else { continue };
        let sides: Vec<usize> = table.outputs.iter().map(|output| mechanism.side(input, output)).collect();
        check_edges(input, coin, law, &sides)?;
        check_sides(mechanism, input, coin, &mut seeds)?;
    }
    for _ in 0..STREAMS {
        check_words(mechanism, &table.inputs, &coins, seeds.next_u64())?;
    }
    Ok(())
}

/// The words between two edges are, out of 2^64, the probability of the outputs on their side.
fn check_edges(input: &Value, coin: &Coin, law: &[RBig], sides: &[usize]) -> Result<(), Violation> {
    let end = UBig::ONE << 64;
    let mut from = UBig::ZERO;
    for side in 0..=coin.edges.len() {
        let to = coin.edges.get(side).map_or_else(|| end.clone(), |&edge| UBig::from(edge));
        let mass = sum(law.iter().zip(sides).filter(|(_, found)| **found == side).map(|(p, _)| p.clone()));
        // Edges in descending order would give a negative mass, which no law has.
        let declared = IBig::from(to.clone()) - IBig::from(from);
        if mass != RBig::from_parts(declared.clone(), end.clone()) {
            let (declared, mass) = (declared.to_string(), mass.to_string());
            return Err(Violation::Edges { input: input.clone(), side, declared, mass });
        }
        from = to;
    }
    Ok(())
}

fn check_sides<M: Law>(mechanism: &M, input: &Value, coin: &Coin, seeds: &mut SplitMix) -> Result<(), Violation> {
    let around = coin.edges.iter().flat_map(|&edge| [edge.wrapping_sub(1), edge, edge.wrapping_add(1)]);
    for word in around.chain([0, u64::MAX]) {
        let expected = coin.edges.iter().filter(|&&edge| edge <= word).count();
        for _ in 0..REPORTS_PER_WORD {
            let stream = SplitMix::new(seeds.next_u64());
            let mut rng = Replaced { stream, at: coin.words_before, word, drawn: 0 };
            let Ok(output) = mechanism.randomize(input, &mut rng);
            let side = mechanism.side(input, &output);
            if side != expected {
                return Err(Violation::Coin { input: input.clone(), word, output, side, expected });
            }
        }
    }
    Ok(())
}

/// From one stream, every input and every side of the coin draw equally many words.
fn check_words<M: Law>(mechanism: &M, inputs: &[Value], coins: &[Option<Coin>], seed: u64) -> Result<(), Violation> {
    let words = |input: &Value, at: usize, word: u64| {
        let mut rng = Replaced { stream: SplitMix::new(seed), at, word, drawn: 0 };
        let Ok(_) = mechanism.randomize(input, &mut rng);
        rng.drawn
    };
    let Some(first) = inputs.first() else { return Ok(()) };
    // A place that no sampler reaches: the stream stays as it is.
    let expected = words(first, usize::MAX - 1, 0);
    for (input, coin) in inputs.iter().zip(coins) {
        let forced = coin.iter().flat_map(|coin| {
            let sides = std::iter::once(0).chain(coin.edges.iter().copied());
            sides.map(|word| (coin.words_before, word))
        });
        for (at, word) in std::iter::once((usize::MAX - 1, 0)).chain(forced) {
            let words = words(input, at, word);
            if words != expected {
                return Err(Violation::Words { input: input.clone(), words, first: first.clone(), expected });
            }
        }
    }
    Ok(())
}
