//! What a journal's files mean after anything may have happened to them. Decides once, changes
//! nothing; [`crate::open`] carries the decision out.
//!
//! Sealed segments were durable before they were sealed. Behind them lies the *tail*: one or two
//! segments whose pages may have reached the device in any order. Walking the tail from its start,
//! the first place where no whole frame stands decides:
//!
//! | there stands | behind it | the watermark covers the place | verdict |
//! |---|---|---|---|
//! | zeros | zeros | no | clean: appending goes on there |
//! | anything | anything | no | cut: never reported synced, the bytes are kept aside |
//! | anything | anything | yes | refused: durable frames are gone |
//!
//! Whole frames behind a hole are cut with it: a prefix has no holes.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Context, Damage, DamagedRange, Error};
use crate::planted::{Bug, is_planted};
use crate::segment::{DIGEST_NONE, Digest, HEADER_BYTES, Header, LogicId, SEAL_OFFSET};
use crate::storage::{Access, Storage};
use crate::survey::{SegmentInfo, last_of, missing, survey};
use crate::walk::{Extent, Stop, measure, nonzero_end, resynchronise};
use crate::watermark::{Mark, MarkReader};

/// What the files mean.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The digest in the last seal of the sealed prefix.
    pub(crate) previous: Digest,
    /// The first sequence there is, unless the journal is empty.
    pub(crate) first: Option<u64>,
    /// The sequence that follows.
    pub(crate) next: u64,
    pub(crate) epoch: u32,
    pub(crate) timestamp: u64,
    /// Segments after the sealed ones that are complete and need a seal.
    pub(crate) complete: Vec<(SegmentInfo, Extent)>,
    /// Where appending goes on.
    pub(crate) active: Active,
    /// Segments behind the active one.
    pub(crate) behind: Vec<SegmentInfo>,
    pub(crate) cut: Option<Cut>,
    /// Sequences up to here were known to be durable.
    pub(crate) attested: u64,
    /// The newest mark; none in a journal that has none.
    pub(crate) mark: Option<Mark>,
    /// The last of the sealed segments.
    pub(crate) last_sealed: Option<SegmentInfo>,
}

#[derive(Debug)]
pub(crate) enum Active {
    /// In a segment that has a header, after its whole frames.
    Begun { info: SegmentInfo, header: Header, extent: Extent },
    /// At the start of a prepared segment.
    Prepared { info: SegmentInfo },
    /// In a segment that is not there yet.
    Absent { number: u64 },
}

/// A torn tail: what recovery took off the end of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment in which the tear begins.
    pub path: PathBuf,
    /// Where it begins.
    pub from: u64,
    /// The end of the last non-zero byte in that segment.
    pub to: u64,
    /// The sequence that stood, or would have stood, there.
    pub sequence: u64,
    /// What was found there.
    pub damage: Damage,
    /// The files that keep the bytes, in order; empty while nothing was changed yet.
    pub kept_in: Vec<PathBuf>,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, from, to, sequence, damage, .. } = self;
        let path = path.display();
        write!(f, "{path}: torn tail at bytes {from}..{to}, from sequence {sequence}: {damage}; ")?;
        write!(f, "never reported synced")
    }
}

