//! What a developer writes: a deterministic state machine. Everything else in this crate orders its
//! commands, keeps them, and carries its events away.
//!
//! Logic sees its state, a command and a [`Moment`], and nothing else: no clock, no randomness, no
//! I/O, no thread, no map with a random order. Then the same commands give the same events on every
//! node, on every replay.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::{BLOCK_BYTES, Digest};
use crate::record::Record;
pub use crate::types::{Moment, Nanos, Sequence};

/// A deterministic state machine. `Default` is its state before the first command; `Serialize` and
/// `Deserialize` carry the whole state into a snapshot and back.
pub trait Logic: Default + Serialize + DeserializeOwned + Send + 'static {
    /// Written into every segment and snapshot; files of another logic are refused.
    const NAME: &'static str;
    /// Rises whenever the same commands would give other events or another state.
    const VERSION: u32;
    /// The oldest version that [`Logic::activate`] can go back to: journals and snapshots of older
    /// ones are refused.
    const OLDEST: u32 = Self::VERSION;
    /// Rises whenever the state is serialised otherwise, also where it behaves as before.
    const SCHEMA: u32 = 1;
    /// How many commands ahead [`Logic::prefetch`] wants to see; 0 for none.
    const LOOKAHEAD: usize = 0;

    /// What comes in.
    type Command: Record;
    /// What happened.
    type Event: Record;
    /// Why a command was refused.
    type Reject: Record;
    /// The proof that a command is valid now: only [`Logic::check`] makes one.
    type Checked;

    /// Decides whether `command` is valid now. It cannot change anything.
    fn check(&self, command: &Self::Command, at: &Moment) -> Result<Self::Checked, Self::Reject>;

    /// Does what was checked. It cannot fail.
    fn apply(&mut self, checked: Self::Checked, at: &Moment, emit: &mut Emit<'_, Self::Event>);

    /// Remembers a refusal, where a refusal is something to remember: a used-up client token, say.
    /// Most logic has nothing to do here.
    fn refused(&mut self, _command: &Self::Command, _reject: &Self::Reject, _at: &Moment) {}

    /// From here on behaves as `version` does, which is between [`Logic::OLDEST`] and
    /// [`Logic::VERSION`]; only a logic that has more than one needs to remember it.
    fn activate(&mut self, _version: u32) {}

    /// The command that lets time pass, where this logic has timers.
    fn tick() -> Option<Self::Command> {
        None
    }

    /// When it wants the next [`Logic::tick`], or a little after; none where no timer is set.
    fn wakes_at(&self) -> Option<Nanos> {
        None
    }

    /// Starts loading what the commands that come next will touch. `upcoming` holds up to
    /// [`Logic::LOOKAHEAD`] of them, the next one first. It cannot change anything.
    fn prefetch(&self, _upcoming: &[Self::Command]) {}

    /// The state that a build with another [`Logic::VERSION`] or [`Logic::SCHEMA`] saved, where it
    /// is known what became of it; [`codec::decode`](crate::codec::decode) reads its parts.
    fn migrate(_version: u32, _schema: u32, _bytes: &[u8]) -> Option<Self> {
        None
    }
}

/// Runs one command: check, then apply or remember the refusal. What it emits is in `outbox`.
#[inline]
pub fn step<L: Logic>(
    logic: &mut L,
    command: &L::Command,
    at: &Moment,
    outbox: &mut Outbox<L::Event, L::Reject>,
) {
    outbox.sequence = at.sequence;
    match logic.check(command, at) {
        Ok(checked) => {
            let mut emit =
                Emit { out: &mut outbox.out, sequence: at.sequence, _event: PhantomData };
            logic.apply(checked, at, &mut emit);
        }
        Err(reject) => {
            logic.refused(command, &reject, at);
            outbox.out.push(at.sequence, &reject, REJECT);
        }
    }
}

/// Where [`Logic::apply`] puts its events.
pub struct Emit<'a, E> {
    out: &'a mut Out,
    sequence: Sequence,
    _event: PhantomData<fn(E)>,
}

impl<E: Record> Emit<'_, E> {
    /// Emits one event.
    #[expect(clippy::inline_always, reason = "the event's kind and length are known here only")]
    #[inline(always)]
    pub fn event(&mut self, event: &E) {
        self.out.push(self.sequence, event, 0);
    }
}

