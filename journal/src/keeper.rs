//! The housekeeping helper: prepares the next segment, keeps the pages ahead of the appender
//! writable, and seals what is complete. All in slices, so that a poll never takes long.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::error::{Context, Error};
use crate::options::Options;
use crate::planted::{Bug, is_planted};
use crate::position::Positions;
use crate::segment::{
    BLOCK_BYTES, Closed, Digest, HEADER_BYTES, Header, SEAL_OFFSET, Seal, SegmentHasher, Stored,
    file_name,
};
use crate::storage::{Storage, StorageFile};
use crate::syncer::Complete;
use crate::writer::Prepared;

/// A segment under construction; it gets its name when it is complete.
pub(crate) const SCRATCH: &str = "prepare.tmp";
/// A full disk is asked again after this time.
const RETRY_NANOS: u64 = 1_000_000_000;
/// So many segments may take frames or be prepared before the oldest of them is sealed: what is
/// queued for the helpers, at most one entry a segment, never overflows queues of this length, and
/// recovery never has a longer tail to judge.
pub(crate) const UNSEALED_MAX: usize = 3;
/// Written-back pages are made writable again this often: the kernel cleans old dirty pages.
const REFRESH_NANOS: u64 = 1_000_000_000;

/// Prepares, prefaults and seals when polled.
pub struct Keeper<S: Storage> {
    pub(crate) storage: S,
    pub(crate) options: Options,
    pub(crate) positions: Arc<Positions>,
    pub(crate) prepared: Sender<Prepared<S>>,
    pub(crate) complete: Receiver<Complete<S>>,
    pub(crate) preparing: Option<Preparing<S>>,
    /// The number of the next segment to prepare.
    pub(crate) next_number: u64,
    /// Segments that still take frames or will: for prefaulting.
    pub(crate) open: VecDeque<Opened<S>>,
    pub(crate) sealing: Option<Sealing<S>>,
    /// The last sealed segment and its digest.
    pub(crate) sealed: u64,
    pub(crate) previous: Digest,
    /// After a shortage, when to ask for room again.
    pub(crate) retry_at: u64,
    pub(crate) _lock: Arc<S::Lock>,
}

pub(crate) struct Preparing<S: Storage> {
    file: S::File,
    zeroed: u64,
}

pub(crate) struct Opened<S: Storage> {
    pub(crate) number: u64,
    pub(crate) file: Arc<S::File>,
    pub(crate) segment_bytes: u64,
    pub(crate) prefaulted: u64,
    pub(crate) refreshed_at: u64,
}

pub(crate) struct Sealing<S: Storage> {
    complete: Complete<S>,
    hasher: SegmentHasher,
    hashed: u64,
}

impl<S: Storage> Keeper<S> {
    /// Does one slice of whatever is due; returns how many slices were done. After a fault, that
    /// fault.
    pub fn poll(&mut self, now: u64) -> Result<usize, Error> {
        if let Some(fault) = self.positions.fault() {
            return Err(fault.clone());
        }
        let done = self.slices(now);
        done.inspect_err(|error| self.positions.fail(error.clone()))
    }

    fn slices(&mut self, now: u64) -> Result<usize, Error> {
        Ok(self.prefault(now)? + self.seal()? + self.prepare(now)?)
    }

    /// Seals what is complete, without preparing more: the end of a clean shutdown.
    pub fn finish(&mut self) -> Result<(), Error> {
        while self.positions.fault().is_none() {
            let sealed = self.seal().inspect_err(|error| self.positions.fail(error.clone()))?;
            if sealed == 0 {
                break;
            }
        }
        Ok(())
    }

