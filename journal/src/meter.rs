//! How far a verification is, counted by several threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Progress is told about this often.
const STEP_BYTES: u64 = 1 << 20;

/// The bytes done by all threads together.
pub(crate) struct Meter<'a> {
    done: AtomicU64,
    total: u64,
    tell: &'a (dyn Fn(u64, u64) + Sync),
}

impl<'a> Meter<'a> {
    pub(crate) fn new(total: u64, tell: &'a (dyn Fn(u64, u64) + Sync)) -> Self {
        Self { done: AtomicU64::new(0), total, tell }
    }

    /// Begins a file of so many bytes.
    pub(crate) fn count(&self, bytes: u64) -> Count<'_> {
        Count { meter: self, left: bytes, untold: 0 }
    }

    fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.tell)(done.min(self.total), self.total);
    }
}

/// Counts the bytes of one segment, telling seldom and never more than the file has.
pub(crate) struct Count<'a> {
    meter: &'a Meter<'a>,
    left: u64,
    untold: u64,
}

impl Count<'_> {
    pub(crate) fn add(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.untold += bytes;
        if self.untold >= STEP_BYTES {
            self.meter.add(std::mem::take(&mut self.untold));
        }
    }

    pub(crate) fn finish(&mut self) {
        self.meter.add(self.untold + self.left);
        (self.left, self.untold) = (0, 0);
    }
}
