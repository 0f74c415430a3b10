//! Whoever led before may not know that he does no more: the other node is told who leads.

use super::Parted;
use super::downstream::Leading;
use super::link::{Line, Link};
use super::word::{Says, Word};
use crate::types::{Epoch, Nanos, Sequence};

/// A leader's way to a node that does not follow it.
pub(super) struct Herald<K> {
    line: Option<Line<K>>,
    /// When it goes next.
    at: Nanos,
}

impl<K: Link> Herald<K> {
    pub(super) fn new(now: Nanos) -> Self {
        Self { line: None, at: now }
    }

    /// Goes, where it is time; the epoch that it was answered with.
    pub(super) fn poll(
        &mut self,
        connect: impl FnOnce() -> Option<K>,
        pause: u64,
        leading: &Leading,
        now: Nanos,
    ) -> Option<Epoch> {
        let Some(line) = &mut self.line else {
            if now >= self.at {
                self.at = now.after(pause);
                self.line = connect().map(|way| Line::new(way, now));
                if let Some(line) = &mut self.line {
                    let says = Says::Beat { journaled: Sequence(0) };
                    let Leading { history, epoch, .. } = *leading;
                    Word { history, epoch, at: now, says }.put(line.outbox());
                }
            }
            return None;
        };
        match answer(line, leading, now) {
            Ok(None) => None,
            Ok(answered) => {
                self.line = None;
                answered
            }
            Err(_) => {
                self.line = None;
                None
            }
        }
    }
}

fn answer<K: Link>(
    line: &mut Line<K>,
    leading: &Leading,
    now: Nanos,
) -> Result<Option<Epoch>, Parted> {
    line.flush(now)?;
    line.fill(now)?;
    let Some(frame) = line.frame()? else { return Ok(None) };
    let word = Word::read(frame)?;
    // Of another pair: what it leads is nothing to us.
    let is_ours = !word.history.is_another(leading.history);
    Ok(Some(if is_ours { word.epoch } else { Epoch(0) }))
}
