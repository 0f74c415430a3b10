//! Opening a journal for appending: takes the lock, carries out what [`crate::recover`] decided,
//! and hands out the three parts that share the work.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::bounded;

use crate::error::{Context, Error};
use crate::frame::Scratch;
use crate::keeper::{Keeper, SCRATCH, UNSEALED_MAX, map_segment, name_and_map, reserve, seal_now};
use crate::options::Options;
use crate::planted::{Bug, is_planted};
use crate::position::{Head, Positions};
use crate::recover::{Active, Cut, Verdict, judge};
use crate::segment::{BLOCK_BYTES, Closed, HEADER_BYTES, Header, SEAL_OFFSET, Stored, file_name};
use crate::storage::{Access, Storage, StorageFile};
use crate::survey::SegmentInfo;
use crate::syncer::{MarkState, Syncer};
use crate::walk::{Extent, nonzero_end};
use crate::watermark::{Mark, MarkWriter};
use crate::writer::{Prepared, Writer};

/// The name of the lock file. It is never removed: the lock is the kernel's, not the file's.
pub(crate) const LOCK: &str = "lock";

/// An open journal, in the parts that different threads poll. The directory stays locked until all
/// three are gone.
pub struct Journal<S: Storage> {
    /// Appends.
    pub writer: Writer<S>,
    /// Makes durable.
    pub syncer: Syncer<S>,
    /// Prepares and seals.
    pub keeper: Keeper<S>,
    /// What opening found and did.
    pub recovery: Recovery,
}

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The first sequence there is; none in an empty journal.
    pub first: Option<u64>,
    /// The sequence that the next frame carries.
    pub next: u64,
    /// The torn tail that was taken off, if there was one.
    pub cut: Option<Cut>,
    /// Segments that a crash had left complete but unsealed.
    pub sealed: Vec<PathBuf>,
}

impl<S: Storage> Journal<S> {
    /// Opens the journal in a directory for appending, creating it if there is none.
    pub fn open(storage: S, options: Options) -> Result<Self, Error> {
        options.check()?;
        let lock = lock(&storage)?;
        remove_scratch(&storage)?;
        let mut verdict = judge(&storage, Some(&options.logic), options.first_sequence)?;
        let behind = std::mem::take(&mut verdict.behind);
        if let Some(cut) = &mut verdict.cut {
            cut_tail(&storage, cut, &verdict.active, &behind)?;
        }
        let mut recovery = Recovery {
            first: verdict.first,
            next: verdict.next,
            cut: verdict.cut.take(),
            sealed: Vec::new(),
        };
        if let Some(info) = &verdict.last_sealed {
            let file = open_write(&storage, info)?;
            write_again(&file, info, 0, BLOCK_BYTES)?;
            file.sync().context("sync", &info.path)?;
        }
        for (info, extent) in &verdict.complete {
            let closed = closed(extent);
            let file = open_write(&storage, info)?;
            write_again(&file, info, marked_in(&verdict, info), extent.end)?;
            verdict.previous = seal_now(&storage, &file, info.number, closed, verdict.previous)?;
            recovery.sealed.push(info.path.clone());
        }
        let place = go_on(&storage, &options, &verdict)?;
        let next_prepared = reuse(&storage, &options, place.header.number, &behind)?;
        Self::assemble(storage, options, &verdict, place, next_prepared, recovery, lock)
    }