/// Judges a journal; `first_sequence` is where an empty one would begin.
pub(crate) fn judge<S: Storage>(
    storage: &S,
    logic: Option<&LogicId>,
    first_sequence: u64,
) -> Result<Verdict, Error> {
    let segments = survey(storage)?;
    let marks = MarkReader::open(storage).context("open", storage.path(crate::watermark::FILE))?;
    let mark = marks.read().context("read", storage.path(crate::watermark::FILE))?;
    if let Some(range) = missing(storage, &segments, mark.map_or(0, |mark| mark.sequence))? {
        return Err(Error::Damaged(range));
    }
    if let Some(logic) = logic {
        segments.iter().try_for_each(|info| check_segment(info, logic))?;
    }
    segments.iter().try_for_each(check_format)?;
    let sealed = check_sealed(storage, &segments)?;
    let mut verdict = Verdict {
        previous: DIGEST_NONE,
        first: segments.iter().find_map(|info| Some(info.header.good()?.first_sequence)),
        next: first_sequence,
        epoch: 0,
        timestamp: 0,
        complete: Vec::new(),
        active: Active::Absent { number: segments.last().map_or(1, |info| info.number + 1) },
        behind: Vec::new(),
        cut: None,
        attested: mark.map_or(0, |mark| mark.sequence),
        mark,
        last_sealed: segments[..sealed].last().cloned(),
    };
    if let Some(seal) = segments[..sealed].last().and_then(|info| info.seal.good()) {
        verdict.previous = seal.digest;
        verdict.next = seal.last_sequence + 1;
        (verdict.epoch, verdict.timestamp) = (seal.last_epoch, seal.last_timestamp);
        verdict.attested = verdict.attested.max(seal.last_sequence);
    } else if let Some(header) = segments.first().and_then(|info| info.header.good()) {
        (verdict.next, verdict.epoch) = (header.first_sequence, header.epoch);
    }
    judge_tail(storage, &segments[sealed..], &mut verdict)?;
    if verdict.first.is_some_and(|first| first >= verdict.next) {
        verdict.first = None;
    }
    Ok(verdict)
}

/// Refuses the journal of another logic, or of a newer version of this one, as opening does: for
/// who only reads it.
pub fn check_logic<S: Storage>(storage: &S, expected: &LogicId) -> Result<(), Error> {
    survey(storage)?.iter().try_for_each(|info| check_segment(info, expected))
}

fn check_segment(info: &SegmentInfo, expected: &LogicId) -> Result<(), Error> {
    let Some(Header { logic: found, .. }) = info.header.good() else { return Ok(()) };
    let path = info.path.clone();
    if found.name != expected.name {
        let expected = expected.name.clone();
        return Err(Error::OtherLogic { path, found: found.name.clone(), expected });
    }
    if found.version > expected.version {
        let (name, newest) = (found.name.clone(), expected.version);
        return Err(Error::NewerLogic { path, name, found: found.version, newest });
    }
    Ok(())
}

/// A header of another format has a good checksum, so no crash made it: it must never be cut, and
/// the watermark beside it may be of another format too.
fn check_format(info: &SegmentInfo) -> Result<(), Error> {
    match info.good_header() {
        Err(range) if matches!(range.damage, Damage::Format(_)) => Err(Error::Damaged(range)),
        _ => Ok(()),
    }
}

/// How many segments at the start are sealed; they must fit each other without a gap.
pub(crate) fn check_sealed<S: Storage>(
    storage: &S,
    segments: &[SegmentInfo],
) -> Result<usize, Error> {
    // By the seal alone: the header was durable before it, so a seal without one is damage.
    let sealed =
        segments.iter().rposition(|info| info.seal.good().is_some()).map_or(0, |last| last + 1);
    let mut before: Option<(u64, Digest)> = None;
    for info in &segments[..sealed] {
        let header = info.good_header().map_err(Error::Damaged)?;
        let seal = info.good_seal().map_err(Error::Damaged)?;
        if let Some((last, digest)) = before
            && (header.first_sequence != last + 1 || seal.previous != digest)
        {
            return Err(Error::Damaged(info.damaged(
                0,
                SEAL_OFFSET + HEADER_BYTES as u64,
                Damage::Chain,
            )));
        }
        if info.file_bytes < seal.end {
            let name = crate::segment::file_name(info.number);
            let file = storage.open(&name, Access::Read).context("open", &info.path)?;
            let extent = measure(&Arc::new(file), header, None, |_| {});
            let extent = extent.context("read", &info.path)?;
            let mut range = info.damaged(extent.end, seal.end, Damage::Truncated);
            (range.sequence_from, range.sequence_to) = (extent.next, seal.last_sequence);
            return Err(Error::Damaged(range));
        }
        before = Some((seal.last_sequence, seal.digest));
    }
    Ok(sealed)
}

