//! When to send: decided before the run, by rate and seed, whatever the target does.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

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

/// How long messages are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So long …
    Time(Duration),
    /// … or so many, those of the warm-up not counted.
    Count(u64),
}

/// All that a schedule follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How messages are spread over time.
    pub arrival: Arrival,
    /// Messages a second, over all sessions.
    pub rate: NonZeroU64,
    /// How long messages are due.
    pub length: Length,
    /// Before that, as long and at the same rate, nothing is recorded.
    pub warm_up: Duration,
    /// The same seed gives the same schedule.
    pub seed: u64,
}

/// A schedule in full: when each message is due, in nanoseconds from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// In order.
    pub due: Vec<u64>,
    /// What is due from here …
    pub from: u64,
    /// … until here is measured; nothing is due later.
    pub until: u64,
}

impl Times {
    /// There is room for so many messages: all are decided before the run.
    pub const MAX: u64 = 100_000_000;

    /// Times that somebody else chose, as far as they go; the last is an end like any other.
    pub fn recorded(mut due: Vec<u64>, warm_up: Duration, length: Length) -> Self {
        let end = due.last().map_or(0, |last| last + 1);
        let from = nanos(warm_up).min(end);
        let first = due.partition_point(|at| *at < from);
        let until = match length {
            Length::Time(time) => end.min(from.saturating_add(nanos(time))),
            Length::Count(count) => due[first..].get(count as usize).map_or(end, |at| *at),
        };
        let count = match length {
            Length::Time(_) => due.partition_point(|at| *at < until),
            // Some that are due at the same time may be beyond it.
            Length::Count(count) => due.len().min(first.saturating_add(count as usize)),
        };
        due.truncate(count);
        let until = until.max(due.last().map_or(0, |last| last + 1));
        Self { due, from, until }
    }

    /// How many are measured.
    pub fn measured(&self) -> u64 {
        let before = |end: u64| self.due.partition_point(|at| *at < end);
        (before(self.until) - before(self.from)) as u64
    }
}

impl Pace {
    /// How many messages it has, the warm-up's included; with [`Arrival::Poisson`] about so many.
    /// An error says why it can have no schedule.
    pub fn messages(&self) -> Result<u64, String> {
        let Self { arrival, rate, length, warm_up, .. } = self;
        let due_in = |time: Duration| {
            (u128::from(rate.get()) * u128::from(nanos(time))).div_ceil(u128::from(SECOND))
        };
        let (measured, how) = match length {
            Length::Time(time) => (due_in(*time), "shorten --duration"),
            Length::Count(count) => (u128::from(*count), "give a smaller --count"),
        };
        let all = measured + due_in(*warm_up);
        if all > u128::from(Times::MAX) {
            return Err(format!(
                "{all} messages at {rate}/s, and no run has more than {}: lower --rate, or {how}",
                Times::MAX
            ));
        }
        if let Arrival::Bursts { size } = arrival
            && u128::from(size.get()) > measured
        {
            return Err(format!(
                "a burst of {size}, and only {measured} messages are measured: give a smaller \
                 --burst, or a higher --rate, --duration or --count"
            ));
        }
        Ok(all as u64)
    }

    /// The schedule, or why there is none.
    pub fn times(&self) -> Result<Times, String> {
        self.messages()?;
        let from = nanos(self.warm_up);
        let mut schedule = Schedule::new(self.arrival, self.rate, self.seed);
        let (mut due, mut measured) = (Vec::new(), 0);
        let until = loop {
            let at = schedule.next().expect("it is endless");
            match self.length {
                Length::Time(time) if at >= from.saturating_add(nanos(time)) => {
                    break from.saturating_add(nanos(time));
                }
                Length::Count(count) if measured == count => {
                    break at.max(due.last().map_or(0, |last| last + 1));
                }
                _ => {}
            }
            measured += u64::from(at >= from);
            due.push(at);
        };
        Ok(Times { due, from, until })
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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

    #[test]
    fn a_pace_has_a_warm_up_and_an_end() {
        let ms = Duration::from_millis;
        let length = Length::Time(ms(20));
        let pace =
            Pace { arrival: Arrival::Constant, rate: rate(1_000), length, warm_up: ms(5), seed: 0 };
        let times = pace.times().expect("few");
        assert_eq!((times.due.len(), times.from, times.until), (25, 5_000_000, 25_000_000));
        let counted = Pace { length: Length::Count(7), ..pace }.times().expect("few");
        assert_eq!((counted.due.len(), counted.from, counted.until), (12, 5_000_000, 12_000_000));
    }

    #[test]
    fn recorded_times_end_where_they_end_or_where_they_are_to() {
        let recorded = |warm_up, length| {
            let due = vec![0, 9, 20, 20, 30];
            let times = Times::recorded(due, Duration::from_nanos(warm_up), length);
            (times.due.len(), times.from, times.until, times.measured())
        };
        let time = |ns| Length::Time(Duration::from_nanos(ns));
        assert_eq!(recorded(0, Length::Time(Duration::MAX)), (5, 0, 31, 5));
        assert_eq!(recorded(0, time(20)), (2, 0, 20, 2));
        assert_eq!(recorded(5, time(20)), (4, 5, 25, 3));
        assert_eq!(
            recorded(5, Length::Count(2)),
            (3, 5, 21, 2),
            "one more is due at the same time"
        );
        assert_eq!(recorded(5, Length::Count(9)), (5, 5, 31, 4));
        assert_eq!(recorded(99, Length::Count(9)).3, 0);
    }

    #[test]
    fn a_pace_of_too_many_messages_is_refused_before_it_takes_any_room() {
        let (arrival, length) = (Arrival::Constant, Length::Time(Duration::from_secs(9)));
        let warm_up = Duration::from_secs(1);
        let pace = Pace { arrival, rate: rate(10), length, warm_up, seed: 0 };
        assert_eq!(pace.messages(), Ok(100));
        let most = Pace { rate: rate(Times::MAX / 10), ..pace };
        assert_eq!(most.messages(), Ok(Times::MAX));
        let refused = |pace: Pace, why: &[&str]| {
            let error = pace.messages().expect_err("too many");
            assert!(pace.times().is_err(), "{error}");
            assert!(why.iter().all(|why| error.contains(why)), "{error}");
        };
        refused(Pace { rate: rate(Times::MAX / 10 + 1), ..pace }, &["100000010", "--duration"]);
        refused(Pace { rate: rate(u64::MAX), ..pace }, &["lower --rate"]);
        let length = Length::Count(u64::MAX);
        refused(Pace { length, rate: rate(u64::MAX), ..pace }, &["smaller --count"]);
        refused(Pace { length: Length::Time(Duration::MAX), ..pace }, &["lower --rate"]);
        let bursts = |size| Arrival::Bursts { size: NonZeroU32::new(size).expect("not zero") };
        assert!(Pace { arrival: bursts(90), ..pace }.times().expect("few").measured() >= 90);
        refused(Pace { arrival: bursts(91), ..pace }, &["a burst of 91", "only 90"]);
        refused(Pace { arrival: bursts(u32::MAX), ..pace }, &["--burst"]);
    }
}
