//! Whether a candidate is slower than a baseline, by more than runs of one thing differ anyway.

use std::fmt;

use crate::bootstrap::{LEVEL, RUNS_MIN, Ratio, median};
use crate::report::{rate, ratio};
use crate::results::{Fact, Results};
use crate::table::{aligned, duration};

/// Repeated runs of one thing.
#[derive(Clone, Debug)]
pub struct Group {
    /// What to call it.
    pub name: String,
    /// At least one.
    pub runs: Vec<Results>,
}

impl Group {
    /// The run to show where only one can be shown: its p99 is the median.
    pub fn typical(&self) -> usize {
        let mut order: Vec<usize> = (0..self.runs.len()).collect();
        order.sort_by_key(|&index| self.runs[index].measured.latency_ns.p99);
        order.get(order.len().saturating_sub(1) / 2).copied().unwrap_or(0)
    }

    fn values(&self, metric: &Metric) -> Vec<f64> {
        self.runs.iter().map(metric.of).collect()
    }

    fn has_sweep(&self) -> bool {
        self.runs.iter().any(|run| !run.sweep.is_empty())
    }

    fn wrong(&self) -> usize {
        self.runs.iter().filter(|run| !run.measured.is_complete()).count()
    }
}

/// Something that can become worse.
#[derive(Debug)]
pub struct Metric {
    /// What to call it.
    pub name: &'static str,
    is_rate: bool,
    is_of_sweeps: bool,
    of: fn(&Results) -> f64,
}

/// In the order to show them. Sweeps have a knee, 0 when no rate was held, and nothing else: the
/// latency of their best step is that of another rate each time.
const METRICS: [Metric; 6] = [
    Metric::time("p50", |run| run.measured.latency_ns.p50 as f64),
    Metric::time("p99", |run| run.measured.latency_ns.p99 as f64),
    Metric::time("p99.9", |run| run.measured.latency_ns.p99_9 as f64),
    Metric::time("max", |run| run.measured.latency_ns.max as f64),
    Metric::rate("throughput", false, |run| run.measured.answered_per_second),
    Metric::rate("knee", true, |run| run.knee().map_or(0.0, |step| step.answered_per_second)),
];

impl Metric {
    const fn time(name: &'static str, of: fn(&Results) -> f64) -> Self {
        Self { name, is_rate: false, is_of_sweeps: false, of }
    }

    const fn rate(name: &'static str, is_of_sweeps: bool, of: fn(&Results) -> f64) -> Self {
        Self { name, is_rate: true, is_of_sweeps, of }
    }

    /// A value with its unit.
    pub fn text(&self, value: f64) -> String {
        if self.is_rate { rate(value) } else { duration(value as u64) }
    }
}

/// What can be said about one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Too few runs to say anything.
    TooFew,
    /// Worse, by more than noise and by more than the bound.
    Regression,
    /// Worse by more than noise, and within the bound.
    Worse,
    /// Better by more than noise.
    Better,
    /// Noise, and even with all of it no regression.
    Same,
    /// Noise that could hide a regression.
    Unclear {
        /// About so many runs of each side would tell.
        runs_needed: usize,
    },
}

