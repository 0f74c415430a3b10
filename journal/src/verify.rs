//! Checks every byte of a journal that means something. Changes nothing, and may run while another
//! process appends.
//!
//! What must be there is what the journal's own files attest: everything below the watermark and
//! below the last seal. A place below that line where no whole frame stands is damage; the walk
//! goes on behind it, to find the next. Above the line the first such place ends the journal: a
//! tail that grows, or that a crash tore. That is reported, and is not damage.
//!
//! The line is drawn before anything is walked, and the segments are listed after it was drawn, so
//! whatever a writer does meanwhile lies above it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Context, Damage, DamagedRange, Error};
use crate::frame::{Decoded, FrameRef};
use crate::meter::{Count, Meter};
use crate::recover::Cut;
use crate::segment::{
    BLOCK_BYTES, DIGEST_NONE, Digest, HEADER_BYTES, Header, SEAL_OFFSET, Seal, SegmentHasher,
    Stored, file_name,
};
use crate::storage::{Access, Storage, StorageFile};
use crate::survey::{SegmentInfo, inspect, missing, survey};
use crate::walk::{Extent, Start, Stop, Walker, measure_from, nonzero_end, resynchronise};
use crate::watermark::{FILE, MarkReader};

/// Something that a writer may be changing just now is looked at again so often.
const LOOKS: usize = 3;
const HEADER_RANGE: (u64, u64) = (0, HEADER_BYTES as u64);
const SEAL_RANGE: (u64, u64) = (SEAL_OFFSET, SEAL_OFFSET + HEADER_BYTES as u64);

/// In which part of its life a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Zeros, waiting for the writer.
    Prepared,
    /// Takes frames.
    Active,
    /// Takes no more frames, has no seal yet.
    Complete,
    /// Has a seal.
    Sealed,
}

impl std::fmt::Display for SegmentState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Complete => "complete",
            Self::Sealed => "sealed",
        })
    }
}

/// What one segment holds.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// Its number.
    pub number: u64,
    /// Its file.
    pub path: PathBuf,
    /// In which part of its life it is.
    pub state: SegmentState,
    /// The first and the last sequence of its whole frames, if it has any.
    pub sequences: Option<(u64, u64)>,
    /// How many whole frames it has.
    pub frames: u64,
    /// How many bytes these take.
    pub bytes: u64,
    /// The file's length.
    pub file_bytes: u64,
    /// The digest of a sealed segment, recomputed from its frames if they are whole.
    pub digest: Option<Digest>,
    /// What is wrong with it, in the order of the offsets.
    pub findings: Vec<DamagedRange>,
    /// What lies here of a torn tail.
    pub torn: Option<Cut>,
    /// Where its frames end, an End frame included.
    end: u64,
    /// The sequence that follows them.
    next: u64,
    last_epoch: u32,
    ended: bool,
}

/// What a journal holds.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The segments, in order.
    pub segments: Vec<SegmentReport>,
    /// Segments that should be there and are not.
    pub missing: Vec<DamagedRange>,
    /// The last sequence that the watermark says is durable.
    pub synced: u64,
}

impl Verification {
    /// Everything that is wrong; nothing if the journal is whole.
    pub fn findings(&self) -> impl Iterator<Item = &DamagedRange> {
        self.missing.iter().chain(self.segments.iter().flat_map(|report| &report.findings))
    }

    /// The torn tail, which opening for appending will cut; or, in a journal that is being written,
    /// a frame that was half there.
    pub fn torn(&self) -> Option<&Cut> {
        self.segments.iter().find_map(|report| report.torn.as_ref())
    }

    /// The first and the last sequence, if there is any frame.
    pub fn sequences(&self) -> Option<(u64, u64)> {
        let mut held = self.segments.iter().filter_map(|report| report.sequences);
        let (first, last) = held.next()?;
        Some((first, held.next_back().map_or(last, |(_, last)| last)))
    }

    /// How many whole frames there are.
    pub fn frames(&self) -> u64 {
        self.segments.iter().map(|report| report.frames).sum()
    }

    /// How many bytes these take.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|report| report.bytes).sum()
    }
}

