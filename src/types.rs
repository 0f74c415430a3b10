//! The numbers that every part speaks in. They have no free arithmetic: a sequence has a next one,
//! a time has a later one.

use serde::{Deserialize, Serialize};

/// A command's number in the one total order: dense, from 1, never reused. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A term of leadership: durable before use, it only grows. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// Where a state stands: what it has applied, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The last command.
    pub sequence: Sequence,
    /// Its time …
    pub time: Nanos,
    /// … and its epoch.
    pub epoch: Epoch,
    /// The version of the logic that is active; 0 before the first was activated.
    pub version: u32,
    /// The number of the last event: dense, from 1, rejects included.
    pub events: u64,
}

/// Nanoseconds since 1970, decided once, by the sequencer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nanos(pub u64);

impl Nanos {
    /// One second.
    pub const SECOND: u64 = 1_000_000_000;

    /// This long after; the end of time where the sum has no room.
    #[must_use]
    pub const fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// When a command happens: all that logic may know of order and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The command's number.
    pub sequence: Sequence,
    /// The time that the sequencer stamped; it never goes back.
    pub time: Nanos,
}
