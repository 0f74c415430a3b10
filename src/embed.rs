//! A node inside another program: commands come in by one queue, events go out by another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, never};
use ringframe_journal::Frame;
use ringframe_journal::storage::Storage;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::event_log;
use crate::inline::Inline;
use crate::logic::{Logic, REJECT};
use crate::node::{Node, Start};
use crate::pipeline::{Positions, SlotReader};
use crate::processor::Processor;
use crate::record::Record;
use crate::runner::{Group, Idle, Runner, Running, Waker};
use crate::sequencer::Sequencer;
use crate::shadow::Shadow;
use crate::snapshot::schedule::Handle;
use crate::snapshot::taker::Taker;
use crate::stage::{Fault, Stage};
use crate::types::{Nanos, Sequence};

/// So many commands at most per poll.
const BATCH: usize = 64;
/// Commands and events on their way between the program and the node's threads.
const QUEUE: usize = 4096;
/// So often a program that waits looks whether the node still runs.
const LOOK: Duration = Duration::from_millis(20);

/// The stages that a layout places, in the order they are polled in.
pub const STAGES: [&str; 5] = ["intake", "journaler", "processor", "event_log", "egress"];

/// The stage that takes commands from a queue.
pub struct Intake<L: Logic> {
    commands: Receiver<L::Command>,
    sequencer: Sequencer<L>,
    /// One that had no room in the ring yet.
    waiting: Option<L::Command>,
    /// Nobody can submit any more, and everything that was submitted is published.
    ended: Arc<AtomicBool>,
}

impl<L: Logic> Intake<L> {
    /// Publishes what comes from the queue; `ended` is set once all is published that ever will be.
    pub fn new(
        commands: Receiver<L::Command>,
        sequencer: Sequencer<L>,
        ended: Arc<AtomicBool>,
    ) -> Self {
        Self { commands, sequencer, waiting: None, ended }
    }

    /// For who publishes commands of his own beside the queue's.
    pub fn sequencer(&mut self) -> &mut Sequencer<L> {
        &mut self.sequencer
    }

    /// Whether nobody can submit any more: what comes from elsewhere is to end, too.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The next command, if there is one.
    fn next(&mut self) -> Option<L::Command> {
        if let Some(command) = self.waiting.take() {
            return Some(command);
        }
        match self.commands.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.ended.store(true, Ordering::Release);
                None
            }
        }
    }
}