/// Checks all segments with so many threads. `progress` is told the bytes done and their total, by
/// any of the threads.
pub fn verify<S: Storage>(
    storage: &S,
    threads: usize,
    progress: impl Fn(u64, u64) + Sync,
) -> Result<Verification, Error> {
    let mark_path = storage.path(FILE);
    let marks = MarkReader::open(storage).context("open", &mark_path)?;
    let mark = marks.read().context("read", mark_path)?.unwrap_or_default();
    let segments = settled_survey(storage)?;
    let sealed = segments.iter().rev().find_map(|info| Some((info.number, info.seal.good()?)));
    // A mark before the first frame attests nothing of its segment, or of one without a header yet:
    // a header is made again where no frame is lost with it.
    let has_frames = mark.offset > BLOCK_BYTES;
    let marked = if has_frames { mark.number } else { mark.number.saturating_sub(1) };
    let line = Line {
        sequence: mark.sequence.max(sealed.map_or(0, |(_, seal)| seal.last_sequence)),
        number: marked.max(sealed.map_or(0, |(number, _)| number)),
        sealed: sealed.map_or(0, |(number, _)| number),
    };
    let meter = Meter::new(segments.iter().map(|info| info.file_bytes).sum(), &progress);
    let mut reports = examine_all(storage, &segments, &line, threads, &meter)?;
    link(&segments, &mut reports);
    join_tail(&mut reports);
    let gaps = segments.windows(2).map(|pair| missing(storage, pair, line.sequence));
    let mut missing = gaps.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
    let next = reports.last().map_or(1, |report| report.next);
    if next <= line.sequence && reports.iter().all(|report| report.findings.is_empty()) {
        let number = segments.last().map_or(1, |info| info.number + 1);
        missing.push(DamagedRange {
            path: storage.path(&file_name(number)),
            from: 0,
            to: 0,
            sequence_from: next,
            sequence_to: line.sequence,
            damage: Damage::Missing,
        });
    }
    Ok(Verification { segments: reports, missing, synced: mark.sequence })
}

/// A listing is not made in one moment: what looks wrong only because a writer was quicker is
/// looked at again.
fn settled_survey<S: Storage>(storage: &S) -> Result<Vec<SegmentInfo>, Error> {
    let mut segments = survey(storage)?;
    for _ in 1..LOOKS {
        let sealed = segments.iter().rposition(|info| info.seal.good().is_some());
        let settled = segments.iter().enumerate().all(|(index, info)| {
            !matches!(info.header, Stored::Bad(_))
                && !matches!(info.seal, Stored::Bad(_))
                && (info.seal.good().is_some() || sealed.is_none_or(|last| index > last))
        });
        if settled && missing(storage, &segments, 0)?.is_none() {
            break;
        }
        segments = survey(storage)?;
    }
    Ok(segments)
}

/// What the journal's own files attest.
#[derive(Clone, Copy)]
struct Line {
    /// Everything up to this sequence was durable.
    sequence: u64,
    /// Every segment up to this one had a header.
    number: u64,
    /// Every segment up to this one had a seal.
    sealed: u64,
}

/// A segment's place among the others.
struct Place<'a> {
    line: &'a Line,
    /// The seal of the segment before.
    before: Option<&'a Seal>,
    /// The last attested sequence that may lie here.
    last: u64,
}

impl<'a> Place<'a> {
    fn of(index: usize, segments: &'a [SegmentInfo], line: &'a Line) -> Self {
        let before = index.checked_sub(1).and_then(|index| segments[index].seal.good());
        let behind = segments.get(index + 1).and_then(|info| info.header.good());
        let last = behind.map_or(u64::MAX, |header| header.first_sequence.saturating_sub(1));
        let sealed = segments[index].seal.good().map_or(line.sequence, |seal| seal.last_sequence);
        Self { line, before, last: sealed.min(last) }
    }
}

