//! The follower's end of a link: from the leader to this node's ring.

use std::sync::Arc;

use ringframe_journal::FrameRef;
use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::storage::Storage;

use super::Parted;
use super::downstream::Have;
use super::epochs::{Epochs, HistoryId, Term, checksum_of};
use super::link::{Line, Link};
use super::word::{Says, Word, is_word};
use crate::logic::Logic;
use crate::net::Interest;
use crate::pipeline::Positions;
use crate::sequencer::Sequencer;
use crate::slot::SLOT_PAYLOAD_BYTES;
use crate::types::{Epoch, Nanos, Sequence};

/// The leader, as a follower sees it.
pub struct Upstream<K: Link> {
    line: Line<K>,
    positions: Arc<Positions>,
    history: HistoryId,
    /// The leader's term, once it has said so, and all terms of its journal.
    leader: Option<Epoch>,
    terms: Vec<Term>,
    /// What the leader has.
    journaled: Sequence,
    /// The leader's clock.
    heard: Nanos,
    told: Have,
}

impl<K: Link> Upstream<K> {
    /// Says hello to whoever is at the other end; `stands_by` where replies may wait for this node.
    pub fn new<L: Logic, S: Storage>(
        link: K,
        stands_by: bool,
        sequencer: &Sequencer<L>,
        epochs: &Epochs<S>,
        positions: Arc<Positions>,
        now: Nanos,
    ) -> Self {
        let mut line = Line::new(link, now);
        let says = Says::Hello {
            stands_by,
            logic: L::NAME.into(),
            newest: L::VERSION,
            last: sequencer.last(),
            terms: epochs.terms().to_vec(),
        };
        let history = epochs.history();
        Word { history, epoch: latest(epochs), at: now, says }.put(line.outbox());
        Self {
            line,
            positions,
            history,
            leader: None,
            terms: Vec::new(),
            journaled: Sequence(0),
            heard: Nanos(0),
            told: Have::default(),
        }
    }

    /// The leader's term, once this node follows it.
    pub fn follows(&self) -> Option<Epoch> {
        self.leader
    }

    /// All terms of the leader's journal, once this node follows it.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// What is to be waited for at the link.
    pub(super) fn interest(&self) -> Interest {
        self.line.interest()
    }

    /// The way to the leader.
    pub fn link(&self) -> &K {
        self.line.link()
    }

    /// The last word to a leader whose term this node has ended.
    pub fn fence(&mut self, epoch: Epoch, now: Nanos) {
        let says = Says::Beat { journaled: self.positions.journaled() };
        Word { history: self.history, epoch, at: now, says }.put(self.line.outbox());
        // Where it does not get through, the next leader's own links say it.
        let _ = self.line.flush(now);
    }

    /// The leader's last command, by its last word.
    pub(super) fn leader_has(&self) -> Option<Sequence> {
        Some(self.journaled).filter(|&has| self.leader.is_some() && has > Sequence(0))
    }

    /// How many commands the leader has that are not in this node's journal, by its last word.
    pub fn lag(&self) -> u64 {
        self.journaled.0.saturating_sub(self.positions.journaled().0)
    }

    /// Publishes what has come, as far as the ring has room, and says how far this node is.
    pub fn poll<L: Logic, S: Storage>(
        &mut self,
        sequencer: &mut Sequencer<L>,
        epochs: &mut Epochs<S>,
        now: Nanos,
    ) -> Result<usize, Parted> {
        self.line.fill(now)?;
        let mut work = 0;
        while self.next(sequencer, epochs)? {
            work += 1;
        }
        self.tell(latest(epochs), now);
        self.line.flush(now)?;
        Ok(work)
    }

    /// Takes one frame; false where none has come, or the ring has no room.
    fn next<L: Logic, S: Storage>(
        &mut self,
        sequencer: &mut Sequencer<L>,
        epochs: &mut Epochs<S>,
    ) -> Result<bool, Parted> {
        let Some(frame) = self.line.frame()? else { return Ok(false) };
        let bytes = frame.bytes().len();
        if is_word(frame.kind()) {
            let word = Word::read(frame)?;
            self.line.take(bytes);
            return self.hear(word, sequencer, epochs).map(|()| true);
        }
        self.check(frame, sequencer, epochs)?;
        let at = Nanos(frame.timestamp());
        let is_published = sequencer.follow(&frame.frame());
        if is_published {
            self.journaled = self.journaled.max(sequencer.last());
            self.heard = self.heard.max(at);
            self.line.take(bytes);
        }
        Ok(is_published)
    }

