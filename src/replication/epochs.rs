//! Which leadership terms there were and with which command each began, durable before use: the
//! file `epochs` beside the journal's segments.
//!
//! The file is one frame, as the journal has them: its epoch is the highest that was heard of, its
//! payload the history's number, the node's, and the terms, 16 bytes each: epoch and first
//! sequence.
//!
//! Two nodes compare their terms to find the last command that both have: within a term there was
//! one leader, so where the same term is in both journals its commands are the same. That holds
//! within a history: all journals that follow from one empty one.

use std::path::PathBuf;

use ringframe_journal::frame::{Decoded, decode};
use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::storage::{Storage, read_whole, replace_whole};
use ringframe_journal::{Frame, Reader};

use crate::stage::Fault;
use crate::types::{Epoch, Nanos, Sequence};

const FILE: &str = "epochs";
const SCHEMA: u16 = 2;
/// The last bits of an epoch are its leader's number, …
const NODE_BITS: u32 = u8::BITS;
/// … those before count its leader's starts, and the first ones promotions: however often a leader
/// starts that was replaced and does not know it, its terms stay below its successor's.
const START_BITS: u32 = 12;
const TERM_BYTES: usize = 16;
/// Of the payload, before the terms.
const HEAD_BYTES: usize = 16;

/// A term of leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Its number.
    pub epoch: Epoch,
    /// The first command that was ordered in it, or would have been.
    pub first: Sequence,
}

/// The number of a history: whoever begins one draws it, and whoever follows has the same. 0 is a
/// journal in which nobody led yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryId(pub u64);

impl HistoryId {
    /// Whether the two cannot be one: what is true of the one says nothing of the other.
    pub fn is_another(self, other: Self) -> bool {
        self != other && self.0 != 0 && other.0 != 0
    }
}

/// The terms of a node's journal, and the highest that this node ever heard of.
pub struct Epochs<S: Storage> {
    storage: S,
    known: Known,
}

/// What is in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    history: HistoryId,
    node: u8,
    highest: Epoch,
    terms: Vec<Term>,
}

impl<S: Storage> Epochs<S> {
    /// What the file says; nothing where there is none, and then `node` is this node's number. No
    /// two nodes have the same one: it stands in the epochs that a node leads, so that two that
    /// know nothing of each other cannot lead the same one.
    pub fn open(storage: S, node: u8) -> Result<Self, Fault> {
        let mut epochs = Self { storage, known: Known { node, ..Known::default() } };
        let found = read_whole(&epochs.storage, FILE)
            .map_err(|error| epochs.fault(&format!("cannot be read: {error}")))?;
        let Some(bytes) = found else { return Ok(epochs) };
        epochs.known = parse(&bytes).ok_or_else(|| {
            epochs.fault(
                "is damaged: what this node promised is not known, so it must not lead. Bring \
                 back the file from a backup, or begin this node anew as a standby, from an empty \
                 directory",
            )
        })?;
        Ok(epochs)
    }

    /// The journal beside which the file is.
    pub(super) fn journal(&self) -> &S {
        &self.storage
    }

    /// Where that is, for messages.
    pub(super) fn place(&self) -> PathBuf {
        let mut file = self.storage.path(FILE);
        file.pop();
        file
    }

    /// This node's number.
    pub fn node(&self) -> u8 {
        self.known.node
    }

    /// Which history the journal is of.
    pub fn history(&self) -> HistoryId {
        self.known.history
    }

    /// The highest epoch that this node ever heard of: it follows no lower one.
    pub fn highest(&self) -> Epoch {
        self.known.highest
    }

    /// The terms of the journal, in order.
    pub fn terms(&self) -> &[Term] {
        &self.known.terms
    }

    /// A leader was heard of. Durable when this returns.
    pub fn heard(&mut self, epoch: Epoch) -> Result<(), Fault> {
        self.joined(self.known.history, epoch)
    }

    /// The same of a leader whose history this one's journal is of from now on.
    pub fn joined(&mut self, history: HistoryId, epoch: Epoch) -> Result<(), Fault> {
        let highest = epoch.max(self.known.highest);
        self.write(Known { history, highest, ..self.known.clone() })
    }