/// What the commands emitted that is still to be handed on, encoded, and the digest of all that was
/// ever emitted.
pub struct Outbox<E, R> {
    out: Out,
    sequence: Sequence,
    _records: PhantomData<fn(E, R)>,
}

/// One emitted record, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted<'a> {
    /// The command that caused it.
    pub sequence: Sequence,
    /// Its kind, with [`REJECT`] set for a reject.
    pub kind: u16,
    /// Its payload, in the current schema version.
    pub payload: &'a [u8],
    /// The sequence and the payload in one piece: what a frame of the event log carries.
    pub framed: &'a [u8],
}

/// The bit of an emitted record's kind that tells a reject from an event.
pub const REJECT: u16 = 0x8000;

struct Out {
    bytes: Vec<u8>,
    /// The records that wait are between these.
    start: usize,
    used: usize,
    records: usize,
    /// Of everything before `digested`. The records are digested together, later: bytes that were
    /// just written piece by piece are slow to read back in one piece.
    digest: Digest,
    digested: usize,
}

/// Before each payload: the kind (2), the payload's length (2), zeros (4), the sequence (8).
const ENTRY_BYTES: usize = BLOCK_BYTES;

impl Out {
    #[expect(clippy::inline_always, reason = "see `Emit::event`")]
    #[inline(always)]
    fn push<R: Record>(&mut self, sequence: Sequence, record: &R, flag: u16) {
        const { assert!(R::BYTES_MAX < 1 << 16, "an emitted record has at most 65535 bytes") }
        let most = ENTRY_BYTES + R::BYTES_MAX.next_multiple_of(BLOCK_BYTES);
        if self.bytes.len() < self.used + most {
            self.make_room(most);
        }
        let entry = &mut self.bytes[self.used..self.used + most];
        let length = record.encode(&mut entry[ENTRY_BYTES..ENTRY_BYTES + R::BYTES_MAX]);
        let head = u64::from(record.kind() | flag) | ((length as u64) << 16);
        entry[..8].copy_from_slice(&head.to_le_bytes());
        entry[8..16].copy_from_slice(&sequence.0.to_le_bytes());
        let end = ENTRY_BYTES + length.next_multiple_of(BLOCK_BYTES);
        entry[ENTRY_BYTES + length..end].fill(0);
        self.used += end;
        self.records += 1;
    }

    fn digest(&self) -> Digest {
        let mut digest = self.digest;
        digest.update(&self.bytes[self.digested..self.used]);
        digest
    }

    fn settle(&mut self) {
        self.digest = self.digest();
        self.digested = self.used;
    }

    fn clear(&mut self) {
        self.settle();
        (self.start, self.used, self.digested, self.records) = (0, 0, 0, 0);
    }

    /// What waits moves to the front; where that leaves less room than a half of it, the room
    /// doubles: so a byte is moved twice at most, on average.
    #[cold]
    fn make_room(&mut self, most: usize) {
        self.settle();
        let waiting = self.used - self.start;
        self.bytes.copy_within(self.start..self.used, 0);
        (self.start, self.used, self.digested) = (0, waiting, waiting);
        let room = (waiting + waiting / 2 + most).next_power_of_two().max(ROOM_BYTES);
        if room > self.bytes.len() {
            self.bytes.resize(room, 0);
        }
    }
}

/// The room to begin with.
const ROOM_BYTES: usize = 1 << 16;

impl<E: Record, R: Record> Default for Outbox<E, R> {
    fn default() -> Self {
        Self::resume(Digest::default())
    }
}

impl<E: Record, R: Record> Outbox<E, R> {
    /// An empty outbox that goes on from a digest, for instance a snapshot's.
    pub fn resume(digest: Digest) -> Self {
        let bytes = vec![0; ROOM_BYTES];
        let out = Out { bytes, start: 0, used: 0, records: 0, digest, digested: 0 };
        Self { out, sequence: Sequence(0), _records: PhantomData }
    }

    /// Takes the memory for this many bytes of waiting records now, so that none is asked for
    /// later, also where a quarter more wait: the one who looks at how much there is may be a batch
    /// late.
    pub fn reserve(&mut self, bytes: usize) {
        let room = (2 * bytes).next_power_of_two();
        if self.out.bytes.len() < room {
            self.out.bytes.resize(room, 0);
        }
    }