impl<L: Logic> Stage for Intake<L> {
    fn name(&self) -> &'static str {
        "intake"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut work = self.sequencer.poll(now);
        for _ in 0..BATCH {
            let Some(command) = self.next() else { break };
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
    pub fn decode(frame: &Frame<'_>) -> Result<Self, Fault> {
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
    outcomes: Sender<Outcome<L>>,
}

impl<L: Logic> Egress<L> {
    /// Fills the queue, which is bounded.
    pub fn new(events: SlotReader, outcomes: Sender<Outcome<L>>) -> Self {
        assert!(outcomes.capacity().is_some(), "a bounded queue");
        Self { events, outcomes }
    }
}

impl<L: Logic> Stage for Egress<L> {
    fn name(&self) -> &'static str {
        "egress"
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        let capacity = self.outcomes.capacity().expect("a bounded queue");
        let room = capacity - self.outcomes.len();
        if room == 0 {
            return Ok(0);
        }
        let Ok(mut events) = self.events.take(room as u64) else { return Ok(0) };
        let mut work = 0;
        for slot in &mut events {
            work += 1;
            // A receiver that is gone wants nothing more.
            let _ = self.outcomes.try_send(Outcome::decode(&slot.frame())?);
        }
        Ok(work)
    }
}

/// Hands commands to a running node, from any thread.
pub struct Submitter<L: Logic> {
    commands: Sender<L::Command>,
    waker: Waker,
}

impl<L: Logic> Clone for Submitter<L> {
    fn clone(&self) -> Self {
        Self { commands: self.commands.clone(), waker: self.waker.clone() }
    }
}

impl<L: Logic> Submitter<L> {
    /// Hands over a command; waits while the node is busy. False if the node has stopped.
    pub fn submit(&self, command: L::Command) -> bool {
        let sent = self.commands.send(command).is_ok();
        self.waker.wake();
        sent
    }
}

/// A node that runs on threads of its own. Dropped, it stops at once, as in a crash: nothing that
/// was released is lost. [`Embedded::finish`] is the orderly end.
pub struct Embedded<L: Logic> {
    submitter: Option<Submitter<L>>,
    outcomes: Receiver<Outcome<L>>,
    ended: Arc<AtomicBool>,
    /// The last event that the program got, or the world.
    told: Arc<AtomicU64>,
    positions: Arc<Positions>,
    snapshots: Option<Handle>,
    counters: Vec<Arc<Counters>>,
    start: Start,
    running: Running,
    waker: Waker,
    clock: Clock,
}

/// What stands between a node and the world.
pub struct Front<L: Logic> {
    /// Takes commands in; whoever owns it may publish others beside the queue's.
    pub intake: Intake<L>,
    /// Where released events come from.
    pub events: SlotReader,
    /// The last event that was told to the world, for its stages to keep.
    pub told: Arc<AtomicU64>,
}

/// Who takes a node's snapshots.
pub enum Saving<L: Logic, S: Storage> {
    /// Nobody: a start replays the whole journal.
    Off,
    /// The shadow.
    Shadow(Box<Shadow<L, S>>),
    /// The processor: all wait meanwhile.
    Inline(Box<Taker<S>>),
}

impl<L: Logic> Embedded<L> {
    /// Starts the node for a program, which hears all events itself; `groups` says which stages
    /// share a thread.
    pub fn start<S: Storage>(
        node: Node<L, S>,
        saving: Saving<L, S>,
        groups: impl FnOnce(Vec<Box<dyn Stage>>) -> Result<Vec<Group>, Fault>,
        idle: Idle,
        clock: Clock,
    ) -> Result<Self, Fault> {
        let (sender, outcomes) = bounded(QUEUE);
        let front = |front: Front<L>| -> Result<Vec<Box<dyn Stage>>, Fault> {
            Ok(vec![Box::new(front.intake), Box::new(Egress::new(front.events, sender))])
        };
        let embedded = Self::start_behind(front, node, saving, groups, idle, clock)?;
        Ok(Self { outcomes, ..embedded })
    }

    /// As [`Self::start`], behind stages that take commands in and tell events themselves: the
    /// program hears none.
    pub fn start_behind<S: Storage>(
        front: impl FnOnce(Front<L>) -> Result<Vec<Box<dyn Stage>>, Fault>,
        node: Node<L, S>,
        saving: Saving<L, S>,
        groups: impl FnOnce(Vec<Box<dyn Stage>>) -> Result<Vec<Group>, Fault>,
        idle: Idle,
        clock: Clock,
    ) -> Result<Self, Fault> {
        let (positions, start) = (Arc::clone(&node.positions), node.start.clone());
        let (commands, queue) = bounded(QUEUE);
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::new(AtomicU64::new(start.applied.events));
        let mut stages = front(Front {
            intake: Intake::new(queue, node.sequencer, Arc::clone(&ended)),
            events: node.egress,
            told: Arc::clone(&told),
        })?;
        let mut helpers: Vec<Box<dyn Stage>> = vec![
            Box::new(node.syncer),
            Box::new(node.keeper),
            Box::new(node.event_syncer),
            Box::new(node.event_keeper),
        ];
        let (processor, snapshots) = processor(node.processor, saving, &mut helpers);
        stages.push(Box::new(node.journaler));
        stages.push(processor);
        stages.push(Box::new(node.event_log));
        stages.extend(helpers);
        let runner = Runner::new(groups(stages)?, idle, clock);
        let (waker, counters) = (runner.waker(), runner.counters());
        let submitter = Some(Submitter { commands, waker: waker.clone() });
        let (outcomes, running) = (never(), runner.start()?);
        Ok(Self {
            submitter,
            outcomes,
            ended,
            told,
            positions,
            snapshots,
            counters,
            start,
            running,
            waker,
            clock,
        })
    }

    /// What the start found and did.
    pub fn started(&self) -> &Start {
        &self.start
    }

