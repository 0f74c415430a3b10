//! What a run leaves behind in `summary.json`: enough for a report, without the histograms.

use serde::{Deserialize, Serialize};

use crate::latency::{Latencies, Summary};

/// The layout of `summary.json`; another number when an old reader would misread it.
pub const FORMAT: u32 = 1;

/// One run, with its floor beside it when that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// What was measured, for a heading: `run`, `echo`, `sweep` and what distinguishes it.
    pub title: String,
    /// When it began, RFC 3339, UTC.
    pub begun: String,
    /// Where.
    pub host: Host,
    /// What was played: rate, arrival, sessions, flow, seed …, in the order to show it.
    pub load: Vec<Fact>,
    /// What the server said of itself: version, policy, settings; empty when it was not asked.
    pub server: Vec<Fact>,
    /// What the server's stages did meanwhile; nothing when it was not asked.
    #[serde(default)]
    pub server_work: Option<ServerWork>,
    /// The target's figures; their fields stand at the top of the file.
    #[serde(flatten)]
    pub measured: Measured,
    /// The bare echo's, with the same schedule, in the same run.
    pub echo: Option<Measured>,
    /// How long a thread that only looked at the clock was kept from it, over the same time.
    pub hiccup_ns: Option<Summary>,
    /// The steps of a sweep by rising rate; empty for a single run.
    pub sweep: Vec<Step>,
}

impl Results {
    /// The highest rate of the sweep that met its target.
    pub fn knee(&self) -> Option<&Step> {
        let held = self.sweep.iter().filter(|step| step.held);
        held.max_by(|a, b| a.answered_per_second.total_cmp(&b.answered_per_second))
    }
}

/// A name and what to show beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// In a few words.
    pub name: String,
    /// As a person would write it.
    pub value: String,
}

/// The machine that it ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// CPU, cores, kernel, quota, governor, disk …, in the order to show them.
    pub facts: Vec<Fact>,
}

/// What the server did during a run, warm-up included, by its own account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerWork {
    /// Of its clock, between the first question and the last.
    pub seconds: f64,
    /// How many commands it took.
    pub commands: u64,
    /// How many events they caused.
    pub events: u64,
    /// How often it was asked how full its rings are.
    pub looks: u64,
    /// Slots of each ring.
    pub ring_slots: u64,
    /// Slots of commands that waited to be applied, at most, when it was asked …
    pub commands_waiting_max: u64,
    /// … and of events that waited to be carried on.
    pub events_waiting_max: u64,
    /// In the order in which it names them.
    pub stages: Vec<StageWork>,
}

/// What one stage did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageWork {
    /// Its name.
    pub name: String,
    /// Commands, events or bytes, as the stage counts.
    pub items: u64,
    /// In so many batches.
    pub batches: u64,
    /// The largest batch since the server started.
    pub batch_max: u64,
    /// Of the time, from 0 to 1; more than 1 is a clock's error.
    pub busy_share: f64,
    /// How long commands were on their way to the end of this stage, since their place in the order
    /// was decided; nothing where it does not say.
    pub age_ns: Option<Age>,
}

/// Of the oldest command in each batch; known to a quarter above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Age {
    /// In half of the batches it was no older.
    pub p50: u64,
    /// In 99 % of them it was no older.
    pub p99: u64,
    /// It never was older.
    pub max: u64,
}

impl Age {
    /// Of batches by the greatest age that they may have, in order; none where there are none.
    pub fn of(batches: &[(u64, u64)]) -> Option<Self> {
        let all: u64 = batches.iter().map(|(_, count)| count).sum();
        let at = |of_100: u64| {
            let (mut seen, wanted) = (0, (all * of_100).div_ceil(100).max(1));
            let mut batches = batches.iter();
            let found = batches.find(|(_, count)| {
                seen += count;
                seen >= wanted
            });
            found.map(|(ns, _)| *ns)
        };
        Some(Self { p50: at(50)?, p99: at(99)?, max: at(100)? })
    }
}

impl StageWork {
    /// Items in a batch; none without a batch.
    pub fn mean_batch(&self) -> Option<f64> {
        (self.batches > 0).then(|| self.items as f64 / self.batches as f64)
    }
}

