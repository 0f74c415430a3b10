//! A node inside another program: commands come in by one queue, events go out by another.

use crossbeam_channel::{Receiver, Sender};

use crate::event_log;
use crate::logic::{Logic, REJECT};
use crate::pipeline::SlotReader;
use crate::record::Record;
use crate::sequencer::Sequencer;
use crate::stage::{Fault, Stage};
use crate::types::{Nanos, Sequence};

/// So many commands at most per poll.
const BATCH: usize = 64;

/// The stage that takes commands from a queue.
pub struct Intake<L: Logic> {
    commands: Receiver<L::Command>,
    sequencer: Sequencer<L>,
    /// One that had no room in the ring yet.
    waiting: Option<L::Command>,
}

impl<L: Logic> Intake<L> {
    /// Publishes what comes from the queue.
    pub fn new(commands: Receiver<L::Command>, sequencer: Sequencer<L>) -> Self {
        Self { commands, sequencer, waiting: None }
    }
}

impl<L: Logic> Stage for Intake<L> {
    fn name(&self) -> &'static str {
        "intake"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut work = self.sequencer.poll(now);
        for _ in 0..BATCH {
            let Some(command) = self.waiting.take().or_else(|| self.commands.try_recv().ok())
            else {
                break;
            };
            if self.sequencer.offer(&command, now).is_none() {
                self.waiting = Some(command);
                break;
            }
            work += 1;
        }
        Ok(work)
    }
}

/// An event or a reject that was released.
pub struct Outcome<L: Logic> {
    /// Its number: dense, from 1.
    pub number: u64,
    /// The command that caused it …
    pub cause: Sequence,
    /// … and that command's time.
    pub time: Nanos,
    /// What it says.
    pub result: Result<L::Event, L::Reject>,
}

impl<L: Logic> Outcome<L> {
    /// Reads a frame of the event log.
    pub fn decode(frame: &ringframe_journal::Frame<'_>) -> Result<Self, Fault> {
        let cause = event_log::cause(frame).unwrap_or_default();
        let payload = event_log::payload(frame);
        let result = if frame.kind & REJECT == 0 {
            L::Event::decode(frame.kind, frame.schema, payload).map(Ok)
        } else {
            L::Reject::decode(frame.kind & !REJECT, frame.schema, payload).map(Err)
        };
        let result = result.map_err(|error| Fault::Event { number: frame.sequence, error })?;
        Ok(Self { number: frame.sequence, cause, time: Nanos(frame.timestamp), result })
    }
}

/// The stage that puts released events into a queue. While the queue is full, everything waits.
pub struct Egress<L: Logic> {
    events: SlotReader,
    outcomes: Option<Sender<Outcome<L>>>,
}

impl<L: Logic> Egress<L> {
    /// Fills the queue, which is bounded.
    pub fn new(events: SlotReader, outcomes: Sender<Outcome<L>>) -> Self {
        assert!(outcomes.capacity().is_some(), "a bounded queue");
        Self { events, outcomes: Some(outcomes) }
    }

    /// For a node whose events nobody waits for: who wants them reads the event log.
    pub fn unheard(events: SlotReader) -> Self {
        Self { events, outcomes: None }
    }
}

impl<L: Logic> Stage for Egress<L> {
    fn name(&self) -> &'static str {
        "egress"
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        let room = self.outcomes.as_ref().map_or(usize::MAX, |outcomes| {
            outcomes.capacity().expect("a bounded queue") - outcomes.len()
        });
        if room == 0 {
            return Ok(0);
        }
        let Ok(mut events) = self.events.take(room as u64) else { return Ok(0) };
        let work = (&mut events).len();
        if let Some(outcomes) = &self.outcomes {
            for slot in &mut events {
                // A receiver that is gone wants nothing more.
                let _ = outcomes.try_send(Outcome::decode(&slot.frame())?);
            }
        }
        Ok(work)
    }
}
