//! Builds the parts of a node from what its directory holds: recovery first, then the stages.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Sender, bounded};
use ringframe_journal::storage::Storage;
use ringframe_journal::{
    Error, Journal, MappedStorage, Options, Recovery, SyncPolicy, Truncation, first_sequence,
};

use crate::control::Control;
use crate::event_log::{self, Refill};
use crate::journaler::Journaler;
use crate::logic::Logic;
use crate::machine::{Machine, Question};
use crate::pipeline::{CommandRing, EventRing, Positions, Progress, SlotReader};
use crate::processor::{self, Processor};
use crate::recovery::{self, Cores};
use crate::release::{Release, ReleasePolicy};
use crate::sequencer::Sequencer;
use crate::shadow::Shadow;
use crate::snapshot::schedule::Triggers;
use crate::snapshot::taker::{Durable, Taker};
use crate::snapshot::{self, NEVER};
use crate::stage::Fault;
use crate::types::{Applied, Epoch, Nanos, Sequence};
use crate::upkeep::{Keeping, Syncing};

/// Digests on their way from the processor to the sequencer.
const DIGESTS: usize = 64;
/// So many may ask at a time where logic stands.
const QUESTIONS: usize = 16;

/// The three directories of a node.
#[derive(Clone, Debug)]
pub struct Stores<S> {
    /// Commands.
    pub journal: S,
    /// Events.
    pub events: S,
    /// States.
    pub snapshots: S,
}

impl Stores<MappedStorage> {
    /// In a data directory.
    pub fn mapped(data: &Path) -> Self {
        let store = |name: &str| MappedStorage::new(data.join(name));
        Self { journal: store("journal"), events: store("events"), snapshots: store("snapshots") }
    }
}

/// Who orders a node's commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// This node, from the start on, and no other one ever.
    #[default]
    Own,
    /// This node, from [`Node::lead`] on.
    Later,
    /// Another node.
    Elsewhere,
}

/// How a node is built.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// When events may leave.
    pub release: ReleasePolicy,
    /// The slots of each ring.
    pub ring_slots: usize,
    /// With so many bytes of events waiting for their release nothing more is applied.
    pub held_bytes: usize,
    /// The size of new segments of the journal …
    pub segment_bytes: u64,
    /// … and of the event log.
    pub event_segment_bytes: u64,
    /// When commands become durable.
    pub sync: SyncPolicy,
    /// When events become durable. They can be produced again, so there is no hurry.
    pub event_sync: SyncPolicy,
    /// Who orders.
    pub order: Order,
    /// Whether this build's version of the logic becomes the active one when this node orders.
    pub activate: bool,
    /// Where the journal lost its beginning and the event log is empty: whether the log begins
    /// anew, behind the newest snapshot, without the events before it.
    pub begin_event_log: bool,
    /// How many threads replay may use.
    pub cores: Cores,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            release: ReleasePolicy::default(),
            ring_slots: 1 << 14,
            held_bytes: 8 << 20,
            segment_bytes: 64 << 20,
            event_segment_bytes: 64 << 20,
            sync: SyncPolicy::Always,
            event_sync: SyncPolicy::Every(std::time::Duration::from_millis(500)),
            order: Order::Own,
            activate: false,
            begin_event_log: false,
            cores: Cores::Two,
        }
    }
}

/// The parts of a node, ready to be polled.
pub struct Node<L: Logic, S: Storage> {
    /// For the stage that takes commands in.
    pub sequencer: Sequencer<L>,
    /// Commands onto the journal.
    pub journaler: Journaler<S>,
    /// Logic.
    pub processor: Processor<L>,
    /// Events onto their log.
    pub event_log: Journaler<S>,
    /// For the stage that lets events out.
    pub egress: SlotReader,
    /// Behind the journal's writer …
    pub syncer: Syncing<S>,
    /// … and its segments.
    pub keeper: Keeping<S>,
    /// Behind the event log's writer …
    pub event_syncer: Syncing<S>,
    /// … and its segments.
    pub event_keeper: Keeping<S>,
    /// How far everything is.
    pub positions: Arc<Positions>,
    /// When events may leave.
    pub release: Arc<Release>,
    /// Asks the processor where logic stands; it answers at the end of a poll.
    pub questions: Sender<Question>,
    /// Who orders.
    pub order: Order,
    /// What the start found and did.
    pub start: Start,
}