    fn assemble(
        storage: S,
        options: Options,
        verdict: &Verdict,
        place: Place<S>,
        next_prepared: Option<Prepared<S>>,
        recovery: Recovery,
        lock: Arc<S::Lock>,
    ) -> Result<Self, Error> {
        let Place { header, offset, durable, file, region } = place;
        let number = header.number;
        let journaled = verdict.next - 1;
        // In an empty journal nothing is durable, wherever it is to begin.
        let sequence = verdict.first.map_or(0, |_| journaled);
        let marks = begin_marks(&storage, Mark { sequence, number, offset: durable })?;
        let positions = Arc::new(Positions::default());
        positions.set_synced(journaled);
        positions.publish(journaled, Head { number, offset });
        let ((to_prepared, prepared), (to_rolled, rolled)) = (bounded(1), bounded(UNSEALED_MAX));
        let (to_complete, complete) = bounded(UNSEALED_MAX);
        let mut writer = Writer {
            region,
            offset,
            next: verdict.next,
            epoch: verdict.epoch,
            timestamp: verdict.timestamp,
            scratch: Scratch::default(),
            positions: Arc::clone(&positions),
            prepared,
            rolled: to_rolled,
            header,
            _lock: Arc::clone(&lock),
        };
        if durable == 0 {
            writer.begin_segment();
        }
        let syncer = Syncer {
            storage: storage.clone(),
            policy: options.sync,
            positions: Arc::clone(&positions),
            file: Arc::clone(&file),
            durable: Head { number, offset: durable },
            rolled,
            complete: to_complete,
            marks,
            mark: MarkState::default(),
            last_sync: 0,
            _lock: Arc::clone(&lock),
        };
        let mut keeper = Keeper {
            storage,
            positions,
            prepared: to_prepared,
            complete,
            preparing: None,
            next_number: number + 1,
            open: VecDeque::with_capacity(UNSEALED_MAX),
            sealing: None,
            sealed: number - 1,
            previous: verdict.previous,
            retry_at: 0,
            _lock: lock,
            options,
        };
        keeper.watch(number, file, writer.header.segment_bytes);
        if let Some(prepared) = next_prepared {
            keeper.offer(prepared);
        }
        Ok(Self { writer, syncer, keeper, recovery })
    }

    /// Makes everything durable and seals what is complete. The last thing to do with a journal.
    pub fn close(mut self, now: u64) -> Result<(), Error> {
        self.writer.publish()?;
        self.syncer.finish(now)?;
        self.keeper.finish()
    }
}

/// How far a segment was known to be durable.
fn marked_in(verdict: &Verdict, info: &SegmentInfo) -> u64 {
    verdict.mark.filter(|mark| mark.number == info.number).map_or(0, |mark| mark.offset)
}

/// Writes bytes of a segment again as they stand. The process before may have ended because a sync
/// of them failed: they are in the page cache then, and the kernel believes that they are written,
/// so that a sync alone would say the same and write nothing.
fn write_again<F: StorageFile>(
    file: &F,
    info: &SegmentInfo,
    from: u64,
    to: u64,
) -> Result<(), Error> {
    if is_planted(Bug::BelieveTheCache) {
        return Ok(());
    }
    copy_range((file, &info.path), from..to, (file, &info.path), from)
}

/// Opens the watermark and says durably what recovery has found or made durable.
pub(crate) fn begin_marks<S: Storage>(storage: &S, mark: Mark) -> Result<MarkWriter<S>, Error> {
    let path = storage.path(crate::watermark::FILE);
    let mut marks = MarkWriter::open(storage).context("open", &path)?;
    marks.write(mark).and_then(|()| marks.sync()).context("write", path)?;
    Ok(marks)
}

/// Takes the journal's lock.
pub(crate) fn lock<S: Storage>(storage: &S) -> Result<Arc<S::Lock>, Error> {
    let path = storage.path(LOCK);
    match storage.lock(LOCK).context("lock", &path)? {
        Some(lock) => Ok(Arc::new(lock)),
        None => Err(Error::Locked { path }),
    }
}

/// A crash in the middle of preparing a segment leaves its scratch file.
pub(crate) fn remove_scratch<S: Storage>(storage: &S) -> Result<(), Error> {
    match storage.remove(SCRATCH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.context("remove", storage.path(SCRATCH)),
    }
}

fn closed(extent: &Extent) -> Closed {
    let Extent { end, next, last_timestamp, last_epoch, .. } = *extent;
    Closed { end, last_sequence: next - 1, last_timestamp, last_epoch }
}

pub(crate) fn open_write<S: Storage>(storage: &S, info: &SegmentInfo) -> Result<S::File, Error> {
    storage.open(&file_name(info.number), Access::Write).context("open", &info.path)
}