impl Verdict {
    /// `worse` is above 1 when the candidate is worse; up to `bound` it may be.
    fn of(worse: Ratio, bound: f64, runs: usize) -> Self {
        match worse {
            _ if runs < RUNS_MIN => Self::TooFew,
            Ratio { low, seen, .. } if low > 1.0 && seen > bound => Self::Regression,
            Ratio { low, .. } if low > 1.0 => Self::Worse,
            Ratio { high, .. } if high < 1.0 => Self::Better,
            Ratio { high, .. } if high <= bound => Self::Same,
            Ratio { low, high, .. } => {
                // An interval shrinks with the root of the runs.
                let wider = (high / low).ln() / 2.0 / bound.ln();
                let needed = (runs as f64 * wider * wider).ceil();
                Self::Unclear { runs_needed: (needed as usize).min(1_000).max(runs + 1) }
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew => write!(out, "too few runs to tell"),
            Self::Regression => write!(out, "REGRESSION"),
            Self::Worse => write!(out, "worse, within the bound"),
            Self::Better => write!(out, "better"),
            Self::Same => write!(out, "no difference beyond noise and bound"),
            Self::Unclear { runs_needed } => {
                write!(out, "noise hides it: about {runs_needed} runs of each would tell")
            }
        }
    }
}

/// One metric of a candidate beside the baseline's.
#[derive(Debug)]
pub struct Row {
    /// What.
    pub metric: &'static Metric,
    /// The median of the baseline's runs.
    pub baseline: f64,
    /// The median of the candidate's.
    pub candidate: f64,
    /// Of the candidate's to the baseline's.
    pub ratio: Ratio,
    /// What it means.
    pub verdict: Verdict,
}

/// A candidate beside the baseline.
#[derive(Debug)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// How many runs the baseline and the candidate have.
    pub runs: (usize, usize),
    /// How many of them had wrong or missing answers.
    pub wrong: (usize, usize),
    /// In the order to show them.
    pub rows: Vec<Row>,
    /// What was not the same, besides: load and host.
    pub differences: Vec<String>,
}

/// All candidates beside the baseline.
#[derive(Debug)]
pub struct Comparison {
    /// The baseline's name.
    pub baseline: String,
    /// How much worse a candidate may be: 0.05 is 5 %.
    pub bound: f64,
    /// In the order of the command line.
    pub candidates: Vec<Candidate>,
}

impl Comparison {
    /// The first group with each of the others.
    pub fn new(groups: &[Group], bound: f64, seed: u64) -> Self {
        let Some((baseline, candidates)) = groups.split_first() else {
            return Self { baseline: String::new(), bound, candidates: Vec::new() };
        };
        let candidates = candidates.iter().map(|one| Candidate::new(baseline, one, bound, seed));
        Self { baseline: baseline.name.clone(), bound, candidates: candidates.collect() }
    }

    /// Whether any candidate is worse than noise and bound allow.
    pub fn is_regression(&self) -> bool {
        self.candidates.iter().any(Candidate::is_regression)
    }
}

impl Candidate {
    fn new(baseline: &Group, candidate: &Group, bound: f64, seed: u64) -> Self {
        let runs = (baseline.runs.len(), candidate.runs.len());
        let are_sweeps = baseline.has_sweep() || candidate.has_sweep();
        let metrics = METRICS.iter().filter(|metric| metric.is_of_sweeps == are_sweeps);
        let rows = metrics.map(|metric| {
            let (before, after) = (baseline.values(metric), candidate.values(metric));
            let ratio = Ratio::of(&after, &before, seed);
            let (worse, bound) = match metric.is_rate {
                false => (ratio, 1.0 + bound),
                true => (inverse(ratio), 1.0 / (1.0 - bound)),
            };
            let verdict = Verdict::of(worse, bound, runs.0.min(runs.1));
            let (baseline, candidate) = (median(&before), median(&after));
            Row { metric, baseline, candidate, ratio, verdict }
        });
        Self {
            name: candidate.name.clone(),
            runs,
            wrong: (baseline.wrong(), candidate.wrong()),
            rows: rows.collect(),
            differences: differences(baseline, candidate),
        }
    }

    /// Slower than noise and bound allow, or wrong where the baseline was not.
    pub fn is_regression(&self) -> bool {
        self.is_wrong() || self.rows.iter().any(|row| row.verdict == Verdict::Regression)
    }

    fn is_wrong(&self) -> bool {
        self.wrong.0 == 0 && self.wrong.1 > 0
    }

