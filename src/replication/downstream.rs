//! The leader's end of a link: from the journal to one follower.

use std::sync::Arc;

use ringframe_journal::storage::Storage;
use ringframe_journal::{Error, Reader};

use super::Parted;
use super::copy::{Copying, Holdings, is_there};
use super::epochs::{HistoryId, Term, agreed, checksum_of_next, is_of_one};
use super::link::{Line, Link};
use super::word::{Says, Word, is_word};
use crate::net::Interest;
use crate::node::Stores;
use crate::pipeline::Positions;
use crate::types::{Epoch, Nanos, Sequence};

/// So many frames at most are read in one poll.
const BATCH: usize = 256;

/// Who leads, and what.
#[derive(Clone, Debug)]
pub struct Leading {
    /// The term.
    pub epoch: Epoch,
    /// Of which history.
    pub history: HistoryId,
    /// All terms of the journal, this one too.
    pub terms: Vec<Term>,
    /// Whose commands these are.
    pub logic: &'static str,
    /// How segments are cut: a follower's are the same.
    pub segment_bytes: u64,
    /// Whether clients were told of what a standby has, whatever is here.
    pub is_promised: bool,
    /// Where another node orders: all terms of its journal. Of some nothing may have come here yet.
    pub leaders: Option<Vec<Term>>,
    /// Why nobody can follow this node now, where that is so.
    pub refuses: Option<&'static str>,
}

/// How far a follower is, by its own word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Have {
    /// In its journal.
    pub journaled: Sequence,
    /// On its device.
    pub synced: Sequence,
    /// Applied by its logic.
    pub applied: Sequence,
    /// The leader's time that it had heard by then.
    pub heard: Nanos,
}

/// One follower, as the leader sees it.
pub struct Downstream<S: Storage, K: Link> {
    line: Line<K>,
    leading: Arc<Leading>,
    holdings: Holdings<S>,
    positions: Arc<Positions>,
    /// None before the follower has said what it lacks.
    reader: Option<Reader<S>>,
    /// What it asked for instead.
    copying: Option<Copying<S>>,
    have: Have,
    stands_by: bool,
    newest: u32,
}

impl<S: Storage, K: Link> Downstream<S, K> {
    /// For a follower that has just come.
    pub fn new(
        link: K,
        leading: Arc<Leading>,
        holdings: Holdings<S>,
        positions: Arc<Positions>,
        now: Nanos,
    ) -> Self {
        let (line, have) = (Line::new(link, now), Have::default());
        let (reader, copying, stands_by, newest) = (None, None, false, 0);
        Self { line, leading, holdings, positions, reader, copying, have, stands_by, newest }
    }

    /// Whether replies may wait for it; not before it was welcomed.
    pub fn stands_by(&self) -> bool {
        self.stands_by && self.reader.is_some()
    }

    /// The newest version of the logic that its build has, once it has said hello.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// The way to it …
    pub fn link(&self) -> &K {
        self.line.link()
    }

    /// … and what is to be waited for there.
    pub(super) fn interest(&self) -> Interest {
        self.line.interest()
    }

    /// How far it is; nothing before it said so.
    pub fn have(&self) -> Option<Have> {
        self.reader.as_ref().filter(|_| self.have.heard > Nanos(0)).map(|_| self.have)
    }