fn examine_all<S: Storage>(
    storage: &S,
    segments: &[SegmentInfo],
    line: &Line,
    threads: usize,
    meter: &Meter<'_>,
) -> Result<Vec<SegmentReport>, Error> {
    let taken = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = taken.fetch_add(1, Ordering::Relaxed);
            let Some(info) = segments.get(index) else { return Ok(done) };
            match examine(storage, info, &Place::of(index, segments, line), meter) {
                Ok(report) => done.push(report),
                // Pruned since it was listed: only the oldest can be.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    };
    let mut reports = Vec::with_capacity(segments.len());
    #[expect(clippy::disallowed_methods, reason = "a tool's threads, ended before it returns")]
    std::thread::scope(|scope| {
        let helpers = threads.clamp(1, segments.len().max(1)) - 1;
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        reports.extend(work()?);
        for helper in helpers {
            reports.extend(helper.join().expect("verifying does not panic")?);
        }
        Ok::<_, Error>(())
    })?;
    reports.sort_unstable_by_key(|report| report.number);
    Ok(reports)
}

fn examine<S: Storage>(
    storage: &S,
    info: &SegmentInfo,
    place: &Place<'_>,
    meter: &Meter<'_>,
) -> Result<SegmentReport, Error> {
    let path = &info.path;
    let file = storage.open(&file_name(info.number), Access::Read).context("open", path)?;
    let file = Arc::new(file);
    let mut report = SegmentReport {
        number: info.number,
        path: path.clone(),
        state: SegmentState::Prepared,
        sequences: None,
        frames: 0,
        bytes: 0,
        file_bytes: info.file_bytes,
        digest: info.seal.good().map(|seal| seal.digest),
        findings: Vec::new(),
        torn: None,
        end: 0,
        next: 0,
        last_epoch: 0,
        ended: false,
    };
    let mut count = meter.count(info.file_bytes);
    if info.header == Stored::Blank && info.number > place.line.number {
        check_prepared(storage, info, &*file, &mut report)?;
    } else if let Some(start) = find_start(info, &file, place, &mut report)? {
        let mut walk = Walk { info, file: &file, place, report: &mut report, last_timestamp: 0 };
        walk.frames(start, &mut count).context("read", path)?;
        walk.after_end().context("read", path)?;
        check_block(info, place.line, &mut report);
    }
    count.finish();
    report.findings.sort_by_key(|range| range.from);
    Ok(report)
}

/// A prepared segment is zeros throughout.
fn check_prepared<S: Storage>(
    storage: &S,
    info: &SegmentInfo,
    file: &S::File,
    report: &mut SegmentReport,
) -> Result<(), Error> {
    let to = nonzero_end(file, 0, info.file_bytes).context("read", &info.path)?;
    // If the writer has begun it since it was listed, nothing in it is attested yet.
    if to > 0 && inspect(storage, info.number)?.header == Stored::Blank {
        report.torn = Some(torn(&info.path, 0, to, 0, Damage::Missing));
    }
    Ok(())
}

/// Where the frames begin; from the neighbours or the frames themselves if the header is damaged.
fn find_start<F: StorageFile>(
    info: &SegmentInfo,
    file: &Arc<F>,
    place: &Place<'_>,
    report: &mut SegmentReport,
) -> Result<Option<Start>, Error> {
    let range = match info.good_header() {
        Ok(header) => return Ok(Some(Start::of(header))),
        Err(range) => range,
    };
    let mut walker = Walker::new(Arc::clone(file), BLOCK_BYTES, info.file_bytes);
    let first = match (place.before, walker.peek().context("read", &info.path)?) {
        (Some(seal), _) => Some(seal.last_sequence + 1),
        (None, Decoded::Frame(frame)) => Some(frame.sequence()),
        (None, _) => None,
    };
    let Line { number, sequence, .. } = *place.line;
    if info.number > number && first.is_none_or(|first| first > sequence) {
        let to = nonzero_end(&**file, 0, info.file_bytes).context("read", &info.path)?;
        report.torn = Some(torn(&info.path, 0, to, 0, range.damage));
        return Ok(None);
    }
    report.findings.push(range);
    Ok(first.map(|next| Start { offset: BLOCK_BYTES, next, epoch: 0 }))
}

fn torn(path: &Path, from: u64, to: u64, sequence: u64, damage: Damage) -> Cut {
    Cut { path: path.to_owned(), from, to, sequence, damage, kept_in: Vec::new() }
}

/// The walk over one segment.
struct Walk<'a, F> {
    info: &'a SegmentInfo,
    file: &'a Arc<F>,
    place: &'a Place<'a>,
    report: &'a mut SegmentReport,
    last_timestamp: u64,
}

