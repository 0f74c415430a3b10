//! What a node is to the others, as other threads see it, and ask for it: the near side of the
//! `replication` stage.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;

use crate::log::Note;
use crate::release::ReleasePolicy;
use crate::types::{Epoch, Sequence};

/// Lines for the log that may wait.
const NOTES: usize = 256;

/// What a node is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It orders.
    #[default]
    Leader,
    /// It does what the leader did.
    Follower,
}

/// What becomes of replies that wait for a standby when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStandbyLoss {
    /// They leave once they survive a loss of power here.
    #[default]
    Degrade,
    /// They wait until one is back.
    Halt,
}

/// How it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// What this node is.
    pub role: Role,
    /// The term.
    pub epoch: Epoch,
    /// What a reply means now …
    #[serde(skip)]
    pub release: ReleasePolicy,
    /// … and what it is to mean, with a standby.
    pub wanted: ReleasePolicy,
    /// Whether clients may be told of what this node began with: until then its doors are shut.
    #[serde(skip)]
    pub tells: bool,
    /// Whom this node follows, while there is somebody.
    pub leader: Option<SocketAddr>,
    /// So many commands the leader has that this node does not have.
    pub lag: u64,
    /// Who follows this node.
    pub followers: Vec<FollowerFacts>,
}

impl Facts {
    /// One that follows and would stop where this version of the logic takes over.
    pub fn lacking(&self, version: u32) -> Option<&FollowerFacts> {
        self.followers.iter().find(|follower| follower.newest < version)
    }

    /// Whether another node could lead, and loses nothing.
    pub fn has_standby(&self) -> bool {
        self.role == Role::Leader && self.followers.iter().any(|follower| follower.stands_by)
    }
}

/// One that follows.
#[derive(Clone, Debug, Serialize)]
pub struct FollowerFacts {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether replies may wait for it.
    pub stands_by: bool,
    /// The newest version of the logic that its build has.
    pub newest: u32,
    /// In its journal.
    pub journaled: Sequence,
    /// On its device.
    pub synced: Sequence,
    /// Applied by its logic.
    pub applied: Sequence,
    /// So many commands it lacks.
    pub lag: u64,
    /// How old our last word was that it had heard.
    pub behind_nanos: u64,
}

/// What became of a promotion.
#[derive(Clone, Copy, Debug)]
pub struct Promoted {
    /// The new term.
    pub epoch: Epoch,
    /// The first command of it.
    pub first: Sequence,
    /// Where the former leader was ever heard: so many of the commands that it had by its last word
    /// are not here.
    pub lacks: Option<u64>,
}

pub(crate) enum Asked {
    Promote { force: bool, tell: Sender<Result<Promoted, String>> },
    HandOver { tell: Sender<Result<(), String>> },
    Mean { release: ReleasePolicy, on_standby_loss: Option<OnStandbyLoss>, tell: Sender<()> },
}

pub(crate) struct Shared {
    facts: Mutex<Facts>,
    /// By these facts, for whoever asks often: the replicator never waits for them.
    leads: AtomicBool,
    notes: Sender<Note>,
    /// What was noted last: who is refused comes again every moment.
    noted: Mutex<String>,
}

impl Shared {
    pub(crate) fn tell(&self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut facts);
        self.leads.store(facts.role == Role::Leader, Ordering::Release);
    }

    /// A line for the log, once until there is another one; lost where nobody takes them.
    pub(crate) fn note(&self, note: impl Into<Note>) {
        let note = note.into();
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if *noted == note.line {
            return;
        }
        noted.clone_from(&note.line);
        let _ = self.notes.try_send(note);
    }
}

/// The replicator, for other threads.
#[derive(Clone)]
pub struct Handle {
    /// Where followers come, if they can.
    pub address: Option<SocketAddr>,
    /// Lines for the log.
    pub notes: Receiver<Note>,
    asks: Sender<Asked>,
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(address: Option<SocketAddr>) -> (Self, Receiver<Asked>, Arc<Shared>) {
        let (asks, asked) = bounded(1);
        let (noted, notes) = bounded(NOTES);
        let facts = Facts::default();
        let shared = Arc::new(Shared {
            leads: AtomicBool::new(facts.role == Role::Leader),
            facts: Mutex::new(facts),
            notes: noted,
            noted: Mutex::default(),
        });
        (Self { address, notes, asks, shared: Arc::clone(&shared) }, asked, shared)
    }

    /// How it is, or was some milliseconds ago.
    pub fn facts(&self) -> Facts {
        self.shared.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it orders, or did some milliseconds ago.
    pub fn leads(&self) -> bool {
        self.shared.leads.load(Ordering::Acquire)
    }

    /// Asks the node to lead, with `force` also while its leader is alive. The answer comes once;
    /// none where the node stops, or another one asks just now.
    pub fn promote(&self, force: bool) -> Option<Receiver<Result<Promoted, String>>> {
        let (tell, told) = bounded(1);
        self.asks.try_send(Asked::Promote { force, tell }).ok()?;
        Some(told)
    }

    /// Asks a node that takes no more commands to let its standby lead. The answer comes when that
    /// one does; it may be lost where the node stops for it.
    pub fn hand_over(&self) -> Option<Receiver<Result<(), String>>> {
        let (tell, told) = bounded(1);
        self.asks.try_send(Asked::HandOver { tell }).ok()?;
        Some(told)
    }

    /// Asks that a reply means this from now on, while this node leads, and what becomes of those
    /// that wait for a standby when there is none; none where that stays as it is.
    pub fn mean(
        &self,
        release: ReleasePolicy,
        on_standby_loss: Option<OnStandbyLoss>,
    ) -> Option<Receiver<()>> {
        let (tell, told) = bounded(1);
        self.asks.try_send(Asked::Mean { release, on_standby_loss, tell }).ok()?;
        Some(told)
    }
}
