//! Every setting of a journal, checked once.

use std::time::Duration;

use crate::error::Error;
use crate::frame::{FRAME_BYTES_MAX, HEADER_BYTES};
use crate::segment::{BLOCK_BYTES, LOGIC_NAME_BYTES_MAX, LogicId};

/// When the sync helper makes frames durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// As soon as the last sync is done, everything that came meanwhile: group commit.
    Always,
    /// At most once in this time.
    Every(Duration),
    /// When a segment is full and when the journal is closed.
    PerSegment,
}

/// The settings of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The logic whose commands these are. Another name, or a newer version, is refused.
    pub logic: LogicId,
    /// The size of new segments: a multiple of 4096.
    pub segment_bytes: u64,
    /// When frames become durable.
    pub sync: SyncPolicy,
    /// The sequence of the very first frame of an empty journal; a standby that starts from a
    /// snapshot begins after it.
    pub first_sequence: u64,
    /// How far ahead of the appender pages are made writable, for that much dirty memory.
    pub prefault_bytes: u64,
    /// The helper zeroes and hashes in pieces of this size, so that it never holds up a sync long.
    pub slice_bytes: u64,
}

impl Options {
    /// The defaults for a logic.
    pub fn new(name: impl Into<String>, version: u32) -> Self {
        Self {
            logic: LogicId { name: name.into(), version },
            segment_bytes: 64 << 20,
            sync: SyncPolicy::Always,
            first_sequence: 1,
            prefault_bytes: 2 << 20,
            slice_bytes: 128 << 10,
        }
    }

    /// The smallest allowed segment: it holds the largest frame and the End frame.
    pub const SEGMENT_BYTES_MIN: u64 =
        (BLOCK_BYTES + (FRAME_BYTES_MAX + HEADER_BYTES) as u64).next_multiple_of(4096);

    /// The largest allowed segment.
    pub const SEGMENT_BYTES_MAX: u64 = 16 << 30;

    /// Whether a segment's file may have this length.
    pub(crate) fn is_segment_size(bytes: u64) -> bool {
        let range = Self::SEGMENT_BYTES_MIN..=Self::SEGMENT_BYTES_MAX;
        bytes.is_multiple_of(4096) && range.contains(&bytes)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if !Self::is_segment_size(self.segment_bytes) {
            return Err(Error::Options(format!(
                "segment_bytes is {}: use a multiple of 4096 between {} and {}",
                self.segment_bytes,
                Self::SEGMENT_BYTES_MIN,
                Self::SEGMENT_BYTES_MAX
            )));
        }
        if !self.slice_bytes.is_multiple_of(4096) || self.slice_bytes == 0 {
            return Err(Error::Options(format!(
                "slice_bytes is {}: use a multiple of 4096",
                self.slice_bytes
            )));
        }
        let name = &self.logic.name;
        if name.is_empty() || name.len() > LOGIC_NAME_BYTES_MAX || name.contains('\0') {
            return Err(Error::Options(format!(
                "the logic's name '{name}' must have 1 to {LOGIC_NAME_BYTES_MAX} bytes"
            )));
        }
        if self.first_sequence == 0 {
            return Err(Error::Options("sequences begin at 1".into()));
        }
        Ok(())
    }
}