/// What the start of a node found and did.
#[derive(Clone, Debug)]
pub struct Start {
    /// The journal's recovery.
    pub journal: Recovery,
    /// Events whose commands the journal does not have.
    pub events_cut: Option<Truncation>,
    /// Events that were missing in the log and were produced again.
    pub events_refilled: u64,
    /// Where the state came from.
    pub from: Origin,
    /// Where it stands.
    pub applied: Applied,
}

/// Where a state came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The snapshot's sequence; 0 for none.
    pub snapshot: Sequence,
    /// Why newer snapshots were not used.
    pub refused: Vec<String>,
}

impl<L: Logic, S: Storage> Node<L, S> {
    /// Recovers what the stores hold and builds the node. `told` hears how far replay is.
    pub fn open(
        stores: &Stores<S>,
        options: &NodeOptions,
        now: Nanos,
        told: &mut dyn FnMut(Sequence, Sequence),
    ) -> Result<Self, Fault> {
        let journal = open_journal::<L, S>(stores, options).map_err(Fault::Journal)?;
        let last = Sequence(journal.recovery.next - 1);
        let extent = event_log::extent(&stores.events, last).map_err(Fault::EventLog)?;
        one_history::<S>(stores, options, last, extent)?;
        let newest = event_log::newest(&stores.events, extent.last).map_err(Fault::EventLog)?;
        event_log::check_schema::<L>(newest.as_deref())?;
        let first = journal.recovery.first.map_or(Sequence(1), Sequence);
        let anew = options.begin_event_log;
        if anew {
            may_begin_anew(first, extent)?;
        }
        let logged = if anew { u64::MAX } else { extent.last };
        let (mut machine, from) = newest_state::<L, S>(stores, first, last, logged, &NEVER)?;
        let begin = if anew { machine.applied().events + 1 } else { 1 };
        let log = Options { first_sequence: begin, ..log_options::<L>(options) };
        let opened = event_log::open(&stores.events, log, extent).map_err(Fault::EventLog)?;
        let mut log = opened.log;
        let before = log.writer.next_sequence();
        recovery::replay(
            &stores.journal,
            &mut machine,
            last,
            options.cores,
            &mut Refill::new(&mut log, newest, now, &mut |applied| told(applied, last)),
        )?;
        if machine.applied().events + 1 != log.writer.next_sequence() {
            return Err(event_log::of_another_history(
                log.writer.next_sequence() - 1,
                machine.applied().events,
            ));
        }
        log.writer.publish().map_err(Fault::EventLog)?;
        let start = Start {
            journal: journal.recovery.clone(),
            events_cut: opened.cut,
            events_refilled: log.writer.next_sequence() - before,
            from,
            applied: machine.applied(),
        };
        Ok(Self::assemble(journal, log, machine, options, now, start))
    }

    /// What takes snapshots of this node, and lets them count once they are durable.
    pub fn taker(
        &self,
        stores: &Stores<S>,
        triggers: Triggers,
        keep: usize,
    ) -> Result<Taker<S>, Fault> {
        let durable = Durable {
            commands: Arc::clone(&self.positions.journal),
            events: Arc::clone(&self.positions.events),
        };
        Taker::open(stores.snapshots.clone(), durable, triggers, keep, self.start.from.snapshot)
    }