    /// The journal is a copy of a leader's, with these terms. Durable when this returns.
    pub(super) fn copied(&mut self, history: HistoryId, terms: Vec<Term>) -> Result<(), Fault> {
        let last = terms.last().map_or(Epoch(0), |last| last.epoch);
        let highest = last.max(self.known.highest);
        self.write(Known { history, highest, terms, ..self.known.clone() })
    }

    /// Whether the term is one that this node leads, or led.
    pub fn is_own(&self, epoch: Epoch) -> bool {
        is_of_one(epoch, Epoch(self.known.node.into()))
    }

    /// Whether this node led last, as far as it knows.
    pub fn led_last(&self) -> bool {
        let last = self.known.terms.last();
        last.is_some_and(|last| self.is_own(last.epoch) && last.epoch >= self.known.highest)
    }

    /// This node leads again after a start, and this command is the first that it orders. Durable
    /// when this returns.
    pub fn resume(&mut self, first: Sequence, now: Nanos) -> Result<Epoch, Fault> {
        if is_planted(Bug::ReuseTerm)
            && let Some(last) = self.known.terms.last()
            && self.is_own(last.epoch)
        {
            return Ok(last.epoch);
        }
        self.lead((self.known.highest.0 >> NODE_BITS) + 1, first, now)
    }

    /// This node takes over from whoever led, likewise: in a term above all that a former leader
    /// can reach by itself.
    pub fn promote(&mut self, first: Sequence, now: Nanos) -> Result<Epoch, Fault> {
        let promotions = (self.known.highest.0 >> (START_BITS + NODE_BITS)) + 1;
        self.lead(promotions << START_BITS, first, now)
    }

    fn lead(&mut self, later: u32, first: Sequence, now: Nanos) -> Result<Epoch, Fault> {
        let node = self.known.node;
        let epoch = Epoch(later << NODE_BITS | u32::from(node));
        if self.known.history == HistoryId(0) {
            // No two nodes draw the same, and no node draws one twice.
            self.known.history = HistoryId(now.0 << NODE_BITS | u64::from(node));
        }
        self.begin(Term { epoch, first })?;
        Ok(epoch)
    }

    /// Another node is to lead, in a term that is not known yet: this one does not lead on by
    /// itself, whatever becomes of it. Durable when this returns.
    pub fn give_way(&mut self) -> Result<(), Fault> {
        let promotions = (self.known.highest.0 >> (START_BITS + NODE_BITS)) + 1;
        self.heard(Epoch(promotions << (START_BITS + NODE_BITS)))
    }

    /// A term begins with this command. Durable when this returns; the first of its commands must
    /// not be journaled before.
    pub fn begin(&mut self, term: Term) -> Result<(), Fault> {
        let mut terms = self.known.terms.clone();
        let last = terms.last();
        assert!(
            last.is_none_or(|last| last.epoch < term.epoch),
            "terms only grow: {term:?} after {last:?}"
        );
        // One in which nothing was said, or of which nothing is left, tells nobody anything.
        while terms.pop_if(|last| last.first >= term.first).is_some() {}
        terms.push(term);
        let highest = self.known.highest.max(term.epoch);
        self.write(Known { highest, terms, ..self.known.clone() })
    }

    /// The journal was cut behind this command: the terms behind it never were.
    pub fn cut(&mut self, last: Sequence) -> Result<(), Fault> {
        let mut known = self.known.clone();
        known.terms.retain(|term| term.first <= last);
        self.write(known)
    }

    fn write(&mut self, known: Known) -> Result<(), Fault> {
        if known == self.known {
            return Ok(());
        }
        if !is_planted(Bug::ForgetTerm) {
            replace_whole(&self.storage, FILE, &encode(&known)).map_err(|error| {
                self.fault(&format!("cannot be written: {error}; is there room on the disk?"))
            })?;
        }
        self.known = known;
        Ok(())
    }

