//! A part of a node's life: the same stages in the same order every time, polled by hand until a
//! disk stops.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringframe::codec::state_digest;
use ringframe::digest::Digest;
use ringframe::inline::Inline;
use ringframe::journal::{
    ArchiveHome, Fate, NeededFrom, Options, Survival, SyncPolicy, archive, prune,
};
use ringframe::journaler::Journaler;
use ringframe::machine::Machine;
use ringframe::node::{Node, NodeOptions, Start, Stores};
use ringframe::pipeline::{Positions, SlotReader};
use ringframe::recovery::Cores;
use ringframe::release::ReleasePolicy;
use ringframe::sequencer::Sequencer;
use ringframe::snapshot;
use ringframe::snapshot::schedule::Triggers;
use ringframe::stage::{Fault, Stage};
use ringframe::types::{Nanos, Sequence};
use ringframe::upkeep::{Keeping, Syncing};
use tempfile::TempDir;

use crate::disks::{Disk, Disks, frames};
use crate::logic::{Add, Sums};

/// So many commands come in between two rounds of polls.
const BATCH: u64 = 7;
/// The journal is synced every so many rounds, …
const SYNCED_EVERY: u64 = 3;
/// … and pruned every so many.
const PRUNED_EVERY: u64 = 6;
const MILLISECOND: u64 = 1_000_000;

pub(crate) fn each(disks: &Disks) -> [&Disk; 3] {
    [&disks.journal, &disks.events, &disks.snapshots]
}

pub(crate) fn map(disks: &Disks, mut to: impl FnMut(usize, &Disk) -> Disk) -> Disks {
    let Stores { journal, events, snapshots } = disks;
    Stores { journal: to(0, journal), events: to(1, events), snapshots: to(2, snapshots) }
}

pub(crate) fn after_crash(disks: &Disks, survival: [Survival; 3]) -> Disks {
    map(disks, |index, disk| disk.after_crash(survival[index]))
}

pub(crate) fn are_off(disks: &Disks) -> bool {
    each(disks).iter().any(|disk| disk.is_off())
}

/// Where a life leads, and by which rules.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) release: ReleasePolicy,
    /// It ends with this command.
    pub(crate) last: Sequence,
    /// Whether the journal is pruned, …
    pub(crate) prunes: bool,
    /// … and who keeps what goes.
    home: Rc<(ArchiveHome, TempDir)>,
}

impl Plan {
    /// Nothing is pruned.
    pub(crate) fn new(release: ReleasePolicy, last: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = ArchiveHome::create(directory.path().to_str().unwrap()).unwrap();
        Self { release, last: Sequence(last), prunes: false, home: Rc::new((home, directory)) }
    }
}

/// A node that is polled by hand.
pub(crate) struct Life {
    plan: Plan,
    disks: Disks,
    sequencer: Sequencer<Sums>,
    journaler: Journaler<Disk>,
    processor: Inline<Sums, Disk>,
    event_log: Journaler<Disk>,
    egress: SlotReader,
    syncer: Syncing<Disk>,
    keeper: Keeping<Disk>,
    event_syncer: Syncing<Disk>,
    event_keeper: Keeping<Disk>,
    positions: Arc<Positions>,
    /// What opening found and did.
    pub(crate) start: Start,
    /// Everything that was released, ever: who reconnects reads the log first.
    pub(crate) heard: Vec<Vec<u8>>,
    /// Segments that were pruned.
    pub(crate) pruned: usize,
}

impl Life {
    pub(crate) fn open(disks: &Disks, plan: &Plan) -> Result<Self, Fault> {
        let options = NodeOptions {
            release: plan.release,
            ring_slots: 32,
            segment_bytes: Options::SEGMENT_BYTES_MIN,
            event_segment_bytes: Options::SEGMENT_BYTES_MIN,
            sync: SyncPolicy::Always,
            event_sync: SyncPolicy::Every(Duration::from_millis(4)),
            cores: Cores::One,
            ..NodeOptions::default()
        };
        let node = Node::<Sums, _>::open(disks, &options, Nanos(0), &mut |_, _| ())?;
        let triggers = Triggers { every_commands: Some(50), ..Triggers::default() };
        let taker = node.taker(disks, triggers, 2)?;
        Ok(Self {
            plan: plan.clone(),
            disks: disks.clone(),
            sequencer: node.sequencer,
            journaler: node.journaler,
            processor: Inline::new(node.processor, taker),
            event_log: node.event_log,
            egress: node.egress,
            syncer: node.syncer,
            keeper: node.keeper,
            event_syncer: node.event_syncer,
            event_keeper: node.event_keeper,
            positions: node.positions,
            start: node.start,
            heard: frames(&disks.events),
            pruned: 0,
        })
    }

