//! The appender: frames into mapped memory, no system call, no allocation, no waiting.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::error::Error;
use crate::frame::{
    FRAME_BYTES_MAX, Frame, FrameRef, HEADER_BYTES, KIND_END, PAYLOAD_BYTES_MAX, Scratch,
};
use crate::options::Options;
use crate::position::{Head, Positions};
use crate::segment::{BLOCK_BYTES, Closed, Header};
use crate::storage::{Region, Storage, StorageFile};

/// What an empty segment of any allowed size has room for.
const SMALLEST_ROOM: u64 = Options::SEGMENT_BYTES_MIN - BLOCK_BYTES - HEADER_BYTES as u64;

/// A segment that is zeroed, named, durable and mapped: the writer may roll into it at any moment.
pub(crate) struct Prepared<S: Storage> {
    pub(crate) number: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) file: Arc<S::File>,
    pub(crate) region: <S::File as StorageFile>::Region,
}

/// What the sync helper learns at a roll: the old segment's end, and the new segment.
pub(crate) struct Rolled<S: Storage> {
    pub(crate) closed: Closed,
    pub(crate) next: Arc<S::File>,
}

/// Whether a frame was taken.
#[must_use = "a frame that has to wait was not appended"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// It is in the segment. [`Writer::publish`] makes that known.
    Done,
    /// The next segment is not ready yet: back-pressure. Offer the same frame again later.
    Wait,
}

/// The one appender of a journal.
pub struct Writer<S: Storage> {
    pub(crate) region: <S::File as StorageFile>::Region,
    /// Header of the current segment, or of the first if none was written yet.
    pub(crate) header: Header,
    pub(crate) offset: u64,
    pub(crate) next: u64,
    pub(crate) epoch: u32,
    pub(crate) timestamp: u64,
    pub(crate) scratch: Scratch,
    pub(crate) positions: Arc<Positions>,
    pub(crate) prepared: Receiver<Prepared<S>>,
    pub(crate) rolled: Sender<Rolled<S>>,
    pub(crate) _lock: Arc<S::Lock>,
}

impl<S: Storage> Writer<S> {
    /// The sequence that the next frame must carry.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The epoch of the last frame: the next must not be lower.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The timestamp of the last frame, 0 in an empty journal.
    pub fn last_timestamp(&self) -> u64 {
        self.timestamp
    }

    /// How far the journal is.
    pub fn positions(&self) -> &Arc<Positions> {
        &self.positions
    }

    /// How many frames of up to so many stored bytes [`Self::append`] takes now without a wait.
    /// Where it is none, the next segment is asked for, and what keeps it away is an error.
    #[inline]
    pub fn room_for(&mut self, stored_bytes_max: usize) -> Result<usize, Error> {
        let used = self.offset + HEADER_BYTES as u64;
        let mut bytes = self.header.segment_bytes.saturating_sub(used);
        if bytes < SMALLEST_ROOM && !self.prepared.is_empty() {
            bytes = SMALLEST_ROOM;
        }
        let room = (bytes / stored_bytes_max as u64) as usize;
        if room == 0 {
            self.ask_for_next()?;
        }
        Ok(room)
    }

    /// The helpers make room only behind what was published.
    #[cold]
    fn ask_for_next(&mut self) -> Result<(), Error> {
        self.publish()?;
        self.positions.want(self.header.number + 1);
        self.positions.shortage().map_or(Ok(()), Err)
    }

