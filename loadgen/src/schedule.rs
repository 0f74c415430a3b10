//! When to send: decided before the run, by rate and seed, whatever the target does.

use std::num::{NonZeroU32, NonZeroU64};

use crate::random::Random;

const SECOND: u64 = 1_000_000_000;

/// How the messages of a second are spread over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// One every 1/rate: the kindest load, and the one to compare machines with.
    Constant,
    /// Independent senders: exponential gaps, so that some come close together.
    Poisson,
    /// Groups that are due at the same instant; the groups come at a constant pace.
    Bursts {
        /// Messages in each group.
        size: NonZeroU32,
    },
}

/// An endless iterator over intended send times, in nanoseconds from the start; they never fall.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrival: Arrival,
    rate: NonZeroU64,
    random: Random,
    count: u64,
    /// Of the last Poisson arrival; a fraction, or the roundings would add up to another rate.
    at: f64,
}

impl Schedule {
    /// `rate` is messages a second, on average. The seed matters to [`Arrival::Poisson`] only.
    pub fn new(arrival: Arrival, rate: NonZeroU64, seed: u64) -> Self {
        Self { arrival, rate, random: Random::new(seed), count: 0, at: 0.0 }
    }

    /// When the message number `count` is due at an even pace; exact, so that no drift adds up.
    fn even(&self, count: u64) -> u64 {
        let at = u128::from(count) * u128::from(SECOND) / u128::from(self.rate.get());
        u64::try_from(at).unwrap_or(u64::MAX)
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let count = self.count;
        self.count += 1;
        Some(match self.arrival {
            Arrival::Constant => self.even(count),
            Arrival::Bursts { size } => self.even(count - count % u64::from(size.get())),
            Arrival::Poisson => {
                let gap = SECOND as f64 / self.rate.get() as f64;
                self.at -= self.random.next_unit().ln() * gap;
                self.at as u64
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(rate: u64) -> NonZeroU64 {
        NonZeroU64::new(rate).expect("not zero")
    }

    fn first_second(arrival: Arrival, per_second: u64, seed: u64) -> Vec<u64> {
        Schedule::new(arrival, rate(per_second), seed).take_while(|at| *at < SECOND).collect()
    }

    #[test]
    fn constant_times_do_not_drift_when_the_rate_does_not_divide_a_second() {
        let mut schedule = Schedule::new(Arrival::Constant, rate(3), 0);
        let first: Vec<u64> = schedule.by_ref().take(4).collect();
        assert_eq!(first, [0, 333_333_333, 666_666_666, 1_000_000_000]);
        assert_eq!(schedule.nth(3 * 86_400 - 5), Some(86_400 * SECOND - 333_333_334));
    }

    #[test]
    fn every_arrival_keeps_the_rate_and_never_falls() {
        let size = NonZeroU32::new(10).expect("not zero");
        for arrival in [Arrival::Constant, Arrival::Poisson, Arrival::Bursts { size }] {
            let times = first_second(arrival, 100_000, 7);
            assert!(times.is_sorted(), "{arrival:?}");
            // Four deviations of a Poisson count: √100,000 ≈ 316.
            assert!((98_735..101_265).contains(&times.len()), "{arrival:?}: {}", times.len());
        }
    }

    #[test]
    fn bursts_are_due_together() {
        let size = NonZeroU32::new(3).expect("not zero");
        let times = first_second(Arrival::Bursts { size }, 6, 0);
        assert_eq!(times, [0, 0, 0, 500_000_000, 500_000_000, 500_000_000]);
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let times = first_second(Arrival::Poisson, 100_000, 1);
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let longer_than_mean = gaps.iter().filter(|gap| **gap > 10_000).count();
        let share = longer_than_mean as f64 / gaps.len() as f64;
        assert!((share - 1.0 / std::f64::consts::E).abs() < 0.01, "{share}");
    }

    #[test]
    fn a_seed_is_a_load() {
        let times = first_second(Arrival::Poisson, 1_000, 42);
        assert_eq!(times, first_second(Arrival::Poisson, 1_000, 42));
        assert_ne!(times, first_second(Arrival::Poisson, 1_000, 43));
    }
}