/// Where the writer goes on.
struct Place<S: Storage> {
    header: Header,
    offset: u64,
    /// How far the segment is durable; 0 if it still needs its header.
    durable: u64,
    file: Arc<S::File>,
    region: <S::File as StorageFile>::Region,
}

fn go_on<S: Storage>(storage: &S, options: &Options, verdict: &Verdict) -> Result<Place<S>, Error> {
    let fresh_header = |number, segment_bytes| Header {
        number,
        segment_bytes,
        first_sequence: verdict.next,
        epoch: verdict.epoch,
        logic: options.logic.clone(),
    };
    let fresh = |prepared: Prepared<S>| Place {
        header: fresh_header(prepared.number, prepared.segment_bytes),
        offset: BLOCK_BYTES,
        durable: 0,
        file: prepared.file,
        region: prepared.region,
    };
    match &verdict.active {
        Active::Begun { info, header, extent } => {
            let file = open_write(storage, info)?;
            let path = &info.path;
            if info.file_bytes < header.segment_bytes {
                // Only unused zeros were lost, or recovery would have refused.
                regrow(&file, info.file_bytes, header.segment_bytes).context("regrow", path)?;
            }
            if matches!(info.seal, Stored::Bad(_)) {
                file.write_at(SEAL_OFFSET, &[0; HEADER_BYTES]).context("clear", path)?;
            }
            // Judging the rest has read it in; see `StorageFile::zero` for why that must go.
            let unused = extent.end.next_multiple_of(4096).min(header.segment_bytes);
            file.zero(unused, header.segment_bytes).context("zero", path)?;
            // What survived a process may still be only in memory: now it is durable.
            write_again(&file, info, marked_in(verdict, info), extent.end)?;
            file.sync().context("sync", path)?;
            let prepared = map_segment(storage, file, info.number, header.segment_bytes)?;
            // The version of this program may be newer than the segment's.
            let header = Header { logic: options.logic.clone(), ..header.clone() };
            let (file, region) = (prepared.file, prepared.region);
            Ok(Place { header, offset: extent.end, durable: extent.end, file, region })
        }
        Active::Prepared { info } if is_usable(info.file_bytes) => {
            let file = open_write(storage, info)?;
            file.zero(0, info.file_bytes).context("zero", &info.path)?;
            file.sync().context("sync", &info.path)?;
            map_segment(storage, file, info.number, info.file_bytes).map(fresh)
        }
        // Renamed over, not removed first: a crash in between would leave a gap.
        Active::Prepared { info } => create(storage, options, info.number).map(fresh),
        Active::Absent { number } => create(storage, options, *number).map(fresh),
    }
}

fn is_usable(bytes: u64) -> bool {
    bytes.is_multiple_of(4096) && bytes >= Options::SEGMENT_BYTES_MIN
}

fn regrow<F: StorageFile>(file: &F, from: u64, to: u64) -> io::Result<()> {
    file.reserve(to)?;
    file.zero(from, from.next_multiple_of(4096).min(to))?;
    file.zero(from.next_multiple_of(4096).min(to), to)
}

fn create<S: Storage>(storage: &S, options: &Options, number: u64) -> Result<Prepared<S>, Error> {
    let bytes = options.segment_bytes;
    let file = reserve(storage, bytes)?;
    file.zero(0, bytes).context("zero", storage.path(SCRATCH))?;
    name_and_map(storage, file, number, bytes)
}

/// Keeps the segment that was prepared before the restart, removes any other.
fn reuse<S: Storage>(
    storage: &S,
    options: &Options,
    active: u64,
    behind: &[SegmentInfo],
) -> Result<Option<Prepared<S>>, Error> {
    let mut prepared = None;
    // From the last on, and each for good before the next: a crash in between leaves no gap.
    for info in behind.iter().rev() {
        let file = open_write(storage, info)?;
        let blank = nonzero_end(&file, 0, info.file_bytes).context("read", &info.path)? == 0;
        if blank && info.number == active + 1 && info.file_bytes == options.segment_bytes {
            file.zero(0, info.file_bytes).context("zero", &info.path)?;
            file.sync().context("sync", &info.path)?;
            prepared = Some(map_segment(storage, file, info.number, info.file_bytes)?);
        } else {
            storage.remove(&file_name(info.number)).context("remove", &info.path)?;
            storage.sync_directory().context("sync", storage.path(""))?;
        }
    }
    // Names that a process crash left in memory alone.
    storage.sync_directory().context("sync", storage.path(""))?;
    Ok(prepared)
}

