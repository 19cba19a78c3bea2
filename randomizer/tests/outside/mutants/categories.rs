//! Samplers of categories that go wrong after the coin: subset selection and cyclotomic families.

use hubbub_privacy::{Payload, Value};
use hubbub_randomizer::Subset;

use super::{Planted, Source, assert_caught, below, cyclotomic, honest, index, sampler, sequence, subset};

pub fn lies() -> Vec<Planted> {
    let mut lies = of_subset();
    lies.extend(of_cyclotomic());
    lies
}

/// Subset selection over 5 values with pairs, written out: `others` picks two of the values for a coin's verdict, of which
/// the first is kept inside.
fn pair(subset: &Subset, x: &Value, words: Source, others: impl Fn(u32, Source) -> [u32; 2]) -> Payload {
    let is_inside = words() < subset.law().threshold();
    let [first, second] = others(index(x), words);
    let mut items = vec![first, if is_inside { index(x) } else { second }];
    items.sort_unstable();
    Payload::List(items)
}

fn skip(x: u32, other: u32) -> u32 {
    other + u32::from(other >= x)
}

fn two(items: &[u32]) -> [u32; 2] {
    [items[0], items[1]]
}

fn of_subset() -> Vec<Planted> {
    let lie = |name: &str, caught_by, others: fn(u32, Source) -> [u32; 2]| {
        let sample = move |subset: &Subset, x: &Value, words: Source| pair(subset, x, words, others);
        sampler(format!("subset: {name}"), caught_by, subset(), sample)
    };
    vec![
        lie("a small word modulo the number of others", "sampler", |x, words| {
            let first = (words() >> 60) % 4;
            // 16 = 5 * 3 + 1.
            let second = (words() >> 60) % 3;
            let second = second + u64::from(second >= first);
            [skip(x, first as u32), skip(x, second as u32)]
        }),
        lie("others taken from the values without stepping over the truth", "coin", |_, words| {
            two(&sequence(4, 2, words))
        }),
        lie("others always neighbours", "sampler", |x, words| {
            let first = below(4, words);
            words();
            [skip(x, first), skip(x, (first + 1) % 4)]
        }),
        lie("others that exclude the last value", "sampler", |x, words| {
            two(&sequence(3, 2, words)).map(|o| skip(x, o))
        }),
        lie("others drawn twice from all four", "sampler", |x, words| {
            [skip(x, below(4, words)), skip(x, below(4, words))]
        }),
        sampler("subset: the first value is never randomized", "coin", subset(), |subset, x, words| {
            let payload = honest(subset, x, words);
            if index(x) == 0 { Payload::List(vec![0, 1]) } else { payload }
        }),
        sampler(
            "subset: the first value is randomized, its others are not",
            "sampler",
            subset(),
            |subset, x, words| {
                let payload = honest(subset, x, words);
                match payload {
                    Payload::List(items) if index(x) == 0 && items[0] == 0 => Payload::List(vec![0, 1]),
                    other => other,
                }
            },
        ),
        sampler("subset: one item too few", "sampler", subset(), |subset, x, words| match honest(subset, x, words) {
            // The truth stays where it is, and so does the side.
            Payload::List(items) => Payload::List(vec![if items.contains(&index(x)) { index(x) } else { items[0] }]),
            other => other,
        }),
        sampler("subset: the truth comes first", "sampler", subset(), |subset, x, words| {
            let Payload::List(mut items) = honest(subset, x, words) else { panic!("a subset is a list") };
            items.sort_unstable_by_key(|&item| (item != index(x), item));
            Payload::List(items)
        }),
    ]
}

/// What a family of K = 7, e = 3, c = 1 is made of, for d = 7.
#[derive(Clone, Copy)]
struct Family {
    prime: u32,
    root: u32,
    /// The power of the root that the block of coordinate 0 begins with.
    first: u32,
}

const HONEST: Family = Family { prime: 7, root: 3, first: 0 };
const PARTS: u32 = 3;

