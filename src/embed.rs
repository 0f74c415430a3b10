//! A node inside another program: commands come in by one queue, events go out by another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, never};
use ringframe_journal::Frame;
use ringframe_journal::storage::Storage;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::event_log;
use crate::inline::Inline;
use crate::logic::{Logic, REJECT};
use crate::machine::{Question, Standing};
use crate::net::{Net, Tcp};
use crate::node::{Node, Order, Start};
use crate::onlooker::Onlooker;
use crate::pipeline::{Positions, SlotReader};
use crate::processor::Processor;
use crate::record::Record;
use crate::release::Release;
use crate::replication::Replicator;
use crate::runner::{Group, Idle, Runner, Running, Waker};
use crate::shadow::Shadow;
use crate::snapshot::schedule::Handle;
use crate::snapshot::taker::Taker;
use crate::snapshot::{self, SnapshotError};
use crate::stage::{Fault, Stage};
use crate::types::{Nanos, Sequence};

pub use intake::{Input, Intake, NotTaken, Submitter};

mod intake;

/// Commands and events on their way between the program and the node's threads.
const QUEUE: usize = 4096;
/// So often a program that waits looks whether the node still runs.
const LOOK: Duration = Duration::from_millis(20);
/// The same for one that waits for the end: clients may wait for who comes after it.
const LOOK_AT_END: Duration = Duration::from_millis(1);
/// What comes from the node itself while it waits for a last snapshot has this long to be done.
const GRACE: u64 = Nanos::SECOND;

/// The stages that a layout places, in the order they are polled in.
pub const STAGES: [&str; 5] = ["intake", "journaler", "processor", "event_log", "egress"];

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
    positions: Arc<Positions>,
}

impl<L: Logic> Egress<L> {
    /// Fills the queue, which is bounded.
    pub fn new(
        events: SlotReader,
        outcomes: Sender<Outcome<L>>,
        positions: Arc<Positions>,
    ) -> Self {
        assert!(outcomes.capacity().is_some(), "a bounded queue");
        Self { events, outcomes, positions }
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
        let (mut work, mut last) = (0, 0);
        for slot in &mut events {
            let event = slot.frame();
            (work, last) = (work + 1, event.sequence);
            // A receiver that is gone wants nothing more.
            let _ = self.outcomes.try_send(Outcome::decode(&event)?);
        }
        self.positions.set_left(last);
        Ok(work)
    }
}

/// What other threads may see of a running node, and ask it. It changes nothing but snapshots.
#[derive(Clone)]
pub struct Observer {
    /// How far everything is.
    pub positions: Arc<Positions>,
    /// What each stage has done so far.
    pub counters: Vec<Arc<Counters>>,
    /// Asks for snapshots, and shows what became of them; none where nobody takes any.
    pub snapshots: Option<Handle>,
    questions: Sender<Question>,
    waker: Waker,
}

impl Observer {
    /// Asks where logic stands. The answer comes once, at the end of a poll; the channel closes
    /// without one when the node stops before. `None` where it has stopped, or many others wait.
    pub fn standing(&self) -> Option<Receiver<Standing>> {
        let (tell, told) = bounded(1);
        self.ask(Question::Standing(tell))?;
        Some(told)
    }

    /// Asks for the digest after a command that was marked: the multiples of
    /// [`DIGEST_EVERY`](crate::control::DIGEST_EVERY), and what [`Submitter::ask_to_mark`] put into
    /// the journal. Answered as [`Self::standing`].
    pub fn digest_at(&self, sequence: Sequence) -> Option<Receiver<Option<u128>>> {
        let (tell, told) = bounded(1);
        self.ask(Question::DigestAt(sequence, tell))?;
        Some(told)
    }

    fn ask(&self, question: Question) -> Option<()> {
        self.questions.try_send(question).ok()?;
        self.waker.wake();
        Some(())
    }
}

/// A node that runs on threads of its own. Dropped, it stops at once, as in a crash: nothing that
/// was released is lost. [`Embedded::finish`] is the orderly end.
pub struct Embedded<L: Logic> {
    submitter: Option<Submitter<L>>,
    outcomes: Receiver<Outcome<L>>,
    ended: Arc<AtomicBool>,
    /// The last event that the program got, if it gets them.
    heard: Option<u64>,
    positions: Arc<Positions>,
    /// Goes before the threads do: none of them writes on for long.
    snapshots: Snapshots,
    onlooker: Option<Onlooker<L>>,
    counters: Vec<Arc<Counters>>,
    questions: Sender<Question>,
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
    /// Where its stages say how far events have left.
    pub positions: Arc<Positions>,
    /// What a reply means.
    pub release: Arc<Release>,
}