/// Keeps the torn bytes aside, then zeroes them, so that no old frame can ever follow a new one.
pub(crate) fn cut_tail<S: Storage>(
    storage: &S,
    cut: &mut Cut,
    active: &Active,
    behind: &[SegmentInfo],
) -> Result<(), Error> {
    let torn = match active {
        Active::Begun { info, .. } | Active::Prepared { info } => info,
        Active::Absent { .. } => return Ok(()),
    };
    let mut ranges = Vec::new();
    for (info, from) in std::iter::once((torn, cut.from)).chain(behind.iter().map(|info| (info, 0)))
    {
        let file = open_write(storage, info)?;
        let to = nonzero_end(&file, from, info.file_bytes).context("read", &info.path)?;
        if to > from {
            cut.kept_in.push(keep_aside(storage, info, &file, from, to, "cut")?);
            ranges.push((info, file, from, to));
        }
    }
    storage.sync_directory().context("sync", storage.path(""))?;
    for (info, file, from, to) in ranges {
        blank(info, &file, from, to)?;
    }
    Ok(())
}

/// Zeroes a range of a segment for good.
pub(crate) fn blank<F: StorageFile>(
    info: &SegmentInfo,
    file: &F,
    from: u64,
    to: u64,
) -> Result<(), Error> {
    // Whole pages go past the page cache, the rest through it.
    let zeroed = from.next_multiple_of(4096).min(to);
    file.write_at(from, &vec![0; (zeroed - from) as usize]).context("cut", &info.path)?;
    if zeroed < to {
        let end = to.next_multiple_of(4096).min(info.file_bytes);
        file.zero(zeroed, end).context("cut", &info.path)?;
    }
    file.sync().context("sync", &info.path)
}

/// A free name for a file that keeps a range of a segment.
pub(crate) fn aside_name<S: Storage>(
    storage: &S,
    number: u64,
    from: u64,
    to: u64,
    suffix: &str,
) -> Result<String, Error> {
    let taken = storage.list().context("list", storage.path(""))?;
    let name = (0..u32::MAX)
        .map(|count| match count {
            0 => format!("{number:010}.{from}-{to}.{suffix}"),
            _ => format!("{number:010}.{from}-{to}.{count}.{suffix}"),
        })
        .find(|name| !taken.contains(name));
    Ok(name.expect("some name is free"))
}

/// Copies a range of a segment into a file of its own, durably but for its name.
pub(crate) fn keep_aside<S: Storage>(
    storage: &S,
    info: &SegmentInfo,
    file: &S::File,
    from: u64,
    to: u64,
    suffix: &str,
) -> Result<PathBuf, Error> {
    let name = aside_name(storage, info.number, from, to, suffix)?;
    let path = storage.path(&name);
    if is_planted(Bug::DropCutTail) {
        return Ok(path);
    }
    let aside = storage.create(&name).context("create", &path)?;
    copy_range((file, &info.path), from..to, (&aside, &path), 0)?;
    aside.sync().context("sync", &path)?;
    Ok(path)
}

/// Writes what stands in a range of a file, as far as it goes, into another one or the same, from
/// `at` on.
fn copy_range<F: StorageFile>(
    (from, from_path): (&F, &Path),
    range: Range<u64>,
    (to, to_path): (&F, &Path),
    at: u64,
) -> Result<(), Error> {
    let mut buffer = vec![0; range.end.saturating_sub(range.start).min(1 << 20) as usize];
    let mut place = range.start;
    while place < range.end {
        let want = buffer.len().min((range.end - place) as usize);
        let read = from.read_at(place, &mut buffer[..want]).context("read", from_path)?;
        if read == 0 {
            break;
        }
        to.write_at(at + place - range.start, &buffer[..read]).context("write", to_path)?;
        place += read as u64;
    }
    Ok(())
}