    fn fault(&self, why: &str) -> Fault {
        Fault::Node(format!("{} {why}", self.storage.path(FILE).display()))
    }
}

fn encode(known: &Known) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(known.history.0.to_le_bytes());
    payload.extend(u64::from(known.node).to_le_bytes());
    put_terms(&mut payload, &known.terms);
    let frame = Frame {
        sequence: known.terms.len() as u64,
        timestamp: 0,
        epoch: known.highest.0,
        kind: 0,
        schema: SCHEMA,
        payload: &payload,
    };
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

fn parse(bytes: &[u8]) -> Option<Known> {
    let Decoded::Frame(frame) = decode(bytes) else { return None };
    let (head, terms) = frame.payload().split_first_chunk::<HEAD_BYTES>()?;
    let ([history, node], _) = head.as_chunks::<8>() else { return None };
    let terms = parse_terms(terms)?;
    let is_whole = frame.bytes().len() == bytes.len()
        && frame.schema() == SCHEMA
        && frame.sequence() == terms.len() as u64;
    let node = u8::try_from(u64::from_le_bytes(*node)).ok()?;
    let history = HistoryId(u64::from_le_bytes(*history));
    is_whole.then(|| Known { history, node, highest: Epoch(frame.epoch()), terms })
}

/// The checksum of a command in a journal; nothing where it is not there.
pub(super) fn checksum_of<S: Storage>(journal: &S, sequence: Sequence) -> Option<u32> {
    checksum_of_next(&mut Reader::open(journal.clone(), sequence.0).ok()?)
}

/// The same of the next frame, which is behind the reader then.
pub(super) fn checksum_of_next<S: Storage>(reader: &mut Reader<S>) -> Option<u32> {
    let frame = reader.next_frame().ok()??;
    Some(u32::from_le_bytes(*frame.bytes().first_chunk()?))
}

/// Whether both terms are of one leader.
pub(super) fn is_of_one(one: Epoch, other: Epoch) -> bool {
    (one.0 ^ other.0) & ((1 << NODE_BITS) - 1) == 0
}

/// Whether nobody was promoted in between.
pub(super) fn are_of_one_promotion(one: Epoch, other: Epoch) -> bool {
    (one.0 ^ other.0) >> (START_BITS + NODE_BITS) == 0
}

/// Appends terms as bytes, as the file and the link have them.
pub(super) fn put_terms(into: &mut Vec<u8>, terms: &[Term]) {
    for term in terms {
        into.extend(u64::from(term.epoch.0).to_le_bytes());
        into.extend(term.first.0.to_le_bytes());
    }
}

/// Terms from bytes; nothing where they are none, or do not grow.
pub(super) fn parse_terms(bytes: &[u8]) -> Option<Vec<Term>> {
    let (terms, []) = bytes.as_chunks::<TERM_BYTES>() else { return None };
    let term = |bytes: &[u8; TERM_BYTES]| {
        let (epoch, first) = bytes.split_at(8);
        let epoch = u64::from_le_bytes(epoch.try_into().ok()?);
        let first = u64::from_le_bytes(first.try_into().ok()?);
        Some(Term { epoch: Epoch(u32::try_from(epoch).ok()?), first: Sequence(first) })
    };
    let terms = terms.iter().map(term).collect::<Option<Vec<Term>>>()?;
    let grow = |pair: &[Term]| pair[0].epoch < pair[1].epoch && pair[0].first <= pair[1].first;
    terms.windows(2).all(grow).then_some(terms)
}

/// The last command that two journals have in common: each given by its terms and its last command.
pub fn agreed(one: (&[Term], Sequence), other: (&[Term], Sequence)) -> Sequence {
    let end = |(terms, last): (&[Term], Sequence), index: usize| {
        // A term without commands ends before it begins.
        terms.get(index + 1).map_or(last, |next| Sequence(next.first.0 - 1).min(last))
    };
    let mut agreed = Sequence(0);
    for (index, (own, others)) in one.0.iter().zip(other.0).enumerate() {
        if own != others {
            break;
        }
        let (ours, theirs) = (end(one, index), end(other, index));
        agreed = agreed.max(ours.min(theirs));
        if ours != theirs {
            break;
        }
    }
    agreed
}

