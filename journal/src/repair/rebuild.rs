//! What a damaged segment must be: its own bytes where they are whole, the source's frames where
//! they are not, and proof that the whole fits.
//!
//! The proof for a sealed segment is its digest: in its own seal, or, if that is damaged too, in
//! the next segment's. The tail has no seal yet: there the frames beside the hole must be the
//! source's to the byte, and the hole must be filled exactly.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use super::donor::Donor;
use super::patch::{Patch, each_patched, read_patched, replace};
use super::{Mended, open_segment};
use crate::error::{Context, Damage, DamagedRange, Error};
use crate::frame::{
    Decoded, Frame, FrameRef, HEADER_BYTES as FRAME_HEADER_BYTES, KIND_END, decode,
};
use crate::image::{check_file, encode_block};
use crate::options::Options;
use crate::segment::{
    BLOCK_BYTES, Closed, DIGEST_NONE, Digest, Header, Seal, SegmentHasher, file_name,
};
use crate::storage::{Storage, StorageFile};
use crate::survey::{SegmentInfo, survey};
use crate::walk::{Walker, belongs, nonzero_end};
use crate::watermark::{Mark, MarkReader};

/// A repair on its way through the segments.
pub(super) struct Rebuild<'a, S: Storage> {
    storage: &'a S,
    donor: Option<Donor<'a, S>>,
    segments: Vec<SegmentInfo>,
    mark: Mark,
    last_sealed: u64,
    /// The segment before the current one, as it is once repaired.
    before: Option<Before>,
}

struct Before {
    header: Header,
    last_sequence: u64,
    last_epoch: u32,
    last_timestamp: u64,
    /// None in the tail.
    digest: Option<Digest>,
}

/// A segment under repair.
struct Segment<F> {
    path: PathBuf,
    info: Option<SegmentInfo>,
    file: Option<Arc<F>>,
    header: Header,
    /// Its own seal, if that is whole.
    seal: Option<Seal>,
    /// The last sequence that must be there.
    last: u64,
    /// An End frame follows it.
    is_closed: bool,
    /// Where the frames must end, if that is known.
    end: Option<u64>,
}

impl<'a, S: Storage> Rebuild<'a, S> {
    pub(super) fn new(storage: &'a S, donor: Option<Donor<'a, S>>) -> Result<Self, Error> {
        let segments = survey(storage)?;
        let path = storage.path(crate::watermark::FILE);
        let marks = MarkReader::open(storage).context("open", &path)?;
        let mark = marks.read().context("read", &path)?.unwrap_or_default();
        let sealed = segments.iter().rfind(|info| info.seal.good().is_some());
        let last_sealed = sealed.map_or(0, |info| info.number);
        Ok(Self { storage, donor, segments, mark, last_sealed, before: None })
    }

    /// All segments, and those that must be there. The first that is there begins: whether an older
    /// one was lost or pruned cannot be told.
    pub(super) fn numbers(&self) -> RangeInclusive<u64> {
        let first = self.segments.first().map_or(self.mark.number.max(1), |info| info.number);
        let last = self.segments.last().map_or(0, |info| info.number);
        first..=last.max(self.mark.number)
    }

