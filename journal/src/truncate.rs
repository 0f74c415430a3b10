//! Taking whole frames off the end of a journal that nobody writes: an event log that outlived its
//! commands, or what a fenced primary appended and no standby ever had.
//!
//! What is left is what there would be if the frames had never been appended: of a segment that
//! ended after the last frame that stays, the End frame and the seal go too. Each step is durable
//! before the next, and after each the journal opens, at some sequence between the new end and the
//! old one; truncating again finishes the work:
//!
//! | step | what a crash after it leaves |
//! |---|---|
//! | the bytes of the last segment that stays are copied aside | the journal as it was |
//! | the watermark is lowered | the same, and nothing vouches for the frames that go |
//! | segments behind are renamed aside, from the last on | fewer segments, without a gap |
//! | the seal is cleared | a segment that is complete and not sealed |
//! | the bytes are zeroed | at worst a hole that nothing vouches for: opening cuts there |

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::archive::maintain;
use crate::error::{Context, Damage, Error};
use crate::frame::FrameRef;
use crate::open::{aside_name, blank, keep_aside, lock, open_write, remove_scratch};
use crate::recover::{Active, judge};
use crate::segment::{BLOCK_BYTES, HEADER_BYTES, LogicId, SEAL_OFFSET, Stored, file_name};
use crate::storage::{Access, Storage, StorageFile};
use crate::survey::{SegmentInfo, survey};
use crate::walk::{Stop, measure, nonzero_end};
use crate::watermark::{FILE, Mark, MarkWriter};

/// What was taken off the end of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// The segment in which the first of the frames stood.
    pub path: PathBuf,
    /// Where it stood.
    pub from: u64,
    /// Its sequence.
    pub sequence: u64,
    /// The sequence of the last frame that was taken off.
    pub last: u64,
    /// The files that keep the bytes, in order.
    pub kept_in: Vec<PathBuf>,
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, from, sequence, last, kept_in } = self;
        write!(f, "{}: sequences {sequence}..={last} taken off, ", path.display())?;
        write!(f, "from byte {from} on; kept in")?;
        kept_in.iter().try_for_each(|kept| write!(f, " {}", kept.display()))
    }
}

/// Removes every frame after the sequence `last`. Takes the writer's lock; refuses a journal that
/// is damaged, or of which `last` is no longer a part.
pub fn truncate<S: Storage>(
    storage: &S,
    logic: &LogicId,
    last: u64,
) -> Result<Option<Truncation>, Error> {
    let _writer = lock(storage)?;
    let _lock = maintain(storage)?;
    remove_scratch(storage)?;
    // What an attempt before this one did may still be in memory alone, so the names here and the
    // watermark and the segment below are synced even where nothing is left to change.
    storage.sync_directory().context("sync", storage.path(""))?;
    let verdict = judge(storage, Some(logic), 1)?;
    if verdict.next <= last + 1 {
        if let Active::Begun { info, .. } = &verdict.active {
            open_write(storage, info)?.sync().context("sync", &info.path)?;
        }
        return Ok(None);
    }
    let first = verdict.first.expect("a frame comes after `last`");
    if last + 1 < first {
        return Err(Error::OutOfRange { sequence: last, first, next: verdict.next });
    }
    let segments = survey(storage)?;
    let (info, behind) = split(&segments, last.max(first))?;
    let file = Arc::new(open_write(storage, info)?);
    let from = end_of(info, &file, last)?;
    let to = nonzero_end(&*file, from, info.file_bytes).context("read", &info.path)?;
    let mut kept_in = Vec::new();
    if to > from {
        kept_in.push(keep_aside(storage, info, &*file, from, to, "cut")?);
        storage.sync_directory().context("sync", storage.path(""))?;
    }
    let sequence = if last < first { 0 } else { last };
    let mark = Mark { sequence, number: info.number, offset: from };
    lower(storage, mark, verdict.attested > last)?;
    let mut moved = Vec::new();
    for info in behind.iter().rev() {
        moved.extend(move_aside(storage, info)?);
    }
    kept_in.extend(moved.into_iter().rev());
    if info.seal != Stored::Blank {
        file.write_at(SEAL_OFFSET, &[0; HEADER_BYTES]).context("clear", &info.path)?;
    }
    file.sync().context("sync", &info.path)?;
    blank(info, &*file, from, to)?;
    let (path, sequence, last) = (info.path.clone(), last + 1, verdict.next - 1);
    Ok(Some(Truncation { path, from, sequence, last, kept_in }))
}

/// The segment that `last` stands in, and those behind it.
fn split(segments: &[SegmentInfo], last: u64) -> Result<(&SegmentInfo, &[SegmentInfo]), Error> {
    let begun =
        |info: &SegmentInfo| info.good_header().is_ok_and(|header| header.first_sequence <= last);
    let index = segments.iter().rposition(begun).expect("the first segment begins before it");
    let info = &segments[index];
    // Without its seal, nobody would know any more what the segment chains from.
    if index == 0 && info.number > 1 && info.seal.good().is_some() {
        return Err(Error::Refused {
            path: info.path.clone(),
            why: format!(
                "sequence {last} stands in the oldest segment, whose seal chains to what was \
                 pruned; restore the segment before it from the archive first"
            ),
        });
    }
    Ok((info, &segments[index + 1..]))
}

/// Where the frames up to `last` end in their segment.
fn end_of<F: StorageFile>(info: &SegmentInfo, file: &Arc<F>, last: u64) -> Result<u64, Error> {
    let header = info.good_header().map_err(Error::Damaged)?;
    let mut end = BLOCK_BYTES;
    let stays = |frame: FrameRef<'_>| {
        if frame.sequence() <= last {
            end += frame.bytes().len() as u64;
        }
    };
    let extent = measure(file, header, None, stays).context("read", &info.path)?;
    if extent.next > last {
        return Ok(end);
    }
    let damage = match extent.stop {
        Stop::Damage(damage) => damage,
        Stop::Blank => Damage::Missing,
        Stop::End => Damage::Chain,
    };
    let mut range = info.damaged(extent.end, info.file_bytes, damage);
    (range.sequence_from, range.sequence_to) = (extent.next, last);
    Err(Error::Damaged(range))
}

/// Lowers the watermark for good if it is higher, in both its slots: whichever is read later,
/// none of them vouches for more.
fn lower<S: Storage>(storage: &S, mark: Mark, is_higher: bool) -> Result<(), Error> {
    let path = storage.path(FILE);
    let mut marks = MarkWriter::open(storage).context("open", &path)?;
    if is_higher {
        marks.write(mark).and_then(|()| marks.sync()).context("write", &path)?;
        marks.write(mark).context("write", &path)?;
    }
    marks.sync().context("sync", path)
}

/// Takes a whole segment out of the journal for good; a prepared one holds nothing to keep.
fn move_aside<S: Storage>(storage: &S, info: &SegmentInfo) -> Result<Option<PathBuf>, Error> {
    let (name, path) = (file_name(info.number), &info.path);
    let file = storage.open(&name, Access::Read).context("open", path)?;
    let moved = if nonzero_end(&file, 0, info.file_bytes).context("read", path)? == 0 {
        storage.remove(&name).context("remove", path)?;
        None
    } else {
        let kept = aside_name(storage, info.number, 0, info.file_bytes, "cut")?;
        storage.rename(&name, &kept).context("move aside", path)?;
        Some(storage.path(&kept))
    };
    storage.sync_directory().context("sync", storage.path(""))?;
    Ok(moved)
}
