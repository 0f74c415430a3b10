//! A logic, where it stands, and what it emitted: the processor, the shadow, recovery and replay
//! all drive this, so that each of them does exactly the same.

use std::collections::VecDeque;

use crossbeam_channel::Sender;
use ringframe_journal::Frame;
use ringframe_journal::planted::{Bug, is_planted};

use crate::control::{self, Control, DIGEST_EVERY};
use crate::digest::Digest;
use crate::logic::{self, Logic, Outbox};
use crate::record::Record;
use crate::slot::SLOT_PAYLOAD_BYTES;
use crate::stage::Fault;
use crate::types::{Applied, Epoch, Moment, Nanos, Sequence};

/// Commands go in with [`Machine::take`], are applied by [`Machine::advance`], and what they emit
/// waits until [`Machine::hand_on`] takes it away.
pub struct Machine<L: Logic> {
    logic: L,
    applied: Applied,
    outbox: Outbox<L::Event, L::Reject>,
    /// Commands that were taken; those from `next` on are not applied yet, so that logic sees what
    /// comes and has it prefetched.
    window: Vec<L::Command>,
    moments: Vec<(Nanos, Epoch)>,
    next: usize,
    /// What the records in the outbox come from.
    causes: VecDeque<Cause>,
    /// So many bytes of records may wait.
    reserved: usize,
    marks: Marks,
}

/// Where a logic stands, and the digest of everything that it emitted up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where.
    pub applied: Applied,
    /// What any other node has to have there, too.
    pub digest: Digest,
    /// How many digests of the journal were compared with own ones since the start, and agreed.
    pub compared: u64,
}

/// What another thread wants to know of a machine, and where the answer goes.
#[derive(Clone, Debug)]
pub enum Question {
    /// Where it stands.
    Standing(Sender<Standing>),
    /// The digest after a command: none where that one is not applied, was not marked, or is long
    /// past.
    DigestAt(Sequence, Sender<Option<u128>>),
}

/// Digests of a journal that were not compared with own ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unchecked {
    /// They are of commands before the state that the machine began with.
    pub before: u64,
    /// They are of commands after which it takes none, or has forgotten which it took.
    pub unknown: u64,
}

/// A command that emitted something which is still in the outbox.
#[derive(Clone, Copy)]
struct Cause {
    sequence: Sequence,
    time: Nanos,
    epoch: Epoch,
    records: u32,
}

impl<L: Logic> Default for Machine<L> {
    fn default() -> Self {
        Self::resume(L::default(), Applied::default(), Digest::default())
    }
}

impl<L: Logic> Machine<L> {
    /// Goes on from a state, for instance a snapshot's.
    pub fn resume(logic: L, applied: Applied, digest: Digest) -> Self {
        const {
            assert!(
                L::Command::BYTES_MAX <= SLOT_PAYLOAD_BYTES,
                "a command has at most 288 bytes: bound its texts, or send it in parts"
            );
            assert!(
                L::Event::BYTES_MAX + 8 <= SLOT_PAYLOAD_BYTES
                    && L::Reject::BYTES_MAX + 8 <= SLOT_PAYLOAD_BYTES,
                "an event has at most 280 bytes: emit it in parts"
            );
        }
        Self {
            logic,
            applied,
            outbox: Outbox::resume(digest),
            window: Vec::new(),
            moments: Vec::new(),
            next: 0,
            causes: VecDeque::new(),
            reserved: 0,
            marks: Marks::since(applied.sequence, digest),
        }
    }

    /// Takes the memory now that this many commands of a batch and this many emitted bytes need,
    /// and a quarter more of these, so that none is asked for later. Whoever applies asks
    /// [`Self::has_room`] before.
    pub fn reserve(&mut self, commands: usize, bytes: usize) {
        self.window.reserve(commands);
        self.moments.reserve(commands);
        // Touched, so that no page of it faults later. A record takes 32 bytes and more.
        let none = Applied::default();
        let cause =
            Cause { sequence: none.sequence, time: none.time, epoch: none.epoch, records: 0 };
        self.causes.resize((bytes + bytes / 4) / 32, cause);
        self.causes.clear();
        self.outbox.reserve(bytes);
        self.reserved = bytes;
    }

    /// The logic's state.
    pub fn logic(&self) -> &L {
        &self.logic
    }