    fn hear<L: Logic, S: Storage>(
        &mut self,
        word: Word,
        sequencer: &Sequencer<L>,
        epochs: &mut Epochs<S>,
    ) -> Result<(), Parted> {
        if word.history.is_another(epochs.history()) {
            return Err(Parted::Refused(
                "the node at the other end is of another history: it is not this one's pair; mend \
                 the address"
                    .into(),
            ));
        }
        if word.epoch < latest(epochs) {
            let why = format!(
                "the other node leads term {}, and there is a later one, {}",
                word.epoch.0,
                epochs.highest().0
            );
            return Err(Parted::Refused(why));
        }
        self.heard = word.at;
        match word.says {
            Says::Refused { why, .. } => Err(Parted::Refused(why)),
            Says::Recovers => Err(Parted::recovers()),
            Says::Welcome { .. } if epochs.is_own(word.epoch) => Err(Parted::Refused(format!(
                "the leader's number is {}, and so is ours: give one of them another `node`",
                word.epoch.0 & 0xFF
            ))),
            Says::Welcome { agreed, checksum, terms, .. } if self.leader.is_none() => {
                is_same(epochs, agreed, checksum)?;
                epochs.joined(word.history, word.epoch)?;
                self.history = word.history;
                if agreed < sequencer.last() {
                    return Err(Parted::Surplus { agreed });
                }
                // Terms of which nothing is left here.
                epochs.cut(agreed)?;
                (self.leader, self.terms) = (Some(word.epoch), terms);
                Ok(())
            }
            Says::Behind { first } if self.leader.is_none() => Err(Parted::Behind { first }),
            Says::Beat { journaled } if self.leader.is_some() => {
                self.journaled = journaled;
                Ok(())
            }
            // It has not heard our hello yet.
            Says::Beat { .. } if self.leader.is_none() => Ok(()),
            Says::TakeOver { last } if self.leader.is_some() && last == sequencer.last() => {
                Err(Parted::HandedOver)
            }
            other => Err(Parted::Wrong(format!("{other:?} has no place here"))),
        }
    }

    /// A frame that this journal can take as its next.
    fn check<L: Logic, S: Storage>(
        &self,
        frame: FrameRef<'_>,
        sequencer: &Sequencer<L>,
        epochs: &mut Epochs<S>,
    ) -> Result<(), Parted> {
        let Some(leader) = self.leader else {
            return Err(Parted::Wrong("a command came before the welcome".into()));
        };
        let next = sequencer.last().next();
        if Sequence(frame.sequence()) != next {
            let came = frame.sequence();
            return Err(Parted::Wrong(format!("command {came} came in the place of {}", next.0)));
        }
        let epoch = Epoch(frame.epoch());
        if epoch < sequencer.epoch() || epoch > leader {
            return Err(Parted::Wrong(format!(
                "command {} is of term {}, between {} and {}",
                next.0,
                epoch.0,
                sequencer.epoch().0,
                leader.0
            )));
        }
        if frame.payload().len() > SLOT_PAYLOAD_BYTES {
            return Err(Parted::Wrong(format!(
                "command {} has {} bytes, a ring's slot {SLOT_PAYLOAD_BYTES}",
                next.0,
                frame.payload().len()
            )));
        }
        if epochs.terms().last().is_none_or(|last| last.epoch < epoch) {
            // Durable before a command of it is in the journal.
            epochs.begin(Term { epoch, first: next })?;
        }
        Ok(())
    }

    fn tell(&mut self, epoch: Epoch, now: Nanos) {
        if self.leader.is_none() || !self.line.is_empty() {
            return;
        }
        // Read in the order that keeps `synced ≤ journaled`.
        let mut synced = self.positions.synced();
        let applied = self.positions.applied();
        let mut journaled = self.positions.journaled();
        if is_planted(Bug::AckUnsynced) {
            synced = journaled;
        }
        if is_planted(Bug::AckEarly) {
            journaled = self.positions.published();
        }
        let have = Have { journaled, synced, applied, heard: self.heard };
        let is_news = (have.journaled, have.synced) != (self.told.journaled, self.told.synced);
        if !is_news && !self.line.is_beat_due(now) {
            return;
        }
        self.told = have;
        let Have { journaled, synced, applied, heard } = have;
        let says = Says::Have { journaled, synced, applied, heard };
        Word { history: self.history, epoch, at: now, says }.put(self.line.outbox());
    }
}

/// The latest term that this node knows of: nobody who leads an older one is listened to.
fn latest<S: Storage>(epochs: &Epochs<S>) -> Epoch {
    if is_planted(Bug::OlderTerm) { Epoch(0) } else { epochs.highest() }
}

/// The last command that both are said to have is the same in both.
fn is_same<S: Storage>(epochs: &Epochs<S>, agreed: Sequence, checksum: u32) -> Result<(), Parted> {
    let ours = checksum_of(epochs.journal(), agreed);
    if checksum == 0 || ours.is_none_or(|ours| ours == checksum) {
        return Ok(());
    }
    Err(Parted::Refused(format!(
        "command {} is another one here than at the leader, though both journals have the same \
         terms: one of them was copied, and both led. Look with `ringframe journal diff`, and \
         begin this node from an empty directory where it is the one to give up",
        agreed.0
    )))
}