    /// Mends one segment if it is damaged.
    pub(super) fn segment(&mut self, number: u64, dry: bool) -> Result<Option<Mended>, Error> {
        let is_sealed = number <= self.last_sealed;
        let damage = if is_sealed {
            match check_file(self.storage, number) {
                Ok((header, seal)) if self.fits(&header, &seal) => {
                    self.before = Some(Before::sealed(header, &seal));
                    return Ok(None);
                }
                Ok((_, seal)) => self.damaged(number, seal.end, Damage::Chain),
                Err(Error::Damaged(range)) => range,
                Err(_) if self.info(number).is_none() => self.damaged(number, 0, Damage::Missing),
                Err(error) => return Err(error),
            }
        } else {
            let before = match &self.before {
                Some(before) => before.last_sequence,
                None => self.first_sequence(number).saturating_sub(1),
            };
            if before >= self.mark.sequence {
                return self.clear_block(number, dry);
            }
            self.damaged(number, 0, Damage::Missing)
        };
        let segment = match self.gather(number, is_sealed) {
            Err(_) if self.donor.is_none() => return Err(Error::Damaged(damage)),
            other => other?,
        };
        let mut patches = match self.fill(&segment) {
            Err(Error::Refused { .. }) if self.donor.is_none() => {
                return Err(Error::Damaged(damage));
            }
            other => other?,
        };
        let seal = self.close(&segment, is_sealed, &mut patches)?;
        let Patches { list, closed } = patches;
        let is_own = !is_sealed && list.iter().all(Patch::has_no_frames);
        if self.donor.is_none() && !is_own && !list.is_empty() {
            return Err(Error::Damaged(damage));
        }
        self.before = Some(Before {
            header: segment.header.clone(),
            last_sequence: closed.last_sequence,
            last_epoch: closed.last_epoch,
            last_timestamp: closed.last_timestamp,
            digest: seal.map(|seal| seal.digest),
        });
        if list.is_empty() {
            return Ok(None);
        }
        let ranges = list.iter().map(|patch| patch.range(segment.path.clone())).collect();
        let own = segment.info.as_ref().zip(segment.file.as_deref());
        let shape = (number, segment.header.segment_bytes, is_sealed);
        let kept_in = if dry { Vec::new() } else { replace(self.storage, own, shape, &list)? };
        Ok(Some(Mended { number, ranges, kept_in }))
    }

    /// Nothing in the segment is attested: an opening looks at its frames, and a repair only at the
    /// block, in which there is nothing but the header.
    fn clear_block(&self, number: u64, dry: bool) -> Result<Option<Mended>, Error> {
        let Some(info) = self.info(number) else { return Ok(None) };
        let (Ok(header), Some(file)) = (info.good_header(), open_segment(self.storage, number)?)
        else {
            return Ok(None);
        };
        let block = encode_block(header, None);
        let patch =
            block_patch(Some(&file), &block, Damage::Checksum).context("read", &info.path)?;
        let Some(patch) = patch else { return Ok(None) };
        let ranges = vec![patch.range(info.path.clone())];
        let (own, shape) = (Some((info, &file)), (number, header.segment_bytes, false));
        let kept_in = if dry { Vec::new() } else { replace(self.storage, own, shape, &[patch])? };
        Ok(Some(Mended { number, ranges, kept_in }))
    }

    fn info(&self, number: u64) -> Option<&SegmentInfo> {
        self.segments.iter().find(|info| info.number == number)
    }

    fn first_sequence(&self, number: u64) -> u64 {
        let header = self.info(number).and_then(|info| info.good_header().ok());
        header.map_or(0, |header| header.first_sequence)
    }

    fn damaged(&self, number: u64, to: u64, damage: Damage) -> DamagedRange {
        let path = self.storage.path(&file_name(number));
        DamagedRange { path, from: 0, to, sequence_from: 1, sequence_to: 0, damage }
    }

    /// Whether a whole segment stands rightly between its neighbours.
    fn fits(&self, header: &Header, seal: &Seal) -> bool {
        self.before.as_ref().is_none_or(|before| {
            header.first_sequence == before.last_sequence + 1
                && before.digest.is_none_or(|digest| digest == seal.previous)
        }) && self.next_previous(header.number).is_none_or(|previous| previous == seal.digest)
    }

    /// What the next segment's seal says about the digest of this one.
    fn next_previous(&self, number: u64) -> Option<Digest> {
        self.info(number + 1).and_then(|info| info.seal.good()).map(|seal| seal.previous)
    }

