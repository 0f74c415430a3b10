//! Whether a node that starts leads or follows: what it did last, and what the other node says.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use ringframe_journal::frame::{Decoded, decode};
use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::storage::Storage;

use super::epochs::{Epochs, HistoryId, Term, are_of_one_promotion};
use super::word::{Says, Word, is_word};
use crate::net::Guarded;
use crate::stage::Fault;
use crate::types::{Epoch, Nanos, Sequence};

/// The other node answers in this time, or is not there.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of one that takes connections and says nothing it is asked so often.
const ASKS: u32 = 5;
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What a node begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// It leads on, or for the first time.
    Leads {
        /// The last command that the other node has of the term that this one led last; 0 where
        /// that one does not say.
        other_has: Sequence,
    },
    /// It takes over from whoever led its journal.
    TakesOver,
    /// It follows.
    Follows,
    /// Another node leads, and where that is nobody said.
    Unknown,
}

/// What the other node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    highest: Epoch,
    leads: bool,
    /// What it has; none while it recovers.
    last: Option<Sequence>,
}

/// Decides it, or says why that cannot be: a node that led must not go on beside one that is there
/// and is not understood, because that one may lead. `peer` is the other node, `stands_by` says
/// that a node which never did anything begins as its standby.
pub fn beginning<S: Storage>(
    epochs: &mut Epochs<S>,
    logic: &str,
    net: &Guarded,
    peer: Option<SocketAddr>,
    stands_by: bool,
) -> Result<Beginning, String> {
    let other = match peer {
        Some(peer) => ask_until(net, peer, epochs, logic)?,
        None => None,
    };
    decide(epochs, other, (peer.is_some(), stands_by)).map_err(|fault| fault.to_string())
}

/// The decision; the term of a node that is to be followed is on the device when this returns.
/// `other` is what the other node said it is, if it is there. Who has a network of its own asks by
/// [`Asking`].
pub fn decide<S: Storage>(
    epochs: &mut Epochs<S>,
    other: Option<Other>,
    (has_peer, stands_by): (bool, bool),
) -> Result<Beginning, Fault> {
    let (terms, led_last, highest) = (epochs.terms(), epochs.led_last(), epochs.highest());
    let beginning = from_what_is_known(terms, led_last, highest, other, (has_peer, stands_by));
    if let (Beginning::Follows, Some(other)) = (beginning, other) {
        // Whatever becomes of that one: who is promoted after it is above it.
        epochs.heard(other.highest)?;
    }
    Ok(beginning)
}

fn from_what_is_known(
    terms: &[Term],
    led_last: bool,
    highest: Epoch,
    other: Option<Other>,
    (has_peer, stands_by): (bool, bool),
) -> Beginning {
    match other {
        // It leads, or knows of a later term than ours: our journal is not the one that counts.
        Some(other) if other.highest > highest => Beginning::Follows,
        Some(Other { leads: true, .. }) if !led_last || is_planted(Bug::OlderTerm) => {
            Beginning::Follows
        }
        // Each was promoted and did not know of the other's promotion. Which term is the later one
        // says nothing then, and who leads now has told what this one has not.
        Some(other)
            if other.leads
                && other.highest < highest
                && are_of_one_promotion(other.highest, highest) =>
        {
            Beginning::Follows
        }
        _ if led_last => {
            let same = other.filter(|other| other.highest == highest);
            let last = same.and_then(|other| other.last);
            Beginning::Leads { other_has: last.unwrap_or_default() }
        }
        _ if stands_by => Beginning::Follows,
        _ if terms.is_empty() && highest == Epoch(0) => Beginning::Leads { other_has: Sequence(0) },
        _ if has_peer => Beginning::Follows,
        // It followed, and whoever starts it so wants it to lead.
        _ if terms.last().is_some_and(|last| last.epoch == highest) => Beginning::TakesOver,
        _ => Beginning::Unknown,
    }
}

/// One that is there and does not say what it has recovers: where it may have more than this node,
/// that is waited for, for a while.
fn ask_until<S: Storage>(
    net: &Guarded,
    to: SocketAddr,
    epochs: &Epochs<S>,
    logic: &str,
) -> Result<Option<Other>, String> {
    let times = if epochs.terms().is_empty() { 1 } else { ASKS };
    let mut heard = None;
    for _ in 0..times {
        match ask(net, to, epochs, logic) {
            Ok(other) if other.may_have_more(epochs) => {
                heard = Some(other);
                #[expect(clippy::disallowed_methods, reason = "nothing runs yet")]
                std::thread::sleep(PATIENCE);
            }
            Ok(other) => return Ok(Some(other)),
            Err(error) if is_silence(&error) => {}
            Err(error) if is_absence(&error) || !epochs.led_last() => return Ok(None),
            Err(error) => {
                return Err(format!(
                    "the other node is at {to}, may lead, and is not understood: {error}. Run the \
                     same build on both, look at their certificates and addresses, and start this \
                     one again"
                ));
            }
        }
    }
    Ok(heard)
}

