//! Every event's law against the enumerated law of the mechanism.

use hubbub_privacy::Goal;
use hubbub_randomizer::conformance::Law;
use hubbub_randomizer::{Cyclotomic, ExpBound, FoldedGeometric, Subset, Window};

use super::*;

fn outputs(mechanism: &Mechanism) -> Vec<Payload> {
    match mechanism {
        Mechanism::Subset(subset) => subset.outputs(),
        Mechanism::Cyclotomic(cyclotomic) => cyclotomic.outputs(),
        Mechanism::Window(window) => window.outputs(),
        Mechanism::FoldedGeometric(folded) => folded.outputs(),
    }
}

/// Adds up the chances of all outputs, event by event, and compares.
fn enumerate(mechanism: &Mechanism, inputs: &[Value]) {
    let events = Events::of(mechanism, inputs);
    let mut sums = vec![vec![0.0; inputs.len()]; events.list().len()];
    let mut products = vec![vec![0.0; inputs.len()]; inputs.len()];
    for output in outputs(mechanism) {
        let chances: Vec<f64> =
            inputs.iter().map(|input| mechanism.probability(input, &output).to_f64().value()).collect();
        let mut seen = std::collections::BTreeSet::new();
        events.visit(&output, |event| {
            assert!(seen.insert(event), "{output:?}: event {event} twice");
            sums[event].iter_mut().zip(&chances).for_each(|(sum, chance)| *sum += chance);
        });
        for (row, a) in products.iter_mut().zip(&chances) {
            row.iter_mut().zip(&chances).for_each(|(sum, b)| *sum += a * b);
        }
    }
    for (event, sums) in events.list().iter().zip(&sums) {
        for (law, sum) in event.law.iter().zip(sums) {
            assert!(law.is_none_or(|law| (law - sum).abs() < 1e-11), "{event:?}: {sum}");
        }
    }
    for partition in events.partitions() {
        for x in 0..inputs.len() {
            let total: f64 = sums[partition.clone()].iter().map(|sums| sums[x]).sum();
            assert!((total - 1.0).abs() < 1e-9, "{partition:?}");
        }
    }
    for (x, row) in products.iter().enumerate() {
        assert!((events.support_of_own(x) - sums[x][x]).abs() < 1e-11);
        for (other, product) in row.iter().enumerate() {
            let found = events.agreement(x, other);
            assert!(found.is_none_or(|found| (found - product).abs() < 1e-11), "{x} {other}: {found:?} {product}");
            assert!(found.is_some() || matches!(inputs[x], Value::Items(_)));
        }
    }
    // Of full inputs, what tells two apart attains the largest ratio of total probabilities.
    let ratio = |likely: usize, unlikely: usize| {
        let sum = |x: usize| events.telling(likely, unlikely).into_iter().map(|event| sums[event][x]).sum::<f64>();
        sum(likely) / sum(unlikely)
    };
    assert!(ratio(0, 1) > 1.0 && ratio(1, 0) > 1.0);
}

fn bound() -> ExpBound {
    ExpBound::new("1".parse().unwrap())
}

fn indices(list: &[u32]) -> Vec<Value> {
    list.iter().map(|&index| Value::Index(index)).collect()
}

#[test]
fn the_law_of_categories_is_the_enumerated_one() {
    enumerate(&Mechanism::Subset(Subset::optimal(&bound(), 2)), &indices(&[0, 1]));
    enumerate(&Mechanism::Subset(Subset::optimal(&bound(), 16)), &indices(&[0, 3, 7, 15]));
    // Too many outputs to count one by one: 9880 and 6000.
    enumerate(&Mechanism::Subset(Subset::new(&bound(), 40, 3)), &indices(&[0, 39]));
    enumerate(&Mechanism::Subset(Subset::new(&bound(), 6000, 1)), &indices(&[0, 17, 5999]));
}

#[test]
fn the_law_of_sets_is_the_enumerated_one() {
    let sets = |list: &[&[u32]]| list.iter().map(|items| Value::Items(items.to_vec())).collect::<Vec<_>>();
    let inputs = sets(&[&[0, 1], &[], &[5], &[0, 2, 4], &[0, 1, 2, 3, 4, 5]]);
    enumerate(&Mechanism::Subset(Subset::of_sets(&bound(), 6, 2, 3)), &inputs);
    enumerate(&Mechanism::Subset(Subset::of_sets(&bound(), 34, 4, 3)), &inputs);
    enumerate(&Mechanism::Subset(Subset::of_sets(&bound(), 6, 2, 1)), &inputs);
}

#[test]
fn the_law_of_many_categories_is_the_enumerated_one() {
    enumerate(&Mechanism::Cyclotomic(Cyclotomic::new(&bound(), 40, 4, 1)), &indices(&[0, 3, 39]));
    // 70 coordinates of 1,000: ranges of both.
    enumerate(&Mechanism::Cyclotomic(Cyclotomic::new(&bound(), 500, 70, 19)), &indices(&[0, 499]));
}

#[test]
fn the_law_of_ordered_values_and_counts_is_the_enumerated_one() {
    enumerate(&Mechanism::Window(Window::new(&bound(), 9, 4, Goal::Mean)), &indices(&[0, 4, 8]));
    enumerate(&Mechanism::Window(Window::new(&bound(), 4000, 1500, Goal::Mean)), &indices(&[0, 2000, 3999]));
    let folded = FoldedGeometric::new("1".parse().unwrap(), 20).unwrap();
    enumerate(&Mechanism::FoldedGeometric(folded), &indices(&[0, 1, 10, 20]));
}

#[test]
fn outputs_come_in_the_order_of_their_ranks() {
    let subset = Subset::of_sets(&bound(), 7, 3, 4);
    let events = SubsetEvents::new(&subset, &[Value::Items(vec![1])]);
    let outputs = events.outputs().unwrap();
    assert_eq!(outputs.len(), 210);
    assert!(outputs.iter().enumerate().all(|(place, output)| events.rank(output) == place));
}

#[test]
fn the_largest_domains_are_summed_up() {
    let inputs = indices(&[0, 1, 1 << 19, (1 << 20) - 1]);
    let events = Events::of(&Mechanism::Subset(Subset::new(&bound(), 1 << 20, 1)), &inputs);
    assert!(events.list().len() < 5000 && events.telling(0, 1).len() == 4);
    let sets = Subset::of_sets(&bound(), 500, 16, 8);
    let inputs = [vec![], (0..16).collect(), (0..24).collect()].map(Value::Items);
    let events = Events::of(&Mechanism::Subset(sets), &inputs);
    let pairs = events.list().iter().filter(|event| event.purpose == Purpose::Joint).count();
    assert_eq!(pairs, 64 * 63 / 2);
}
