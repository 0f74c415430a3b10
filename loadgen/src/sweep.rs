//! Which rate a server holds: rates rise by doubling until one is too much, then the knee is found
//! by halving what is between.

use std::num::NonZeroU64;
use std::sync::Arc;

use crate::latency::Summary;
use crate::results::Step;
use crate::run::{self, Outcome, RunError};
use crate::schedule::{Length, Pace, nanos};

/// What a rate must meet to be held, besides that all is answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// A percentile, by the name that reports use: `p50`, `p99`, `p99_9` …
    pub percentile: &'static str,
    /// It does not exceed this.
    pub ns: u64,
}

/// What to sweep.
#[derive(Clone, Debug)]
pub struct Options {
    /// A run for each step; its rate is the first.
    pub run: run::Options,
    /// What each must meet.
    pub limit: Limit,
    /// No rate is above this.
    pub rate_max: NonZeroU64,
}

/// The knee is known to a tenth: nearer than two runs agree on a machine that others use too.
const NEAR: u64 = 10;
/// A rate is held only if so many of 100 of its messages are answered in each second.
const ANSWERED_OF_100: f64 = 95.0;

/// So many messages lie beyond the percentile that is limited: with fewer it says nothing.
const BEYOND: u64 = 10;

/// Looks for the highest rate that is held.
#[derive(Clone, Copy, Debug)]
struct Search {
    held: Option<u64>,
    failed: Option<u64>,
    rate_min: u64,
    rate_max: u64,
}

impl Search {
    /// Which rate to try, after `rate` was held or not; `None` when the knee is known.
    fn next(&mut self, rate: u64, is_held: bool) -> Option<u64> {
        if is_held {
            self.held = Some(rate);
        } else {
            self.failed = Some(rate);
        }
        let next = match (self.held, self.failed) {
            (Some(held), None) => (held * 2).min(self.rate_max),
            (held, Some(failed)) => {
                let held = held.unwrap_or(0);
                if (failed - held) * NEAR <= failed {
                    return None;
                }
                (held + (failed - held) / 2).max(self.rate_min)
            }
            (None, None) => return None,
        };
        (Some(next) != self.held && Some(next) != self.failed).then_some(next)
    }
}

impl Options {
    /// The lowest rate at which the limited percentile means something. An error says why the first
    /// rate is lower.
    fn rate_min(&self) -> Result<u64, String> {
        let wanted = BEYOND * self.limit.one_in();
        let Pace { rate, length, .. } = self.run.pace;
        let (rate_min, messages) = match length {
            Length::Count(count) => (1, count),
            Length::Time(time) => {
                let ns = u128::from(nanos(time).max(1));
                let due = |count: u128| count * ns / 1_000_000_000;
                let rate_min = (u128::from(wanted) * 1_000_000_000).div_ceil(ns);
                (rate_min as u64, due(u128::from(rate.get())) as u64)
            }
        };
        if messages < wanted {
            return Err(format!(
                "{messages} messages at the first rate say nothing of {}, which needs {wanted}: \
                 give a higher --rate, or a longer --duration or --count",
                self.limit.percentile
            ));
        }
        Ok(rate_min.max(1))
    }
}

impl Limit {
    /// One of so many messages may be beyond it.
    fn one_in(self) -> u64 {
        match self.percentile {
            "p50" => 2,
            "p90" => 10,
            "p99" => 100,
            "p99_9" => 1_000,
            _ => 10_000,
        }
    }

    fn is_met(self, latency: &Summary) -> bool {
        let mut fields = latency.fields().into_iter();
        fields.find(|(name, _)| *name == self.percentile).is_some_and(|(_, ns)| ns <= self.ns)
    }
}