    /// Goes on to the end, and closes; a fault where a disk stops on the way.
    pub(crate) fn live(&mut self) -> Result<(), Fault> {
        for turn in 1.. {
            self.intake();
            self.turn(turn)?;
            let last = self.sequencer.last() == self.plan.last;
            if last && self.positions.is_quiet() {
                break;
            }
            assert!(turn < 1000, "it does not end: {:?}", self.positions);
        }
        self.hear();
        let now = Nanos(1000 * MILLISECOND);
        let stages: [&mut dyn Stage; 6] = [
            &mut self.journaler,
            &mut self.event_log,
            &mut self.syncer,
            &mut self.keeper,
            &mut self.event_syncer,
            &mut self.event_keeper,
        ];
        for stage in stages {
            stage.close(now)?;
            on(&self.disks)?;
        }
        Ok(())
    }

    /// The clients go on with what is not there yet; a command's number decides its time.
    fn intake(&mut self) {
        for _ in 0..BATCH {
            let next = self.sequencer.last().next();
            let time = Nanos(next.0 * MILLISECOND);
            if next > self.plan.last || self.sequencer.offer(&Add::numbered(next.0), time).is_none()
            {
                break;
            }
        }
    }

    fn turn(&mut self, turn: u64) -> Result<(), Fault> {
        let now = Nanos(turn * MILLISECOND);
        let mut stages: Vec<&mut dyn Stage> = vec![&mut self.journaler, &mut self.processor];
        if turn.is_multiple_of(SYNCED_EVERY) {
            stages.push(&mut self.syncer);
        }
        stages.extend([
            &mut self.event_log as &mut dyn Stage,
            &mut self.event_syncer,
            &mut self.keeper,
            &mut self.event_keeper,
        ]);
        for stage in stages {
            stage.poll(now)?;
            on(&self.disks)?;
        }
        self.hear();
        if self.plan.prunes && turn.is_multiple_of(PRUNED_EVERY) {
            self.prune().map_err(Fault::Journal)?;
        }
        on(&self.disks)
    }

    fn hear(&mut self) {
        if let Ok(mut events) = self.egress.take(u64::MAX) {
            for slot in &mut events {
                let mut frame = Vec::new();
                slot.frame().encode(&mut frame);
                self.heard.push(frame);
            }
        }
    }

    /// Deletes what the oldest of two snapshots makes superfluous.
    fn prune(&mut self) -> Result<(), ringframe::journal::Error> {
        let snapshots = snapshot::list(&self.disks.snapshots).expect("a directory");
        let [_, .., oldest] = &snapshots[..] else { return Ok(()) };
        let below = NeededFrom(oldest.sequence().expect("a good one").0);
        let (journal, home) = (&self.disks.journal, &self.plan.home.0);
        archive(journal, home, &mut |_, _| ())?;
        let segments = prune(journal, home, below, false, &mut |_, _| ())?;
        self.pruned += segments.iter().filter(|segment| segment.fate == Fate::Deleted).count();
        Ok(())
    }

    fn machine(&self) -> &Machine<Sums> {
        self.processor.processor().machine()
    }

    /// How many events there are.
    pub(crate) fn emitted(&self) -> usize {
        self.machine().applied().events as usize
    }

    /// Of everything emitted, and of the state.
    pub(crate) fn digests(&self) -> (Digest, [u8; 32]) {
        (self.machine().digest(), state_digest(self.machine().logic()))
    }
}

/// Whether all is well; what a stage stores to mapped memory of a machine that is off tells nobody.
fn on(disks: &Disks) -> Result<(), Fault> {
    if are_off(disks) { Err(Fault::Node("a disk has stopped".into())) } else { Ok(()) }
}
