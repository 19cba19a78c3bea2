//! The consistent shares nearest to the unbiased ones.

/// The point of the probability simplex (non-negative, sum one) nearest to `shares`: one constant is taken from every
/// share, and what falls below zero becomes zero (Norm-Sub; Wang et al., NDSS 2020, section 4). `shares` must be finite
/// and not empty.
///
/// The result is biased: small shares are pushed to zero. It is for display; sums, trends and differences are made from
/// the unbiased shares.
pub fn project(shares: &[f64]) -> Vec<f64> {
    let mut descending = shares.to_vec();
    descending.sort_unstable_by(|a, b| b.total_cmp(a));
    // What to take so that the first k shares alone sum to one; right for the largest k whose k-th share stays positive.
    let mut sum = 0.0;
    let mut taken = 0.0;
    for (k, share) in descending.iter().enumerate() {
        sum += share;
        let candidate = (sum - 1.0) / (k + 1) as f64;
        if *share > candidate {
            taken = candidate;
        }
    }
    shares.iter().map(|share| (share - taken).max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_cases_by_hand() {
        for (shares, nearest) in [
            (vec![0.5, 0.5], vec![0.5, 0.5]),
            (vec![1.2, -0.2], vec![1.0, 0.0]),
            (vec![0.7, 0.5], vec![0.6, 0.4]),
            (vec![0.6, 0.5, -0.4], vec![0.55, 0.45, 0.0]),
            (vec![-3.0], vec![1.0]),
        ] {
            let found = project(&shares);
            assert!(found.iter().zip(&nearest).all(|(a, b)| (a - b).abs() < 1e-15), "{shares:?} gave {found:?}");
        }
    }

    proptest! {
        #[test]
        fn the_result_is_a_distribution_in_the_same_order(shares in prop::collection::vec(-10.0..10.0_f64, 1..60)) {
            let found = project(&shares);
            prop_assert!(found.iter().all(|share| *share >= 0.0));
            prop_assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (i, a) in shares.iter().enumerate() {
                for (j, b) in shares.iter().enumerate() {
                    prop_assert!(a < b || found[i] >= found[j], "order of {i} and {j} changed");
                }
            }
        }

        #[test]
        fn projecting_twice_changes_nothing(shares in prop::collection::vec(-10.0..10.0_f64, 1..60)) {
            let once = project(&shares);
            let twice = project(&once);
            prop_assert!(once.iter().zip(&twice).all(|(a, b)| (a - b).abs() < 1e-12));
        }

        #[test]
        fn no_other_distribution_is_nearer(
            pairs in prop::collection::vec((-2.0..2.0_f64, 0.0..1.0_f64), 1..20),
        ) {
            let (shares, weights): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let total: f64 = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
            let other: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            prop_assume!((other.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let distance = |to: &[f64]| shares.iter().zip(to).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            prop_assert!(distance(&project(&shares)) <= distance(&other) + 1e-9);
        }
    }
}