#[cfg(test)]
mod tests {
    use ringframe_journal::{SimulatedStorage, Survival};

    use super::*;

    fn terms(of: &[(u32, u64)]) -> Vec<Term> {
        of.iter()
            .map(|&(epoch, first)| Term { epoch: Epoch(epoch), first: Sequence(first) })
            .collect()
    }

    #[test]
    fn journals_agree_up_to_where_their_terms_part() {
        let meet = |one: &[(u32, u64)], one_last, other: &[(u32, u64)], other_last| {
            let (one, other) = (terms(one), terms(other));
            let (one, other) = ((&one[..], Sequence(one_last)), (&other[..], Sequence(other_last)));
            assert_eq!(agreed(one, other), agreed(other, one));
            agreed(one, other).0
        };
        assert_eq!(meet(&[], 0, &[(1, 1)], 50), 0);
        assert_eq!(meet(&[(1, 1)], 40, &[(1, 1)], 50), 40);
        // The old leader wrote on to 100; the new one began with 81.
        assert_eq!(meet(&[(1, 1)], 100, &[(1, 1), (2, 81)], 90), 80);
        // The same, and the new one has said nothing yet.
        assert_eq!(meet(&[(1, 1)], 100, &[(1, 1), (2, 81)], 80), 80);
        assert_eq!(meet(&[(1, 1)], 60, &[(1, 1), (2, 81)], 90), 60);
        // Both led after 80, one without the other.
        assert_eq!(meet(&[(1, 1), (2, 81)], 90, &[(1, 1), (3, 81)], 99), 80);
        assert_eq!(meet(&[(1, 1), (2, 81)], 90, &[(1, 1), (3, 71)], 99), 70);
        // A term in which nothing was said.
        assert_eq!(meet(&[(1, 1), (2, 81), (3, 81)], 90, &[(1, 1), (2, 81), (3, 81)], 95), 90);
        assert_eq!(meet(&[(1, 1), (2, 81), (3, 81)], 90, &[(1, 1), (2, 81)], 85), 80);
        assert_eq!(meet(&[(2, 1)], 10, &[(1, 1)], 10), 0);
    }

    #[test]
    fn what_was_promised_survives_a_crash_at_every_step() {
        for steps in 1.. {
            let disk = SimulatedStorage::new();
            let mut epochs = Epochs::open(disk.clone(), 1).unwrap();
            epochs.begin(Term { epoch: Epoch(1), first: Sequence(1) }).unwrap();
            epochs.heard(Epoch(4)).unwrap();
            disk.crash_at(disk.steps() + steps);
            let second = epochs.resume(Sequence(9), Nanos(7));
            for survival in [Survival::Everything, Survival::Nothing, Survival::Even] {
                let found = Epochs::open(disk.after_crash(survival), 1).unwrap();
                let is_new = found.terms() == terms(&[(1, 1), (0x101, 9)]);
                assert!(is_new || found.terms() == terms(&[(1, 1)]), "step {steps}");
                assert!(is_new || second.is_err(), "step {steps}: it said that it was durable");
                assert_eq!(found.highest(), if is_new { Epoch(0x101) } else { Epoch(4) });
            }
            if second.is_ok() {
                assert!(steps > 4, "{steps} steps");
                return;
            }
        }
    }

    #[test]
    fn what_is_cut_never_was_and_the_promise_stays() {
        let disk = SimulatedStorage::new();
        let mut epochs = Epochs::open(disk.clone(), 1).unwrap();
        for &(epoch, first) in &[(1, 1), (2, 50), (3, 90)] {
            epochs.begin(Term { epoch: Epoch(epoch), first: Sequence(first) }).unwrap();
        }
        epochs.cut(Sequence(89)).unwrap();
        let found = Epochs::open(disk, 1).unwrap();
        assert_eq!(found.terms(), terms(&[(1, 1), (2, 50)]));
        assert_eq!(found.highest(), Epoch(3));
    }