impl Other {
    /// Whether it is too early to say which of both has more of the term that this one led.
    fn may_have_more<S: Storage>(&self, epochs: &Epochs<S>) -> bool {
        self.last.is_none() && epochs.led_last() && self.highest == epochs.highest()
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionReset, Interrupted, TimedOut, UnexpectedEof, WouldBlock};
    // Whoever ends a link without a word may have had no room for it.
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted | UnexpectedEof | ConnectionReset)
}

/// Asks the other node what it is.
fn ask<S: Storage>(
    net: &Guarded,
    to: SocketAddr,
    epochs: &Epochs<S>,
    logic: &str,
) -> io::Result<Other> {
    let mut socket = net.dial(to, PATIENCE, PATIENCE)?;
    let mut asking = Asking::new(epochs.history());
    socket.write_all(&Asking::question(epochs, logic))?;
    let mut piece = [0; 4096];
    loop {
        let count = socket.read(&mut piece)?;
        if let Some(other) = asking.hear(&piece[..count])? {
            return Ok(other);
        }
    }
}

/// A question to the other node what it is, by the hello of a follower that goes away.
#[derive(Debug)]
pub struct Asking {
    history: HistoryId,
    came: Vec<u8>,
}

impl Asking {
    /// Of a node whose journal is of this history.
    pub fn new(history: HistoryId) -> Self {
        Self { history, came: Vec::new() }
    }

    /// What is said first.
    pub fn question<S: Storage>(epochs: &Epochs<S>, logic: &str) -> Vec<u8> {
        let says = Says::Hello {
            stands_by: false,
            logic: logic.into(),
            newest: 0,
            last: Sequence(0),
            terms: epochs.terms().to_vec(),
        };
        let mut bytes = Vec::new();
        // Of no term: whoever only asks fences nobody.
        Word { history: epochs.history(), epoch: Epoch(0), at: Nanos(0), says }.put(&mut bytes);
        bytes
    }

