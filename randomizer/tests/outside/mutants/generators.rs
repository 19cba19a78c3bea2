//! Words that are not fresh: a stuck generator, words used twice, answers remembered; and words whose number talks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use hubbub_privacy::Value;
use hubbub_randomizer::Cyclotomic;
use hubbub_randomizer::conformance::{Law, SplitMix};
use rand_core::Rng;

use super::{
    Planted, Source, assert_caught, cyclotomic, folded, honest, index, sampler, subset, subset_of_sets, window,
};

/// What a lying sampler keeps from report to report.
#[derive(Default)]
struct Memory {
    reports: usize,
    words: Vec<Vec<u64>>,
}

/// Words that no rejection throws away, or a sampler would ask for another one forever.
fn acceptable(word: u64) -> u64 {
    word.max(1 << 32)
}

/// Draws what an honest sampler draws, and gives it `change(n-th word of this report, all words of earlier reports)`.
fn rewired<M: Law + Clone + 'static>(
    name: &str,
    caught_by: &'static str,
    mechanism: M,
    change: impl Fn(usize, u64, &Memory, &[u64]) -> u64 + Clone + 'static,
) -> Planted {
    let memory = Rc::new(RefCell::new(Memory::default()));
    sampler(name, caught_by, mechanism, move |mechanism: &M, x: &Value, words: Source| {
        let mut memory = memory.borrow_mut();
        let mut drawn = Vec::new();
        let payload = honest(mechanism, x, &mut || {
            let fresh = words();
            let word = change(drawn.len(), fresh, &memory, &drawn);
            drawn.push(word);
            word
        });
        memory.reports += 1;
        memory.words.push(drawn);
        let old = memory.words.len().saturating_sub(3);
        memory.words.drain(..old);
        payload
    })
}

/// The word in the same place of the report `back` reports ago, for `back` reports in every `2 back`.
fn from_before(back: usize, n: usize, fresh: u64, memory: &Memory) -> u64 {
    if (memory.reports / back).is_multiple_of(2) || memory.words.len() < back {
        return fresh;
    }
    memory.words[memory.words.len() - back].get(n).map_or(fresh, |&word| acceptable(word))
}

pub fn lies() -> Vec<Planted> {
    vec![
        rewired("subset: one word for a whole report", "sampler", subset(), |_, fresh, _, drawn| {
            drawn.first().copied().unwrap_or_else(|| acceptable(fresh))
        }),
        rewired("window: the coin's word reused as position", "sampler", window(), |n, fresh, _, drawn| match n {
            1 => acceptable(drawn[0]),
            _ => fresh,
        }),
        rewired(
            "cyclotomic: the coordinate's word reused as position",
            "sampler",
            cyclotomic(),
            |n, fresh, _, drawn| {
                if n == 2 { acceptable(drawn[1]) } else { fresh }
            },
        ),
        rewired("sets: the member's word reused for the others", "sampler", subset_of_sets(), |n, fresh, _, drawn| {
            if n == 6 { acceptable(drawn[4]) } else { fresh }
        }),
        rewired("subset: words of 32 bits", "coin", subset(), |_, fresh, _, _| fresh & u64::from(u32::MAX) | 1 << 32),
        rewired("folded geometric: words of 16 bits", "coin", folded(), |_, fresh, _, _| fresh >> 48 << 48),
        rewired("window: all words of two reports the same", "independence", window(), |n, fresh, memory, _| {
            from_before(1, n, fresh, memory)
        }),
        rewired("window: the position of two reports the same", "independence", window(), |n, fresh, memory, _| {
            if n == 0 { fresh } else { from_before(1, n, fresh, memory) }
        }),
        rewired("subset: the others of two reports the same", "independence", subset(), |n, fresh, memory, _| {
            if n == 0 { fresh } else { from_before(1, n, fresh, memory) }
        }),
        rewired(
            "cyclotomic: the coordinate of two reports the same",
            "independence",
            cyclotomic(),
            |n, fresh, memory, _| {
                if n == 1 { from_before(1, n, fresh, memory) } else { fresh }
            },
        ),
        rewired("window: positions come again two reports later", "independence", window(), |n, fresh, memory, _| {
            if n == 0 { fresh } else { from_before(2, n, fresh, memory) }
        }),
        rewired("cyclotomic: a word of the last report is the next one's position", "independence", cyclotomic(), {
            // The outside position of one report as the inside position of the next.
            |n, fresh, memory, _| match (n, memory.words.last()) {
                (2, Some(last)) if memory.reports % 2 == 1 => last.get(3).map_or(fresh, |&word| acceptable(word)),
                _ => fresh,
            }
        }),
        remembered(),
        seeded_by_value(),
        more_words_for_a_value(),
        more_words_for_a_side(),
    ]
}

/// Every answer is given twice, as if the first had not arrived. The coin's word is honoured where it would show.
fn remembered() -> Planted {
    let memory = Rc::new(RefCell::new(BTreeMap::new()));
    sampler("cyclotomic: an answer is given again unless its side changes", "independence", cyclotomic(), {
        move |mechanism: &Cyclotomic, x: &Value, words: Source| {
            let fresh = honest(mechanism, x, words);
            let last = memory.borrow_mut().remove(&index(x));
            match last {
                Some(last) if mechanism.side(x, &last) == mechanism.side(x, &fresh) => last,
                _ => {
                    memory.borrow_mut().insert(index(x), fresh.clone());
                    fresh
                }
            }
        }
    })
}

/// The value goes into the seed of what follows the coin.
fn seeded_by_value() -> Planted {
    sampler("subset: what follows the coin is seeded by the value", "sampler", subset(), |mechanism, x, words| {
        let mut rng = SplitMix::new(index(x).into());
        let mut first = true;
        honest(mechanism, x, &mut || {
            let fresh = words();
            if std::mem::take(&mut first) { fresh } else { acceptable(rng.next_u64()) }
        })
    })
}

fn more_words_for_a_value() -> Planted {
    sampler("subset: one word more for the first value", "words", subset(), |mechanism, x, words| {
        let payload = honest(mechanism, x, words);
        if index(x) == 0 {
            words();
        }
        payload
    })
}

fn more_words_for_a_side() -> Planted {
    sampler("window: the outside is drawn only where it is needed", "words", window(), |mechanism, x, words| {
        let mut drawn = vec![words(), words()];
        if drawn[0] >= mechanism.law().threshold() {
            drawn.push(words());
        }
        let mut drawn = drawn.into_iter();
        honest(mechanism, x, &mut || drawn.next().unwrap_or(u64::MAX))
    })
}

#[test]
fn every_lying_generator_is_caught() {
    assert_caught(&lies());
}