    /// Puts a frame behind the last one. Others see it at once, the helpers after
    /// [`Self::publish`].
    #[inline]
    pub fn append(&mut self, frame: &Frame<'_>) -> Result<Append, Error> {
        self.check(frame.sequence, frame.epoch, frame.kind)?;
        if frame.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Error::Misuse(format!(
                "frame {} has {} bytes of payload, at most {PAYLOAD_BYTES_MAX} are allowed",
                frame.sequence,
                frame.payload.len()
            )));
        }
        let stored_bytes = frame.stored_bytes();
        if !self.make_room(stored_bytes)? {
            return Ok(Append::Wait);
        }
        self.store(frame, stored_bytes);
        (self.epoch, self.timestamp) = (frame.epoch, frame.timestamp);
        self.next += 1;
        Ok(Append::Done)
    }

    /// Puts a frame that another journal holds behind the last one, byte for byte.
    #[inline]
    pub fn append_encoded(&mut self, frame: FrameRef<'_>) -> Result<Append, Error> {
        self.check(frame.sequence(), frame.epoch(), frame.kind())?;
        let bytes = frame.bytes();
        if !self.make_room(bytes.len())? {
            return Ok(Append::Wait);
        }
        let (word, rest) = bytes.split_first_chunk().expect("a frame has a header");
        self.region.write(self.offset + 8, rest);
        self.region.publish(self.offset, u64::from_le_bytes(*word));
        self.offset += bytes.len() as u64;
        (self.epoch, self.timestamp) = (frame.epoch(), frame.timestamp());
        self.next += 1;
        Ok(Append::Done)
    }

    /// Tells everyone what was appended; once per batch. Fails once the journal has a fault.
    #[inline]
    pub fn publish(&mut self) -> Result<u64, Error> {
        if let Some(fault) = self.positions.fault() {
            return Err(fault.clone());
        }
        let head = Head { number: self.header.number, offset: self.offset };
        self.positions.publish(self.next - 1, head);
        Ok(self.next - 1)
    }

    #[inline]
    fn check(&self, sequence: u64, epoch: u32, kind: u16) -> Result<(), Error> {
        if sequence != self.next || epoch < self.epoch || kind == KIND_END {
            return Err(self.misuse(sequence, epoch, kind));
        }
        Ok(())
    }

    #[cold]
    fn misuse(&self, sequence: u64, epoch: u32, kind: u16) -> Error {
        Error::Misuse(format!(
            "frame {sequence} of epoch {epoch} and kind {kind} does not follow: next is {} of \
             epoch {} or later, kind {KIND_END} is reserved",
            self.next, self.epoch
        ))
    }

    #[inline]
    fn store(&mut self, frame: &Frame<'_>, stored_bytes: usize) {
        frame.store(&mut self.region, self.offset, &mut self.scratch);
        self.offset += stored_bytes as u64;
    }

    /// Makes room, rolling if need be; false if the next segment is not there yet.
    #[inline]
    fn make_room(&mut self, stored_bytes: usize) -> Result<bool, Error> {
        debug_assert!(stored_bytes <= FRAME_BYTES_MAX);
        // Room for the End frame is always kept.
        let end = self.offset + (stored_bytes + HEADER_BYTES) as u64;
        if end <= self.header.segment_bytes {
            return Ok(true);
        }
        self.roll()
    }

    #[cold]
    fn roll(&mut self) -> Result<bool, Error> {
        let Ok(prepared) = self.prepared.try_recv() else {
            return self.ask_for_next().map(|()| false);
        };
        assert!(prepared.number == self.header.number + 1);
        let end = Frame {
            sequence: self.next,
            timestamp: self.timestamp,
            epoch: self.epoch,
            kind: KIND_END,
            schema: 0,
            payload: &[],
        };
        self.store(&end, HEADER_BYTES);
        let closed = Closed {
            end: self.offset,
            last_sequence: self.next - 1,
            last_timestamp: self.timestamp,
            last_epoch: self.epoch,
        };
        let rolled = Rolled { closed, next: prepared.file };
        self.region = prepared.region;
        self.header.number = prepared.number;
        self.header.segment_bytes = prepared.segment_bytes;
        self.begin_segment();
        self.rolled.try_send(rolled).expect("at most two segments are on their way to the helpers");
        Ok(true)
    }

    /// Writes the header of the segment that the writer stands in.
    pub(crate) fn begin_segment(&mut self) {
        self.header.first_sequence = self.next;
        self.header.epoch = self.epoch;
        self.region.write(0, &self.header.encode());
        self.offset = BLOCK_BYTES;
    }
}
