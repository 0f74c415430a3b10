//! The follower's end of a copy: files of the leader's, put into stores of which nothing is in use.

use std::io;

use ringframe_journal::storage::{Storage, StorageFile};
use ringframe_journal::{self as journal, attest};

use super::Parted;
use super::copy::{Holdings, LOCK, STORES};
use super::epochs::{Epochs, HistoryId};
use super::link::{Line, Link};
use super::word::{Says, Word, is_word};
use crate::stage::Fault;
use crate::types::{Epoch, Nanos, Sequence};

/// A copy that arrives.
pub struct Arrival<S: Storage, K: Link> {
    line: Line<K>,
    into: Holdings<S>,
    /// All that there is is wanted, no segment alone.
    is_all: bool,
    history: HistoryId,
    epoch: Epoch,
    node: u8,
    file: Option<Arriving<S::File>>,
    /// So many bytes have come, zeros too.
    bytes: u64,
    /// The directories are made, and ours.
    _locks: Vec<S::Lock>,
}

struct Arriving<F> {
    file: F,
    path: String,
    /// So far it is written.
    at: u64,
    bytes: u64,
}

impl<S: Storage, K: Link> Arrival<S, K> {
    /// Asks whoever is at the other end for all that it holds, or for one `segment` of its journal.
    /// Who asks is the node of `epochs`; nothing is in the stores yet.
    pub fn new(
        link: K,
        (logic, segment): (&str, Option<u64>),
        epochs: &Epochs<S>,
        into: Holdings<S>,
        now: Nanos,
    ) -> Result<Self, Fault> {
        let mut locks = Vec::new();
        for store in into.all() {
            let locked = store.lock(LOCK);
            let path = store.path("").display().to_string();
            let locked = locked.map_err(|error| Fault::Node(format!("{path}: {error}")))?;
            locks.extend(locked);
        }
        let mut line = Line::new(link, now);
        line.wait_for_disks();
        let (history, epoch) = (epochs.history(), epochs.highest());
        let says = Says::Copy { logic: logic.into(), segment };
        Word { history, epoch: Epoch(0), at: now, says }.put(line.outbox());
        let (is_all, node, file, bytes) = (segment.is_none(), epochs.node(), None, 0);
        Ok(Self { line, into, is_all, history, epoch, node, file, bytes, _locks: locks })
    }

    /// How many bytes have come.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes what has come; true once it is whole, and durable.
    pub fn poll(&mut self, now: Nanos) -> Result<bool, Parted> {
        if self.line.is_beat_due(now) {
            self.say(now);
        }
        self.line.flush(now)?;
        self.line.fill(now)?;
        while let Some(frame) = self.line.frame()? {
            if !is_word(frame.kind()) {
                return Err(Parted::Wrong("a command came in the place of a copy".into()));
            }
            let bytes = frame.bytes().len();
            let word = Word::read(frame)?;
            self.line.take(bytes);
            if self.take(word)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// That it is there.
    fn say(&mut self, now: Nanos) {
        let says = Says::Beat { journaled: Sequence(0) };
        Word { history: self.history, epoch: Epoch(0), at: now, says }.put(self.line.outbox());
    }

    fn take(&mut self, word: Word) -> Result<bool, Parted> {
        match word.says {
            Says::Refused { why, .. } => return Err(Parted::Refused(why)),
            Says::Recovers => return Err(Parted::recovers()),
            // It reads what is zeros, which goes without a word.
            Says::Beat { .. } => {}
            Says::File { store, bytes, name } => {
                self.finish_file()?;
                self.file = Some(self.create(store, bytes, &name)?);
            }
            Says::Piece { at, bytes } => {
                let Some(file) = &mut self.file else {
                    return Err(Parted::Wrong("bytes of no file came".into()));
                };
                self.bytes += at.saturating_sub(file.at) + bytes.len() as u64;
                file.put(at, &bytes)?;
            }
            Says::Whole { terms } => {
                self.finish_file()?;
                for store in self.into.all() {
                    store.sync_directory().map_err(|error| broken(&store.path(""), &error))?;
                }
                if self.is_all {
                    match attest(&self.into.stores.journal) {
                        // Its start finds that, too, and what to do about it.
                        Ok(()) | Err(journal::Error::Damaged(_)) => {}
                        Err(error) => return Err(Fault::Journal(error).into()),
                    }
                }
                let mut epochs = Epochs::open(self.into.stores.journal.clone(), self.node)?;
                epochs.heard(self.epoch)?;
                epochs.copied(word.history, terms)?;
                return Ok(true);
            }
            other => return Err(Parted::Wrong(format!("{other:?} has no place in a copy"))),
        }
        Ok(false)
    }

    fn create(&self, store: u8, bytes: u64, name: &str) -> Result<Arriving<S::File>, Parted> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
        if usize::from(store) >= STORES || !name.bytes().all(is_plain) || name.starts_with('.') {
            return Err(Parted::Wrong(format!("'{name}' is no file of a node")));
        }
        let store = self.into.all()[usize::from(store)];
        let path = store.path(name);
        let there_is = store.free_bytes().map_err(|error| broken(&path, &error))?;
        if there_is < bytes {
            return Err(Parted::Fault(Fault::Node(format!(
                "{} takes {bytes} bytes and {there_is} are free: make room, and start this node \
                 again",
                path.display()
            ))));
        }
        let file = store.create(name).map_err(|error| broken(&path, &error))?;
        Ok(Arriving { file, path: path.display().to_string(), at: 0, bytes })
    }

    fn finish_file(&mut self) -> Result<(), Parted> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        self.bytes += file.bytes.saturating_sub(file.at);
        file.blank(file.bytes)?;
        file.file.sync().map_err(|error| file.broken(&error))
    }
}

impl<F: StorageFile> Arriving<F> {
    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), Parted> {
        let end = at.saturating_add(bytes.len() as u64);
        if at < self.at || end > self.bytes {
            return Err(Parted::Wrong(format!("bytes {at} to {end} of {} came", self.path)));
        }
        self.blank(at)?;
        self.file.write_at(at, bytes).map_err(|error| self.broken(&error))?;
        self.at = end;
        Ok(())
    }

    /// Zeros up to there, for real: what is appended there later needs no more room.
    fn blank(&mut self, to: u64) -> Result<(), Parted> {
        if self.at < to {
            self.file.zero(self.at, to).map_err(|error| self.broken(&error))?;
            self.at = to;
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> Parted {
        Parted::Fault(Fault::Node(format!("{}: {error}", self.path)))
    }
}

fn broken(path: &std::path::Path, error: &io::Error) -> Parted {
    Parted::Fault(Fault::Node(format!("{}: {error}", path.display())))
}

impl From<Fault> for Parted {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
