//! The stage that runs logic: what is journaled is applied at once, what it emits leaves once its
//! command is released.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use disruptor::{MissingFreeSlots, Producer};

use crate::logic::Logic;
use crate::machine::{Machine, Question};
use crate::pipeline::{EventPublisher, GatedReader, Positions, Progress};
use crate::release::Release;
use crate::stage::{Fault, Stage};
use crate::types::{Nanos, Sequence};

/// So many commands at most per poll: they and their events stay in the cache.
pub(crate) const BATCH: usize = 64;
/// So many events at most are handed on in one piece.
const EVENT_BATCH: usize = 256;

/// Check, apply, and hand on.
pub struct Processor<L: Logic> {
    commands: GatedReader,
    machine: Machine<L>,
    events: EventPublisher,
    release: Arc<Release>,
    positions: Arc<Positions>,
    digests: Sender<(Sequence, u128)>,
    /// The last digest that was sent.
    marked: Sequence,
    /// What others want to know of the machine.
    questions: Receiver<Question>,
    told: Progress,
    oldest: Option<Nanos>,
}

impl<L: Logic> Processor<L> {
    /// Goes on from where the machine stands.
    pub fn new(
        commands: GatedReader,
        machine: Machine<L>,
        events: EventPublisher,
        release: Arc<Release>,
        positions: Arc<Positions>,
        digests: Sender<(Sequence, u128)>,
        questions: Receiver<Question>,
    ) -> Self {
        let marked = machine.applied().sequence;
        let told = positions.progress();
        let oldest = None;
        Self {
            commands,
            machine,
            events,
            release,
            positions,
            digests,
            marked,
            questions,
            told,
            oldest,
        }
    }

    /// The logic and where it stands.
    pub fn machine(&self) -> &Machine<L> {
        &self.machine
    }

    /// As [`Self::machine`], for a caller that takes room in it ahead of need.
    pub fn machine_mut(&mut self) -> &mut Machine<L> {
        &mut self.machine
    }

    fn apply(&mut self) -> Result<usize, Fault> {
        let mut work = 0;
        if let Ok(mut slots) = self.commands.take(BATCH as u64) {
            for slot in &mut slots {
                let frame = slot.frame();
                self.oldest.get_or_insert(Nanos(frame.timestamp));
                self.machine.take(&frame)?;
                work += 1;
            }
        }
        // The last ones wait for those behind them, so that logic sees what comes.
        let more = work == BATCH && self.commands.has_available();
        self.machine.advance(if more { L::LOOKAHEAD } else { 0 });
        if let Some((sequence, value)) = self.machine.mark_after(self.marked)
            && self.digests.try_send((sequence, value)).is_ok()
        {
            self.marked = sequence;
        }
        Ok(work)
    }

    /// Hands on what is released; false if the ring has no room for all of it.
    fn hand_on(&mut self) -> bool {
        let released = self.release.policy().released(&self.positions);
        loop {
            let count = self.machine.releasable(released, EVENT_BATCH);
            if count == 0 {
                return true;
            }
            let count = match self.publish(count) {
                Ok(()) => continue,
                Err(MissingFreeSlots(missing)) => count - missing as usize,
            };
            if count > 0 {
                self.publish(count).expect("there is room for fewer");
            }
            return false;
        }
    }

    fn publish(&mut self, count: usize) -> Result<(), MissingFreeSlots> {
        let machine = &mut self.machine;
        self.events.try_batch_publish(count, |slots| {
            for slot in slots {
                machine.hand_on(|frame| slot.set(frame)).expect("it was counted");
            }
        })?;
        Ok(())
    }

    /// A question costs nothing but a look per poll, as long as nobody asks.
    #[cold]
    fn answer(&mut self) {
        while let Ok(question) = self.questions.try_recv() {
            self.machine.answer(&question);
        }
    }

    fn tell(&mut self) {
        let applied = self.machine.applied();
        let progress = Progress {
            applied: applied.sequence,
            released: if let Some(sequence) = self.machine.oldest_held() {
                Sequence(sequence.0 - 1)
            } else {
                let released = self.release.policy().released(&self.positions);
                // A stricter policy takes nothing back.
                released.min(applied.sequence).max(self.told.released)
            },
            emitted: applied.events,
            handed_on: applied.events - self.machine.held() as u64,
            wakes_at: self.machine.logic().wakes_at(),
        };
        if progress != self.told {
            self.told = progress;
            self.positions.set_progress(progress);
        }
    }
}

impl<L: Logic> Stage for Processor<L> {
    fn name(&self) -> &'static str {
        "processor"
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        self.oldest = None;
        // Events that already wait go first.
        let before = self.machine.held();
        let has_room = self.hand_on() && self.machine.has_room();
        let mut work = before - self.machine.held();
        if has_room {
            work += self.apply()?;
            self.hand_on();
        }
        self.tell();
        if !self.questions.is_empty() {
            self.answer();
        }
        Ok(work)
    }

    fn oldest(&self) -> Option<Nanos> {
        self.oldest
    }
}