    #[test]
    fn two_nodes_that_know_nothing_of_each_other_lead_different_terms() {
        let lead = |node| {
            let mut epochs = Epochs::open(SimulatedStorage::new(), node).unwrap();
            epochs.begin(Term { epoch: Epoch(0x100), first: Sequence(1) }).unwrap();
            (epochs.promote(Sequence(81), Nanos(7)).unwrap(), epochs.terms().to_vec())
        };
        let ((one, ones), (other, others)) = (lead(1), lead(2));
        assert!(one != other && one > Epoch(0x100) && other > Epoch(0x100));
        assert_eq!(agreed((&ones, Sequence(99)), (&others, Sequence(99))), Sequence(80));
    }

    #[test]
    fn who_was_replaced_stays_below_however_often_it_starts() {
        let mut former = Epochs::open(SimulatedStorage::new(), 1).unwrap();
        former.resume(Sequence(1), Nanos(7)).unwrap();
        let mut next = Epochs::open(SimulatedStorage::new(), 2).unwrap();
        next.begin(*former.terms().last().unwrap()).unwrap();
        assert!(former.led_last() && !next.led_last());
        let promoted = next.promote(Sequence(40), Nanos(8)).unwrap();
        assert!(next.led_last());
        let mut giver = Epochs::open(SimulatedStorage::new(), 1).unwrap();
        giver.resume(Sequence(1), Nanos(7)).unwrap();
        giver.give_way().unwrap();
        assert!(!giver.led_last() && giver.highest() < promoted);
        for _ in 0..200 {
            assert!(former.resume(Sequence(50), Nanos(9)).unwrap() < promoted);
        }
        assert!(next.resume(Sequence(60), Nanos(9)).unwrap() > promoted);
        former.heard(promoted).unwrap();
        assert!(!former.led_last());
    }

    fn known(of: &[(u32, u64)]) -> Known {
        let highest = Epoch(of.last().map_or(0, |last| last.0));
        Known { history: HistoryId(0x1122), node: 3, highest, terms: terms(of) }
    }

    #[test]
    fn a_history_is_drawn_once_and_kept_with_the_nodes_number() {
        let disk = SimulatedStorage::new();
        let mut epochs = Epochs::open(disk.clone(), 1).unwrap();
        epochs.resume(Sequence(1), Nanos(7)).unwrap();
        assert_eq!(epochs.history(), HistoryId(0x701));
        epochs.resume(Sequence(4), Nanos(8)).unwrap();
        // Told otherwise: the file knows.
        let mut found = Epochs::open(disk, 2).unwrap();
        assert_eq!((found.history(), found.node()), (HistoryId(0x701), 1));
        found.joined(HistoryId(0x902), Epoch(1)).unwrap();
        assert_eq!((found.history(), found.highest()), (HistoryId(0x902), Epoch(0x201)));
        let nobody = HistoryId(0);
        let is_another = |one: u64, other: u64| HistoryId(one).is_another(HistoryId(other));
        assert!(is_another(1, 2) && !is_another(1, 1) && !nobody.is_another(HistoryId(1)));
    }

    #[test]
    fn the_file_is_as_the_formats_page_says() {
        let bytes = encode(&known(&[(0x101, 1), (0x203, 90)]));
        let payload = [0x1122_u64, 3, 0x101, 1, 0x203, 90].map(u64::to_le_bytes).concat();
        assert_eq!(bytes.len(), 80);
        assert_eq!(bytes[8..16], 2_u64.to_le_bytes());
        assert_eq!(bytes[24..32], [3, 2, 0, 0, 0, 0, 2, 0]);
        assert_eq!(bytes[32..], payload);
    }

    #[test]
    fn every_flipped_byte_is_seen() {
        let known = known(&[(1, 1), (7, 90)]);
        let bytes = encode(&known);
        assert_eq!(parse(&bytes), Some(known));
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            assert_eq!(parse(&bytes), None, "byte {at}");
        }
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]), None, "{length} bytes");
        }
    }
}