    fn prefault(&mut self, now: u64) -> Result<usize, Error> {
        let head = self.positions.head();
        while self.open.front().is_some_and(|open| open.number < head.number) {
            self.open.pop_front();
        }
        let Some(open) = self.open.front_mut() else { return Ok(0) };
        let path = || self.storage.path(&file_name(open.number));
        let at = if open.number == head.number { head.offset } else { 0 };
        let window = (at + self.options.prefault_bytes).min(open.segment_bytes);
        let mut done = 0;
        // By whole steps: the head moves all the time, and a call for each move would keep the
        // keeper awake and the syncer waiting for the core.
        let step = self.options.slice_bytes.min(self.options.prefault_bytes / 2).max(4096);
        let whole = (open.prefaulted + step).min(open.segment_bytes);
        if open.prefaulted < window && window >= whole {
            // The appender is faster than a slice: what it already wrote needs no help.
            let from = open.prefaulted.max(at);
            let to = window.min(from + self.options.slice_bytes);
            open.file.prefault(from, to).context_with("prefault", path)?;
            open.prefaulted = to;
            done = 1;
        } else if now >= open.refreshed_at + REFRESH_NANOS {
            open.file.prefault(at, open.prefaulted).context_with("prefault", path)?;
            open.refreshed_at = now;
        }
        // A prepared segment that is not written yet has its first window ready as well.
        if done == 0
            && let Some(ready) = self.open.get_mut(1)
            && ready.prefaulted < self.options.prefault_bytes.min(ready.segment_bytes)
        {
            let path = || self.storage.path(&file_name(ready.number));
            let to = (ready.prefaulted + self.options.slice_bytes).min(ready.segment_bytes);
            ready.file.prefault(ready.prefaulted, to).context_with("prefault", path)?;
            ready.prefaulted = to;
            done = 1;
        }
        Ok(done)
    }

    fn prepare(&mut self, now: u64) -> Result<usize, Error> {
        let too_many = self.next_number > self.sealed + UNSEALED_MAX as u64;
        if now < self.retry_at || self.prepared.is_full() || too_many || self.is_ahead() {
            return Ok(0);
        }
        match self.prepare_slice() {
            Ok(()) => {
                self.positions.set_shortage(None);
                Ok(1)
            }
            // There is still room in the current segment: someone may make room on the disk.
            Err(error) if is_shortage(&error) => {
                self.preparing = None;
                self.retry_at = now + RETRY_NANOS;
                self.positions.set_shortage(Some(error));
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether enough is zeroed for now: of the next segment twice the share that the current one
    /// has used. Zeroing competes with the syncer for the device, so it goes no faster than frames
    /// come, and still it is done when the current segment is half full; or at once when the writer
    /// waits, because a large frame did not fit.
    fn is_ahead(&self) -> bool {
        let Some(preparing) = &self.preparing else { return false };
        if self.positions.wanted() >= self.next_number {
            return false;
        }
        let head = self.positions.head();
        let active = self.open.iter().find(|open| open.number == head.number);
        let active_bytes = active.map_or(1, |open| open.segment_bytes);
        let due = u128::from(self.options.segment_bytes) * u128::from(2 * head.offset);
        u128::from(preparing.zeroed) * u128::from(active_bytes) > due
    }

    fn prepare_slice(&mut self) -> Result<(), Error> {
        let bytes = self.options.segment_bytes;
        let Some(preparing) = &mut self.preparing else {
            let file = reserve(&self.storage, bytes)?;
            self.preparing = Some(Preparing { file, zeroed: 0 });
            return Ok(());
        };
        let path = self.storage.path(SCRATCH);
        if preparing.zeroed < bytes {
            let to = (preparing.zeroed + self.options.slice_bytes).min(bytes);
            preparing.file.zero(preparing.zeroed, to).context("zero", path)?;
            preparing.zeroed = to;
            return Ok(());
        }
        let preparing = self.preparing.take().expect("looked at above");
        let prepared = name_and_map(&self.storage, preparing.file, self.next_number, bytes)?;
        self.offer(prepared);
        Ok(())
    }

    /// Keeps the pages of a segment writable while it takes frames, or soon will.
    pub(crate) fn watch(&mut self, number: u64, file: Arc<S::File>, segment_bytes: u64) {
        let (prefaulted, refreshed_at) = (0, 0);
        self.open.push_back(Opened { number, file, segment_bytes, prefaulted, refreshed_at });
    }

    pub(crate) fn offer(&mut self, prepared: Prepared<S>) {
        self.watch(prepared.number, Arc::clone(&prepared.file), prepared.segment_bytes);
        self.next_number = prepared.number + 1;
        self.prepared.try_send(prepared).unwrap_or_else(|_| panic!("prepared one too many"));
    }

    fn seal(&mut self) -> Result<usize, Error> {
        let Some(mut sealing) = self.sealing.take() else {
            let Ok(complete) = self.complete.try_recv() else { return Ok(0) };
            let path = self.storage.path(&file_name(complete.number));
            let header = read_header(&*complete.file).context("read", path)?;
            let hasher = SegmentHasher::new(&self.previous, &header);
            self.sealing = Some(Sealing { complete, hasher, hashed: BLOCK_BYTES });
            return Ok(1);
        };
        let Complete { number, file, closed } = &sealing.complete;
        let path = self.storage.path(&file_name(*number));
        if sealing.hashed < closed.end {
            let to = (sealing.hashed + self.options.slice_bytes).min(closed.end);
            hash_range(&**file, &mut sealing.hasher, sealing.hashed, to).context("read", path)?;
            sealing.hashed = to;
            self.sealing = Some(sealing);
        } else {
            let seal = Seal::new(*closed, self.previous, sealing.hasher.finish());
            file.write_at(SEAL_OFFSET, &seal.encode()).context("seal", &path)?;
            file.sync_range(0, BLOCK_BYTES).context("sync", &path)?;
            (self.sealed, self.previous) = (*number, seal.digest);
        }
        Ok(1)
    }
}

/// Creates the scratch file with all its blocks, or says how much room is lacking.
pub(crate) fn reserve<S: Storage>(storage: &S, bytes: u64) -> Result<S::File, Error> {
    let path = storage.path(SCRATCH);
    match storage.remove(SCRATCH) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context("remove", path);
        }
        _ => {}
    }
    let free = storage.free_bytes().context("ask for free space at", &path)?;
    let no_space = || Error::NoSpace { path: storage.path(""), needed: bytes, free };
    if free < bytes {
        return Err(no_space());
    }
    let file = storage.create(SCRATCH).context("create", &path)?;
    match file.reserve(bytes) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            let _ = storage.remove(SCRATCH);
            Err(no_space())
        }
        other => other.context("reserve space for", &path).map(|()| file),
    }
}