/// Runs until the knee is known. `told` sees each step as it is made. The results are those of the
/// highest rate that was held, or of the lowest tried if none was, with all steps.
pub fn sweep(options: &Options, mut told: impl FnMut(&Step)) -> Result<Outcome, RunError> {
    let top = Pace { rate: options.rate_max, ..options.run.pace };
    top.messages().map_err(|why| RunError::Usage(format!("at --rate-max: {why}")))?;
    let rate_max = options.rate_max.get();
    let rate_min = options.rate_min().map_err(RunError::Usage)?.min(rate_max);
    let mut search = Search { held: None, failed: None, rate_min, rate_max };
    let mut rate = Some(options.run.pace.rate.get().min(search.rate_max));
    let mut steps: Vec<Step> = Vec::new();
    // With its rate, and whether that was held.
    let mut best: Option<(Outcome, u64, bool)> = None;
    while let Some(now) = rate {
        let mut one = options.run.clone();
        one.pace.rate = NonZeroU64::new(now).expect("no rate is below 1");
        one.live = Arc::default();
        let outcome = run::run(&one)?;
        let measured = &outcome.results.measured;
        let answered = measured.answered + measured.silent;
        let per_second =
            measured.answered_per_second * answered as f64 / measured.answered.max(1) as f64;
        let step = Step {
            wanted_per_second: now as f64,
            answered_per_second: measured.answered_per_second,
            latency_ns: measured.latency_ns,
            held: outcome.is_complete()
                && options.limit.is_met(&measured.latency_ns)
                && per_second * 100.0 >= ANSWERED_OF_100 * now as f64,
        };
        told(&step);
        let is_better = best.as_ref().is_none_or(|&(_, rate, held)| {
            if step.held { !held || now > rate } else { !held && now < rate }
        });
        if is_better {
            best = Some((outcome, now, step.held));
        }
        steps.push(step);
        rate = search.next(now, step.held);
    }
    steps.sort_by(|a, b| a.wanted_per_second.total_cmp(&b.wanted_per_second));
    let (mut best, ..) = best.expect("there is a first step");
    best.results.title = format!("sweep {}", options.run.source.name());
    best.results.sweep = steps;
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that are tried where `knee` is the highest that is held.
    fn tried(first: u64, knee: u64, rate_max: u64) -> (Vec<u64>, Option<u64>) {
        let mut search = Search { held: None, failed: None, rate_min: 1, rate_max };
        let (mut rates, mut rate) = (Vec::new(), Some(first));
        while let Some(now) = rate {
            rates.push(now);
            rate = search.next(now, now <= knee);
        }
        (rates, search.held)
    }

    #[test]
    fn rates_double_until_one_is_too_much_and_halve_to_the_knee() {
        let (rates, held) = tried(1_000, 5_500, 1_000_000);
        assert_eq!(rates, [1_000, 2_000, 4_000, 8_000, 6_000, 5_000, 5_500]);
        assert_eq!(held, Some(5_500));
    }

    #[test]
    fn a_first_rate_that_is_too_much_and_a_highest_one_are_borne() {
        let (rates, held) = tried(1_000, 300, 1_000_000);
        assert_eq!(&rates[..3], [1_000, 500, 250]);
        assert!(held.is_some_and(|held| (270..=300).contains(&held)), "{held:?}");
        assert_eq!(tried(1_000, u64::MAX, 3_000), (vec![1_000, 2_000, 3_000], Some(3_000)));
        let (rates, held) = tried(8, 0, 100);
        assert_eq!((rates.last(), held), (Some(&1), None));
        let mut search = Search { held: None, failed: None, rate_min: 300, rate_max: 1_000 };
        assert_eq!(search.next(500, false), Some(300), "lower ones would say nothing");
        assert_eq!(search.next(300, false), None);
        assert_eq!(Search { failed: Some(500), ..search }.next(300, true), Some(400));
    }

    #[test]
    fn a_percentile_of_a_few_messages_is_refused() {
        let options = |per_second, length, percentile| {
            let rate = NonZeroU64::new(per_second).expect("not zero");
            let mut run = run::Options::new("127.0.0.1:1", rate, std::time::Duration::ZERO);
            run.pace.length = length;
            Options { run, limit: Limit { percentile, ns: 1 }, rate_max: rate }
        };
        let time = |ms| Length::Time(std::time::Duration::from_millis(ms));
        assert_eq!(options(10_000, time(2_000), "p99").rate_min(), Ok(500));
        assert_eq!(options(10_000, time(2_000), "p50").rate_min(), Ok(10));
        assert_eq!(options(1, Length::Count(10_000), "p99_9").rate_min(), Ok(1));
        for (few, wanted) in [
            (options(499, time(2_000), "p99"), "needs 1000"),
            (options(9_000_000, Length::Count(9_999), "p99_9"), "9999 messages"),
        ] {
            let error = sweep(&few, |_| {}).expect_err("too few");
            assert!(matches!(&error, RunError::Usage(why) if why.contains(wanted)), "{error}");
        }
    }

    #[test]
    fn a_highest_rate_that_no_run_can_have_is_refused_before_the_first_step() {
        let rate = |rate| NonZeroU64::new(rate).expect("not zero");
        // Nobody listens there.
        let run = run::Options::new("127.0.0.1:1", rate(10), std::time::Duration::from_secs(1));
        let limit = Limit { percentile: "p99", ns: 1 };
        let options = Options { run, limit, rate_max: rate(u64::MAX) };
        let error = sweep(&options, |_| {}).expect_err("too many");
        assert!(matches!(&error, RunError::Usage(why) if why.contains("--rate-max")), "{error}");
    }

    #[test]
    fn a_limit_is_of_one_percentile() {
        let latency = Summary { p50: 5, p99: 10, ..Summary::default() };
        assert!(Limit { percentile: "p99", ns: 10 }.is_met(&latency));
        assert!(!Limit { percentile: "p99", ns: 9 }.is_met(&latency));
        assert!(Limit { percentile: "p50", ns: 5 }.is_met(&latency));
    }
}
