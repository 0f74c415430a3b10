//! What stands in a ring: one encoded command, or one encoded event. The journaler copies it to a
//! segment as it stands; replay and the standby decode the same bytes.

use ringframe_journal::Frame;

/// The longest payload of a command or an event that a ring carries.
pub const SLOT_PAYLOAD_BYTES: usize = 288;

/// A frame in memory of a fixed size: five cache lines, an odd number, so that the slots of a ring
/// spread over all sets of a cache.
#[repr(C, align(64))]
#[derive(Clone)]
pub struct Slot {
    sequence: u64,
    timestamp: u64,
    epoch: u32,
    kind: u16,
    schema: u16,
    length: u32,
    payload: [u8; SLOT_PAYLOAD_BYTES],
}

const _: () = assert!(size_of::<Slot>() == 320);

impl Default for Slot {
    fn default() -> Self {
        Self {
            sequence: 0,
            timestamp: 0,
            epoch: 0,
            kind: 0,
            schema: 0,
            length: 0,
            payload: [0; SLOT_PAYLOAD_BYTES],
        }
    }
}

impl Slot {
    /// What stands in it.
    #[inline]
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            sequence: self.sequence,
            timestamp: self.timestamp,
            epoch: self.epoch,
            kind: self.kind,
            schema: self.schema,
            payload: &self.payload[..self.length as usize],
        }
    }

    /// Puts a copy of the frame here.
    #[inline]
    pub fn set(&mut self, frame: &Frame<'_>) {
        self.payload[..frame.payload.len()].copy_from_slice(frame.payload);
        self.head(frame, frame.payload.len());
    }

    /// Puts a frame here whose payload is written in place; `write` says how long it is. The
    /// payload in `head` is not looked at.
    #[inline]
    pub fn set_with(&mut self, head: &Frame<'_>, write: impl FnOnce(&mut [u8]) -> usize) {
        let length = write(&mut self.payload);
        assert!(length <= SLOT_PAYLOAD_BYTES);
        self.head(head, length);
    }

    #[inline]
    fn head(&mut self, frame: &Frame<'_>, length: usize) {
        self.sequence = frame.sequence;
        self.timestamp = frame.timestamp;
        self.epoch = frame.epoch;
        self.kind = frame.kind;
        self.schema = frame.schema;
        self.length = length as u32;
    }
}
