//! Who answers at the door while nobody is at home: a node that recovers says which term it knows
//! of, so that another one that starts at the same time does not take it for absent.

use std::net::SocketAddr;

use ringframe_journal::storage::Storage;

use super::epochs::{Epochs, HistoryId};
use super::link::Line;
use super::word::{Says, Word};
use crate::net::{Listener, Net, Stream};
use crate::types::{Epoch, Nanos};

/// Of more who ask at once those are forgotten that came first.
const ASKERS_MAX: usize = 16;

/// The door, and who stands there.
pub struct Porter<N: Net> {
    listener: N::Listener,
    history: HistoryId,
    highest: Epoch,
    askers: Vec<Line<N::Stream>>,
}

impl<N: Net> Porter<N> {
    /// Speaks for the node with these terms.
    pub fn new<S: Storage>(listener: N::Listener, epochs: &Epochs<S>) -> Self {
        let (history, highest) = (epochs.history(), epochs.highest());
        Self { listener, history, highest, askers: Vec::new() }
    }

    /// Where others come.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Answers all who have asked.
    pub fn poll(&mut self, now: Nanos) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.prepare().is_ok() {
                self.askers.push(Line::new(stream, now));
            }
        }
        let surplus = self.askers.len().saturating_sub(ASKERS_MAX);
        self.askers.drain(..surplus);
        let Self { history, highest, askers, .. } = self;
        askers.retain_mut(|line| {
            let answered = (|| {
                line.fill(now).ok()?;
                if let Some(bytes) = line.frame().ok()?.map(|frame| frame.bytes().len()) {
                    line.take(bytes);
                    let says = Says::Recovers;
                    let word = Word { history: *history, epoch: *highest, at: now, says };
                    word.put(line.outbox());
                }
                line.flush(now).ok()
            })();
            answered.is_some()
        });
    }

    /// The door, for who is at home now.
    pub fn give_way(self) -> N::Listener {
        self.listener
    }
}
