//! Reading frames from any sequence on, also while another process appends. Never repairs, never
//! locks, never touches the writer.

use std::io;
use std::sync::Arc;

use crate::error::{Context, Damage, DamagedRange, Error};
use crate::frame::{BadFrame, Decoded, FrameRef, KIND_END};
use crate::position::Head;
use crate::segment::{BLOCK_BYTES, file_name};
use crate::storage::{Access, Storage};
use crate::survey::{SegmentInfo, first_sequence, inspect, last_of, read_seal, survey};
use crate::walk::{Walker, belongs, resynchronise};
use crate::watermark::{Mark, MarkReader};

/// A torn read of a frame that is just being written is looked at again so often.
const LOOKS: usize = 3;

/// A cursor over the frames of a journal.
pub struct Reader<S: Storage> {
    storage: S,
    marks: MarkReader<S>,
    place: Option<Place<S>>,
    next: u64,
    epoch: u32,
    torn: Option<BadFrame>,
}

struct Place<S: Storage> {
    info: SegmentInfo,
    walker: Walker<S::File>,
}

/// A place between two frames that a reader was at: see [`Reader::bookmark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bookmark {
    next: u64,
    epoch: u32,
    segment: u64,
    offset: u64,
}

/// What stands at the cursor; a frame with the bytes it takes.
enum Found {
    Frame(usize),
    End,
    Nothing(Option<BadFrame>),
}

impl<S: Storage> Reader<S> {
    /// Stands before `sequence`, which may be the one that comes next but none later.
    pub fn open(storage: S, sequence: u64) -> Result<Self, Error> {
        let path = storage.path(crate::watermark::FILE);
        let marks = MarkReader::open(&storage).context("open", path)?;
        let mut reader = Self { storage, marks, place: None, next: sequence, epoch: 0, torn: None };
        reader.seek(sequence)?;
        Ok(reader)
    }

    /// Stands before the first frame there is.
    pub fn open_first(storage: S) -> Result<Self, Error> {
        let segments = survey(&storage)?;
        let first = segments.iter().find_map(|info| Some(info.header.good()?.first_sequence));
        Self::open(storage, first.unwrap_or(1))
    }

    /// Stands before the frame that was appended where the writer was, without a walk through the
    /// segment; nothing while none was.
    pub fn open_at(storage: S, head: Head) -> Result<Option<Self>, Error> {
        let info = inspect(&storage, head.number)?;
        let path = storage.path(crate::watermark::FILE);
        let marks = MarkReader::open(&storage).context("open", path)?;
        let mut reader = Self { storage, marks, place: None, next: 0, epoch: 0, torn: None };
        reader.enter_at(info, head.offset)?;
        let place = reader.place.as_mut().expect("entered above");
        let found = place.walker.peek().context("read", &place.info.path)?;
        let Decoded::Frame(frame) = found else { return Ok(None) };
        // The End frame of a segment has the number of what follows, too.
        reader.next = frame.sequence();
        Ok(Some(reader))
    }

    /// The sequence of the frame that comes next.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// What stands at the end instead of a frame, if it is not zeros: a frame that is being
    /// written, or a torn tail that the next opening will cut.
    pub fn torn(&self) -> Option<BadFrame> {
        self.torn
    }

