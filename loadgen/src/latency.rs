//! Latencies, and the few numbers that stand for them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Covered without growing, so that recording below it never allocates.
const EXPECTED_NS_MAX: u64 = 60_000_000_000;

/// A histogram of nanoseconds, three digits exact, from 1 ns to whatever comes.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    /// Empty. Allocates here; recording a latency under a minute does not.
    pub fn new() -> Self {
        let mut histogram =
            Histogram::new_with_bounds(1, EXPECTED_NS_MAX, 3).expect("bounds are in order");
        histogram.auto(true);
        Self { histogram }
    }

    /// Adds one latency, from its intended time.
    pub fn record(&mut self, latency_ns: u64) {
        if self.histogram.record(latency_ns).is_err() {
            // Too long for any histogram: centuries.
            self.histogram.saturating_record(latency_ns);
        }
    }

    /// Adds all that `other` recorded.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("auto-resizing takes all");
    }

    /// All counts, for those who write them down.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that `percentile` (0 to 100) of all did not exceed.
    pub fn percentile(&self, percentile: f64) -> u64 {
        self.histogram.value_at_percentile(percentile)
    }

    /// The numbers that a report shows; all zero when nothing was recorded.
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            p50: self.percentile(50.0),
            p90: self.percentile(90.0),
            p99: self.percentile(99.0),
            p99_9: self.percentile(99.9),
            p99_99: self.percentile(99.99),
            max: self.percentile(100.0),
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

/// A run in seven numbers: how many, and percentiles to the worst, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many latencies were recorded.
    pub count: u64,
    /// Half of them did not exceed this.
    pub p50: u64,
    /// 90 % did not exceed this.
    pub p90: u64,
    /// 99 % did not exceed this.
    pub p99: u64,
    /// 99.9 % did not exceed this.
    pub p99_9: u64,
    /// 99.99 % did not exceed this.
    pub p99_99: u64,
    /// None exceeded this.
    pub max: u64,
}

impl Summary {
    /// Percentiles by the names that reports and `summary.json` use, in rising order.
    pub fn fields(&self) -> [(&'static str, u64); 6] {
        [
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99_9", self.p99_9),
            ("p99_99", self.p99_99),
            ("max", self.max),
        ]
    }

    /// Field by field the median over `runs`: a stall of the machine in one run does not show. Of
    /// an even number the lower of the two in the middle; `None` of none.
    pub fn median(runs: &[Self]) -> Option<Self> {
        if runs.is_empty() {
            return None;
        }
        let middle = |field: fn(&Self) -> u64| {
            let mut values: Vec<u64> = runs.iter().map(field).collect();
            values.sort_unstable();
            values[(values.len() - 1) / 2]
        };
        Some(Self {
            count: middle(|run| run.count),
            p50: middle(|run| run.p50),
            p90: middle(|run| run.p90),
            p99: middle(|run| run.p99),
            p99_9: middle(|run| run.p99_9),
            p99_99: middle(|run| run.p99_99),
            max: middle(|run| run.max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        values.into_iter().for_each(|value| latencies.record(value));
        latencies
    }

    /// Three digits exact: at most one thousandth above, never below.
    fn assert_near(value: u64, expected: u64) {
        assert!((expected..=expected + expected / 1_000).contains(&value), "{value}, {expected}");
    }

    #[test]
    fn percentiles_are_those_of_the_values_to_three_digits() {
        let summary = of(1..=1_000_000).summary();
        assert_eq!(summary.count, 1_000_000);
        assert_near(summary.p50, 500_000);
        assert_near(summary.p90, 900_000);
        assert_near(summary.p99, 990_000);
        assert_near(summary.p99_9, 999_000);
        assert_near(summary.p99_99, 999_900);
        assert_near(summary.max, 1_000_000);
    }

    #[test]
    fn nothing_recorded_is_all_zero() {
        assert_eq!(Latencies::new().summary(), Summary::default());
    }

    #[test]
    fn latencies_beyond_the_expected_are_kept() {
        let mut latencies = of([5]);
        latencies.record(40 * EXPECTED_NS_MAX);
        assert_near(latencies.summary().max, 40 * EXPECTED_NS_MAX);
        assert_eq!(latencies.summary().p50, 5);
    }

    #[test]
    fn merging_is_recording_together() {
        let mut low = of(1..=500);
        low.merge(&of(501..=1_000));
        low.merge(&of([100 * EXPECTED_NS_MAX]));
        let together = of((1..=1_000).chain([100 * EXPECTED_NS_MAX]));
        assert_eq!(low.summary(), together.summary());
        assert_eq!(low.count(), 1_001);
    }

    #[test]
    fn medians_are_taken_field_by_field() {
        let run = |p50, max| Summary { p50, max, ..Summary::default() };
        let median = Summary::median(&[run(1, 30), run(9, 10), run(5, 20)]);
        assert_eq!(median, Some(run(5, 20)));
        assert_eq!(Summary::median(&[run(4, 4), run(2, 2)]), Some(run(2, 2)));
        assert_eq!(Summary::median(&[]), None);
    }
}