    /// What it is here for, once it has said so: who only asks is not.
    pub(super) fn does(&self) -> Option<&'static str> {
        let copies = self.copying.as_ref().map(|_| "takes a copy");
        copies.or(self.have().map(|_| "follows"))
    }

    /// Hears what the follower says, and sends what it lacks.
    pub fn poll(&mut self, now: Nanos) -> Result<usize, Parted> {
        let heard = self.hear(now)?;
        let sent = self.send(now)? + self.copy(now)?;
        if self.line.is_beat_due(now) && self.line.has_room() {
            let journaled = self.positions.journaled();
            self.say(Says::Beat { journaled }, now);
        }
        self.line.flush(now)?;
        Ok(heard + sent)
    }

    /// Lets the follower lead, which has all that this node ordered.
    pub fn hand_over(&mut self, now: Nanos) {
        let last = self.have.journaled;
        self.say(Says::TakeOver { last }, now);
    }

    fn hear(&mut self, now: Nanos) -> Result<usize, Parted> {
        let mut work = 0;
        self.line.fill(now)?;
        while let Some(frame) = self.line.frame()? {
            if !is_word(frame.kind()) {
                return Err(Parted::Wrong("a command came from a follower".into()));
            }
            let bytes = frame.bytes().len();
            let word = Word::read(frame);
            self.line.take(bytes);
            match word {
                Ok(word) => self.answer(word, now)?,
                // Of another version of the link: it is told so, or would take us for absent.
                Err(Parted::Refused(why)) => return self.refuse(why, now).map(|()| work),
                Err(parted) => return Err(parted),
            }
            work += 1;
        }
        Ok(work)
    }

    fn answer(&mut self, word: Word, now: Nanos) -> Result<(), Parted> {
        if word.history.is_another(self.leading.history) {
            return self.refuse(
                "the journal there is of another history than the one here: it is not this \
                 node's pair; mend the address, or begin from an empty directory"
                    .into(),
                now,
            );
        }
        if word.epoch > self.leading.epoch {
            return Err(Parted::Fenced { by: word.epoch });
        }
        match word.says {
            Says::Hello { stands_by, logic, newest, last, terms } if self.reader.is_none() => {
                (self.stands_by, self.newest) = (stands_by, newest);
                self.welcome(&logic, last, &terms, now)
            }
            Says::Have { journaled, synced, applied, heard } if self.reader.is_some() => {
                self.have = Have { journaled, synced, applied, heard };
                Ok(())
            }
            Says::Copy { logic, segment } if self.reader.is_none() && self.copying.is_none() => {
                self.begin_copy(&logic, segment, now)
            }
            Says::Beat { .. } if self.copying.is_some() => Ok(()),
            // It hears of our term as we heard of its own.
            Says::Beat { .. } => {
                self.turn_away("this node's term is no earlier".into(), now)?;
                Err(Parted::Answered)
            }
            other => Err(Parted::Wrong(format!("{other:?} has no place here"))),
        }
    }

    fn welcome(
        &mut self,
        logic: &str,
        last: Sequence,
        theirs: &[Term],
        now: Nanos,
    ) -> Result<(), Parted> {
        let leading = Arc::clone(&self.leading);
        let Leading { terms, leaders, logic: ours, segment_bytes, .. } = &*leading;
        if let Some(why) = self.leading.refuses {
            return self.refuse(why.into(), now);
        }
        if logic != *ours {
            return self.refuse(of_another_logic(ours, logic), now);
        }
        let journaled = self.positions.journaled();
        // Of its last term the leader may have more than has come here.
        let (own, has) = leaders.as_ref().map_or((terms, journaled), |it| (it, Sequence(u64::MAX)));
        let agreed = agreed((own, has), (theirs, last));
        if agreed > journaled {
            return self.refuse("this node follows itself, and is not so far yet".into(), now);
        }
        if let Some(why) = lost_here(own, theirs, agreed, last).filter(|_| self.leading.is_promised)
        {
            return self.refuse(why, now);
        }
        let Stores { journal, snapshots, .. } = &self.holdings.stores;
        // Who has nothing is there sooner with a copy than with all commands since the beginning.
        if last == Sequence(0) && is_there(snapshots) {
            return self.send_back(Sequence(1), now);
        }
        let (reader, checksum) = match read_behind(journal, agreed) {
            Ok(opened) => opened,
            Err(Error::OutOfRange { first, .. }) => return self.send_back(Sequence(first), now),
            // Old frames are damaged: who has them has them, and this node goes on.
            Err(error) => return self.refuse(error.to_string(), now),
        };
        self.reader = Some(reader);
        let (segment_bytes, terms) = (*segment_bytes, own.clone());
        self.say(Says::Welcome { agreed, segment_bytes, checksum, terms }, now);
        // Before all that it lacks, so that it knows how much that is.
        self.say(Says::Beat { journaled }, now);
        Ok(())
    }

    /// It is to come again with a copy.
    fn send_back(&mut self, first: Sequence, now: Nanos) -> Result<(), Parted> {
        self.say(Says::Behind { first }, now);
        self.line.flush(now)?;
        Err(Parted::Behind { first })
    }

    fn begin_copy(&mut self, logic: &str, segment: Option<u64>, now: Nanos) -> Result<(), Parted> {
        let ours = self.leading.logic;
        if logic != ours {
            return self.refuse(of_another_logic(ours, logic), now);
        }
        let begun = match (segment, self.leading.refuses) {
            (Some(number), _) => Ok(Copying::of_segment(&self.holdings, number)),
            (None, Some(why)) => Err(why.into()),
            (None, None) => Copying::begin(&self.holdings),
        };
        match begun {
            Ok(copying) => self.copying = Some(copying),
            Err(why) => return self.refuse(why, now),
        }
        self.line.wait_for_disks();
        Ok(())
    }

    /// Files go out as the socket takes them.
    fn copy(&mut self, now: Nanos) -> Result<usize, Parted> {
        let Some(copying) = self.copying.as_mut().filter(|copying| !copying.is_whole()) else {
            return Ok(0);
        };
        let Leading { history, epoch, terms, .. } = &*self.leading;
        let put = |line: &mut Line<K>, says| {
            Word { history: *history, epoch: *epoch, at: now, says }.put(line.outbox());
        };
        let mut work = match copying.poll(&mut self.line, put) {
            Ok(work) => work,
            Err(why) => return self.refuse(why, now).map(|()| 0),
        };
        if copying.is_whole() {
            put(&mut self.line, Says::Whole { terms: terms.clone() });
            work += 1;
        }
        Ok(work)
    }

    fn refuse(&mut self, why: String, now: Nanos) -> Result<(), Parted> {
        self.turn_away(why.clone(), now)?;
        Err(Parted::Refused(why))
    }

    /// The last word here: it carries our term, too.
    fn turn_away(&mut self, why: String, now: Nanos) -> Result<(), Parted> {
        let last = self.positions.journaled();
        self.say(Says::Refused { last, why }, now);
        self.line.flush(now)
    }

    fn say(&mut self, says: Says, now: Nanos) {
        let Leading { history, epoch, .. } = *self.leading;
        Word { history, epoch, at: now, says }.put(self.line.outbox());
    }

    /// Frames go out as they stand; the socket's room is the only limit, so batches follow load.
    fn send(&mut self, now: Nanos) -> Result<usize, Parted> {
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let journaled = self.positions.journaled().0;
        let mut work = 0;
        while work < BATCH && reader.next_sequence() <= journaled && self.line.has_room() {
            let frame = match reader.next_frame() {
                Ok(frame) => frame,
                Err(error) => {
                    let why = error.to_string();
                    return self.refuse(why, now).map(|()| 0);
                }
            };
            // What is journaled is there; a reader may still be looking at an older end.
            let Some(frame) = frame else { break };
            self.line.outbox().extend_from_slice(frame.bytes());
            work += 1;
        }
        Ok(work)
    }
}