    /// Finds out what the segment must hold.
    fn gather(&mut self, number: u64, is_sealed: bool) -> Result<Segment<S::File>, Error> {
        let path = self.storage.path(&file_name(number));
        let info = self.info(number).cloned();
        let file = open_segment(self.storage, number)?.map(Arc::new);
        let seal = info.as_ref().and_then(|info| info.seal.good()).filter(|_| is_sealed).cloned();
        let header = self.header(number, info.as_ref(), is_sealed)?;
        let next = self.info(number + 1).and_then(|info| info.good_header().ok());
        let next = next.map(|header| header.first_sequence - 1);
        let (last, is_closed, end) = match (&seal, next) {
            (Some(seal), _) => (seal.last_sequence, true, Some(seal.end)),
            (None, Some(last)) => (last, true, None),
            (None, None) if is_sealed || number < self.mark.number => {
                let seal = self.their_seal(&header)?.ok_or_else(|| Error::Refused {
                    path: path.clone(),
                    why: "neither its seal nor the next header says where it ends, and the source \
                          has no seal of this very segment"
                        .into(),
                })?;
                (seal.last_sequence, true, Some(seal.end))
            }
            (None, None) => (self.mark.sequence, false, Some(self.mark.offset)),
        };
        Ok(Segment { path, info, file, header, seal, last, is_closed, end })
    }

    /// The segment's own header, or the source's, or, where a digest will prove it, the one that
    /// follows from the segment before.
    fn header(
        &mut self,
        number: u64,
        info: Option<&SegmentInfo>,
        is_sealed: bool,
    ) -> Result<Header, Error> {
        let first = self.before.as_ref().map(|before| before.last_sequence + 1);
        let fits = |header: &Header| {
            header.number == number && first.is_none_or(|first| header.first_sequence == first)
        };
        if let Some(header) = info.and_then(|info| info.good_header().ok())
            && fits(header)
        {
            return Ok(header.clone());
        }
        let known = self.donor.as_mut().map(|donor| donor.header(number)).transpose()?;
        // The file's own length counts unless it was truncated.
        let ends = info.and_then(|info| info.seal.good()).map_or(0, |seal| seal.end);
        let file_bytes = info
            .map(|info| info.file_bytes)
            .filter(|&bytes| Options::is_segment_size(bytes) && bytes >= ends);
        let same_size =
            |header: &Header| file_bytes.is_none_or(|bytes| header.segment_bytes == bytes);
        if let Some(mut header) = known.flatten()
            && fits(&header)
            && (same_size(&header) || self.before.is_none())
        {
            // An older build may have written the source's: within a journal none follows a newer.
            let before = self.before.as_ref().map_or(0, |before| before.header.logic.version);
            header.logic.version = header.logic.version.max(before);
            return Ok(header);
        }
        match &self.before {
            Some(before) if is_sealed => Ok(Header {
                number,
                segment_bytes: file_bytes.unwrap_or(before.header.segment_bytes),
                first_sequence: before.last_sequence + 1,
                epoch: before.last_epoch,
                logic: before.header.logic.clone(),
            }),
            _ => Err(Error::Refused {
                path: self.storage.path(&file_name(number)),
                why: "its header is damaged and the source has no segment that begins at the same \
                      sequence"
                    .into(),
            }),
        }
    }

    /// The source's seal of the same segment: of the same number, size and first sequence.
    fn their_seal(&mut self, header: &Header) -> Result<Option<Seal>, Error> {
        let Some(donor) = &mut self.donor else { return Ok(None) };
        let same = donor.header(header.number)?.is_some_and(|theirs| theirs == *header);
        if same { donor.seal(header.number) } else { Ok(None) }
    }