    /// Takes the events of one command, where a part of logic is driven alone.
    #[inline]
    pub fn emit(&mut self, sequence: Sequence) -> Emit<'_, E> {
        self.sequence = sequence;
        Emit { out: &mut self.out, sequence, _event: PhantomData }
    }

    /// The digest of everything emitted so far.
    pub fn digest(&self) -> Digest {
        self.out.digest()
    }

    /// The command that was stepped last.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// How many records wait here.
    pub fn len(&self) -> usize {
        self.out.records
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.out.records == 0
    }

    /// The records that wait, as the digest takes them in.
    pub fn encoded(&self) -> &[u8] {
        &self.out.bytes[self.out.start..self.out.used]
    }

    /// The records that wait, in the order they were emitted.
    pub fn iter(&self) -> impl Iterator<Item = Emitted<'_>> {
        let mut rest = self.encoded();
        std::iter::from_fn(move || {
            let (emitted, stored_bytes) = first(rest)?;
            rest = &rest[stored_bytes..];
            Some(emitted)
        })
    }

    /// The records that wait, decoded: for tests and tools.
    pub fn outcomes(&self) -> impl Iterator<Item = Result<E, R>> {
        self.iter().map(|emitted| {
            let (kind, bytes) = (emitted.kind & !REJECT, emitted.payload);
            if emitted.kind & REJECT == 0 {
                Ok(E::read(kind, bytes).expect("what `encode` wrote, `read` reads"))
            } else {
                Err(R::read(kind, bytes).expect("what `encode` wrote, `read` reads"))
            }
        })
    }

    /// Hands the oldest record on and forgets it; nothing where none waits.
    #[inline]
    pub fn pop<T>(&mut self, hand_on: impl FnOnce(Emitted<'_>) -> T) -> Option<T> {
        let (emitted, stored_bytes) = first(&self.out.bytes[self.out.start..self.out.used])?;
        let result = hand_on(emitted);
        self.out.start += stored_bytes;
        self.out.records -= 1;
        if self.out.records == 0 {
            self.out.clear();
        }
        Some(result)
    }

    /// Forgets the records; the digest and the room stay.
    #[inline]
    pub fn clear(&mut self) {
        self.out.clear();
    }

    /// The same, but the digest never hears of them.
    #[inline]
    pub fn discard(&mut self) {
        self.out.digested = self.out.used;
        self.out.clear();
    }
}

/// The record at the front of encoded ones, and how many bytes it takes there.
#[inline]
fn first(encoded: &[u8]) -> Option<(Emitted<'_>, usize)> {
    let (head, after) = encoded.split_first_chunk::<8>()?;
    let head = u64::from_le_bytes(*head);
    let framed = &after[..8 + (head >> 16) as u16 as usize];
    let (sequence, payload) = framed.split_first_chunk::<8>()?;
    let sequence = Sequence(u64::from_le_bytes(*sequence));
    let stored_bytes = ENTRY_BYTES + payload.len().next_multiple_of(BLOCK_BYTES);
    Some((Emitted { sequence, kind: head as u16, payload, framed }, stored_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As big as a record gets.
    #[derive(Clone, Debug, PartialEq)]
    struct Big;

    impl Record for Big {
        const NAME: &'static str = "big";
        const VERSION: u16 = 1;
        const BYTES_MAX: usize = 280;

        fn kind(&self) -> u16 {
            1
        }

        fn encode(&self, into: &mut [u8]) -> usize {
            into.fill(7);
            into.len()
        }

        fn read(_kind: u16, _bytes: &[u8]) -> Option<Self> {
            Some(Self)
        }
    }

    #[test]
    fn what_was_reserved_holds_a_quarter_more_wherever_it_begins() {
        const HELD: usize = 1 << 20;
        let mut outbox = Outbox::<Big, Big>::default();
        outbox.reserve(HELD);
        let room = outbox.out.bytes.len();
        let mut emitted = 0;
        // Never empty in between, so the records that wait wander through the room and back.
        for round in 0..50 {
            while outbox.encoded().len() + 512 < HELD + HELD / 4 {
                emitted += 1;
                outbox.emit(Sequence(emitted)).event(&Big);
            }
            assert_eq!(outbox.out.bytes.len(), room, "it grew in round {round}");
            for _ in 0..=round * 67 {
                outbox.pop(|_| ()).expect("a record");
            }
        }
    }
}
