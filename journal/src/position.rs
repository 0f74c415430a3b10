//! How far the journal is: the few words that the writer, its helpers and everyone else share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crossbeam_utils::CachePadded;

use crate::bell::Bell;
use crate::error::Error;
use crate::frame::ALIGN;
use crate::published::Published;

/// `synced ≤ journaled`, both inclusive sequences, 0 before the first frame.
#[derive(Debug, Default)]
pub struct Positions {
    /// The last sequence, and where its frame ends: see [`Head`].
    published: Published,
    synced: CachePadded<AtomicU64>,
    /// The segment that the writer waits for, or waited for last.
    wanted: AtomicU64,
    /// Rung when `journaled` moves.
    pub(crate) bell: Bell,
    failed: AtomicBool,
    fault: OnceLock<Error>,
    shortage: Mutex<Option<Error>>,
}

/// A place in the journal where the writer was: a segment and an offset in it, in one atomic word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    pub(crate) number: u64,
    pub(crate) offset: u64,
}

impl Head {
    fn pack(self) -> u64 {
        assert!(self.number < 1 << 32 && self.offset / (ALIGN as u64) < 1 << 32);
        (self.number << 32) | (self.offset / ALIGN as u64)
    }

    fn unpack(word: u64) -> Self {
        Self { number: word >> 32, offset: (word & 0xFFFF_FFFF) * ALIGN as u64 }
    }
}

impl Positions {
    /// The last sequence in the mapped segment: it survives the process.
    #[inline]
    pub fn journaled(&self) -> u64 {
        self.published.sequence()
    }

    /// The last sequence on the device: it survives a power cut.
    #[inline]
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// The first thing that went wrong for good. After it nothing more is synced or prepared.
    pub fn fault(&self) -> Option<&Error> {
        if self.failed.load(Ordering::Acquire) { self.fault.get() } else { None }
    }

    /// Why the next segment cannot be prepared just now, while the current one still takes frames.
    pub fn shortage(&self) -> Option<Error> {
        self.shortage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_shortage(&self, shortage: Option<Error>) {
        *self.shortage.lock().unwrap_or_else(PoisonError::into_inner) = shortage;
    }

    pub(crate) fn want(&self, number: u64) {
        self.wanted.store(number, Ordering::Release);
    }

    pub(crate) fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Acquire)
    }

    pub(crate) fn fail(&self, error: Error) {
        // The first fault is the cause, later ones are its consequences.
        let _ = self.fault.set(error);
        self.failed.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn publish(&self, sequence: u64, head: Head) {
        self.published.store(sequence, head.pack());
        self.bell.ring();
    }

    /// Where the next frame goes: see [`Reader::open_at`](crate::Reader::open_at).
    pub fn head(&self) -> Head {
        Head::unpack(self.published.place())
    }

    /// The last sequence, and a head that covers it.
    pub(crate) fn journaled_with_head(&self) -> (u64, Head) {
        let (sequence, place) = self.published.both();
        (sequence, Head::unpack(place))
    }

    pub(crate) fn set_synced(&self, sequence: u64) {
        self.synced.store(sequence, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_order_like_places_and_come_back() {
        let heads = [(1, 4096), (1, 4104), (2, 0), (2, 1 << 34)];
        let words: Vec<u64> =
            heads.iter().map(|&(number, offset)| Head { number, offset }.pack()).collect();
        assert!(words.is_sorted());
        for (word, (number, offset)) in words.into_iter().zip(heads) {
            assert_eq!(Head::unpack(word), Head { number, offset });
        }
    }

    #[test]
    fn the_first_fault_stays() {
        let positions = Positions::default();
        assert!(positions.fault().is_none());
        positions.fail(Error::Misuse("first".into()));
        positions.fail(Error::Misuse("second".into()));
        assert_eq!(positions.fault().unwrap().to_string(), "first");
    }
}
