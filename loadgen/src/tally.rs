//! What a run counts: pure accounting, fed with times, so that the same times give the same
//! figures.
//!
//! A message has three times: when it was due, when it really went out, and when its answer came.
//! Latency is the last less the first; service time, what a closed loop would have reported, is the
//! last less the second. What was due before the measured part, for filling books and warming up,
//! is checked like everything else, but not recorded.

use std::sync::Arc;

use crate::latency::Latencies;
use crate::live::Live;
use crate::results::{Fact, Interval, Measured};

/// So many wrong answers are kept in words; all are counted.
const ERRORS_KEPT: usize = 20;
/// A run is cut into so many slices …
const SLICES: u64 = 100;
/// … but they are not shorter than this.
const SLICE_NS_MIN: u64 = 10_000_000;
/// What comes after the end gets slices of its own, up to so many in all; the rest is in the last.
const SLICES_MAX: usize = 4 * SLICES as usize;
const SECOND: f64 = 1e9;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It came before.
    Repeated,
    /// Nobody asked for it, or it is out of turn, or its figures cannot be.
    Unexpected,
}

/// One message, for its answer to be told from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When it was due.
    pub due: u64,
    /// When it went out.
    pub out: u64,
}

/// A slice of the measured part.
#[derive(Clone, Debug, Default)]
struct Slice {
    latencies: Latencies,
    sent: u64,
    wrong: u64,
}

/// The counts and histograms of one target.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The measured part: messages that are due from here …
    from: u64,
    /// … until here.
    until: u64,
    slice_ns: u64,
    slices: Vec<Slice>,
    service: Latencies,
    /// What the schedule has in the measured part.
    wanted: u64,
    sent: u64,
    answered: u64,
    silent: u64,
    lost: u64,
    repeated: u64,
    unexpected: u64,
    /// Of the three above, those before the measured part.
    wrong_early: u64,
    resent: u64,
    reconnected: u64,
    last_answer: u64,
    errors: Vec<String>,
    live: Arc<Live>,
}

impl Tally {
    /// Measures nothing yet: see [`Self::begin`]. `live` shows the counts to another thread.
    pub fn new(live: Arc<Live>) -> Self {
        Self {
            from: u64::MAX,
            until: u64::MAX,
            slice_ns: u64::MAX,
            slices: Vec::new(),
            service: Latencies::new(),
            wanted: 0,
            sent: 0,
            answered: 0,
            silent: 0,
            lost: 0,
            repeated: 0,
            unexpected: 0,
            wrong_early: 0,
            resent: 0,
            reconnected: 0,
            last_answer: 0,
            errors: Vec::new(),
            live,
        }
    }

    /// Messages count that are due from `from` until `until`: so many are `wanted`. All room is
    /// taken here, so that recording in that time allocates nothing.
    pub fn begin(&mut self, from: u64, until: u64, wanted: u64) {
        self.wanted = wanted;
        self.from = from;
        self.until = until;
        self.slice_ns = (until.saturating_sub(from) / SLICES).max(SLICE_NS_MIN);
        let slices = until.saturating_sub(from).div_ceil(self.slice_ns) as usize;
        self.slices.resize_with(slices.max(1), Slice::default);
    }

    /// Whether a message is one of those that are recorded.
    #[inline]
    fn counts(&self, sent: Sent) -> bool {
        sent.due >= self.from && sent.due < self.until
    }

    /// A message went out.
    #[inline]
    pub fn sent(&mut self, sent: Sent) {
        if self.counts(sent) {
            self.sent += 1;
            self.slice(sent.out).sent += 1;
            self.live.sent();
        }
    }

    /// Its answer came.
    #[inline]
    pub fn answered(&mut self, sent: Sent, now: u64) {
        if self.counts(sent) {
            let latency = now.saturating_sub(sent.due);
            self.answered += 1;
            self.last_answer = self.last_answer.max(now);
            self.slice(now).latencies.record(latency);
            self.service.record(now.saturating_sub(sent.out));
            self.live.answered(latency);
        }
    }

    /// It is now known that it rightly gets none.
    pub fn silent(&mut self, sent: Sent) {
        self.silent += u64::from(self.counts(sent));
    }

    /// It gets none, and should. Counts whenever it was due.
    pub fn lost(&mut self, now: u64, what: impl FnOnce() -> String) {
        self.lost += 1;
        self.note(now, what);
    }

    /// What came is wrong. Counts whenever it came.
    pub fn wrong(&mut self, wrong: Wrong, now: u64, what: impl FnOnce() -> String) {
        match wrong {
            Wrong::Repeated => self.repeated += 1,
            Wrong::Unexpected => self.unexpected += 1,
        }
        self.note(now, what);
    }

