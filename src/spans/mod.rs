//! Spans of sampled orders, from ingress to release, for a collector of OpenTelemetry: off unless
//! the settings say where to.
//!
//! One command at a time is wanted, and chosen before it comes. Whoever polls a stage and finds
//! that it did something has the time in hand; here it looks whether the stage's position has
//! reached what is wanted, and notes that time. So a step is noted once for a batch, as ages are,
//! by the thread that moved the position: no stage knows of it, and no clock is read for it.
//!
//! In here: `exporter` chooses, waits, and sends, on a thread of its own; `event` finds what came
//! of the command, `otlp` says how a trace is written, `collector` brings it away, `report` says in
//! the log what is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crossbeam_utils::CachePadded;

use crate::pipeline::Positions;
use crate::release::ReleasePolicy;
use crate::types::{Nanos, Sequence};

pub use collector::Collector;
pub use exporter::{Exported, Exporter, ExporterOptions, Order};

mod collector;
mod event;
mod exporter;
mod otlp;
mod report;

/// While nothing is wanted: no position gets there.
const NOTHING: u64 = u64::MAX;

/// What a command has behind it. A stage takes it that far by moving its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is in the mapped segment …
    Journaled,
    /// … on the device …
    Synced,
    /// … in the standby's journal …
    Replicated,
    /// … on the standby's device.
    ReplicatedSynced,
    /// Logic has seen it.
    Applied,
    /// What came of it was let out.
    Released,
}

const STEPS: usize = 6;

/// The steps that a stage takes.
fn steps(stage: &str) -> &'static [Step] {
    match stage {
        "journaler" => &[Step::Journaled],
        "syncer" => &[Step::Synced],
        "replicator" => &[Step::Replicated, Step::ReplicatedSynced],
        "processor" => &[Step::Applied, Step::Released],
        _ => &[],
    }
}

/// The command that is wanted, and when it passed each step.
pub struct Sample {
    positions: Arc<Positions>,
    /// All stages read it, and it changes a few times a second at most.
    wanted: CachePadded<AtomicU64>,
    passed: [Passed; STEPS],
}

/// Written by the one stage that takes the step. Which command it was makes the time valid: so
/// nobody has to clear it for the next one.
#[derive(Debug, Default)]
struct Passed {
    of: AtomicU64,
    at: AtomicU64,
}

impl Sample {
    /// Of a node that is so far; nothing is wanted yet.
    pub fn new(positions: Arc<Positions>) -> Self {
        let wanted = CachePadded::new(AtomicU64::new(NOTHING));
        Self { positions, wanted, passed: Default::default() }
    }

    /// What whoever polls this stage has to look at; nothing where the stage takes no step.
    pub(crate) fn mark(self: &Arc<Self>, stage: &str) -> Option<Mark> {
        let steps = steps(stage);
        (!steps.is_empty()).then(|| Mark { sample: Arc::clone(self), steps })
    }

    fn positions(&self) -> Arc<Positions> {
        Arc::clone(&self.positions)
    }

    /// From when this returns on, whoever polls sees it.
    fn want(&self, sequence: Sequence) {
        self.wanted.store(sequence.0, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    fn want_nothing(&self) {
        self.wanted.store(NOTHING, Ordering::Release);
    }

    /// When this command passed the step, once that was noted.
    fn passed(&self, step: Step, sequence: Sequence) -> Option<Nanos> {
        let passed = &self.passed[step as usize];
        let is_it = passed.of.load(Ordering::Acquire) == sequence.0;
        is_it.then(|| Nanos(passed.at.load(Ordering::Relaxed)))
    }

    /// The times of a command that was released by this policy, once all were noted.
    fn times(&self, sequence: Sequence, ingress: Nanos, policy: ReleasePolicy) -> Option<Times> {
        let at = |step| self.passed(step, sequence);
        // What the reply did not wait for is no part of its way.
        let awaited = |step: Option<Step>| match step {
            Some(step) => at(step).map(Some),
            None => Some(None),
        };
        let (synced, replicated) = match policy {
            ReleasePolicy::Journaled => (None, None),
            ReleasePolicy::Synced => (Some(Step::Synced), None),
            ReleasePolicy::Replicated => (None, Some(Step::Replicated)),
            ReleasePolicy::ReplicatedSynced => (Some(Step::Synced), Some(Step::ReplicatedSynced)),
        };
        let noted = Times {
            ingress,
            journaled: at(Step::Journaled)?,
            synced: awaited(synced)?,
            replicated: awaited(replicated)?,
            applied: at(Step::Applied)?,
            released: at(Step::Released)?,
        };
        Some(noted.in_order())
    }

    #[inline]
    fn is_at(&self, step: Step) -> Sequence {
        match step {
            Step::Journaled => self.positions.journaled(),
            Step::Synced => self.positions.synced(),
            Step::Replicated => self.positions.replicated(),
            Step::ReplicatedSynced => self.positions.replicated_synced(),
            Step::Applied => self.positions.applied(),
            Step::Released => self.positions.released(),
        }
    }
}

/// A stage's part of the sample, for the one thread that polls it.
pub(crate) struct Mark {
    sample: Arc<Sample>,
    steps: &'static [Step],
}

impl Mark {
    /// The stage did something, and it is this late.
    #[inline]
    pub(crate) fn look(&self, now: Nanos) {
        let wanted = self.sample.wanted.load(Ordering::Acquire);
        for &step in self.steps {
            let passed = &self.sample.passed[step as usize];
            if self.sample.is_at(step).0 >= wanted && passed.of.load(Ordering::Relaxed) != wanted {
                passed.at.store(now.0, Ordering::Relaxed);
                passed.of.store(wanted, Ordering::Release);
            }
        }
    }
}

/// When a command passed what its reply waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    /// Its own time: where the order was decided.
    ingress: Nanos,
    journaled: Nanos,
    synced: Option<Nanos>,
    replicated: Option<Nanos>,
    applied: Nanos,
    released: Nanos,
}

impl Times {
    /// A thread sees the position of another one before that one has looked at the clock: what
    /// must have come first is then noted a moment later. It was no later than what followed.
    fn in_order(self) -> Self {
        let released = self.released.max(self.ingress);
        let between = |at: Nanos| at.clamp(self.ingress, released);
        let (synced, replicated) = (self.synced.map(between), self.replicated.map(between));
        let applied = between(self.applied);
        let followed = [synced, replicated].into_iter().flatten().fold(applied, Nanos::min);
        let journaled = between(self.journaled).min(followed);
        Self { ingress: self.ingress, journaled, synced, replicated, applied, released }
    }

