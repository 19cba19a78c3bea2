//! Generators for tests: exact words, and a fast seeded stream. Neither is fit for real reports, and no binary uses them.

use std::collections::VecDeque;
use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use thiserror::Error;

/// The script of a [`ScriptedRng`] is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the scripted generator has no words left")]
pub struct OutOfWords;

/// Gives exactly the words it was given, then fails: for coin edges and for a generator that breaks down.
#[derive(Debug, Clone)]
pub struct ScriptedRng {
    words: VecDeque<u64>,
}

impl ScriptedRng {
    /// A generator that gives `words` in order.
    pub fn new(words: impl IntoIterator<Item = u64>) -> Self {
        Self { words: words.into_iter().collect() }
    }

    /// How many words have not been drawn.
    pub fn words_left(&self) -> usize {
        self.words.len()
    }
}

impl TryRng for ScriptedRng {
    type Error = OutOfWords;

    fn try_next_u32(&mut self) -> Result<u32, OutOfWords> {
        self.try_next_u64().map(|word| word as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, OutOfWords> {
        self.words.pop_front().ok_or(OutOfWords)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), OutOfWords> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for ScriptedRng {}

/// SplitMix64 (Steele, Lea, Flood 2014): a seeded stream of good words for statistical checks.
#[derive(Debug, Clone)]
pub struct SplitMix {
    state: u64,
}

impl SplitMix {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }
}

impl TryRng for SplitMix {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| (word >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(z ^ (z >> 31))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let Ok(word) = self.try_next_u64();
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Only so that the kit can drive samplers, which demand it.
impl TryCryptoRng for SplitMix {}