impl<F: StorageFile> Walk<'_, F> {
    fn frames(&mut self, start: Start, count: &mut Count<'_>) -> io::Result<()> {
        let header = self.info.header.good();
        let limit = header.map_or(self.info.file_bytes, |header| header.segment_bytes);
        let mut hasher = match (header, self.info.seal.good()) {
            (Some(header), Some(seal)) => Some(SegmentHasher::new(&seal.previous, header)),
            _ => None,
        };
        self.report.state = match self.info.seal {
            Stored::Blank => SegmentState::Active,
            Stored::Good(_) | Stored::Bad(_) => SegmentState::Sealed,
        };
        let (mut at, mut looks) = (start, 0);
        loop {
            let extent = measure_from(self.file, at, limit, hasher.as_mut(), |frame| {
                self.report.take(frame);
                self.last_timestamp = frame.timestamp();
                count.add(frame.bytes().len() as u64);
            })?;
            let Extent { end, next, last_epoch, stop, .. } = extent;
            (self.report.end, self.report.next) = (end, next);
            self.report.last_epoch = last_epoch;
            let damage = match stop {
                Stop::End => {
                    self.report.ended = true;
                    if self.report.state == SegmentState::Active {
                        self.report.state = SegmentState::Complete;
                    }
                    self.check_seal(hasher.as_ref());
                    return Ok(());
                }
                Stop::Blank => Damage::Missing,
                Stop::Damage(damage) => damage,
            };
            if !self.is_attested(next) {
                let to = nonzero_end(&**self.file, end, self.info.file_bytes)?;
                if to == end {
                    return Ok(());
                }
                // The writer may have gone on meanwhile.
                looks = if end > at.offset { 1 } else { looks + 1 };
                if looks == LOOKS {
                    self.report.torn = Some(torn(&self.info.path, end, to, next, damage));
                    return Ok(());
                }
                at = Start { offset: end, next, epoch: last_epoch };
                continue;
            }
            hasher = None;
            match self.step_over(&extent, at.offset, limit, damage)? {
                Some(beyond) => at = beyond,
                None => return Ok(()),
            }
        }
    }

    fn is_attested(&self, next: u64) -> bool {
        let line = self.place.line;
        self.info.number <= line.sealed || next <= line.sequence
    }

    /// Notes the damage at the end of `extent` and finds the next whole frame behind it.
    fn step_over(
        &mut self,
        extent: &Extent,
        walked_from: u64,
        limit: u64,
        damage: Damage,
    ) -> io::Result<Option<Start>> {
        let seal = self.info.seal.good();
        let limit = seal.map_or(limit, |seal| seal.end.max(extent.end));
        let after = resynchronise(&**self.file, extent.end, limit, extent.next)?;
        let to = after.map_or(limit, |(offset, _)| offset);
        let sequence_to = after.map_or(self.place.last, |(_, sequence)| sequence - 1);
        match self.report.findings.last_mut() {
            // What looked like a frame right behind damage was none.
            Some(last) if last.to == extent.end && extent.end == walked_from => {
                (last.to, last.sequence_to) = (to, sequence_to);
            }
            _ => self.report.findings.push(DamagedRange {
                path: self.info.path.clone(),
                from: extent.end,
                to,
                sequence_from: extent.next,
                sequence_to,
                damage,
            }),
        }
        if after.is_none() {
            self.report.end = to;
            self.report.next = sequence_to.saturating_add(1).max(extent.next);
        }
        Ok(after.map(|(offset, next)| Start { offset, next, epoch: extent.last_epoch }))
    }

    /// The seal against the frames, if these are whole.
    fn check_seal(&mut self, hasher: Option<&SegmentHasher>) {
        let (Some(seal), Some(hasher)) = (self.info.seal.good(), hasher) else { return };
        let report = &mut *self.report;
        let fits = seal.end == report.end
            && seal.last_sequence + 1 == report.next
            && seal.last_epoch == report.last_epoch
            && (report.frames == 0 || seal.last_timestamp == self.last_timestamp)
            && seal.digest == hasher.finish();
        if !fits {
            report.findings.push(self.info.damaged(SEAL_RANGE.0, SEAL_RANGE.1, Damage::Chain));
        }
    }

    /// Behind the frames of a complete segment there are zeros to the end of the file, and the file
    /// has its full length.
    fn after_end(&mut self) -> io::Result<()> {
        let sealed = self.info.seal.good().is_some();
        if !self.report.ended && !sealed {
            return Ok(());
        }
        let end = self.report.end;
        let to = nonzero_end(&**self.file, end, self.info.file_bytes)?;
        if to > end {
            self.report.findings.push(self.info.damaged(end, to, Damage::Padding));
        }
        let whole = self.info.header.good().map_or(0, |header| header.segment_bytes);
        let short = self.info.file_bytes.max(end);
        if short < whole {
            self.report.findings.push(self.info.damaged(short, whole, Damage::Truncated));
        }
        Ok(())
    }
}