    /// The place of the next frame: its segment's number and its offset there.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.place.as_ref().map(|place| (place.info.number, place.walker.offset()))
    }

    /// Where it stands, to come back without a walk through the segment; nothing before the first
    /// frame.
    pub fn bookmark(&self) -> Option<Bookmark> {
        let (segment, offset) = self.position()?;
        Some(Bookmark { next: self.next, epoch: self.epoch, segment, offset })
    }

    /// Goes back to a place where a reader of the same journal was. That the frames before it were
    /// good was seen then.
    pub fn go_to(&mut self, bookmark: &Bookmark) -> Result<(), Error> {
        let info = inspect(&self.storage, bookmark.segment)?;
        self.enter_at(info, bookmark.offset)?;
        (self.next, self.epoch, self.torn) = (bookmark.next, bookmark.epoch, None);
        Ok(())
    }

    /// The next frame, or nothing while there is none yet.
    pub fn next_frame(&mut self) -> Result<Option<FrameRef<'_>>, Error> {
        loop {
            if self.place.is_none() {
                self.seek(self.next)?;
            }
            let Some(place) = &mut self.place else { return Ok(None) };
            match look(place, self.next, self.epoch)? {
                Found::Frame(stored_bytes) => {
                    // Borrowed anew: returning the frame from `look` would hold `self` for good.
                    let place = self.place.as_mut().expect("looked at it above");
                    let frame = place.walker.take(stored_bytes);
                    self.torn = None;
                    self.next += 1;
                    self.epoch = frame.epoch();
                    return Ok(Some(frame));
                }
                Found::End => {
                    if !self.enter_next()? {
                        return Ok(None);
                    }
                }
                Found::Nothing(bad) => {
                    self.torn = bad;
                    self.check_end(bad)?;
                    return Ok(None);
                }
            }
        }
    }

    /// Skips to `sequence`, forward or back.
    pub fn seek(&mut self, sequence: u64) -> Result<(), Error> {
        let mark = self.mark()?;
        // The mark was read first: what it covers is there by now.
        let segments = survey(&self.storage)?;
        let Some(first) = segments.first() else {
            (self.place, self.next) = (None, sequence);
            return match mark.sequence {
                0 => Ok(()),
                _ => Err(self.lost_segment(mark.number, mark.sequence)),
            };
        };
        let first = match first.good_header() {
            Ok(header) => header.first_sequence,
            Err(damaged) => {
                (self.place, self.next) = (None, sequence);
                let durable =
                    mark.sequence > 0 || segments.iter().any(|info| info.seal.good().is_some());
                return if durable { Err(Error::Damaged(damaged)) } else { Ok(()) };
            }
        };
        let Some(info) = start_for(&segments, sequence) else {
            let next = first.max(self.next);
            return Err(Error::OutOfRange { sequence, first, next });
        };
        let header = info.good_header().map_err(Error::Damaged)?;
        (self.next, self.epoch) = (header.first_sequence, header.epoch);
        self.enter(info.clone())?;
        while self.next < sequence {
            if self.next_frame()?.is_none() {
                return Err(Error::OutOfRange { sequence, first, next: self.next });
            }
        }
        Ok(())
    }

    fn enter(&mut self, info: SegmentInfo) -> Result<(), Error> {
        self.enter_at(info, BLOCK_BYTES)
    }

    fn enter_at(&mut self, info: SegmentInfo, offset: u64) -> Result<(), Error> {
        let limit = info.good_header().map_err(Error::Damaged)?.segment_bytes;
        let name = file_name(info.number);
        let file = Arc::new(self.storage.open(&name, Access::Read).context("open", &info.path)?);
        if let Some(place) = &mut self.place {
            place.walker.reopen(file, offset, limit);
            place.info = info;
        } else {
            let walker = Walker::new(file, offset, limit);
            self.place = Some(Place { info, walker });
        }
        Ok(())
    }

    /// Goes on in the next segment, if it has begun.
    fn enter_next(&mut self) -> Result<bool, Error> {
        let number = self.place.as_ref().expect("an End frame stands in a segment").info.number + 1;
        let durable = self.mark()?.sequence;
        // The mark was read first: if it covers the next segment, that segment is there by now.
        let entered = inspect(&self.storage, number).and_then(|info| self.go_on(info, durable));
        match entered {
            // It may have been there when its header was read.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                if durable >= self.next { Err(self.gone(number, durable)) } else { Ok(false) }
            }
            entered => entered,
        }
    }

    fn go_on(&mut self, info: SegmentInfo, durable: u64) -> Result<bool, Error> {
        match info.good_header() {
            Ok(header) if header.first_sequence != self.next => {
                Err(Error::Damaged(info.damaged(0, BLOCK_BYTES, Damage::Chain)))
            }
            Ok(_) => self.enter(info).map(|()| true),
            Err(range) if durable >= self.next || info.seal.good().is_some() => {
                Err(Error::Damaged(range))
            }
            // Not begun, or torn by a crash before it was durable.
            Err(_) => Ok(false),
        }
    }

    fn mark(&self) -> Result<Mark, Error> {
        let path = self.storage.path(crate::watermark::FILE);
        Ok(self.marks.read().context("read", path)?.unwrap_or_default())
    }

    /// A segment that was there: pruned with all before it, or lost.
    fn gone(&self, number: u64, durable: u64) -> Error {
        match first_sequence(&self.storage) {
            Ok(Some(first)) if first > self.next => {
                Error::OutOfRange { sequence: self.next, first, next: durable + 1 }
            }
            Ok(_) => self.lost_segment(number, durable),
            Err(error) => error,
        }
    }

    fn lost_segment(&self, number: u64, durable: u64) -> Error {
        // A survey that fails here would hide what is known already.
        let segments = survey(&self.storage).unwrap_or_default();
        Error::Damaged(DamagedRange {
            path: self.storage.path(&file_name(number)),
            from: 0,
            to: BLOCK_BYTES,
            sequence_from: self.next,
            sequence_to: last_of(&segments, number, durable),
            damage: Damage::Missing,
        })
    }

    /// Nothing follows: fine, unless the journal's own files say that something must.
    fn check_end(&mut self, bad: Option<BadFrame>) -> Result<(), Error> {
        let durable = self.mark()?.sequence;
        let place = self.place.as_mut().expect("looked at it before");
        let path = place.info.path.clone();
        // The segment may have been sealed since it was opened.
        let seal = read_seal(&**place.walker.file()).context("read", &path)?;
        let sealed = seal.as_ref().is_some_and(|seal| place.walker.offset() < seal.end);
        if durable < self.next && !sealed {
            return Ok(());
        }
        // The frame may have been published after our look and before the mark was read.
        if !matches!(look(place, self.next, self.epoch)?, Found::Nothing(_)) {
            return Ok(());
        }
        let from = place.walker.offset();
        let header = place.info.good_header().map_err(Error::Damaged)?;
        let limit = seal.as_ref().map_or(header.segment_bytes, |seal| seal.end);
        let file = place.walker.file();
        let after = resynchronise(&**file, from, limit, self.next).context("read", &path)?;
        let attested = match seal {
            Some(seal) => seal.last_sequence,
            None => last_of(&survey(&self.storage)?, place.info.number, durable),
        };
        Err(Error::Damaged(DamagedRange {
            path,
            from,
            to: after.map_or(limit, |(offset, _)| offset),
            sequence_from: self.next,
            sequence_to: after.map_or(attested, |(_, sequence)| sequence - 1),
            damage: bad.map_or(Damage::Missing, Damage::Frame),
        }))
    }
}

