//! The leader's end of a copy: what a follower begins with that cannot have the journal from where
//! its own ends. Files go as they stand, also the one that is being appended to: what arrives of
//! its end is what a crash could have left, and a start deals with that.

use std::collections::VecDeque;
use std::io::ErrorKind;

use super::link::{Line, Link};
use super::word::Says;
use crate::node::Stores;
use crate::snapshot;
use crate::types::Sequence;
use ringframe_journal::segment::file_name;
use ringframe_journal::storage::{Access, Storage, StorageFile};
use ringframe_journal::{SegmentInfo, first_sequence, survey};

/// In any store, and nobody's but this process's.
pub(super) const LOCK: &str = "lock";
/// A file goes in pieces of this size.
const PIECE_BYTES: usize = 32 << 10;
/// So many at most in one poll.
const BATCH: usize = 32;

/// All that a node keeps of its commands.
#[derive(Clone, Debug)]
pub struct Holdings<S> {
    /// What its logic needs.
    pub stores: Stores<S>,
    /// How far sessions were counted.
    pub sessions: S,
}

/// How many stores there are.
pub(super) const STORES: usize = 4;

impl<S> Holdings<S> {
    /// In the order in which they are copied: what a later one holds covers what an earlier one
    /// tells of.
    pub(super) fn all(&self) -> [&S; STORES] {
        [&self.sessions, &self.stores.events, &self.stores.snapshots, &self.stores.journal]
    }
}

/// A copy on its way.
pub(super) struct Copying<S: Storage> {
    holdings: Holdings<S>,
    /// The newest snapshot: the journal goes from there on; without one, from its first command on.
    snapshot: Option<(String, Sequence)>,
    /// The first segment of the event log: the counts of sessions, which go first, are of that log.
    first_events: Option<u64>,
    /// Which store it is at, and which of its files are left.
    store: usize,
    names: VecDeque<String>,
    file: Option<Sending<S::File>>,
    is_whole: bool,
}

struct Sending<F> {
    file: F,
    at: u64,
    bytes: u64,
}

impl<S: Storage> Copying<S> {
    /// Of this segment of the journal alone.
    pub(super) fn of_segment(holdings: &Holdings<S>, number: u64) -> Self {
        Self {
            holdings: holdings.clone(),
            snapshot: None,
            first_events: None,
            store: STORES - 1,
            names: VecDeque::from([file_name(number)]),
            file: None,
            is_whole: false,
        }
    }

    /// Of what these hold, from the newest snapshot or the very beginning on; or why that cannot be
    /// had.
    pub(super) fn begin(holdings: &Holdings<S>) -> Result<Self, String> {
        let snapshot = newest(&holdings.stores.snapshots)?;
        let begins = || first_sequence(&holdings.stores.journal).map_err(|error| error.to_string());
        if snapshot.is_none() && begins()? != Some(1) {
            return Err(
                "the leader has no snapshot to begin with, and not all of its journal: take \
                        a snapshot there, with `ringframe snapshot`"
                    .into(),
            );
        }
        let first_events = first_of(&holdings.stores.events)?;
        let mut copying = Self {
            holdings: holdings.clone(),
            snapshot,
            first_events,
            store: 0,
            names: VecDeque::new(),
            file: None,
            is_whole: false,
        };
        copying.names = copying.list()?;
        Ok(copying)
    }