fn of_another_logic(ours: &str, theirs: &str) -> String {
    format!("the journal here is of '{ours}', not of '{theirs}'")
}

/// What the follower has of this leader's own terms and this leader does not have any more, clients
/// may have been told: it must not be cut.
fn lost_here(own: &[Term], terms: &[Term], agreed: Sequence, last: Sequence) -> Option<String> {
    let surplus = terms.iter().rfind(|term| term.first <= agreed.next())?;
    // The term itself is gone with the last of its commands, where the leader began another there.
    let at = own.iter().position(|term| term.epoch >= surplus.epoch)?;
    // A term that another leader ended was cut by that one.
    let is_own = own[at..].iter().all(|term| is_of_one(term.epoch, surplus.epoch));
    (last > agreed && is_own).then(|| {
        format!(
            "the leader lost the commands {} to {} that it ordered itself, and this node has them: \
             `ringframe promote --force` here, so that they are not lost; what the leader ordered \
             in their place since is cut then, and kept aside",
            agreed.0 + 1,
            last.0
        )
    })
}

/// What comes after the last command that both have, and that one's checksum; 0 where it is not
/// here any more.
fn read_behind<S: Storage>(journal: &S, agreed: Sequence) -> Result<(Reader<S>, u32), Error> {
    if agreed > Sequence(0)
        && let Ok(mut reader) = Reader::open(journal.clone(), agreed.0)
        && let Some(checksum) = checksum_of_next(&mut reader)
    {
        return Ok((reader, checksum));
    }
    Ok((Reader::open(journal.clone(), agreed.0 + 1)?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_leader_lost_of_its_own_is_not_cut_and_what_it_replaced_is() {
        let terms = |of: &[(u32, u64)]| -> Vec<Term> {
            let term = |&(epoch, first)| Term { epoch: Epoch(epoch), first: Sequence(first) };
            of.iter().map(term).collect()
        };
        let lost = |own: &[(u32, u64)], has: u64, theirs: &[(u32, u64)], last: u64| {
            let (own, theirs) = (terms(own), terms(theirs));
            let agreed = agreed((&own, Sequence(has)), (&theirs, Sequence(last)));
            lost_here(&own, &theirs, agreed, Sequence(last)).is_some()
        };
        // It lost power, started again, and its standby has more of its term before.
        assert!(lost(&[(0x101, 1), (0x201, 101)], 100, &[(0x101, 1)], 110));
        assert!(!lost(&[(0x101, 1), (0x201, 101)], 120, &[(0x101, 1)], 100));
        // The same, and all of that term is lost.
        assert!(lost(&[(0x101, 1), (0x301, 91)], 90, &[(0x101, 1), (0x201, 91)], 100));
        // It replaced the one that is back now.
        assert!(!lost(&[(0x101, 1), (0x10_0002, 81)], 90, &[(0x101, 1)], 100));
        assert!(!lost(&[(0x101, 1), (0x10_0002, 81), (0x20_0001, 90)], 99, &[(0x101, 1)], 100));
        let replaced = [(0x101, 1), (0x10_0002, 91)];
        assert!(!lost(&[(0x101, 1), (0x20_0001, 91)], 90, &replaced, 100));
    }
}
