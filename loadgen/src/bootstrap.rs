//! How much of a difference between two groups of runs is chance.
//!
//! The bootstrap: if the runs that were seen are what such runs are like, then drawing from them,
//! with replacement, shows how the ratio of medians would vary from one experiment to the next.

use crate::random::Random;

/// Experiments that are drawn.
const DRAWS: usize = 4_000;
/// How sure the interval is. Five metrics of 99 % each are right together 95 times of 100.
pub const LEVEL: f64 = 0.99;
/// Fewer runs of a side cannot tell at this level: two groups of four are in order by chance 29
/// times of 1,000, two groups of five 8 times.
pub const RUNS_MIN: usize = 5;

/// A ratio of medians, and what chance makes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Of the medians that were seen.
    pub seen: f64,
    /// Only so seldom would it be less than this …
    pub low: f64,
    /// … or more than this: see [`LEVEL`].
    pub high: f64,
}

impl Ratio {
    /// Of `candidate` to `baseline`, neither empty. The same seed gives the same interval.
    pub fn of(candidate: &[f64], baseline: &[f64], seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut draw = Vec::new();
        let mut drawn = |values: &[f64]| {
            draw.clear();
            let any = |_: &f64| values[random.below(values.len() as u32) as usize];
            draw.extend(values.iter().map(any));
            median_of(&mut draw)
        };
        let mut ratios: Vec<f64> =
            (0..DRAWS).map(|_| ratio(drawn(candidate), drawn(baseline))).collect();
        ratios.sort_by(f64::total_cmp);
        let beyond = ((1.0 - LEVEL) / 2.0 * DRAWS as f64) as usize;
        Self {
            seen: ratio(median(candidate), median(baseline)),
            low: ratios[beyond],
            high: ratios[DRAWS - 1 - beyond],
        }
    }
}

/// The value in the middle; of an even number the mean of the two.
pub fn median(values: &[f64]) -> f64 {
    median_of(&mut values.to_vec())
}

fn median_of(sorted: &mut [f64]) -> f64 {
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// Nothing against nothing has not changed.
fn ratio(a: f64, b: f64) -> f64 {
    if a.total_cmp(&b).is_eq() { 1.0 } else { a / b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_the_middle() {
        let medians = [&[9.0, 1.0, 5.0][..], &[4.0, 1.0, 2.0, 9.0], &[]].map(median);
        assert_eq!(medians.map(|median| median as u64), [5, 3, 0]);
    }

    #[test]
    fn the_interval_holds_what_was_seen_and_follows_from_the_seed() {
        let (a, b) = ([10.0, 11.0, 12.0, 13.0, 14.0], [20.0, 21.0, 22.0, 23.0, 24.0]);
        let one = Ratio::of(&b, &a, 7);
        assert!(one.low < one.seen && one.seen < one.high, "{one:?}");
        assert!(one.low >= 20.0 / 14.0 && one.high <= 24.0 / 10.0, "{one:?}");
        assert_eq!(one, Ratio::of(&b, &a, 7));
    }

    #[test]
    fn values_without_noise_leave_no_doubt() {
        let exact = Ratio { seen: 1.2, low: 1.2, high: 1.2 };
        assert_eq!(Ratio::of(&[12.0; 5], &[10.0; 5], 1), exact);
        let nothing = Ratio { seen: 1.0, low: 1.0, high: 1.0 };
        assert_eq!(Ratio::of(&[0.0; 5], &[0.0; 5], 1), nothing);
    }
}