impl Family {
    fn power(self, exponent: u32) -> u32 {
        (0..exponent % (self.prime - 1)).fold(1, |power, _| power * self.root % self.prime)
    }

    fn inside(self) -> u32 {
        (self.prime - 1) / PARTS
    }

    /// delta / g^j of the t-th element inside and outside.
    fn exponent(self, is_inside: bool, t: u32) -> u32 {
        if is_inside { t * PARTS + self.first } else { t / 2 * PARTS + 1 + t % 2 + self.first }
    }

    /// A report with coordinate `j` in delta, drawn and shown.
    fn report(self, threshold: u64, words: Source, place: impl Fn(u32, u32) -> [u32; 2]) -> Payload {
        let is_inside = words() < threshold;
        let j = below(PARTS, words);
        let inside = below(self.inside(), words);
        let outside = below(self.prime - self.inside(), words);
        let delta = match (is_inside, outside) {
            (true, _) => self.power(j + self.exponent(true, inside)),
            (false, 0) => 0,
            (false, t) => self.power(j + self.exponent(false, t - 1)),
        };
        Payload::List(place(j, delta).to_vec())
    }
}

fn of_cyclotomic() -> Vec<Planted> {
    let lie = |name: &str, caught_by, family: Family, place: fn(u32, u32, u32) -> [u32; 2]| {
        sampler(format!("cyclotomic: {name}"), caught_by, cyclotomic(), move |honest, x, words| {
            let threshold = honest.law().threshold();
            family.report(threshold, words, |j, delta| place(index(x), j, delta))
        })
    };
    let honest_place = |x, j, delta| [j, (x + delta) % 7];
    vec![
        lie("the next prime as K", "coin", Family { prime: 13, root: 2, ..HONEST }, |x, j, delta| {
            [j, (x + delta) % 13]
        }),
        lie("the next coset", "coin", Family { first: 1, ..HONEST }, honest_place),
        lie("another generator", "coin", Family { root: 5, ..HONEST }, honest_place),
        lie("a generator that is none", "coin", Family { root: 2, ..HONEST }, honest_place),
        lie("y not reduced modulo K", "sampler", HONEST, |x, j, delta| [j, x + delta]),
        lie("another coordinate shown than was used", "coin", HONEST, |x, j, delta| [(j + 1) % 3, (x + delta) % 7]),
        sampler(
            "cyclotomic: the coordinate is a function of the value",
            "sampler",
            cyclotomic(),
            |honest, x, words| by_coordinate(honest.law().threshold(), x, words, |x, _| x % PARTS),
        ),
        sampler("cyclotomic: the coordinate is always 0", "sampler", cyclotomic(), |honest, x, words| {
            by_coordinate(honest.law().threshold(), x, words, |_, _| 0)
        }),
        sampler("cyclotomic: the last coordinate never comes", "sampler", cyclotomic(), |honest, x, words| {
            by_coordinate(honest.law().threshold(), x, words, |_, j| j % 2)
        }),
        sampler("cyclotomic: zero is never outside", "sampler", cyclotomic(), |mechanism, x, words| {
            let mut n = 0;
            honest(mechanism, x, &mut || {
                n += 1;
                // The word of the outside position, without its lowest fifth.
                if n == 4 { words().max(u64::MAX / 5 + 1) } else { words() }
            })
        }),
    ]
}

/// A report whose coordinate is `choose(x, drawn)`.
fn by_coordinate(threshold: u64, x: &Value, words: Source, choose: impl Fn(u32, u32) -> u32) -> Payload {
    let (coin, drawn) = (words(), below(PARTS, words));
    let j = choose(index(x), drawn);
    // The middle of the words that give j.
    let word = u64::MAX / u64::from(PARTS) * u64::from(j) + u64::MAX / 6;
    let mut first = [coin, word].into_iter();
    HONEST.report(threshold, &mut || first.next().unwrap_or_else(&mut *words), |j, delta| [j, (index(x) + delta) % 7])
}

#[test]
fn every_lie_about_categories_is_caught() {
    assert_caught(&lies());
}
