//! Samplers of sets that go wrong: in what a large or a small set becomes, in how many items are shown, in which.

use hubbub_privacy::{Payload, Value};
use hubbub_randomizer::{Subset, conformance};

use super::{Mutant, Planted, SEED, Source, assert_caught, below, bound, sampler, sequence, subset_of_sets};

/// d, m and k of the lies.
const VALUES: u32 = 4;
const MOST: u32 = 2;
const SHOWN: u32 = 2;
/// Of the reports that meet a set, how many share one item with it: C(2,1) C(4,1); one shares both.
const WITH_ONE: u32 = 8;
const MEETING: u32 = 9;

/// Where a sampler of sets may differ from the honest one.
#[derive(Clone, Copy)]
struct Sampler {
    /// The m items that are taken of a larger set, in order.
    choose: fn(Vec<u32>, Source) -> Vec<u32>,
    /// What fills up a smaller set.
    fill: fn(&mut Vec<u32>),
    /// How many items are shown, when some are.
    size: fn(Source) -> u32,
    /// The order in which they are.
    members: fn(&mut Vec<u32>, Source),
    /// From the number of an item that is not in the set to the item.
    other: fn(u32, &[u32]) -> u32,
}

const HONEST: Sampler = Sampler {
    choose: |items, words| {
        let order = sequence(items.len().max(1) as u32, items.len().max(1) as u32, words);
        order.into_iter().take(MOST as usize).filter_map(|place| items.get(place as usize).copied()).collect()
    },
    fill: |items| items.extend((VALUES..).take(MOST as usize - items.len())),
    size: |words| if below(MEETING, words) < WITH_ONE { 1 } else { 2 },
    members: |items, words| {
        let pick = below(MOST, words) as usize;
        if pick < items.len() {
            items.swap(0, pick);
        }
    },
    other: |other, held| held.iter().fold(other, |value, &held| value + u32::from(held <= value)),
};

impl Sampler {
    fn report(self, subset: &Subset, truth: &Value, words: Source) -> Payload {
        let Value::Items(truth) = truth else { panic!("{truth:?} is no set") };
        // As many words as the honest sampler draws, and the coin in its place.
        let (first, second, coin) = (words(), words(), words());
        let mut order = [first, second].into_iter();
        let mut own = (self.choose)(truth.clone(), &mut || order.next().unwrap_or(second));
        (self.fill)(&mut own);
        let size = (self.size)(words);
        (self.members)(&mut own, words);
        let others = sequence(VALUES, SHOWN, words);
        let mut held = own.clone();
        held.sort_unstable();
        let shown = if coin < subset.law().threshold() { (size as usize).min(own.len()) } else { 0 };
        let mut items = own[..shown].to_vec();
        items.extend(others[..SHOWN as usize - shown].iter().map(|&other| (self.other)(other, &held)));
        items.sort_unstable();
        Payload::List(items)
    }
}

pub fn lies() -> Vec<Planted> {
    let lie = |name: &str, caught_by, lie: Sampler| {
        let sample = move |subset: &Subset, x: &Value, words: Source| lie.report(subset, x, words);
        sampler(format!("sets: {name}"), caught_by, subset_of_sets(), sample)
    };
    vec![
        lie(
            "a set that is too large is cut in order",
            "sampler",
            Sampler { choose: |items, _| items.into_iter().take(MOST as usize).collect(), ..HONEST },
        ),
        lie(
            "a set that is too large is reported as empty",
            "sampler",
            Sampler {
                choose: |items, words| {
                    if items.len() > MOST as usize { Vec::new() } else { (HONEST.choose)(items, words) }
                },
                ..HONEST
            },
        ),
        lie("dummies are forgotten", "coin", Sampler { fill: |_| {}, ..HONEST }),
        lie(
            "the same dummy twice",
            "sampler",
            Sampler { fill: |items| items.extend(std::iter::repeat_n(VALUES, MOST as usize - items.len())), ..HONEST },
        ),
        lie(
            "sizes without the weight of the members",
            "sampler",
            Sampler {
                // C(4,1) : C(4,0) instead of C(2,1) C(4,1) : C(2,2) C(4,0).
                size: |words| if below(5, words) < 4 { 1 } else { 2 },
                ..HONEST
            },
        ),
        lie("all sizes equally likely", "sampler", Sampler { size: |words| 1 + below(2, words), ..HONEST }),
        lie(
            "one member is shown, never two",
            "sampler",
            Sampler {
                size: |words| {
                    words();
                    1
                },
                ..HONEST
            },
        ),
        lie(
            "the first member is shown first",
            "sampler",
            Sampler {
                members: |items, words| {
                    words();
                    items.sort_unstable();
                },
                ..HONEST
            },
        ),
        lie("others are values and no dummies", "coin", Sampler { other: |other, _| other, ..HONEST }),
        lie(
            "others step over the first member only",
            "coin",
            Sampler { other: |other, held| other + u32::from(held[0] <= other), ..HONEST },
        ),
    ]
}

#[test]
fn the_sampler_that_the_lies_differ_from_is_honest() {
    let sample = |subset: &Subset, x: &Value, words: Source| HONEST.report(subset, x, words);
    let mutant = Mutant::of(subset_of_sets()).with_sample(sample);
    assert_eq!(conformance::check(&mutant, &bound(), SEED), Ok(()));
}

#[test]
fn every_lie_about_sets_is_caught() {
    assert_caught(&lies());
}