    /// Walks the segment and takes from the source what is not whole.
    fn fill(&mut self, segment: &Segment<S::File>) -> Result<Patches, Error> {
        let header = &segment.header;
        let timestamp = self.before.as_ref().map_or(0, |before| before.last_timestamp);
        let mut cursor = Cursor {
            at: BLOCK_BYTES,
            next: header.first_sequence,
            epoch: header.epoch,
            timestamp,
            own_before: None,
            open: None,
            done: Vec::new(),
        };
        let mut walker = segment
            .file
            .as_ref()
            .map(|file| Walker::new(Arc::clone(file), BLOCK_BYTES, header.segment_bytes));
        while cursor.next <= segment.last {
            let found = match &mut walker {
                None => Err(Damage::Missing),
                Some(walker) => own_frame(walker, &cursor).context("read", &segment.path)?,
            };
            match found {
                Ok(frame) => {
                    if cursor.open.is_some() {
                        self.same(segment, cursor.next, &frame)?;
                    }
                    if let Some(walker) = &mut walker {
                        walker.advance(frame.len());
                    }
                    cursor.keep(&frame);
                }
                Err(damage) => {
                    self.take(segment, &mut cursor, damage)?;
                    if let (Some(walker), Some(file)) = (&mut walker, &segment.file) {
                        walker.reopen(Arc::clone(file), cursor.at, header.segment_bytes);
                    }
                }
            }
        }
        cursor.finish(segment)
    }

    /// Takes the frame at the cursor from the source.
    fn take(
        &mut self,
        segment: &Segment<S::File>,
        cursor: &mut Cursor,
        damage: Damage,
    ) -> Result<(), Error> {
        let next = cursor.next;
        if cursor.open.is_none()
            && let Some(own) = cursor.own_before.take()
        {
            self.same(segment, next - 1, &own)?;
        }
        let frame = match &mut self.donor {
            Some(donor) => donor.frame(next)?,
            None => None,
        };
        let Some(bytes) = frame else {
            return Err(segment.refused(format!("the source does not hold sequence {next}")));
        };
        let Decoded::Frame(frame) = decode(&bytes) else {
            return Err(segment.refused(format!("the source's frame {next} is damaged")));
        };
        if let Err(bad) = belongs(frame, next, cursor.epoch) {
            return Err(segment.refused(format!("the source's frame {next} does not fit: {bad}")));
        }
        let room = FRAME_HEADER_BYTES as u64 * u64::from(segment.is_closed);
        let limit = segment.end.unwrap_or(segment.header.segment_bytes);
        if cursor.at + bytes.len() as u64 + room > limit {
            return Err(segment.refused(format!(
                "the source's frames from {} on need more room than the damaged range at byte {} \
                 has",
                cursor.open.as_ref().map_or(next, |patch| patch.sequences.0),
                cursor.open.as_ref().map_or(cursor.at, |patch| patch.from),
            )));
        }
        cursor.replace(frame, damage);
        Ok(())
    }

    /// A whole frame beside a hole must be the source's as well, if that has it.
    fn same(&mut self, segment: &Segment<S::File>, sequence: u64, own: &[u8]) -> Result<(), Error> {
        let Some(donor) = &mut self.donor else { return Ok(()) };
        match donor.frame(sequence)? {
            Some(other) if other != own => Err(segment.refused(format!(
                "the source holds another frame {sequence} beside the damaged range: it is not a \
                 copy of this journal"
            ))),
            _ => Ok(()),
        }
    }

    /// Adds the block and the zeros behind the frames, and proves a sealed segment by its digest.
    fn close(
        &mut self,
        segment: &Segment<S::File>,
        is_sealed: bool,
        patches: &mut Patches,
    ) -> Result<Option<Seal>, Error> {
        let number = segment.header.number;
        let seal = if is_sealed {
            let seal = self.prove(segment, patches)?;
            patches.blank_rest(segment)?;
            Some(seal)
        } else {
            // One that is half there is written by the next opening.
            None
        };
        let of_header = self.info(number).and_then(|info| info.good_header().err());
        let damage = of_header.map_or(Damage::Checksum, |range| range.damage);
        let block = encode_block(&segment.header, seal.as_ref());
        let patch = block_patch(segment.file.as_deref(), &block, damage);
        if let Some(patch) = patch.context("read", &segment.path)? {
            patches.list.insert(0, patch);
        }
        Ok(seal)
    }