    /// A message went out again, because nobody knows whether it arrived.
    pub fn resent(&mut self) {
        self.resent += 1;
    }

    /// A session has a connection again.
    pub fn reconnected(&mut self) {
        self.reconnected += 1;
        self.live.reconnected();
    }

    /// How many went wrong so far.
    pub fn wrongs(&self) -> u64 {
        self.lost + self.repeated + self.unexpected
    }

    fn note(&mut self, now: u64, what: impl FnOnce() -> String) {
        self.live.wrong();
        // Nothing is due before the warm-up begins, and no measured part is known.
        let when = match self.from {
            u64::MAX => "before the warm-up: ",
            from if now < from => "during the warm-up: ",
            _ => "",
        };
        if self.errors.len() < ERRORS_KEPT {
            self.errors.push(format!("{when}{}", what()));
        }
        if now < self.from {
            self.wrong_early += 1;
            return;
        }
        let index = (now.saturating_sub(self.from) / self.slice_ns) as usize;
        let last = self.slices.len().saturating_sub(1);
        if let Some(slice) = self.slices.get_mut(index.min(last)) {
            slice.wrong += 1;
        }
    }

    #[inline]
    fn slice(&mut self, at: u64) -> &mut Slice {
        let index = (at.saturating_sub(self.from) / self.slice_ns) as usize;
        let index = index.min(SLICES_MAX - 1);
        if index >= self.slices.len() {
            self.slices.resize_with(index + 1, Slice::default);
        }
        &mut self.slices[index]
    }

    /// How long the measured part was.
    pub fn seconds(&self) -> f64 {
        self.until.saturating_sub(self.from) as f64 / SECOND
    }

    /// The figures, with the hiccups of the same time where there are some.
    pub fn measured(&self, hiccups: &[(u64, u64)], kinds: Vec<Fact>) -> Measured {
        let recorded = self.recorded();
        let seconds = self.seconds();
        let whole = seconds.max(self.last_answer.saturating_sub(self.from) as f64 / SECOND);
        let mut intervals: Vec<Interval> = Vec::with_capacity(self.slices.len());
        for (number, slice) in (0..).zip(&self.slices) {
            intervals.push(Interval {
                from_seconds: (number * self.slice_ns) as f64 / SECOND,
                sent: slice.sent,
                answered: slice.latencies.count(),
                wrong: slice.wrong,
                p50: slice.latencies.percentile(50.0),
                p99: slice.latencies.percentile(99.0),
                max: slice.latencies.percentile(100.0),
                hiccup_max: 0,
            });
        }
        for (at, long) in hiccups.iter().filter(|(at, _)| *at >= self.from) {
            let index = ((at - self.from) / self.slice_ns) as usize;
            if let Some(interval) = intervals.get_mut(index) {
                interval.hiccup_max = interval.hiccup_max.max(*long);
            }
        }
        Measured {
            latency_ns: recorded.latencies.summary(),
            service_ns: self.service.summary(),
            sent: self.sent,
            unsent: self.wanted.saturating_sub(self.sent),
            behind_ns: None,
            given_up: None,
            answered: self.answered,
            lost: self.lost,
            repeated: self.repeated,
            unexpected: self.unexpected,
            wrong_early: self.wrong_early,
            silent: self.silent,
            resent: self.resent,
            reconnected: self.reconnected,
            wanted_per_second: per_second(self.wanted, seconds),
            answered_per_second: per_second(self.answered, whole),
            seconds,
            curve: recorded.latencies.curve(),
            intervals,
            errors: self.errors.clone(),
            kinds,
        }
    }