    /// A second machine that tails this node's journal, and takes the snapshots. It loads its
    /// state when it is polled: a start does not wait for a second state.
    pub fn shadow(&self, stores: &Stores<S>, taker: Taker<S>) -> Shadow<L, S> {
        let applied = self.start.applied;
        let states = stores.clone();
        let load = move |given_up: &AtomicBool| {
            let first = first_sequence(&states.journal).map_err(Fault::Journal)?;
            let first = first.map_or(Sequence(1), Sequence);
            newest_state(&states, first, applied.sequence, applied.events, given_up)
                .map(|(machine, _)| machine)
        };
        let journal = stores.journal.clone();
        Shadow::new(Box::new(load), journal, Arc::clone(&self.positions.journal), taker)
    }

    fn assemble(
        journal: Journal<S>,
        log: Journal<S>,
        mut machine: Machine<L>,
        options: &NodeOptions,
        now: Nanos,
        start: Start,
    ) -> Self {
        let applied = machine.applied();
        let positions = Arc::new(Positions::new(
            Arc::clone(journal.writer.positions()),
            Arc::clone(log.writer.positions()),
            Progress {
                applied: applied.sequence,
                released: applied.sequence,
                emitted: applied.events,
                handed_on: applied.events,
                wakes_at: machine.logic().wakes_at(),
            },
        ));
        let release = Arc::new(Release::new(options.release, applied.sequence));
        let commands = CommandRing::new(options.ring_slots);
        let events = EventRing::new(options.ring_slots);
        let (to_journal, digests) = bounded(DIGESTS);
        let (questions, asked) = bounded(QUESTIONS);
        let sequencer = Sequencer::new(
            commands.publisher,
            Arc::clone(&positions),
            Applied { time: Nanos(journal.writer.last_timestamp()), ..applied },
            digests,
        );
        machine.reserve(processor::BATCH + L::LOOKAHEAD, options.held_bytes);
        let processor = Processor::new(
            commands.processor,
            machine,
            events.publisher,
            Arc::clone(&release),
            Arc::clone(&positions),
            to_journal,
            asked,
        );
        let mut node = Self {
            sequencer,
            journaler: Journaler::commands(commands.journaler, journal.writer),
            processor,
            event_log: Journaler::events(events.event_log, log.writer),
            egress: events.egress,
            syncer: Syncing::commands(journal.syncer),
            keeper: Keeping::commands(journal.keeper),
            event_syncer: Syncing::events(log.syncer),
            event_keeper: Keeping::events(log.keeper),
            positions,
            release,
            questions,
            order: options.order,
            start,
        };
        if options.order == Order::Own {
            node.lead(Epoch(0), options.activate, now);
        }
        node
    }

    /// From here on this node orders, in this term; `activate` as in [`NodeOptions`].
    pub fn lead(&mut self, epoch: Epoch, activate: bool, now: Nanos) {
        self.sequencer.lead(epoch, now);
        if activate && (1..L::VERSION).contains(&self.start.applied.version) {
            let activate = Control::Activate { version: L::VERSION };
            self.sequencer.control(&activate, now).expect("an empty ring has room");
        }
    }
}

fn open_journal<L: Logic, S: Storage>(
    stores: &Stores<S>,
    options: &NodeOptions,
) -> Result<Journal<S>, Error> {
    let journal = Options {
        segment_bytes: options.segment_bytes,
        sync: options.sync,
        ..Options::new(L::NAME, L::VERSION)
    };
    Journal::open(stores.journal.clone(), journal)
}

/// Whose events a log of this logic holds.
pub(crate) fn event_log_name<L: Logic>() -> String {
    format!("{} events", L::NAME)
}

fn log_options<L: Logic>(options: &NodeOptions) -> Options {
    Options {
        segment_bytes: options.event_segment_bytes,
        sync: options.event_sync,
        ..Options::new(event_log_name::<L>(), L::VERSION)
    }
}