/// Makes a zeroed scratch file a prepared segment: durable first, then under its name.
pub(crate) fn name_and_map<S: Storage>(
    storage: &S,
    file: S::File,
    number: u64,
    segment_bytes: u64,
) -> Result<Prepared<S>, Error> {
    name(storage, &file, number)?;
    map_segment(storage, file, number, segment_bytes)
}

/// Makes the scratch file durable first, then gives it a segment's name.
pub(crate) fn name<S: Storage>(storage: &S, file: &S::File, number: u64) -> Result<(), Error> {
    let name = file_name(number);
    file.sync().context("sync", storage.path(SCRATCH))?;
    storage.rename(SCRATCH, &name).context("name", storage.path(&name))?;
    if is_planted(Bug::ForgetDirectory) {
        return Ok(());
    }
    storage.sync_directory().context("sync", storage.path(""))
}

pub(crate) fn map_segment<S: Storage>(
    storage: &S,
    file: S::File,
    number: u64,
    segment_bytes: u64,
) -> Result<Prepared<S>, Error> {
    let file = Arc::new(file);
    let region = file.map(segment_bytes).context("map", storage.path(&file_name(number)))?;
    Ok(Prepared { number, segment_bytes, file, region })
}

fn is_shortage(error: &Error) -> bool {
    matches!(error, Error::NoSpace { .. })
        || matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
}

fn read_header<F: StorageFile>(file: &F) -> io::Result<Header> {
    let mut bytes = [0; HEADER_BYTES];
    file.read_at(0, &mut bytes)?;
    match Header::decode(&bytes) {
        Stored::Good(header) => Ok(header),
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the header changed under the journal"))
        }
    }
}

pub(crate) fn hash_range<F: StorageFile>(
    file: &F,
    hasher: &mut SegmentHasher,
    from: u64,
    to: u64,
) -> io::Result<()> {
    let mut buffer = vec![0; (to - from).min(1 << 20) as usize];
    let mut at = from;
    while at < to {
        let want = buffer.len().min((to - at) as usize);
        if file.read_at(at, &mut buffer[..want])? < want {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buffer[..want]);
        at += want as u64;
    }
    Ok(())
}

/// Seals a complete segment in one go: recovery does this for what a crash left unsealed.
pub(crate) fn seal_now<S: Storage>(
    storage: &S,
    file: &S::File,
    number: u64,
    closed: Closed,
    previous: Digest,
) -> Result<Digest, Error> {
    let path = storage.path(&file_name(number));
    let header = read_header(file).context("read", &path)?;
    let mut hasher = SegmentHasher::new(&previous, &header);
    hash_range(file, &mut hasher, BLOCK_BYTES, closed.end).context("read", &path)?;
    let seal = Seal::new(closed, previous, hasher.finish());
    // The frames first: after a process crash they may be in the page cache alone, and a seal that
    // outlives them would vouch for what is gone.
    file.sync().context("sync", &path)?;
    file.write_at(SEAL_OFFSET, &seal.encode()).context("seal", &path)?;
    file.sync().context("sync", &path)?;
    Ok(seal.digest)
}