/// Whoever takes snapshots gives up the one that it is at when this goes.
struct Snapshots(Option<Handle>);

impl Snapshots {
    fn give_up(&self) {
        if let Some(handle) = &self.0 {
            handle.give_up();
        }
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// What an orderly end has to do besides what was submitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtEnd {
    /// Nothing.
    #[default]
    Nothing,
    /// Saving the state.
    Snapshot,
    /// Letting the standby lead.
    HandOver,
}

/// What an orderly end did.
#[derive(Debug)]
pub struct Finished {
    /// The last command.
    pub last: Sequence,
    /// What became of the snapshot; none where nobody asked for one, or nobody takes any.
    pub snapshot: Option<snapshot::schedule::Outcome>,
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
            let Front { intake, events, positions, .. } = front;
            Ok(vec![Box::new(intake), Box::new(Egress::new(events, sender, positions))])
        };
        let mut embedded =
            Self::start_behind::<S, Tcp>(front, node, None, saving, groups, idle, clock)?;
        embedded.outcomes = outcomes;
        embedded.heard = Some(embedded.start.applied.events);
        Ok(embedded)
    }

    /// As [`Self::start`], behind stages that take commands in and tell events themselves: the
    /// program hears none. With a replicator the node has followers, or, where its options say that
    /// another node orders, is one.
    pub fn start_behind<S: Storage, N: Net>(
        front: impl FnOnce(Front<L>) -> Result<Vec<Box<dyn Stage>>, Fault>,
        node: Node<L, S>,
        replicator: Option<Replicator<L, S, N>>,
        saving: Saving<L, S>,
        groups: impl FnOnce(Vec<Box<dyn Stage>>) -> Result<Vec<Group>, Fault>,
        idle: Idle,
        clock: Clock,
    ) -> Result<Self, Fault> {
        let (positions, start) = (Arc::clone(&node.positions), node.start.clone());
        let questions = node.questions.clone();
        let Assembled { stages, commands, ended, snapshots, onlooker } =
            assemble(front, node, replicator, saving)?;
        let runner = Runner::new(groups(stages)?, idle, clock);
        let (waker, counters) = (runner.waker(), runner.counters());
        let submitter = Some(Submitter::new(commands, waker.clone()));
        let (outcomes, running) = (never(), runner.start()?);
        Ok(Self {
            submitter,
            outcomes,
            ended,
            heard: None,
            positions,
            snapshots: Snapshots(snapshots),
            onlooker,
            counters,
            questions,
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
        self.snapshots.0.as_ref()
    }

    /// Looks at the shadow's state; none where there is no shadow.
    pub fn onlooker(&self) -> Option<Onlooker<L>> {
        self.onlooker.clone()
    }

    /// What each stage has done so far.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// For threads that look on.
    pub fn observer(&self) -> Observer {
        Observer {
            positions: Arc::clone(&self.positions),
            counters: self.counters.clone(),
            snapshots: self.snapshots.0.clone(),
            questions: self.questions.clone(),
            waker: self.waker.clone(),
        }
    }

    /// How far everything is.
    pub fn positions(&self) -> &Arc<Positions> {
        &self.positions
    }

    /// Hands over a command; waits while the node is busy. False if the node has stopped.
    pub fn submit(&self, command: L::Command) -> bool {
        self.submitter.as_ref().is_some_and(|submitter| submitter.submit(command))
    }

    /// For another thread that submits, too. The node's end waits until all of these are gone.
    pub fn submitter(&self) -> Option<Submitter<L>> {
        self.submitter.clone()
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
                self.heard = Some(outcome.number);
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
            && self.heard.unwrap_or(self.positions.left()) == self.positions.progress().emitted
    }

    /// Takes no more commands, and lets everything that was submitted come to its end.
    pub fn drain(&mut self, longest: Duration) -> Result<(), Fault> {
        self.submitter = None;
        let end = self.clock.now().after(longest.as_nanos() as u64);
        self.finish_all(longest, end, &mut |_| ())
    }

    /// Takes no more commands, lets everything that was submitted come to its end, makes it
    /// durable, and stops. What is not done after `longest` is a fault; nothing is lost by it. A
    /// snapshot that is being written when it ends, or after `longest` the one that was asked for,
    /// is given up: what was written of it is removed.
    pub fn finish(
        mut self,
        longest: Duration,
        at_end: AtEnd,
        mut told: impl FnMut(Outcome<L>),
    ) -> Result<Finished, Fault> {
        self.submitter = None;
        let end = self.clock.now().after(longest.as_nanos() as u64);
        self.finish_all(longest, end, &mut told)?;
        let handle = self.snapshots().filter(|_| at_end == AtEnd::Snapshot);
        let asked = handle.map(Handle::request);
        if let Some(Some(asked)) = &asked {
            while asked.is_empty() && self.clock.now() <= end {
                if let Some(outcome) = self.next(LOOK)? {
                    told(outcome);
                }
            }
        }
        self.snapshots.give_up();
        // The time may have been told meanwhile.
        self.finish_all(longest, end.max(self.clock.now().after(GRACE)), &mut told)?;
        self.running.stop();
        close(self.running.join()?, self.clock.now())?;
        let outcome = |asked: Option<Receiver<_>>| {
            asked.and_then(|asked| asked.try_recv().ok()).unwrap_or(Err(SnapshotError::GivenUp))
        };
        Ok(Finished { last: self.positions.published(), snapshot: asked.map(outcome) })
    }

    fn finish_all(
        &mut self,
        longest: Duration,
        end: Nanos,
        told: &mut impl FnMut(Outcome<L>),
    ) -> Result<(), Fault> {
        while !self.ended.load(Ordering::Acquire) || !self.is_quiet() {
            self.waker.wake();
            if let Some(outcome) = self.next(LOOK_AT_END)? {
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
        Ok(())
    }
}

/// A node as stages, for who polls them himself.
pub struct Assembled<L: Logic> {
    /// In the order of the pipeline; those that may wait for a disk come last.
    pub stages: Vec<Box<dyn Stage>>,
    /// Takes commands besides the clients'; once it is gone nothing more is taken.
    pub commands: Sender<Input<L>>,
    /// Nothing more is taken, and what was is published.
    pub ended: Arc<AtomicBool>,
    /// Whoever takes snapshots.
    pub snapshots: Option<Handle>,
    /// Looks at the shadow's state, where there is a shadow.
    pub onlooker: Option<Onlooker<L>>,
}

/// Puts the stages of a node together, behind those that stand between it and the world.
pub fn assemble<L: Logic, S: Storage, N: Net>(
    front: impl FnOnce(Front<L>) -> Result<Vec<Box<dyn Stage>>, Fault>,
    node: Node<L, S>,
    mut replicator: Option<Replicator<L, S, N>>,
    saving: Saving<L, S>,
) -> Result<Assembled<L>, Fault> {
    let (positions, release) = (node.positions, node.release);
    let (commands, queue) = bounded(QUEUE);
    let ended = Arc::new(AtomicBool::new(false));
    let intake = match &mut replicator {
        Some(replicator) if node.order == Order::Elsewhere => {
            let coming = replicator.follow(node.sequencer, Arc::clone(&ended));
            Intake::following(queue, coming, Arc::clone(&ended))
        }
        _ => Intake::new(queue, node.sequencer, Arc::clone(&ended)),
    };
    let mut stages = front(Front { intake, events: node.egress, positions, release })?;
    let mut helpers: Vec<Box<dyn Stage>> = vec![
        Box::new(node.syncer),
        Box::new(node.keeper),
        Box::new(node.event_syncer),
        Box::new(node.event_keeper),
    ];
    helpers.extend(replicator.map(|stage| -> Box<dyn Stage> { Box::new(stage) }));
    let onlooker = match &saving {
        Saving::Shadow(shadow) => Some(shadow.onlooker()),
        Saving::Off | Saving::Inline(_) => None,
    };
    let (processor, snapshots) = processor(node.processor, saving, &mut helpers);
    stages.push(Box::new(node.journaler));
    stages.push(processor);
    stages.push(Box::new(node.event_log));
    stages.extend(helpers);
    Ok(Assembled { stages, commands, ended, snapshots, onlooker })
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

/// Lets stages that are polled no more come to their end.
pub fn close(mut stages: Vec<Box<dyn Stage>>, now: Nanos) -> Result<(), Fault> {
    stages.sort_by_key(|stage| CLOSING.iter().position(|name| *name == stage.name()));
    stages.iter_mut().try_for_each(|stage| stage.close(now))
}