    /// The seal of the new image, if it is the one that was there.
    fn prove(&mut self, segment: &Segment<S::File>, patches: &Patches) -> Result<Seal, Error> {
        let number = segment.header.number;
        let theirs = if segment.seal.is_none() { self.their_seal(&segment.header)? } else { None };
        let of_before = self.before.as_ref().and_then(|before| before.digest);
        let own = segment.seal.as_ref().map(|seal| seal.previous);
        let root = (number == 1).then_some(DIGEST_NONE);
        let previous = own.or(of_before).or(root).or(theirs.as_ref().map(|seal| seal.previous));
        let Some(previous) = previous else {
            return Err(segment.refused("nothing says what digest its chain begins with".into()));
        };
        let mut hasher = SegmentHasher::new(&previous, &segment.header);
        let frames = (BLOCK_BYTES, patches.closed.end);
        each_patched(segment.file.as_deref(), &patches.list, frames, |_, piece| {
            hasher.update(piece);
            Ok(())
        })
        .context("read", &segment.path)?;
        let seal = Seal::new(patches.closed, previous, hasher.finish());
        let proven = match (&segment.seal, self.next_previous(number)) {
            (Some(own), _) => seal == *own,
            (None, Some(digest)) => seal.digest == digest,
            (None, None) => theirs.as_ref() == Some(&seal),
        };
        if !proven {
            let why = "with the source's bytes its digest is not the one in its seal or in the \
                       next segment's: the source is not a copy of this journal, or there is more \
                       damage than its checksums show";
            return Err(segment.refused(why.into()));
        }
        if !self.fits(&segment.header, &seal) {
            return Err(segment.refused("it would not fit its neighbours' seals".into()));
        }
        Ok(seal)
    }
}

/// What of a segment's block is to be replaced, if it is not this one.
fn block_patch<F: StorageFile>(
    file: Option<&F>,
    block: &[u8],
    damage: Damage,
) -> io::Result<Option<Patch>> {
    let mut own = vec![0; block.len()];
    read_patched(file, &[], 0, &mut own)?;
    if own == block && file.is_some() {
        return Ok(None);
    }
    let differs = |pair: (&u8, &u8)| pair.0 != pair.1;
    let from = own.iter().zip(block).position(differs).unwrap_or(0);
    let to = own.iter().zip(block).rposition(differs).map_or(0, |last| last + 1);
    let bytes = block[from..to].to_vec();
    let (from, to) = (from as u64, to as u64);
    Ok(Some(Patch { from, to, bytes, sequences: (1, 0), damage }))
}

impl Before {
    fn sealed(header: Header, seal: &Seal) -> Self {
        Self {
            header,
            last_sequence: seal.last_sequence,
            last_epoch: seal.last_epoch,
            last_timestamp: seal.last_timestamp,
            digest: Some(seal.digest),
        }
    }
}

impl<F> Segment<F> {
    fn refused(&self, why: String) -> Error {
        Error::Refused { path: self.path.clone(), why }
    }
}

/// What must be replaced, in order, and how the segment ends then.
struct Patches {
    list: Vec<Patch>,
    closed: Closed,
}

impl Patches {
    /// Behind the frames of a sealed segment there are zeros, to the full length.
    fn blank_rest<F: StorageFile>(&mut self, segment: &Segment<F>) -> Result<(), Error> {
        let (Some(info), Some(file)) = (&segment.info, &segment.file) else { return Ok(()) };
        let end = self.closed.end;
        let stray = nonzero_end(&**file, end, info.file_bytes).context("read", &info.path)?;
        let blank =
            |from, to, damage| Patch { from, to, bytes: Vec::new(), sequences: (1, 0), damage };
        if stray > end {
            self.list.push(blank(end, stray, Damage::Padding));
        }
        let from = end.max(info.file_bytes);
        if from < segment.header.segment_bytes && info.file_bytes < segment.header.segment_bytes {
            self.list.push(blank(from, segment.header.segment_bytes, Damage::Truncated));
        }
        Ok(())
    }
}

