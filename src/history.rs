//! The helper behind the gateway that reads the past: it makes old messages again for clients that
//! are far behind, says how the books stand to those who come late, and keeps on disk how far
//! streams were counted. It waits for the disk, so it has a thread of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use ringframe_journal::storage::Storage;

use crate::dialect::Names;
use crate::dialect::itch::Market;
use crate::queue;
use crate::stage::{Fault, Sleeper, Stage};
use crate::streams::{Checkpoint, Day, Making, Mark, Past, Piece, Snapshot, Spin, Stream, Tally};
use crate::types::Nanos;

/// So many remarks at most per poll.
const BATCH: usize = 4096;
/// So many snapshots may be on their way to clients; of more, who comes gets the newest of them.
const SNAPSHOTS_MAX: usize = 4;

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
    /// Someone wants to know how the books stand before this message of the market, or later.
    AskSnapshot(Ask),
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

/// What somebody asked for.
#[derive(Debug)]
pub struct Answer {
    /// Who asked.
    pub token: u64,
    /// What there is; or why it cannot be had, where the log does not have it any more.
    pub found: Result<Found, String>,
}

/// What was asked for.
#[derive(Debug)]
pub enum Found {
    /// Old messages.
    Piece(Piece),
    /// How the books stand: one copy for all who ask at a time.
    Snapshot(Arc<Snapshot>),
}

/// The stage.
pub struct History<S: Storage> {
    remarks: Receiver<Remark>,
    answers: Sender<Answer>,
    /// In the order they came.
    asks: VecDeque<Ask>,
    /// Those who came late.
    late: VecDeque<Ask>,
    /// As far as it was needed; nothing before somebody came late.
    spin: Spin,
    /// A snapshot of that, which is not finished.
    making: Option<Making>,
    /// Those that are read, the newest last.
    snapshots: Vec<Arc<Snapshot>>,
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
        Ok(Self {
            remarks,
            answers,
            asks: VecDeque::new(),
            late: VecDeque::new(),
            spin: Spin::new(0),
            making: None,
            snapshots: Vec::new(),
            checkpoint,
            past,
            store,
            log,
        })
    }

    fn listen(&mut self) -> usize {
        let mut work = 0;
        for remark in self.remarks.try_iter().take(BATCH) {
            work += 1;
            match remark {
                Remark::Mark(mark) => self.checkpoint.index.add(&mark),
                Remark::NewDay(day, market) => {
                    self.checkpoint.index.new_day(day, *market);
                    // Their day is over, which the gateway tells them.
                    self.late.clear();
                    self.spin = Spin::new(day.event);
                    self.making = None;
                }
                Remark::Tally(tally) => {
                    self.checkpoint.tally = *tally;
                    // A failure is no fault: what is on disk is older, and a start counts more.
                    let _ = self.checkpoint.write(&self.store, &self.log);
                }
                Remark::Ask(ask) => self.asks.push_back(ask),
                Remark::AskSnapshot(ask) => self.late.push_back(ask),
                Remark::Gone(token) => {
                    self.asks.retain(|ask| ask.token != token);
                    self.late.retain(|ask| ask.token != token);
                }
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
        let found = read.map(Found::Piece).map_err(|error| error.to_string());
        // There is room, or nobody is there any more.
        let _ = self.answers.try_send(Answer { token, found });
        true
    }

    /// A step for those who came late: the books come nearer to where they were when the first of
    /// them asked, or he is answered.
    fn spin(&mut self) -> bool {
        if self.answers.is_full() {
            return false;
        }
        let Some(Ask { token, number, names, .. }) = self.late.front() else { return false };
        let found = if self.spin.next() < *number {
            // The one whom it was made for is gone.
            self.making = None;
            match self.spin.follow(&mut self.past, &self.checkpoint.index, names) {
                // The log is where the gateway was in a moment.
                Ok(went_on) => return went_on,
                Err(error) => {
                    // The next one begins at the beginning.
                    self.spin = Spin::new(self.checkpoint.index.day().event);
                    Err(error.to_string())
                }
            }
        } else {
            Ok(())
        };
        let token = *token;
        let found = match found.map(|()| self.snapshot()) {
            Ok(None) => return true,
            Ok(Some(snapshot)) => Ok(Found::Snapshot(snapshot)),
            Err(why) => Err(why),
        };
        self.late.pop_front();
        let _ = self.answers.try_send(Answer { token, found });
        true
    }

    /// The newest, where it says all that is known here or there are enough of them; or else a step
    /// towards a new one.
    fn snapshot(&mut self) -> Option<Arc<Snapshot>> {
        let (day, next) = (self.checkpoint.index.day().event, self.spin.next());
        let newest = self.snapshots.last().filter(|it| it.day == day).cloned();
        self.snapshots.retain(|it| Arc::strong_count(it) > 1);
        if let Some(newest) = newest
            && (newest.next == next || self.snapshots.len() >= SNAPSHOTS_MAX)
        {
            return Some(newest);
        }
        let making = self.making.get_or_insert_with(|| self.spin.begin());
        let snapshot = Arc::new(self.spin.go_on(making)?);
        self.making = None;
        self.snapshots.push(Arc::clone(&snapshot));
        Some(snapshot)
    }
}

impl<S: Storage> Stage for History<S> {
    fn name(&self) -> &'static str {
        "history"
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        Ok(self.listen() + usize::from(self.answer()) + usize::from(self.spin()))
    }

    fn sleeper(&mut self) -> Option<Box<dyn Sleeper>> {
        Some(queue::sleeper(&self.remarks))
    }

    fn close(&mut self, _now: Nanos) -> Result<(), Fault> {
        while self.listen() > 0 {}
        Ok(())
    }
}
