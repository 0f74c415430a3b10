//! What the writer has published: a sequence, and the place where its frame ends. One writes, all
//! read; `tests/loom_published.rs` runs this file in every order that the memory model allows.

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering};

/// Two words that are read as a pair.
#[derive(Debug, Default)]
pub(crate) struct Published {
    sequence: CachePadded<AtomicU64>,
    place: AtomicU64,
}

impl Published {
    /// The place goes first: whoever sees the sequence sees a place that covers it.
    #[inline]
    pub(crate) fn store(&self, sequence: u64, place: u64) {
        self.place.store(place, Ordering::Release);
        self.sequence.store(sequence, Ordering::Release);
    }

    #[inline]
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn place(&self) -> u64 {
        self.place.load(Ordering::Acquire)
    }

    /// A sequence, and a place that covers it; it may cover more.
    #[inline]
    pub(crate) fn both(&self) -> (u64, u64) {
        let sequence = self.sequence();
        (sequence, self.place())
    }
}
