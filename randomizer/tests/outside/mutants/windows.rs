//! Samplers of ordered values that go wrong after the coin.

use hubbub_privacy::{Goal, Payload, Value};
use hubbub_randomizer::{Window, conformance};

use super::{Mutant, Planted, SEED, Source, assert_caught, below, bound, honest, index, planted, sampler, window};

/// d and w of the lies; K = 7.
const VALUES: u32 = 5;
const WIDTH: u32 = 3;

/// From the value and two drawn positions to the report inside and outside.
type Place = fn(u32, u32, u32) -> [u32; 2];

fn report(mechanism: &Window, x: &Value, words: Source, [inside, outside]: [u32; 2], place: Place) -> Payload {
    let is_inside = words() < mechanism.law().threshold();
    let (inside, outside) = (below(inside, words), below(outside, words));
    Payload::Number(place(index(x), inside, outside)[usize::from(!is_inside)])
}

const fn over(x: u32, outside: u32) -> u32 {
    if outside < x { outside } else { outside + WIDTH }
}

pub fn lies() -> Vec<Planted> {
    let lie = |name: &str, caught_by, ranges: [u32; 2], place: Place| {
        let sample = move |mechanism: &Window, x: &Value, words: Source| report(mechanism, x, words, ranges, place);
        sampler(format!("window: {name}"), caught_by, window(), sample)
    };
    let honest_ranges = [WIDTH, VALUES - 1];
    vec![
        lie("the window's last position never comes", "sampler", [WIDTH - 1, VALUES - 1], |x, i, o| {
            [x + i, over(x, o)]
        }),
        lie("the window is one too wide", "coin", [WIDTH + 1, VALUES - 1], |x, i, o| [x + i, over(x, o)]),
        lie("the window is shifted by one", "coin", honest_ranges, |x, i, o| [x + i + 1, over(x, o)]),
        lie("the outside may fall inside", "coin", [WIDTH, VALUES + WIDTH - 1], |x, i, o| [x + i, o]),
        lie("the outside does not step over the window", "coin", honest_ranges, |x, i, o| [x + i, o]),
        lie("the outside's last position never comes", "sampler", [WIDTH, VALUES - 2], |x, i, o| [x + i, over(x, o)]),
        lie("the outside only above, where there is some", "sampler", honest_ranges, |x, i, o| {
            [x + i, over(x, if x < VALUES - 1 { x + o % (VALUES - 1 - x) } else { o })]
        }),
        lie("the window's middle comes twice as often", "sampler", [WIDTH + 1, VALUES - 1], |x, i, o| {
            [x + if i == WIDTH { 1 } else { i }, over(x, o)]
        }),
        lie("the last value is reported as the one before", "sampler", honest_ranges, |x, i, o| {
            // Within the window of both.
            [if x == VALUES - 1 { x + i % 2 } else { x + i }, over(x, o)]
        }),
        // 3 of 256 words for 56 positions, 2 for the 44 others.
        planted("window: a word of 8 bits modulo the width", "sampler", || {
            let wide = Window::new(&bound(), 2, 100, Goal::Mean);
            Mutant::of(wide).with_sample(|mechanism, x, words| {
                let mut n = 0;
                honest(mechanism, x, &mut || {
                    n += 1;
                    let word = words();
                    // The middle of the words that the honest sampler takes for this position.
                    if n == 2 { (word >> 56) % 100 * (u64::MAX / 100) + u64::MAX / 200 } else { word }
                })
            })
        }),
    ]
}

#[test]
fn the_sampler_that_the_lies_differ_from_is_honest() {
    let sample = |mechanism: &Window, x: &Value, words: Source| {
        report(mechanism, x, words, [WIDTH, VALUES - 1], |x, i, o| [x + i, over(x, o)])
    };
    let mutant = Mutant::of(window()).with_sample(sample);
    assert_eq!(conformance::check(&mutant, &bound(), SEED), Ok(()));
}

#[test]
fn every_lie_about_ordered_values_is_caught() {
    assert_caught(&lies());
}