    /// The verdict in words.
    pub fn verdict(&self, baseline: &str, bound: f64) -> String {
        let (name, percent) = (&self.name, bound * 100.0);
        let (before, after) = self.runs;
        if self.is_wrong() {
            let wrong = self.wrong.1;
            return format!(
                "{name} is worse than {baseline}: {wrong} of its {after} runs lost messages or \
                 had wrong answers."
            );
        }
        if before.min(after) < RUNS_MIN {
            return format!(
                "Too few runs to tell: {baseline} has {before} and {name} has {after}. Below \
                 {RUNS_MIN} of each, chance alone puts them in order too often; run both \
                 {RUNS_MIN} times or more, by turns."
            );
        }
        let with = |wanted: fn(&Verdict) -> bool| {
            let rows = self.rows.iter().filter(|row| wanted(&row.verdict));
            rows.map(|row| format!("{} {}", row.metric.name, ratio(row.ratio.seen, 1.0)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let regressions = with(|verdict| *verdict == Verdict::Regression);
        let unclear = with(|verdict| matches!(verdict, Verdict::Unclear { .. }));
        let better = with(|verdict| *verdict == Verdict::Better);
        let mut text = match regressions.as_str() {
            "" => format!("No regression of {name} past {percent} % of {baseline} is shown."),
            some => format!(
                "{name} is worse than {baseline}, by more than noise and by more than {percent} \
                 %: {some}."
            ),
        };
        for (what, rows) in [("Better", better), ("Noise could hide one in", unclear)] {
            if !rows.is_empty() {
                text += &format!(" {what}: {rows}.");
            }
        }
        text
    }
}

/// `1 run`, `5 runs`.
pub(crate) fn runs(count: usize) -> String {
    format!("{count} run{}", if count == 1 { "" } else { "s" })
}

fn inverse(ratio: Ratio) -> Ratio {
    Ratio { seen: 1.0 / ratio.seen, low: 1.0 / ratio.high, high: 1.0 / ratio.low }
}

/// Facts of load and host that each has one value of, and not the same: a reader must know before
/// believing. What differs from run to run, such as a seed, is part of the noise.
fn differences(baseline: &Group, candidate: &Group) -> Vec<String> {
    let parts: [fn(&Results) -> &[Fact]; 2] = [|run| &run.load, |run| &run.host.facts];
    let mut found = Vec::new();
    for part in parts {
        let values = |group: &Group, name: &str| {
            let facts = group.runs.iter().flat_map(part).filter(|fact| fact.name == name);
            let mut values: Vec<String> = facts.map(|fact| fact.value.clone()).collect();
            values.sort();
            values.dedup();
            (values.len() == 1).then(|| values.remove(0))
        };
        let mut names: Vec<&str> = Vec::new();
        for fact in [baseline, candidate].iter().flat_map(|group| &group.runs).flat_map(part) {
            if !names.contains(&fact.name.as_str()) {
                names.push(&fact.name);
            }
        }
        for name in names {
            if let (Some(before), Some(after)) = (values(baseline, name), values(candidate, name))
                && before != after
            {
                found.push(format!("{name}: {before:?} against {after:?}"));
            }
        }
    }
    found
}

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for candidate in &self.candidates {
            let (before, after) = candidate.runs;
            let header = [
                "medians of the runs".to_owned(),
                format!("{} ({})", self.baseline, runs(before)),
                format!("{} ({})", candidate.name, runs(after)),
                "ratio".to_owned(),
                format!("{:.0} % interval", LEVEL * 100.0),
                "verdict".to_owned(),
            ];
            let rows = candidate.rows.iter().map(|row| {
                let Row { metric, baseline, candidate, ratio: ratios, verdict } = row;
                let [seen, low, high] =
                    [ratios.seen, ratios.low, ratios.high].map(|value| ratio(value, 1.0));
                vec![
                    metric.name.to_owned(),
                    metric.text(*baseline),
                    metric.text(*candidate),
                    seen,
                    format!("{low} to {high}"),
                    verdict.to_string(),
                ]
            });
            let lines: Vec<Vec<String>> = std::iter::once(header.into()).chain(rows).collect();
            write!(out, "{}", aligned(&lines))?;
            for difference in &candidate.differences {
                writeln!(out, "not the same: {difference}")?;
            }
            writeln!(out, "\n{}", candidate.verdict(&self.baseline, self.bound))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_runs_and_more_are_borne() {
        let noisy = Ratio { seen: 1.0, low: 0.5, high: 2.0 };
        let verdict = Verdict::of(noisy, 1.05, 1_000);
        assert_eq!(verdict, Verdict::Unclear { runs_needed: 1_001 });
    }
}