/// What was durable once is not there, or belongs to another journal: two histories must not mix.
fn one_history<S: Storage>(
    stores: &Stores<S>,
    options: &NodeOptions,
    last: Sequence,
    extent: event_log::Extent,
) -> Result<(), Fault> {
    let infos = snapshot::list(&stores.snapshots);
    let infos = infos.map_err(|error| Fault::Snapshot(error.to_string()))?;
    let beyond = infos.iter().find(|info| info.sequence().is_some_and(|taken| taken > last));
    if let Some(info) = beyond {
        return Err(Fault::Snapshot(format!(
            "{} tells of command {}, the journal ends with {}: the journal was lost, or is another \
             one. Restore it; or, to begin anew from what it holds, move snapshots/ and events/ \
             away",
            info.path.display(),
            info.sequence().unwrap_or_default().0,
            last.0
        )));
    }
    // What a follower lost it gets again.
    let is_asked = options.order != Order::Elsewhere && options.release != ReleasePolicy::Journaled;
    if extent.surplus && is_asked {
        return Err(Fault::Node(format!(
            "the event log tells of commands after {}, where the journal ends: released events \
             whose commands are gone. Where a standby has them, let that one lead: this one gets \
             them again. Or restore the journal; or, where the node ran with the policy journaled \
             when the power failed, start it once with that policy: they are cut and kept",
            last.0
        )));
    }
    Ok(())
}

/// A log begins anew only where nothing else helps: what could be there is not thrown away.
fn may_begin_anew(first: Sequence, extent: event_log::Extent) -> Result<(), Fault> {
    if extent != event_log::Extent::default() {
        return Err(Fault::Node(format!(
            "the event log holds events up to {}: start without beginning it anew; where that is \
             refused, move events/ away first",
            extent.last
        )));
    }
    if first == Sequence(1) {
        return Err(Fault::Node(
            "the journal has its beginning, so every event can be written again: start without \
             beginning the event log anew"
                .into(),
        ));
    }
    Ok(())
}

/// The newest snapshot that can be used, or the beginning: of a journal from `first` to `last`, and
/// an event log that ends with `events`. Once it is given up, what it says is not to be used.
fn newest_state<L: Logic, S: Storage>(
    stores: &Stores<S>,
    first: Sequence,
    last: Sequence,
    events: u64,
    given_up: &AtomicBool,
) -> Result<(Machine<L>, Origin), Fault> {
    let (mut refused, mut ahead) = (Vec::new(), false);
    let candidates = snapshot::candidates(&stores.snapshots, last.0, u64::MAX)
        .map_err(|error| Fault::Snapshot(error.to_string()))?;
    for info in candidates {
        let told = info.header.as_ref().map_or(0, |header| header.applied.events);
        if told > events {
            ahead = true;
            refused.push(format!(
                "{}: it tells of event {told}, the event log ends with {events}, and what lies \
                 between cannot be written again from there",
                info.path.display()
            ));
            continue;
        }
        match snapshot::load_unless::<L, S>(&stores.snapshots, &info, given_up) {
            Ok(machine) if machine.applied().sequence.next() >= first => {
                let snapshot = machine.applied().sequence;
                return Ok((machine, Origin { snapshot, refused }));
            }
            Ok(_) => refused.push(format!(
                "{}: the journal after it is gone, it begins with {}",
                info.name, first.0
            )),
            Err(error) => refused.push(error.to_string()),
        }
    }
    if first > Sequence(1) {
        let or_anew = if ahead {
            "; or restore events/ from a backup or a standby; or, where it is lost for good, move \
             what is left of it away and start once with --begin-event-log: it then begins behind \
             the newest snapshot"
        } else {
            ""
        };
        return Err(Fault::Snapshot(format!(
            "the journal begins with command {}, and no snapshot can be used to start from: \
             bring the older segments back with `ringframe journal archive --to PLACE --restore \
             --into DIR`, or take a snapshot from a standby{or_anew}\n  {}",
            first.0,
            refused.join("\n  ")
        )));
    }
    Ok((Machine::default(), Origin { snapshot: Sequence(0), refused }))
}