    /// Whether all of it was sent.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The names in the store that it is at.
    fn list(&self) -> Result<VecDeque<String>, String> {
        let segments = |store: &S| survey(store).map_err(|error| error.to_string());
        let Stores { journal, events, .. } = &self.holdings.stores;
        let begun = |infos: &[SegmentInfo]| -> VecDeque<String> {
            let begun = infos.iter().filter(|info| info.header.good().is_some());
            begun.map(|info| file_name(info.number)).collect()
        };
        Ok(match self.store {
            0 => {
                let sessions = &self.holdings.sessions;
                // Who has not served anybody yet has no such directory.
                let mut names = match sessions.list() {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(format!(
                            "cannot list {}: {error}",
                            sessions.path("").display()
                        ));
                    }
                    names => names.unwrap_or_default(),
                };
                // What is being written, and what nobody copies.
                names.retain(|name| name != LOCK && !name.contains('.'));
                names.into()
            }
            1 if first_of(events)? != self.first_events => {
                return Err("the event log was pruned while it was copied: come again".into());
            }
            1 => begun(&segments(events)?),
            2 => self.snapshot.iter().map(|(name, _)| name.clone()).collect(),
            _ => {
                let infos = segments(journal)?;
                // A cut back to the snapshot writes on in the segment of its last command.
                let last = self.snapshot.as_ref().map_or(1, |(_, taken)| taken.0.max(1));
                let starts = |info: &SegmentInfo| Some(info.header.good()?.first_sequence <= last);
                let behind = infos.iter().rposition(|info| starts(info) == Some(true));
                let Some(behind) = behind else {
                    return Err("the journal was pruned while it was copied: come again".into());
                };
                // The one before it has the chain that it goes on with.
                begun(&infos[behind.saturating_sub(1)..])
            }
        })
    }

    /// The next words, as far as there is room for them.
    pub(super) fn poll<K: Link>(
        &mut self,
        line: &mut Line<K>,
        mut say: impl FnMut(&mut Line<K>, Says),
    ) -> Result<usize, String> {
        let mut work = 0;
        while work < BATCH && line.has_room() && !self.is_whole {
            work += 1;
            if let Some(says) = self.next()? {
                say(line, says);
            }
        }
        Ok(work)
    }

    fn next(&mut self) -> Result<Option<Says>, String> {
        if let Some(sending) = &mut self.file {
            let piece = sending.piece()?;
            if piece.is_none() && sending.at >= sending.bytes {
                self.file = None;
            }
            return Ok(piece);
        }
        let Some(name) = self.names.pop_front() else {
            self.is_whole = self.store + 1 == STORES;
            if !self.is_whole {
                self.store += 1;
                self.names = self.list()?;
            }
            return Ok(None);
        };
        let store = self.holdings.all()[self.store];
        let opened = store.open(&name, Access::Read).and_then(|file| Ok((file.bytes()?, file)));
        let (bytes, file) =
            opened.map_err(|error| format!("{}: {error}", store.path(&name).display()))?;
        self.file = Some(Sending { file, at: 0, bytes });
        Ok(Some(Says::File { store: self.store as u8, bytes, name }))
    }
}

impl<F: StorageFile> Sending<F> {
    /// The next piece; nothing where it is zeros or the file's end.
    fn piece(&mut self) -> Result<Option<Says>, String> {
        let left = usize::try_from(self.bytes - self.at).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(PIECE_BYTES)];
        let read = self.file.read_at(self.at, &mut bytes).map_err(|error| error.to_string())?;
        if read < bytes.len() {
            return Err("a file became shorter while it was copied".into());
        }
        let at = self.at;
        self.at += read as u64;
        let is_blank = bytes.iter().all(|&byte| byte == 0);
        Ok((!is_blank).then_some(Says::Piece { at, bytes }))
    }
}

fn first_of<S: Storage>(segments: &S) -> Result<Option<u64>, String> {
    let infos = survey(segments).map_err(|error| error.to_string())?;
    Ok(infos.first().map(|info| info.number))
}

fn newest<S: Storage>(snapshots: &S) -> Result<Option<(String, Sequence)>, String> {
    let infos = snapshot::list(snapshots).map_err(|error| error.to_string())?;
    Ok(infos.into_iter().find_map(|info| Some((info.name.clone(), info.sequence()?))))
}

/// Whether there is anything to begin a copy with.
pub(super) fn is_there<S: Storage>(snapshots: &S) -> bool {
    newest(snapshots).is_ok_and(|newest| newest.is_some())
}
