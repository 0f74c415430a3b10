//! One of the nodes: the stages of any node, and its end of the link.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use ringframe::codec::state_digest;
use ringframe::digest::Digest;
use ringframe::journal::segment::{BLOCK_BYTES, file_name};
use ringframe::journal::storage::Storage;
use ringframe::journal::{Options, SegmentInfo, Survival, SyncPolicy, survey};
use ringframe::node::{Node, NodeOptions, Order, Stores};
use ringframe::recovery::Cores;
use ringframe::release::ReleasePolicy;
use ringframe::replication::{
    Arrival, Downstream, Epochs, Holdings, Leading, Parted, Upstream, cut,
};
use ringframe::snapshot;
use ringframe::stage::Stage;
use ringframe::types::{Nanos, Sequence};

use crate::disks::{Disk, Disks, frames};
use crate::logic::{Add, Sums};
use crate::pipe::End;

/// What a node is in the pair.
pub(crate) enum Role {
    Leads(Option<Box<Downstream<Disk, End>>>),
    Follows(Option<Box<Upstream<End>>>),
}

/// A node that runs.
pub(crate) struct Peer {
    pub(crate) disks: Disks,
    pub(crate) role: Role,
    pub(crate) node: Node<Sums, Disk>,
    epochs: Epochs<Disk>,
    leading: Arc<Leading>,
    policy: ReleasePolicy,
    sessions: Disk,
    /// Every event that was let out, and those that the log had at the start: what a client is
    /// told who comes now.
    pub(crate) told: Vec<Vec<u8>>,
}

impl Peer {
    pub(crate) fn open(
        disks: Disks,
        number: u8,
        leads: bool,
        policy: ReleasePolicy,
        now: Nanos,
    ) -> Self {
        let mut epochs = Epochs::open(disks.journal.clone(), number).unwrap();
        let options = |order| NodeOptions {
            // What a follower's processor lets out, nobody hears.
            release: if leads { policy } else { ReleasePolicy::Journaled },
            order,
            ring_slots: 32,
            segment_bytes: Options::SEGMENT_BYTES_MIN,
            event_segment_bytes: Options::SEGMENT_BYTES_MIN,
            sync: SyncPolicy::Always,
            event_sync: SyncPolicy::Every(Duration::from_millis(4)),
            cores: Cores::One,
            ..NodeOptions::default()
        };
        let sessions = Disk::new();
        let leading = Arc::new(Leading {
            epoch: epochs.highest(),
            history: epochs.history(),
            terms: Vec::new(),
            logic: "sums",
            segment_bytes: Options::SEGMENT_BYTES_MIN,
            is_promised: policy.is_replicated(),
            leaders: None,
            refuses: None,
        });
        if !leads {
            let node = Node::open(&disks, &options(Order::Elsewhere), now, &mut |_, _| ()).unwrap();
            let (role, told) = (Role::Follows(None), frames(&disks.events));
            return Self { disks, role, node, epochs, leading, policy, sessions, told };
        }
        // Before there is a journal its first command is known.
        let epoch = epochs.resume(Sequence(1), now).unwrap();
        let options = options(Order::Later);
        let mut node = Node::open(&disks, &options, now, &mut |_, _| ()).unwrap();
        node.lead(epoch, false, now);
        let leading = Arc::new(leading_of(&leading, &epochs));
        let (role, told) = (Role::Leads(None), frames(&disks.events));
        Self { disks, role, node, epochs, leading, policy, sessions, told }
    }

    /// What a crash of the process leaves.
    pub(crate) fn crash(self) -> Disks {
        let survives = |disk: &Disk| disk.after_crash(Survival::Everything);
        let Stores { journal, events, snapshots } = &self.disks;
        Stores {
            journal: survives(journal),
            events: survives(events),
            snapshots: survives(snapshots),
        }
    }

    pub(crate) fn leads(&self) -> bool {
        matches!(self.role, Role::Leads(_))
    }

    /// A follower begins to lead.
    pub(crate) fn promote(&mut self, now: Nanos) {
        let first = self.node.sequencer.last().next();
        let epoch = self.epochs.promote(first, now).unwrap();
        self.node.sequencer.lead(epoch, now);
        self.leading = Arc::new(leading_of(&self.leading, &self.epochs));
        self.node.positions.set_replicated(Sequence(0), Sequence(0));
        self.node.release.set(self.policy);
        self.role = Role::Leads(None);
    }

    /// Saves where the leader's logic stands, and forgets what lies before it.
    pub(crate) fn save_and_prune(&mut self) {
        let machine = self.node.processor.machine();
        let saved = machine.applied().sequence;
        snapshot::write(&self.disks.snapshots, machine).unwrap();
        let journal = &self.disks.journal;
        let seals = survey(journal).unwrap();
        let seals: Vec<_> = seals
            .iter()
            .filter_map(|it| Some((it.number, it.seal.good()?.last_sequence)))
            .collect();
        // The last one has the chain that the next one goes on with.
        for (number, last) in &seals[..seals.len().saturating_sub(1)] {
            if *last <= saved.0 {
                journal.remove(&file_name(*number)).unwrap();
            }
        }
    }

    /// Takes a copy of the leader's, polled by turns with it, onto disks of which nothing is used.
    pub(crate) fn copy_of(
        leader: &mut Self,
        (ours, theirs): (End, End),
        had: &Disks,
        number: u8,
        rng: &mut Rng,
        mut now: Nanos,
    ) -> Disks {
        let epochs = Epochs::open(had.journal.clone(), number).unwrap();
        let stores = Disks { journal: Disk::new(), events: Disk::new(), snapshots: Disk::new() };
        let into = Holdings { stores: stores.clone(), sessions: Disk::new() };
        leader.connect(theirs, now);
        let mut arrival = Arrival::new(ours, ("sums", None), &epochs, into, now).unwrap();
        while !arrival.poll(now).unwrap() {
            now = now.after(rng.u64(0..100_000));
            if rng.u8(0..8) == 0 {
                leader.offer(now);
            }
            let parted = leader.turn(rng, now);
            assert!(parted.is_none(), "{parted:?}");
        }
        leader.part();
        stores
    }