/// What one target did with one schedule. Warm-up is excluded, but for what went wrong in it.
/// `sent` is `answered` and `silent` and those `lost` that were measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// From the time when a message was due to its answer.
    pub latency_ns: Summary,
    /// From the time when it really went out: what a closed loop would have reported.
    pub service_ns: Summary,
    /// Messages that went out.
    pub sent: u64,
    /// Messages that were due and never went out, because the run was given up.
    #[serde(default)]
    pub unsent: u64,
    /// When it was given up: how long the first unsent message had been due.
    #[serde(default)]
    pub behind_ns: Option<u64>,
    /// Why it ended before its time, when it did: a `silent` server, or a session that found no way
    /// back.
    #[serde(default)]
    pub given_up: Option<String>,
    /// Messages that were answered.
    pub answered: u64,
    /// Messages that never were.
    pub lost: u64,
    /// Answers that came twice.
    pub repeated: u64,
    /// Answers that nobody asked for, or out of turn, or of a wrong kind.
    pub unexpected: u64,
    /// Of those lost, repeated and unexpected, how many were found before the measured part: in the
    /// warm-up, or while books were filled. They are in no interval.
    #[serde(default)]
    pub wrong_early: u64,
    /// Messages that rightly have no answer: cancels and replaces of orders that were gone.
    #[serde(default)]
    pub silent: u64,
    /// Messages that went out again after a lost connection.
    #[serde(default)]
    pub resent: u64,
    /// How often a session got a new connection for a lost one.
    #[serde(default)]
    pub reconnected: u64,
    /// Messages a second that were wanted.
    pub wanted_per_second: f64,
    /// Answers a second that came.
    pub answered_per_second: f64,
    /// How long it measured.
    pub seconds: f64,
    /// The latency distribution, by rising percentile, to the maximum (percentile 100).
    pub curve: Vec<Point>,
    /// The run in equal slices, in order.
    pub intervals: Vec<Interval>,
    /// What the first few wrong answers were, in words.
    pub errors: Vec<String>,
    /// What came, by kind, warm-up included: accepted, executed, rejected and why …
    #[serde(default)]
    pub kinds: Vec<Fact>,
}

impl Measured {
    /// Whether every message that was due was sent, and answered once, by what was expected.
    pub fn is_complete(&self) -> bool {
        let is_sent = self.unsent == 0 && self.behind_ns.is_none() && self.given_up.is_none();
        is_sent && self.wrongs() == 0
    }

    /// What must stand beside its latencies: that those of what was lost or never sent are not in
    /// them. `None` when there is no such message.
    pub fn caveat(&self) -> Option<String> {
        let Self { answered, sent, unsent, lost, .. } = self;
        (lost + unsent > 0).then(|| {
            format!("latencies are of the {answered} answers only, of {} messages", sent + unsent)
        })
    }

    /// How much went wrong with answers.
    pub fn wrongs(&self) -> u64 {
        self.lost + self.repeated + self.unexpected
    }
}

/// One point of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// From 0 to 100.
    pub percentile: f64,
    /// So many percent did not exceed this.
    pub ns: u64,
}

/// A slice of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its beginning, from the beginning of what is measured.
    pub from_seconds: f64,
    /// Messages that went out in it.
    pub sent: u64,
    /// Answers that came in it.
    pub answered: u64,
    /// Wrong answers that came in it.
    pub wrong: u64,
    /// Half of its answers took no longer.
    pub p50: u64,
    /// 99 % of its answers took no longer.
    pub p99: u64,
    /// None of its answers took longer.
    pub max: u64,
    /// The longest time that the machine kept a thread from the clock in it.
    pub hiccup_max: u64,
}

/// One rate of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Messages a second that were wanted.
    pub wanted_per_second: f64,
    /// Answers a second that came.
    pub answered_per_second: f64,
    /// From the time when a message was due.
    pub latency_ns: Summary,
    /// Whether it met the sweep's target: nothing lost, and the latency below the limit.
    pub held: bool,
}

impl Latencies {
    /// The distribution with more points the nearer to the maximum, so that it draws well on an
    /// axis of nines.
    pub fn curve(&self) -> Vec<Point> {
        let mut curve: Vec<Point> = Vec::new();
        let mut rest = 100.0;
        while rest > 0.000_01 {
            let percentile = 100.0 - rest;
            curve.push(Point { percentile, ns: self.percentile(percentile) });
            rest *= 0.8;
        }
        curve.push(Point { percentile: 100.0, ns: self.percentile(100.0) });
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_of_batches() {
        assert_eq!(Age::of(&[]), None);
        assert_eq!(Age::of(&[(7, 0), (9, 0)]), None);
        let of = |batches: &[(u64, u64)]| Age::of(batches).map(|it| [it.p50, it.p99, it.max]);
        assert_eq!(of(&[(7, 1)]), Some([7, 7, 7]));
        assert_eq!(of(&[(7, 50), (9, 49), (11, 1), (13, 0)]), Some([7, 9, 11]));
        assert_eq!(of(&[(7, 49), (9, 50), (11, 1)]), Some([9, 9, 11]));
    }

    #[test]
    fn what_has_no_latency_is_said() {
        let whole = Measured { sent: 9, answered: 7, silent: 2, ..Measured::default() };
        assert_eq!(whole.caveat(), None);
        let text = "latencies are of the 7 answers only, of 9 messages";
        assert_eq!(
            Measured { lost: 2, silent: 0, ..whole.clone() }.caveat().as_deref(),
            Some(text)
        );
        let text = "latencies are of the 7 answers only, of 10 messages";
        assert_eq!(Measured { unsent: 1, ..whole }.caveat().as_deref(), Some(text));
    }

    #[test]
    fn a_curve_rises_from_the_least_to_the_maximum() {
        let mut latencies = Latencies::new();
        (1..=1_000).for_each(|value| latencies.record(value));
        let curve = latencies.curve();
        assert_eq!((curve[0].percentile, curve[0].ns), (0.0, 1));
        let last = curve.last().expect("never empty");
        assert_eq!((last.percentile, last.ns), (100.0, 1_000));
        assert!(curve.is_sorted_by(|a, b| a.percentile < b.percentile && a.ns <= b.ns));
    }
}
