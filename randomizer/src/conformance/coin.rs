//! The coin, exactly: scripted words around every edge, and the same number of words for every input.

use std::convert::Infallible;

use hubbub_privacy::Value;
use rand_core::{Rng, TryCryptoRng, TryRng};

use super::{Coin, Law, SplitMix, Violation};

/// Reports per word and edge: what follows the coin must not move its verdict.
const REPORTS_PER_WORD: u32 = 8;
/// Streams from which all inputs must draw equally many words.
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

/// Every edge of every input's coin: the words below, at and above it, and the ends of the range.
pub fn check<M: Law>(mechanism: &M, seed: u64) -> Result<(), Violation> {
    let inputs = mechanism.inputs();
    let mut seeds = SplitMix::new(seed);
    for input in &inputs {
        let Some(Coin { words_before, edges }) = mechanism.coin(input) else { continue };
        let around = edges.iter().flat_map(|&edge| [edge.wrapping_sub(1), edge, edge.wrapping_add(1)]);
        for word in around.chain([0, u64::MAX]) {
            let expected = edges.iter().filter(|&&edge| edge <= word).count();
            for _ in 0..REPORTS_PER_WORD {
                let stream = SplitMix::new(seeds.next_u64());
                let mut rng = Replaced { stream, at: words_before, word, drawn: 0 };
                let Ok(output) = mechanism.randomize(input, &mut rng);
                let side = mechanism.side(input, &output);
                if side != expected {
                    return Err(Violation::Coin { input: input.clone(), word, output, side, expected });
                }
            }
        }
    }
    for _ in 0..STREAMS {
        let seed = seeds.next_u64();
        let words = |input: &Value| {
            let mut rng = Replaced { stream: SplitMix::new(seed), at: usize::MAX - 1, word: 0, drawn: 0 };
            let Ok(_) = mechanism.randomize(input, &mut rng);
            rng.drawn
        };
        let Some((first, rest)) = inputs.split_first() else { return Ok(()) };
        let expected = words(first);
        if let Some((input, words)) = rest.iter().map(|input| (input, words(input))).find(|(_, n)| *n != expected) {
            return Err(Violation::Words { input: input.clone(), words, first: first.clone(), expected });
        }
    }
    Ok(())
}