    /// Before a former leader follows: what only it has goes.
    pub(crate) fn cut(disks: &Disks, agreed: Sequence) -> bool {
        let mut epochs = Epochs::open(disks.journal.clone(), 0).unwrap();
        cut::<Sums, _>(disks, &mut epochs, agreed).unwrap().commands.is_some()
    }

    /// Takes its end of a new link.
    pub(crate) fn connect(&mut self, end: End, now: Nanos) {
        let (positions, holdings) = (Arc::clone(&self.node.positions), self.holdings());
        match &mut self.role {
            Role::Leads(down) => {
                let leading = Arc::clone(&self.leading);
                *down = Some(Box::new(Downstream::new(end, leading, holdings, positions, now)));
            }
            Role::Follows(up) => {
                let sequencer = &self.node.sequencer;
                *up = Some(Box::new(Upstream::new(
                    end,
                    true,
                    sequencer,
                    &self.epochs,
                    positions,
                    now,
                )));
            }
        }
    }

    fn holdings(&self) -> Holdings<Disk> {
        Holdings { stores: self.disks.clone(), sessions: self.sessions.clone() }
    }

    /// Its end of the link breaks.
    pub(crate) fn part(&mut self) {
        match &mut self.role {
            Role::Leads(down) => *down = None,
            Role::Follows(up) => *up = None,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        match &self.role {
            Role::Leads(down) => down.is_some(),
            Role::Follows(up) => up.is_some(),
        }
    }

    /// A client's command.
    pub(crate) fn offer(&mut self, now: Nanos) {
        if self.leads() {
            let next = self.node.sequencer.last().next();
            self.node.sequencer.offer(&Add::numbered(next.0), now);
        }
    }

    /// Polls one of the stages, or the link; says how the link ended, if it did.
    pub(crate) fn turn(&mut self, rng: &mut Rng, now: Nanos) -> Option<Parted> {
        let node = &mut self.node;
        let stages: [&mut dyn Stage; 7] = [
            &mut node.journaler,
            &mut node.processor,
            &mut node.event_log,
            &mut node.syncer,
            &mut node.keeper,
            &mut node.event_syncer,
            &mut node.event_keeper,
        ];
        let chosen = rng.usize(0..stages.len() + 3);
        let stage = stages.into_iter().nth(chosen);
        let is_stage = stage.map(|stage| stage.poll(now).unwrap()).is_some();
        let parted = if is_stage { None } else { self.link(now) };
        self.hear();
        parted
    }

    fn link(&mut self, now: Nanos) -> Option<Parted> {
        let node = &mut self.node;
        let polled = match &mut self.role {
            Role::Leads(Some(down)) => {
                let polled = down.poll(now);
                if let Some(have) = down.have() {
                    node.positions.set_replicated(have.journaled, have.synced);
                }
                polled
            }
            Role::Follows(Some(up)) => up.poll(&mut node.sequencer, &mut self.epochs, now),
            _ => return None,
        };
        let parted = polled.err();
        if parted.is_some() {
            self.part();
        }
        parted
    }

    /// Takes what was let out since the last time.
    fn hear(&mut self) {
        if let Ok(mut events) = self.node.egress.take(u64::MAX) {
            for slot in &mut events {
                let mut frame = Vec::new();
                slot.frame().encode(&mut frame);
                self.told.push(frame);
            }
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.node.positions.is_quiet()
    }

    pub(crate) fn holds(&self) -> Holds {
        let machine = self.node.processor.machine();
        Holds {
            journal: frames(&self.disks.journal),
            events: frames(&self.disks.events),
            segments: segments(&self.disks.journal),
            state: state_digest(machine.logic()),
            digest: machine.digest(),
        }
    }
}

/// The same, by what is known now.
fn leading_of(before: &Leading, epochs: &Epochs<Disk>) -> Leading {
    let (epoch, history, terms) = (epochs.highest(), epochs.history(), epochs.terms().to_vec());
    Leading { epoch, history, terms, ..before.clone() }
}

/// What a node has.
pub(crate) struct Holds {
    journal: Vec<Vec<u8>>,
    pub(crate) events: Vec<Vec<u8>>,
    /// The bytes of the journal's files, as far as they are written.
    segments: Vec<Vec<u8>>,
    state: [u8; 32],
    digest: Digest,
}

impl Holds {
    /// Whether both have the same, but for what lies before the first command that the other has.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        let goes_on = |one: &[Vec<u8>], other: &[Vec<u8>]| {
            one.len() >= other.len() && !other.is_empty() && one.ends_with(other)
        };
        (self.events == other.events && self.state == other.state && self.digest == other.digest)
            && (goes_on(&self.journal, &other.journal) || goes_on(&other.journal, &self.journal))
            && (goes_on(&self.segments, &other.segments)
                || goes_on(&other.segments, &self.segments))
    }
}

fn segments(journal: &Disk) -> Vec<Vec<u8>> {
    let written = |info: SegmentInfo| {
        let name = info.path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut bytes = journal.contents(&name).unwrap();
        // The seal comes when the keeper has had its turn, the space ahead likewise.
        bytes.drain(..BLOCK_BYTES as usize);
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(end);
        bytes
    };
    let mut segments: Vec<_> = survey(journal).unwrap().into_iter().map(written).collect();
    while segments.pop_if(|segment| segment.is_empty()).is_some() {}
    segments
}