    /// The logic's state, for a caller that takes room in it ahead of need.
    pub fn logic_mut(&mut self) -> &mut L {
        &mut self.logic
    }

    /// Where the state stands.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// The digest of everything emitted up to there.
    pub fn digest(&self) -> Digest {
        self.outbox.digest()
    }

    /// Where it stands, with the digest there.
    pub fn standing(&self) -> Standing {
        Standing { applied: self.applied, digest: self.digest(), compared: self.compared() }
    }

    /// The digest after a command that was marked, while it is remembered.
    pub fn digest_at(&self, sequence: Sequence) -> Option<u128> {
        self.marks.of(sequence)
    }

    /// Answers; who asked may have gone away.
    pub fn answer(&self, question: &Question) {
        let _ = match question {
            Question::Standing(tell) => tell.try_send(self.standing()).is_ok(),
            Question::DigestAt(at, tell) => tell.try_send(self.digest_at(*at)).is_ok(),
        };
    }

    /// The last command that was taken.
    pub fn taken(&self) -> Sequence {
        Sequence(self.applied.sequence.0 + self.waiting() as u64)
    }

    /// Commands that were taken and are not applied.
    fn waiting(&self) -> usize {
        self.window.len() - self.next
    }

    /// Takes the command that comes next. Control commands are carried out at once, with all that
    /// came before them.
    #[inline]
    pub fn take(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        assert!(frame.sequence == self.taken().next().0, "commands are dense");
        if control::is_control(frame.kind) {
            return self.control(frame);
        }
        let command = L::Command::decode(frame.kind, frame.schema, frame.payload)
            .map_err(|error| Fault::Record { sequence: Sequence(frame.sequence), error })?;
        self.window.push(command);
        self.moments.push((Nanos(frame.timestamp), Epoch(frame.epoch)));
        Ok(())
    }

    /// Applies what was taken, but for the last `keep` commands.
    #[inline]
    pub fn advance(&mut self, keep: usize) {
        let end = self.window.len().saturating_sub(keep);
        while self.next < end {
            let upcoming = self.next + 1..(self.next + 1 + L::LOOKAHEAD).min(self.window.len());
            if L::LOOKAHEAD > 0 {
                self.logic.prefetch(&self.window[upcoming]);
            }
            self.step();
        }
        self.window.drain(..self.next);
        self.moments.drain(..self.next);
        self.next = 0;
    }

    #[inline]
    fn step(&mut self) {
        let (time, epoch) = self.moments[self.next];
        let sequence = self.applied.sequence.next();
        let at = Moment { sequence, time };
        let before = self.outbox.len();
        logic::step(&mut self.logic, &self.window[self.next], &at, &mut self.outbox);
        self.next += 1;
        let records = self.outbox.len() - before;
        if records > 0 {
            self.causes.push_back(Cause { sequence, time, epoch, records: records as u32 });
        }
        self.applied.events += records as u64;
        self.reached(sequence, time, epoch);
    }

    #[inline]
    fn reached(&mut self, sequence: Sequence, time: Nanos, epoch: Epoch) {
        (self.applied.sequence, self.applied.time, self.applied.epoch) = (sequence, time, epoch);
        if sequence.0.is_multiple_of(DIGEST_EVERY) {
            self.marks.add(sequence, self.outbox.digest().value());
        }
    }

    #[cold]
    fn control(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        self.advance(0);
        let sequence = Sequence(frame.sequence);
        let control = Control::decode(frame.kind, frame.schema, frame.payload)
            .map_err(|error| Fault::Record { sequence, error })?;
        match control {
            Control::Activate { version } => self.activate(sequence, version)?,
            Control::Digest { sequence, value } => self.marks.compare(sequence, value)?,
            // Others are marked by their number.
            Control::Mark if sequence.0.is_multiple_of(DIGEST_EVERY) => {}
            Control::Mark => self.marks.add(sequence, self.outbox.digest().value()),
        }
        self.reached(sequence, Nanos(frame.timestamp), Epoch(frame.epoch));
        Ok(())
    }

    fn activate(&mut self, sequence: Sequence, version: u32) -> Result<(), Fault> {
        let is_known = (L::OLDEST..=L::VERSION).contains(&version);
        if !is_known && !is_planted(Bug::AnyVersion) {
            return Err(Fault::Version {
                name: L::NAME,
                sequence,
                wanted: version,
                oldest: L::OLDEST,
                newest: L::VERSION,
            });
        }
        self.applied.version = version;
        self.logic.activate(version);
        Ok(())
    }