/// A place in a segment that is being walked.
struct Cursor {
    at: u64,
    next: u64,
    epoch: u32,
    timestamp: u64,
    /// The segment's own frame just before the cursor.
    own_before: Option<Vec<u8>>,
    /// The replacement that ends at the cursor.
    open: Option<Patch>,
    done: Vec<Patch>,
}

impl Cursor {
    fn step(&mut self, frame: FrameRef<'_>) {
        self.at += frame.bytes().len() as u64;
        self.next = frame.sequence() + 1;
        (self.epoch, self.timestamp) = (frame.epoch(), frame.timestamp());
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.done.extend(self.open.take());
        self.step(FrameRef::decoded_before(bytes));
        let own = self.own_before.get_or_insert_default();
        own.clear();
        own.extend_from_slice(bytes);
    }

    fn replace(&mut self, frame: FrameRef<'_>, damage: Damage) {
        let (from, sequence) = (self.at, frame.sequence());
        let patch = self.open.get_or_insert_with(|| Patch {
            from,
            to: from,
            bytes: Vec::new(),
            sequences: (sequence, sequence),
            damage,
        });
        patch.bytes.extend_from_slice(frame.bytes());
        patch.to += frame.bytes().len() as u64;
        patch.sequences.1 = sequence;
        self.own_before = None;
        self.step(frame);
    }

    /// The End frame, and whether the frames end where they must.
    fn finish<F: StorageFile>(mut self, segment: &Segment<F>) -> Result<Patches, Error> {
        if segment.is_closed {
            let mut end = Vec::new();
            Frame {
                sequence: self.next,
                timestamp: self.timestamp,
                epoch: self.epoch,
                kind: KIND_END,
                schema: 0,
                payload: &[],
            }
            .encode(&mut end);
            let mut own = vec![0; end.len()];
            let file = segment.file.as_deref();
            read_patched(file, &[], self.at, &mut own).context("read", &segment.path)?;
            if own != end {
                let (from, sequences) = (self.at, (1, 0));
                let patch = self.open.get_or_insert_with(|| Patch {
                    from,
                    to: from,
                    bytes: Vec::new(),
                    sequences,
                    damage: Damage::Missing,
                });
                patch.to += end.len() as u64;
                patch.bytes.extend_from_slice(&end);
            }
            self.at += end.len() as u64;
        }
        self.done.extend(self.open.take());
        if let Some(end) = segment.end.filter(|&end| end != self.at) {
            let at = self.at;
            return Err(segment.refused(format!(
                "with the source's bytes its frames end at byte {at}, they must end at {end}"
            )));
        }
        let closed = Closed {
            end: self.at,
            last_sequence: self.next - 1,
            last_timestamp: self.timestamp,
            last_epoch: self.epoch,
        };
        Ok(Patches { list: self.done, closed })
    }
}

/// The segment's own frame at the cursor, if it is whole and belongs there.
fn own_frame<F: StorageFile>(
    walker: &mut Walker<F>,
    cursor: &Cursor,
) -> std::io::Result<Result<Vec<u8>, Damage>> {
    Ok(match walker.peek()? {
        Decoded::Frame(frame) => match belongs(frame, cursor.next, cursor.epoch) {
            Ok(()) if frame.kind() != KIND_END => Ok(frame.bytes().to_vec()),
            Ok(()) => Err(Damage::Chain),
            Err(bad) => Err(Damage::Frame(bad)),
        },
        Decoded::Blank => Err(Damage::Missing),
        Decoded::Short { .. } => Err(Damage::Truncated),
        Decoded::Bad(bad) => Err(Damage::Frame(bad)),
    })
}