/// Where to begin for a sequence: in the last segment that can hold it. One whose predecessor is
/// not sealed yet is reached through the predecessor, because a crash may have torn a hole there,
/// and what stands behind a hole is not part of the journal.
fn start_for(segments: &[SegmentInfo], sequence: u64) -> Option<&SegmentInfo> {
    let begins = |info: &SegmentInfo| {
        info.good_header().is_ok_and(|header| header.first_sequence <= sequence)
    };
    let mut index = segments.iter().rposition(begins)?;
    while index > 0 && segments[index - 1].seal.good().is_none() {
        index = segments[..index].iter().rposition(begins)?;
    }
    Some(&segments[index])
}

/// What stands at the cursor, in the file as it is now unless it is a frame that was read ahead.
#[inline]
fn look<S: Storage>(place: &mut Place<S>, next: u64, epoch: u32) -> Result<Found, Error> {
    let fresh = place.walker.is_drained();
    match look_once(place, next, epoch)? {
        Found::Nothing(bad) => look_again(place, next, epoch, bad, fresh),
        found => Ok(found),
    }
}

#[inline]
fn look_once<S: Storage>(place: &mut Place<S>, next: u64, epoch: u32) -> Result<Found, Error> {
    let path = &place.info.path;
    Ok(match place.walker.peek().context("read", path)? {
        Decoded::Frame(frame) => match belongs(frame, next, epoch) {
            Ok(()) if frame.kind() == KIND_END => Found::End,
            Ok(()) => Found::Frame(frame.bytes().len()),
            Err(bad) => Found::Nothing(Some(bad)),
        },
        Decoded::Blank | Decoded::Short { .. } => Found::Nothing(None),
        Decoded::Bad(bad) => Found::Nothing(Some(bad)),
    })
}

/// What was read ahead may be older than the frame.
#[cold]
fn look_again<S: Storage>(
    place: &mut Place<S>,
    next: u64,
    epoch: u32,
    mut bad: Option<BadFrame>,
    mut fresh: bool,
) -> Result<Found, Error> {
    for _ in 1..LOOKS {
        place.walker.forget();
        if bad.is_none() && fresh {
            return Ok(Found::Nothing(None));
        }
        fresh = true;
        match look_once(place, next, epoch)? {
            Found::Nothing(again) => bad = again,
            found => return Ok(found),
        }
    }
    place.walker.forget();
    Ok(Found::Nothing(bad))
}
