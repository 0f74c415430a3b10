//! The helper behind the gateway that reads the past: it makes old messages again for clients that
//! are far behind, and keeps on disk how far streams were counted. It waits for the disk, so it has
//! a thread of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use ringframe_journal::storage::Storage;

use crate::dialect::Names;
use crate::dialect::itch::Market;
use crate::queue;
use crate::stage::{Fault, Sleeper, Stage};
use crate::streams::{Checkpoint, Day, Mark, Past, Piece, Stream, Tally};
use crate::types::Nanos;

/// So many remarks at most per poll.
const BATCH: usize = 4096;

/// What the gateway says; in the order of the events.
pub enum Remark {
    /// A stream's messages can be found here.
    Mark(Mark),
    /// All streams began anew.
    NewDay(Day, Box<Market>),
    /// How far they were counted by now: to be kept.
    Tally(Box<Tally>),
    /// Someone wants old messages.
    Ask(Ask),
    /// He is gone.
    Gone(u64),
}

/// Old messages wanted.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who asks: the answer has it, too.
    pub token: u64,
    /// Of which stream.
    pub stream: Stream,
    /// From which number on.
    pub number: u64,
    /// Symbols and sessions by now.
    pub names: Arc<Names>,
}

/// Old messages.
#[derive(Debug)]
pub struct Answer {
    /// Who asked.
    pub token: u64,
    /// Of which stream.
    pub stream: Stream,
    /// The messages; none, and why, where the log does not have them any more.
    pub piece: Result<Piece, String>,
}

/// The stage.
pub struct History<S: Storage> {
    remarks: Receiver<Remark>,
    answers: Sender<Answer>,
    /// In the order they came.
    asks: VecDeque<Ask>,
    checkpoint: Checkpoint,
    past: Past<S>,
    store: S,
    log: S,
}

impl<S: Storage> History<S> {
    /// Reads `log` and keeps the counts in `store`; while `answers` is full, whoever asks waits.
    pub fn new(
        remarks: Receiver<Remark>,
        answers: Sender<Answer>,
        checkpoint: Checkpoint,
        store: S,
        log: S,
    ) -> Result<Self, Fault> {
        let past = Past::open(log.clone())?;
        Ok(Self { remarks, answers, asks: VecDeque::new(), checkpoint, past, store, log })
    }

    fn listen(&mut self) -> usize {
        let mut work = 0;
        for remark in self.remarks.try_iter().take(BATCH) {
            work += 1;
            match remark {
                Remark::Mark(mark) => self.checkpoint.index.add(&mark),
                Remark::NewDay(day, market) => self.checkpoint.index.new_day(day, *market),
                Remark::Tally(tally) => {
                    self.checkpoint.tally = *tally;
                    // A failure is no fault: what is on disk is older, and a start counts more.
                    let _ = self.checkpoint.write(&self.store, &self.log);
                }
                Remark::Ask(ask) => self.asks.push_back(ask),
                Remark::Gone(token) => self.asks.retain(|ask| ask.token != token),
            }
        }
        work
    }

    fn answer(&mut self) -> bool {
        if self.answers.is_full() {
            return false;
        }
        let Some(Ask { token, stream, number, names }) = self.asks.pop_front() else {
            return false;
        };
        let read = self.past.read(&self.checkpoint.index, &names, stream, number);
        let piece = read.map_err(|error| error.to_string());
        // There is room, or nobody is there any more.
        let _ = self.answers.try_send(Answer { token, stream, piece });
        true
    }
}

impl<S: Storage> Stage for History<S> {
    fn name(&self) -> &'static str {
        "history"
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        Ok(self.listen() + usize::from(self.answer()))
    }

    fn sleeper(&mut self) -> Option<Box<dyn Sleeper>> {
        Some(queue::sleeper(&self.remarks))
    }

    fn close(&mut self, _now: Nanos) -> Result<(), Fault> {
        while self.listen() > 0 {}
        Ok(())
    }
}
