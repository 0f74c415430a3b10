//! When good-till orders end. A timer is not taken back when its order ends otherwise: it is found
//! dead when its time comes, or when the dead ones are too many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use super::tokens::Tokens;

/// Expiries and the numbers of their orders, the earliest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    /// How many there were after the dead ones were last thrown out.
    kept: usize,
}

impl Timers {
    pub(super) fn set(&mut self, expires: u64, number: u32, tokens: &Tokens) {
        if self.heap.len() >= 2 * self.kept + 1024 {
            self.heap.retain(|&Reverse((_, number))| tokens.is_live(number));
            self.kept = self.heap.len();
        }
        self.heap.push(Reverse((expires, number)));
    }

    /// The next order whose time is over by now; it may be gone already.
    pub(super) fn pop(&mut self, now: u64) -> Option<u32> {
        let &Reverse((expires, number)) = self.heap.peek()?;
        if expires > now {
            return None;
        }
        self.heap.pop();
        Some(number)
    }

    /// When the earliest is due.
    pub(super) fn first(&self) -> Option<u64> {
        self.heap.peek().map(|&Reverse((expires, _))| expires)
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
        self.kept = 0;
    }
}