impl SegmentReport {
    fn take(&mut self, frame: FrameRef<'_>) {
        let sequence = frame.sequence();
        self.sequences = Some((self.sequences.map_or(sequence, |(first, _)| first), sequence));
        self.frames += 1;
        self.bytes += frame.bytes().len() as u64;
    }
}

/// The rest of the block that header and seal share.
fn check_block(info: &SegmentInfo, line: &Line, report: &mut SegmentReport) {
    if info.stray {
        report.findings.push(info.damaged(HEADER_RANGE.1, BLOCK_BYTES, Damage::Padding));
    }
    let damage = match info.seal {
        Stored::Bad(damage) => damage,
        Stored::Blank if info.number < line.sealed => Damage::Missing,
        Stored::Blank | Stored::Good(_) => return,
    };
    report.findings.push(info.damaged(SEAL_RANGE.0, SEAL_RANGE.1, damage));
}

/// Each segment against the one before it.
fn link(segments: &[SegmentInfo], reports: &mut [SegmentReport]) {
    if let Some(info) = segments.first()
        && let Some(seal) = info.seal.good()
        && info.number == 1
        && seal.previous != DIGEST_NONE
    {
        note(reports, info, SEAL_RANGE);
    }
    for pair in segments.windows(2) {
        let [one, two] = pair else { unreachable!("windows of two") };
        if two.number != one.number + 1 {
            continue;
        }
        if let (Some(before), Some(seal)) = (one.seal.good(), two.seal.good())
            && seal.previous != before.digest
        {
            note(reports, two, SEAL_RANGE);
        }
        let Ok(header) = two.good_header() else { continue };
        let Some(before) = reports.iter().find(|report| report.number == one.number) else {
            continue;
        };
        let same_logic = one.header.good().is_none_or(|before| fits_logic(before, header));
        let follows = header.first_sequence == before.next && header.epoch >= before.last_epoch;
        // Behind a segment without an end nothing was ever attested: that is for `join_tail`.
        let attested = before.ended || !before.findings.is_empty();
        if attested && !(same_logic && follows) {
            note(reports, two, HEADER_RANGE);
        }
    }
}

/// The tail is torn where the first segment without an end stops, even if the bytes that survived
/// lie in the segments behind: opening the journal cuts from there.
fn join_tail(reports: &mut [SegmentReport]) {
    // Segments without a header do not know their sequences.
    let mut next = 1;
    for report in reports.iter_mut() {
        if report.next == 0 {
            report.next = next;
            report.torn.iter_mut().for_each(|torn| torn.sequence = next);
        }
        next = report.next;
    }
    let open = reports.iter().position(|report| !report.ended && report.findings.is_empty());
    let Some((last, behind)) = open.and_then(|at| reports[at..].split_first_mut()) else { return };
    let is_written =
        |report: &SegmentReport| report.state != SegmentState::Prepared || report.torn.is_some();
    if behind.iter().any(is_written) {
        let (path, at, next) = (&last.path, last.end, last.next);
        last.torn.get_or_insert_with(|| torn(path, at, at, next, Damage::Missing));
    }
}

fn fits_logic(before: &Header, header: &Header) -> bool {
    before.logic.name == header.logic.name && before.logic.version <= header.logic.version
}

fn note(reports: &mut [SegmentReport], info: &SegmentInfo, (from, to): (u64, u64)) {
    if let Some(report) = reports.iter_mut().find(|report| report.number == info.number) {
        report.findings.insert(0, info.damaged(from, to, Damage::Chain));
    }
}