    /// When nothing was left to wait for, but to be let out.
    fn ready(&self) -> Nanos {
        [self.synced, self.replicated].into_iter().flatten().fold(self.applied, Nanos::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal;
    use crate::pipeline::Progress;

    fn positions() -> Arc<Positions> {
        let journal = || Arc::new(journal::Positions::default());
        Arc::new(Positions::new(journal(), journal(), Progress::default()))
    }

    fn applied(positions: &Positions, applied: u64, released: u64) {
        let (applied, released) = (Sequence(applied), Sequence(released));
        positions.set_progress(Progress { applied, released, ..Progress::default() });
    }

    #[test]
    fn a_step_is_noted_once_by_the_poll_that_took_it() {
        let positions = positions();
        let sample = Arc::new(Sample::new(Arc::clone(&positions)));
        let mark = sample.mark("processor").unwrap();
        assert!(sample.mark("gateway").is_none());
        let noted =
            |of| [Step::Applied, Step::Released].map(|step| sample.passed(step, Sequence(of)));
        applied(&positions, 6, 5);
        mark.look(Nanos(10));
        assert_eq!(noted(5), [None; 2], "nothing was wanted");
        sample.want(Sequence(7));
        mark.look(Nanos(20));
        assert_eq!(noted(7), [None; 2], "it is not that far");
        applied(&positions, 9, 6);
        mark.look(Nanos(30));
        applied(&positions, 9, 9);
        mark.look(Nanos(40));
        mark.look(Nanos(50));
        assert_eq!(noted(7), [Some(Nanos(30)), Some(Nanos(40))]);
        // The next one needs nothing cleared.
        sample.want_nothing();
        sample.want(Sequence(10));
        mark.look(Nanos(60));
        assert_eq!(noted(10), [None; 2]);
    }

    #[test]
    fn the_times_of_threads_that_looked_late_are_put_in_order() {
        let at = |journaled, synced: u64, applied, released| {
            let (ingress, journaled) = (Nanos(100), Nanos(journaled));
            let (applied, released) = (Nanos(applied), Nanos(released));
            let (synced, replicated) = (Some(Nanos(synced)), None);
            Times { ingress, journaled, synced, replicated, applied, released }
        };
        let fine = at(110, 150, 120, 160);
        assert_eq!(fine.in_order(), fine);
        assert_eq!(fine.ready(), Nanos(150));
        assert_eq!(at(125, 165, 120, 160).in_order(), at(120, 160, 120, 160));
        assert_eq!(at(90, 95, 99, 98).in_order(), at(100, 100, 100, 100));
    }

    #[test]
    fn only_what_the_policy_waits_for_is_waited_for() {
        let positions = positions();
        let sample = Arc::new(Sample::new(Arc::clone(&positions)));
        sample.want(Sequence(1));
        applied(&positions, 1, 1);
        sample.mark("processor").unwrap().look(Nanos(30));
        let times = |policy| sample.times(Sequence(1), Nanos(10), policy);
        assert_eq!(times(ReleasePolicy::Journaled), None, "the journaler has not looked");
        let journaled = &sample.passed[Step::Journaled as usize];
        journaled.at.store(20, Ordering::Relaxed);
        journaled.of.store(1, Ordering::Release);
        let told = times(ReleasePolicy::Journaled).unwrap();
        assert_eq!((told.synced, told.replicated, told.journaled), (None, None, Nanos(20)));
        assert_eq!(times(ReleasePolicy::Synced), None);
        positions.set_replicated(Sequence(1), Sequence(0));
        sample.mark("replicator").unwrap().look(Nanos(25));
        assert_eq!(times(ReleasePolicy::Replicated).unwrap().replicated, Some(Nanos(25)));
        assert_eq!(times(ReleasePolicy::ReplicatedSynced), None);
    }
}