/// Whether a segment holds anything: its frames may have survived without its header.
fn any_written<S: Storage>(storage: &S, segments: &[SegmentInfo]) -> Result<bool, Error> {
    for info in segments {
        let name = crate::segment::file_name(info.number);
        let file = storage.open(&name, Access::Read).context("open", &info.path)?;
        if nonzero_end(&file, 0, info.file_bytes).context("read", &info.path)? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn judge_tail<S: Storage>(
    storage: &S,
    tail: &[SegmentInfo],
    verdict: &mut Verdict,
) -> Result<(), Error> {
    for (index, info) in tail.iter().enumerate() {
        let path = &info.path;
        let name = crate::segment::file_name(info.number);
        let file = Arc::new(storage.open(&name, Access::Read).context("open", path)?);
        let behind = &tail[index + 1..];
        let fits = |header: &&Header| {
            header.first_sequence == verdict.next && header.epoch >= verdict.epoch
        };
        let header = info.good_header();
        let (from, damage) = match &header {
            Ok(header) if fits(header) => {
                let extent = measure(&file, header, None, |_| {}).context("read", path)?;
                verdict.next = extent.next;
                if extent.next > header.first_sequence {
                    verdict.timestamp = extent.last_timestamp;
                }
                verdict.epoch = extent.last_epoch;
                match extent.stop {
                    Stop::End => {
                        verdict.complete.push((info.clone(), extent));
                        continue;
                    }
                    Stop::Blank => {
                        let (info, header) = (info.clone(), (*header).clone());
                        verdict.active = Active::Begun { info, header, extent };
                        (extent.end, Damage::Missing)
                    }
                    Stop::Damage(damage) => {
                        let (info, header) = (info.clone(), (*header).clone());
                        verdict.active = Active::Begun { info, header, extent };
                        (extent.end, damage)
                    }
                }
            }
            other => {
                verdict.active = Active::Prepared { info: info.clone() };
                (0, other.as_ref().map_or_else(|range| range.damage, |_| Damage::Chain))
            }
        };
        verdict.behind = behind.to_vec();
        return judge_stop(storage, info, &file, from, damage, verdict);
    }
    // Every segment is complete. The one after it was there before the roll, so if it is gone with
    // frames that were durable, that is damage as well.
    if verdict.next <= verdict.attested {
        let Active::Absent { number } = verdict.active else { unreachable!("no tail was left") };
        return Err(Error::Damaged(DamagedRange {
            path: storage.path(&crate::segment::file_name(number)),
            from: 0,
            to: 0,
            sequence_from: verdict.next,
            sequence_to: verdict.attested,
            damage: Damage::Missing,
        }));
    }
    Ok(())
}

/// The first place of the tail without a whole frame: see the table above.
fn judge_stop<S: Storage>(
    storage: &S,
    info: &SegmentInfo,
    file: &S::File,
    from: u64,
    damage: Damage,
    verdict: &mut Verdict,
) -> Result<(), Error> {
    let (path, next) = (&info.path, verdict.next);
    if next <= verdict.attested && !is_planted(Bug::CutAttested) {
        let limit = info.good_header().map_or(info.file_bytes, |header| header.segment_bytes);
        let after = resynchronise(file, from, limit, next).context("read", path)?;
        return Err(Error::Damaged(DamagedRange {
            path: path.clone(),
            from,
            to: after.map_or(limit, |(offset, _)| offset),
            sequence_from: next,
            sequence_to: after.map_or_else(
                || last_of(&verdict.behind, info.number, verdict.attested),
                |(_, sequence)| sequence - 1,
            ),
            damage,
        }));
    }
    let to = nonzero_end(file, from, info.file_bytes).context("read", path)?;
    if to > from || any_written(storage, &verdict.behind)? {
        let (path, kept_in) = (path.clone(), Vec::new());
        verdict.cut = Some(Cut { path, from, to, sequence: next, damage, kept_in });
    }
    Ok(())
}