    /// The newest own digest that is due in the journal, if there is one after `sequence`.
    pub fn mark_after(&self, sequence: Sequence) -> Option<(Sequence, u128)> {
        self.marks.own.back().copied().filter(|(at, _)| *at > sequence)
    }

    /// How many digests of the journal were compared with own ones, and agreed.
    pub fn compared(&self) -> u64 {
        self.marks.compared
    }

    /// How many were not, and why.
    pub fn unchecked(&self) -> Unchecked {
        self.marks.unchecked
    }

    /// How many records wait whose commands are released, `limit` at most.
    #[inline]
    pub fn releasable(&self, released: Sequence, limit: usize) -> usize {
        let mut records = 0;
        for cause in &self.causes {
            if cause.sequence > released || records >= limit {
                break;
            }
            records += cause.records as usize;
        }
        records.min(limit)
    }

    /// The oldest command with records that wait.
    pub fn oldest_held(&self) -> Option<Sequence> {
        self.causes.front().map(|cause| cause.sequence)
    }

    /// How many records wait.
    pub fn held(&self) -> usize {
        self.outbox.len()
    }

    /// Whether the waiting records take less than what was reserved for them.
    pub fn has_room(&self) -> bool {
        self.outbox.encoded().len() < self.reserved
    }

    /// Hands on the oldest record, as a frame of the event log, and forgets it.
    #[inline]
    pub fn hand_on<T>(&mut self, to: impl FnOnce(&Frame<'_>) -> T) -> Option<T> {
        let number = self.applied.events - self.outbox.len() as u64 + 1;
        let cause = self.causes.front_mut()?;
        let Cause { sequence, time, epoch, .. } = *cause;
        cause.records -= 1;
        if cause.records == 0 {
            self.causes.pop_front();
            if self.causes.is_empty() {
                // Begins at its front again: what is used stays in the cache.
                self.causes.clear();
            }
        }
        self.outbox.pop(|emitted| {
            debug_assert!(emitted.sequence == sequence);
            let reject = emitted.kind & logic::REJECT != 0;
            to(&Frame {
                sequence: number,
                timestamp: time.0,
                epoch: epoch.0,
                kind: emitted.kind,
                schema: if reject { L::Reject::VERSION } else { L::Event::VERSION },
                payload: emitted.framed,
            })
        })
    }

    /// Forgets the oldest records, `count` of them.
    pub fn forget(&mut self, count: usize) {
        for _ in 0..count {
            self.hand_on(|_| ());
        }
    }
}

/// So many own digests are remembered: a journal's digest is compared within this many.
const MARKS: usize = 1 << 10;

struct Marks {
    own: VecDeque<(Sequence, u128)>,
    /// Where the machine began.
    began: Sequence,
    agreed: Sequence,
    compared: u64,
    unchecked: Unchecked,
}

impl Marks {
    fn since(began: Sequence, digest: Digest) -> Self {
        let (compared, unchecked) = (0, Unchecked::default());
        let own = VecDeque::with_capacity(MARKS);
        let mut marks = Self { own, began, agreed: began, compared, unchecked };
        if began > Sequence(0) && began.0.is_multiple_of(DIGEST_EVERY) {
            marks.add(began, digest.value());
        }
        marks
    }

    #[cold]
    fn add(&mut self, sequence: Sequence, value: u128) {
        if self.own.len() == MARKS {
            self.own.pop_front();
        }
        self.own.push_back((sequence, value));
    }

    fn of(&self, sequence: Sequence) -> Option<u128> {
        let index = self.own.binary_search_by_key(&sequence, |&(at, _)| at).ok()?;
        Some(self.own[index].1)
    }

    fn compare(&mut self, sequence: Sequence, value: u128) -> Result<(), Fault> {
        let Some(ours) = self.of(sequence) else {
            // One from before our snapshot says nothing about what we did since.
            let Unchecked { before, unknown } = &mut self.unchecked;
            *(if sequence <= self.began { before } else { unknown }) += 1;
            return Ok(());
        };
        if ours != value {
            return Err(Fault::Diverged {
                agreed: self.agreed,
                differs: sequence,
                journaled: value,
                ours,
            });
        }
        self.agreed = sequence;
        self.compared += 1;
        Ok(())
    }
}
