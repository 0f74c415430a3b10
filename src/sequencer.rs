//! The one place where order and time are decided. It is no stage: whoever takes commands in owns
//! it, and with it the only publisher of the ring.

use std::marker::PhantomData;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use disruptor::Producer;
use ringframe_journal::Frame;

use crate::control::Control;
use crate::logic::Logic;
use crate::pipeline::{CommandPublisher, Positions};
use crate::record::Record;
use crate::types::{Applied, Epoch, Nanos, Sequence};

/// Numbers and stamps commands and publishes them.
pub struct Sequencer<L: Logic> {
    publisher: CommandPublisher,
    positions: Arc<Positions>,
    last: Sequence,
    /// The same as this node began to lead.
    inherited: Sequence,
    time: Nanos,
    epoch: Epoch,
    /// Digests that the processor wants in the journal.
    digests: Receiver<(Sequence, u128)>,
    /// A control command that had no room yet.
    waiting: Option<Control>,
    /// The last tick.
    ticked: Sequence,
    _logic: PhantomData<fn(L)>,
}

impl<L: Logic> Sequencer<L> {
    /// Goes on after what was applied last.
    pub fn new(
        publisher: CommandPublisher,
        positions: Arc<Positions>,
        applied: Applied,
        digests: Receiver<(Sequence, u128)>,
    ) -> Self {
        Self {
            publisher,
            positions,
            last: applied.sequence,
            inherited: applied.sequence,
            time: applied.time,
            epoch: applied.epoch,
            digests,
            waiting: None,
            ticked: applied.sequence,
            _logic: PhantomData,
        }
    }

    /// The command that was published last.
    pub fn last(&self) -> Sequence {
        self.last
    }

    /// The last command that was here when this node began to lead.
    pub fn inherited(&self) -> Sequence {
        self.inherited
    }

    /// Gives the command its place and its time; nothing where the ring has no room, and then it is
    /// to be offered again.
    #[inline]
    pub fn offer(&mut self, command: &L::Command, now: Nanos) -> Option<Sequence> {
        self.publish(command, now)
    }

    /// How many commands are published and not applied yet.
    pub fn ahead(&self) -> u64 {
        self.last.0 - self.positions.applied().0
    }

    /// The term of the command that was published last, or that the next one gets.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// From here on this node orders, in this term or in the one that it has reached already. The
    /// first command of a journal says which version of the logic it is for.
    pub fn lead(&mut self, epoch: Epoch, now: Nanos) {
        self.epoch = self.epoch.max(epoch);
        self.inherited = self.last;
        if self.last == Sequence(0) {
            let activate = Control::Activate { version: L::VERSION };
            self.control(&activate, now).expect("an empty ring has room");
        }
    }

    /// On a standby: publishes a command that the leader ordered, with the place and the time that
    /// it has; false where the ring has no room.
    #[inline]
    pub fn follow(&mut self, frame: &Frame<'_>) -> bool {
        assert_eq!(Sequence(frame.sequence), self.last.next(), "an order without gaps");
        if self.publisher.try_publish(|slot| slot.set(frame)).is_err() {
            return false;
        }
        self.last = Sequence(frame.sequence);
        self.time = self.time.max(Nanos(frame.timestamp));
        self.epoch = Epoch(frame.epoch);
        self.positions.set_published(self.last);
        // What the leader's processor found stands in the journal already.
        while self.digests.try_recv().is_ok() {}
        true
    }

    /// Publishes an own command; like [`Self::offer`].
    pub fn control(&mut self, control: &Control, now: Nanos) -> Option<Sequence> {
        self.publish(control, now)
    }

    /// Publishes what the node itself has to say by now: due digests, and the time where logic
    /// waits for it. To be called at each poll of the owner.
    #[inline]
    pub fn poll(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        if self.waiting.is_some() || !self.digests.is_empty() {
            work += self.poll_control(now);
        }
        // The time that commands get, which may be ahead of a clock that was set back.
        let time = self.time.max(now);
        // What the last tick did to the timers is not known before it is applied.
        if self.positions.applied() >= self.ticked
            && self.positions.wakes_at().is_some_and(|due| due <= time)
        {
            work += self.tick(now);
        }
        work
    }

    #[cold]
    fn poll_control(&mut self, now: Nanos) -> usize {
        let digest = |(sequence, value)| Control::Digest { sequence, value };
        self.waiting = self.waiting.take().or_else(|| self.digests.try_recv().ok().map(digest));
        let Some(control) = self.waiting else { return 0 };
        if self.control(&control, now).is_none() {
            return 0;
        }
        self.waiting = None;
        1
    }

    fn tick(&mut self, now: Nanos) -> usize {
        let Some(tick) = L::tick() else { return 0 };
        let Some(sequence) = self.offer(&tick, now) else { return 0 };
        self.ticked = sequence;
        1
    }

    #[inline]
    fn publish<R: Record>(&mut self, command: &R, now: Nanos) -> Option<Sequence> {
        let sequence = self.last.next();
        let time = self.time.max(now);
        let head = Frame {
            sequence: sequence.0,
            timestamp: time.0,
            epoch: self.epoch.0,
            kind: command.kind(),
            schema: R::VERSION,
            payload: &[],
        };
        self.publisher
            .try_publish(|slot| slot.set_with(&head, |payload| command.encode(payload)))
            .ok()?;
        (self.last, self.time) = (sequence, time);
        self.positions.set_published(sequence);
        Some(sequence)
    }
}