    /// Asks for snapshots, and shows what became of them; none where nobody takes any.
    pub fn snapshots(&self) -> Option<&Handle> {
        self.snapshots.as_ref()
    }

    /// What each stage has done so far.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// How far everything is.
    pub fn positions(&self) -> &Arc<Positions> {
        &self.positions
    }

    /// Hands over a command; waits while the node is busy. False if the node has stopped.
    pub fn submit(&self, command: L::Command) -> bool {
        self.submitter.as_ref().is_some_and(|submitter| submitter.submit(command))
    }

    /// Gives the right to submit away; without it nobody can, but for who has a clone.
    pub fn take_submitter(&mut self) -> Option<Submitter<L>> {
        self.submitter.take()
    }

    /// The next event that was released; nothing if there was none for so long. The node's fault if
    /// it has stopped.
    pub fn next(&mut self, longest: Duration) -> Result<Option<Outcome<L>>, Fault> {
        let was_full = self.outcomes.is_full();
        match self.outcomes.recv_timeout(longest) {
            Ok(outcome) => {
                if was_full {
                    // Whoever waits for room may be asleep.
                    self.waker.wake();
                }
                self.told.store(outcome.number, Ordering::Release);
                Ok(Some(outcome))
            }
            Err(RecvTimeoutError::Timeout) => self.running.fault().map_or(Ok(None), Err),
            Err(RecvTimeoutError::Disconnected) => Err(self.stopped()),
        }
    }

    fn stopped(&self) -> Fault {
        self.running.fault().unwrap_or_else(|| Fault::Node("the node was stopped".into()))
    }

    /// Whether everything that was published is done and told.
    pub fn is_quiet(&self) -> bool {
        self.positions.is_quiet()
            && self.told.load(Ordering::Acquire) == self.positions.progress().emitted
    }

    /// Takes no more commands, lets everything that was submitted come to its end, makes it
    /// durable, and stops. What is not done after `longest` is a fault; nothing is lost by it.
    pub fn finish(
        mut self,
        longest: Duration,
        mut told: impl FnMut(Outcome<L>),
    ) -> Result<Sequence, Fault> {
        self.submitter = None;
        let end = self.clock.now().after(longest.as_nanos() as u64);
        while !self.ended.load(Ordering::Acquire) || !self.is_quiet() {
            self.waker.wake();
            if let Some(outcome) = self.next(LOOK)? {
                told(outcome);
            }
            if self.clock.now() > end {
                let (published, progress) = (self.positions.published(), self.positions.progress());
                return Err(Fault::Node(format!(
                    "not finished after {} s: {} commands are accepted, {} applied, {} released; \
                     the disk or the reader of events is slow; what was released is safe",
                    longest.as_secs_f32(),
                    published.0,
                    progress.applied.0,
                    progress.released.0
                )));
            }
        }
        self.running.stop();
        close(self.running.join()?, self.clock.now())?;
        Ok(self.positions.published())
    }
}

/// The stage that runs logic, and whoever takes snapshots beside it.
fn processor<L: Logic, S: Storage>(
    processor: Processor<L>,
    saving: Saving<L, S>,
    stages: &mut Vec<Box<dyn Stage>>,
) -> (Box<dyn Stage>, Option<Handle>) {
    match saving {
        Saving::Off => (Box::new(processor), None),
        Saving::Shadow(shadow) => {
            let handle = shadow.handle();
            stages.push(shadow);
            (Box::new(processor), Some(handle))
        }
        Saving::Inline(taker) => {
            let handle = taker.handle();
            (Box::new(Inline::new(processor, *taker)), Some(handle))
        }
    }
}

/// The order in which stages are closed: what makes durable after what was written.
const CLOSING: [&str; 7] =
    ["journaler", "event_log", "syncer", "keeper", "event_syncer", "event_keeper", "history"];

fn close(mut stages: Vec<Box<dyn Stage>>, now: Nanos) -> Result<(), Fault> {
    stages.sort_by_key(|stage| CLOSING.iter().position(|name| *name == stage.name()));
    stages.iter_mut().try_for_each(|stage| stage.close(now))
}
