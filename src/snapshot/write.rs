//! Writing a snapshot: aside, verified, and then by its name.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use ringframe_journal::storage::{Access, Storage, StorageFile};

use super::error::Context;
use super::header::{HEADER_BYTES, Header};
use super::{Info, LOCK, NEVER, PIECE_BYTES, SCRATCH, SnapshotError};
use super::{file_name, go_on, load_state, read_header};
use crate::codec;
use crate::logic::Logic;
use crate::machine::Machine;
use crate::types::Applied;

/// So much is written before it is made durable: one sync of a whole state at the end would hold
/// up the journal's small ones.
const SYNC_BYTES: u64 = 32 << 20;

/// A snapshot that is whole, durable and verified, and does not count yet.
pub struct Prepared<S: Storage> {
    storage: S,
    info: Info,
    applied: Applied,
    _lock: S::Lock,
}

/// Writes the state of a machine aside and verifies it: reads it back, loads it into a second
/// state for as long as that takes, and compares digests. Commands that the machine has taken and
/// not applied are not in it. The directory is made if there is none. Once it is `given_up` this
/// ends soon, and leaves nothing.
pub fn prepare<L: Logic, S: Storage>(
    storage: &S,
    machine: &Machine<L>,
    given_up: &AtomicBool,
) -> Result<Prepared<S>, SnapshotError> {
    let lock = lock(storage)?;
    remove_scratch(storage)?;
    let written = write_scratch(storage, machine, given_up).and_then(|info| {
        verify(storage, machine, &info, given_up)?;
        Ok(info)
    });
    match written {
        Ok(info) => {
            Ok(Prepared { storage: storage.clone(), info, applied: machine.applied(), _lock: lock })
        }
        Err(error) => {
            // A full disk needs the room; where even this fails, the next start does it.
            let _ = storage.remove(SCRATCH);
            Err(if given_up.load(Ordering::Relaxed) { SnapshotError::GivenUp } else { error })
        }
    }
}

/// Writes a snapshot that counts at once, for who knows that the journal and the event log are
/// durable up to it.
pub fn write<L: Logic, S: Storage>(
    storage: &S,
    machine: &Machine<L>,
) -> Result<Info, SnapshotError> {
    prepare(storage, machine, &NEVER)?.publish()
}

impl<S: Storage> Prepared<S> {
    /// What must be durable in the journal and in the event log before it may count.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// From here on it counts.
    pub fn publish(self) -> Result<Info, SnapshotError> {
        let name = file_name(self.applied.sequence);
        let path = self.storage.path(&name);
        self.storage.rename(SCRATCH, &name).context("rename", self.info.path)?;
        let synced = self.storage.sync_directory();
        if synced.is_err() {
            // A loss of power may take the name: nobody may prune because of it.
            let _ = self.storage.remove(&name);
        }
        synced.context("sync", self.storage.path(""))?;
        Ok(Info { name, path, ..self.info })
    }

    /// It shall never count.
    pub fn discard(self) -> Result<(), SnapshotError> {
        remove_scratch(&self.storage)
    }
}

/// At a start, before any snapshot is relied on: removes what a crash left unfinished, and makes
/// the names durable that it left in doubt.
pub fn clean<S: Storage>(storage: &S) -> Result<(), SnapshotError> {
    let _lock = lock(storage)?;
    remove_scratch(storage)?;
    storage.sync_directory().context("sync", storage.path(""))
}

fn lock<S: Storage>(storage: &S) -> Result<S::Lock, SnapshotError> {
    let path = storage.path(LOCK);
    let lock = storage.lock(LOCK).context("lock", path.clone())?;
    lock.ok_or(SnapshotError::Busy { path })
}

fn remove_scratch<S: Storage>(storage: &S) -> Result<(), SnapshotError> {
    match storage.remove(SCRATCH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.context("remove", storage.path(SCRATCH)),
    }
}

fn write_scratch<L: Logic, S: Storage>(
    storage: &S,
    machine: &Machine<L>,
    given_up: &AtomicBool,
) -> Result<Info, SnapshotError> {
    let path = storage.path(SCRATCH);
    let file = storage.create(SCRATCH).context("create", path.clone())?;
    let header = write_file(&file, machine, given_up).context("write", path.clone())?;
    let bytes = file.bytes().context("read", path.clone())?;
    Ok(Info { name: SCRATCH.to_owned(), path, bytes, header: Ok(header) })
}

/// The header comes last: until then the file does not begin as a snapshot does.
fn write_file<L: Logic>(
    file: &impl StorageFile,
    machine: &Machine<L>,
    given_up: &AtomicBool,
) -> io::Result<Header> {
    let mut state = StateWriter::new(file, given_up);
    codec::save(machine.logic(), &mut state)?;
    let header = Header::of(machine, state.bytes(), state.hasher.finalize().into());
    file.write_at(0, &header.to_bytes())?;
    file.sync()?;
    Ok(header)
}

/// What was written is what is there, and it is the state that was meant.
fn verify<L: Logic, S: Storage>(
    storage: &S,
    machine: &Machine<L>,
    info: &Info,
    given_up: &AtomicBool,
) -> Result<(), SnapshotError> {
    let header = info.header()?;
    let file = storage.open(&info.name, Access::Read).context("open", info.path.clone())?;
    let read = read_header(&file, header.applied.sequence).map_err(|why| info.damaged(&why))?;
    if read != *header {
        return Err(info.damaged("its header reads otherwise than it was written"));
    }
    let again = load_state::<L, S>(storage, info, given_up)?;
    let mut digest = Digesting { hasher: blake3::Hasher::new(), given_up };
    codec::save(&again, &mut digest).context("verify", info.path.clone())?;
    if digest.hasher.finalize() == header.state_digest {
        Ok(())
    } else {
        let sequence = machine.applied().sequence;
        Err(SnapshotError::Differs { name: L::NAME, sequence })
    }
}

/// As [`codec::state_digest`], and can be given up.
struct Digesting<'a> {
    hasher: blake3::Hasher,
    given_up: &'a AtomicBool,
}

impl Write for Digesting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        go_on(self.given_up)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts a state behind the place of the header, and hashes it on its way.
struct StateWriter<'a, F> {
    file: &'a F,
    hasher: blake3::Hasher,
    piece: Vec<u8>,
    /// Where the piece goes.
    at: u64,
    unsynced: u64,
    given_up: &'a AtomicBool,
}

impl<'a, F: StorageFile> StateWriter<'a, F> {
    fn new(file: &'a F, given_up: &'a AtomicBool) -> Self {
        let (hasher, piece) = (blake3::Hasher::new(), Vec::with_capacity(PIECE_BYTES));
        Self { file, hasher, piece, at: HEADER_BYTES as u64, unsynced: 0, given_up }
    }

    /// How long the state is that was written.
    fn bytes(&self) -> u64 {
        self.at - HEADER_BYTES as u64
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.at + bytes.len() as u64;
        self.file.reserve(end)?;
        self.file.write_at(self.at, bytes)?;
        self.at = end;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            self.file.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

impl<F: StorageFile> Write for StateWriter<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        go_on(self.given_up)?;
        self.hasher.update(bytes);
        if self.piece.len() + bytes.len() > PIECE_BYTES {
            self.flush()?;
        }
        if bytes.len() >= PIECE_BYTES {
            self.put(bytes)?;
        } else {
            self.piece.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let put = if piece.is_empty() { Ok(()) } else { self.put(&piece) };
        self.piece = piece;
        self.piece.clear();
        put
    }
}