    /// The histograms, for files.
    pub fn recorded(&self) -> Recorded {
        let mut latencies = Latencies::new();
        for slice in &self.slices {
            latencies.merge(&slice.latencies);
        }
        let slices = self.slices.iter().map(|slice| slice.latencies.clone()).collect();
        let service = self.service.clone();
        Recorded { slice_ns: self.slice_ns, slices, latencies, service }
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// Histograms of latency, in equal slices and together.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// How long a slice is.
    pub slice_ns: u64,
    /// In order.
    pub slices: Vec<Latencies>,
    /// All of them.
    pub latencies: Latencies,
    /// From the time when they really went out.
    pub service: Latencies,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn tally() -> Tally {
        let mut tally = Tally::new(Arc::default());
        tally.begin(0, 1_000 * MS, 1_000);
        tally
    }

    /// A thousand messages, one each millisecond; the server answers at once, but stalls from 500
    /// ms to 700 ms. What it made wait while it stalled is 200 ms, 199 ms … 1 ms; a closed loop
    /// would have sent one message in that time and seen one bad latency.
    #[test]
    fn a_stall_counts_for_all_that_were_due_in_it() {
        let mut tally = tally();
        for number in 0..1_000 {
            let due = number * MS;
            let now = if (500..700).contains(&number) { 700 * MS } else { due };
            // The sender, too, came late: it is the latency that counts from the due time.
            let sent = Sent { due, out: now };
            tally.sent(sent);
            tally.answered(sent, now);
        }
        let measured = tally.measured(&[], Vec::new());
        let mut expected = Latencies::new();
        (0..800).for_each(|_| expected.record(0));
        (1..=200).for_each(|late| expected.record(late * MS));
        assert!(tally.recorded().latencies.histogram() == expected.histogram());
        assert_eq!(measured.latency_ns, expected.summary());
        assert_eq!(measured.latency_ns.p50, 0);
        // 200 of 1,000 waited: the 900th least waited 100 ms, the 990th 190 ms.
        let near = |value: u64, ms: u64| (ms * MS..=ms * MS + ms * MS / 1_000).contains(&value);
        assert!(near(measured.latency_ns.p90, 100), "{measured:?}");
        assert!(near(measured.latency_ns.p99, 190), "{measured:?}");
        assert!(near(measured.latency_ns.max, 200), "{measured:?}");
        assert_eq!(measured.service_ns.max, 0, "the loop that is closed sees nothing");
    }

    #[test]
    fn slices_hold_what_happened_in_them() {
        let mut tally = tally();
        let sent = Sent { due: 5 * MS, out: 15 * MS };
        tally.sent(sent);
        tally.answered(sent, 1_234 * MS);
        tally.wrong(Wrong::Repeated, 25 * MS, || "twice".into());
        let measured = tally.measured(&[(26 * MS, 7), (27 * MS, 9)], Vec::new());
        let slices = &measured.intervals;
        assert_eq!(slices.len(), 124, "what comes late has slices too");
        assert_eq!((slices[0].sent, slices[1].sent), (0, 1));
        assert_eq!((slices[123].answered, slices[123].max / MS), (1, 1_229));
        assert_eq!((slices[2].wrong, slices[2].hiccup_max), (1, 9));
        assert_eq!((measured.repeated, measured.errors.as_slice()), (1, &["twice".to_owned()][..]));
        assert!(!measured.is_complete());
    }

    #[test]
    fn what_never_went_out_was_wanted_all_the_same() {
        let mut tally = tally();
        for number in 0..600 {
            let sent = Sent { due: number * MS, out: number * MS };
            tally.sent(sent);
            tally.answered(sent, number * MS);
        }
        let measured = tally.measured(&[], Vec::new());
        assert_eq!((measured.sent, measured.unsent), (600, 400));
        assert_eq!(measured.wanted_per_second as u64, 1_000);
        assert!(!measured.is_complete());
    }

    #[test]
    fn what_was_due_before_is_checked_but_not_recorded() {
        let mut tally = Tally::new(Arc::default());
        tally.begin(10 * MS, 20 * MS, 0);
        let early = Sent { due: 10 * MS - 1, out: 11 * MS };
        tally.sent(early);
        tally.answered(early, 12 * MS);
        tally.silent(early);
        let measured = tally.measured(&[], Vec::new());
        assert_eq!((measured.sent, measured.answered, measured.silent), (0, 0, 0));
        assert!(measured.is_complete());
        tally.lost(u64::MAX / 2, || "lost, long after".into());
        let measured = tally.measured(&[], Vec::new());
        assert_eq!((measured.lost, measured.intervals.len()), (1, 1), "no slices for that");
        assert_eq!((measured.wrong_early, measured.intervals[0].wrong), (0, 1));
    }

    #[test]
    fn what_is_wrong_before_the_measured_part_has_its_own_place() {
        let mut tally = Tally::new(Arc::default());
        tally.wrong(Wrong::Unexpected, 1, || "one".into());
        tally.begin(10 * MS, 20 * MS, 0);
        tally.wrong(Wrong::Repeated, 10 * MS - 1, || "two".into());
        tally.wrong(Wrong::Repeated, 10 * MS, || "three".into());
        let measured = tally.measured(&[], Vec::new());
        assert_eq!((measured.unexpected, measured.repeated, measured.wrong_early), (1, 2, 2));
        assert_eq!(measured.intervals[0].wrong, 1, "the first slice has its own only");
        assert_eq!(
            measured.errors,
            ["before the warm-up: one", "during the warm-up: two", "three"]
        );
        assert!(!measured.is_complete());
    }
}