    /// Takes what came, nothing where the other one has closed; the answer, once all of it is here.
    pub fn hear(&mut self, bytes: &[u8]) -> io::Result<Option<Other>> {
        self.came.extend(bytes);
        let frame = match decode(&self.came) {
            Decoded::Frame(frame) if is_word(frame.kind()) => frame,
            Decoded::Short { .. } if !bytes.is_empty() && self.came.len() < ANSWER_BYTES_MAX => {
                return Ok(None);
            }
            _ if self.came.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let word = Word::read(frame).map_err(|parted| io::Error::other(parted.to_string()))?;
        if word.history.is_another(self.history) {
            return Err(io::Error::other("it is of another history"));
        }
        let (leads, last) = match word.says {
            Says::Welcome { .. } | Says::Behind { .. } => (true, None),
            Says::Refused { last, .. } => (false, Some(last)),
            Says::Recovers => (false, None),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        Ok(Some(Other { highest: word.epoch, leads, last }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use ringframe_journal::{Frame, SimulatedStorage};

    use super::*;
    use crate::net::{Listener, Net};
    use crate::replication::Porter;

    const LEADS: Beginning = Beginning::Leads { other_has: Sequence(0) };

    #[test]
    fn a_node_leads_only_where_no_other_one_may() {
        let none: &[Term] = &[];
        let some = &[Term { epoch: Epoch(0x101), first: Sequence(1) }][..];
        let other = |highest, leads| {
            Some(Other { highest: Epoch(highest), leads, last: Some(Sequence(9)) })
        };
        let alone = (false, false);
        let pair = (true, false);
        let standby = (true, true);
        let cases = [
            (none, false, 0, None, alone, LEADS),
            (some, true, 0x101, None, alone, LEADS),
            (some, false, 0x101, None, alone, Beginning::TakesOver),
            // It was replaced, and nobody says by whom.
            (some, false, 0x102, None, alone, Beginning::Unknown),
            // It has heard of a leader, and has nothing of it yet.
            (none, false, 0x102, None, pair, Beginning::Follows),
            (none, false, 0, None, pair, LEADS),
            (none, false, 0, None, standby, Beginning::Follows),
            // It is back, and the other one waits for it.
            (
                some,
                true,
                0x101,
                other(0x101, false),
                pair,
                Beginning::Leads { other_has: Sequence(9) },
            ),
            (some, false, 0x101, other(0x101, false), standby, Beginning::Follows),
            // The other one was promoted meanwhile.
            (some, true, 0x101, other(0x10_0002, true), pair, Beginning::Follows),
            // … and is a standby of a third one.
            (some, true, 0x101, other(0x10_0003, false), pair, Beginning::Follows),
            // Its disk is new: what the other one has counts.
            (none, false, 0, other(0x101, false), pair, Beginning::Follows),
            // The former standby leads, and starts again while nobody answers.
            (some, true, 0x10_0002, None, standby, LEADS),
            // The other one believes that it leads, in an earlier term.
            (some, true, 0x10_0002, other(0x201, true), standby, LEADS),
            // … or in one that it was promoted to when this one was gone, and had been promoted.
            (some, true, 0x10_0002, other(0x10_0001, true), standby, Beginning::Follows),
            (some, true, 0x10_0002, other(0x10_0001, false), standby, LEADS),
            // … or it follows this one, and has not noticed yet that this one was gone.
            (
                some,
                true,
                0x101,
                other(0x101, true),
                pair,
                Beginning::Leads { other_has: Sequence(9) },
            ),
            (some, false, 0x101, None, pair, Beginning::Follows),
            (some, false, 0x101, other(0x101, true), pair, Beginning::Follows),
        ];
        for (index, (terms, led_last, highest, other, how, expected)) in
            cases.into_iter().enumerate()
        {
            let found = from_what_is_known(terms, led_last, Epoch(highest), other, how);
            assert_eq!(found, expected, "case {index}");
        }
    }

    /// Nobody may lead beside it then: what it knows is not known here.
    #[test]
    fn an_answer_in_another_version_of_the_link_is_not_taken_for_absence() {
        let says = Says::Refused { last: Sequence(9), why: "it leads".into() };
        let word = Word { history: HistoryId(0), epoch: Epoch(0x101), at: Nanos(0), says };
        let mut bytes = Vec::new();
        word.put(&mut bytes);
        let Decoded::Frame(frame) = decode(&bytes) else { panic!("{word:?}") };
        let newer = Frame { schema: frame.schema() + 1, ..frame.frame() };
        let mut answer = Vec::new();
        newer.encode(&mut answer);
        let error = Asking::new(HistoryId(0)).hear(&answer).unwrap_err();
        assert!(error.to_string().contains("of the link, this build"), "{error}");
        assert!(!is_silence(&error) && !is_absence(&error), "{error:?}");
    }

    /// Both lost power at once, after one took the other's place, and neither is at home yet.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the other node has a thread of its own")]
    fn two_that_start_together_hear_of_each_other_before_either_has_recovered() {
        let open = |node| Epochs::open(SimulatedStorage::new(), node).unwrap();
        let (mut former, mut leader) = (open(1), open(2));
        former.resume(Sequence(1), Nanos(1)).unwrap();
        leader.joined(former.history(), former.highest()).unwrap();
        leader.begin(former.terms()[0]).unwrap();
        leader.promote(Sequence(9), Nanos(2)).unwrap();
        let net = Guarded::new(None);
        let door = |epochs: &Epochs<SimulatedStorage>| {
            let listener = net.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            listener.open(16).unwrap();
            Porter::<Guarded>::new(listener, epochs)
        };
        let (mut at_former, mut at_leader) = (door(&former), door(&leader));
        let [to_former, to_leader] = [&at_former, &at_leader].map(|it| it.address().unwrap());
        let is_over = AtomicBool::new(false);
        let (first, second) = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    at_former.poll(Nanos(3));
                    at_leader.poll(Nanos(3));
                    std::thread::yield_now();
                }
            });
            let begins = |epochs: &mut Epochs<_>, other| {
                beginning(epochs, "it", &net, Some(other), false).unwrap()
            };
            let both = (begins(&mut former, to_leader), begins(&mut leader, to_former));
            is_over.store(true, Ordering::Relaxed);
            both
        });
        assert_eq!((first, second), (Beginning::Follows, LEADS));
        assert_eq!(former.highest(), leader.highest(), "whoever is promoted after it is above it");
    }
}
