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

/// What the commands since the last [`Outbox::clear`] emitted, encoded, and the digest of all that
/// was ever emitted.
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
}

/// The bit of an emitted record's kind that tells a reject from an event.
pub const REJECT: u16 = 0x8000;

struct Out {
    bytes: Vec<u8>,
    used: usize,
    records: usize,
    /// Of what was cleared away. The records that wait are digested together, later: bytes that
    /// were just written piece by piece are slow to read back in one piece.
    digest: Digest,
}

/// Before each record: the sequence (8), the kind (2), the payload's length (2), zeros (4).
const ENTRY_BYTES: usize = BLOCK_BYTES;

impl Out {
    #[expect(clippy::inline_always, reason = "see `Emit::event`")]
    #[inline(always)]
    fn push<R: Record>(&mut self, sequence: Sequence, record: &R, flag: u16) {
        let payload = self.used + ENTRY_BYTES;
        let most = payload + R::BYTES_MAX.next_multiple_of(BLOCK_BYTES);
        if self.bytes.len() < most {
            self.grow(most);
        }
        let entry = &mut self.bytes[self.used..most];
        let length = record.encode(&mut entry[ENTRY_BYTES..ENTRY_BYTES + R::BYTES_MAX]);
        let head = u64::from(record.kind() | flag) | ((length as u64) << 16);
        entry[..8].copy_from_slice(&sequence.0.to_le_bytes());
        entry[8..16].copy_from_slice(&head.to_le_bytes());
        let end = ENTRY_BYTES + length.next_multiple_of(BLOCK_BYTES);
        entry[ENTRY_BYTES + length..end].fill(0);
        self.used += end;
        self.records += 1;
    }

    fn digest(&self) -> Digest {
        let mut digest = self.digest;
        digest.update(&self.bytes[..self.used]);
        digest
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.bytes.resize(bytes.next_power_of_two().max(1 << 16), 0);
    }
}

impl<E: Record, R: Record> Default for Outbox<E, R> {
    fn default() -> Self {
        Self::resume(Digest::default())
    }
}

impl<E: Record, R: Record> Outbox<E, R> {
    /// An empty outbox that goes on from a digest, for instance a snapshot's.
    pub fn resume(digest: Digest) -> Self {
        let mut out = Out { bytes: Vec::new(), used: 0, records: 0, digest };
        out.grow(0);
        Self { out, sequence: Sequence(0), _records: PhantomData }
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
        &self.out.bytes[..self.out.used]
    }

    /// The records that wait, in the order they were emitted.
    pub fn iter(&self) -> impl Iterator<Item = Emitted<'_>> {
        let mut rest = self.encoded();
        std::iter::from_fn(move || {
            let (sequence, after) = rest.split_first_chunk::<8>()?;
            let (head, after) = after.split_first_chunk::<8>()?;
            let head = u64::from_le_bytes(*head);
            let length = (head >> 16) as u16 as usize;
            rest = &after[length.next_multiple_of(BLOCK_BYTES)..];
            Some(Emitted {
                sequence: Sequence(u64::from_le_bytes(*sequence)),
                kind: head as u16,
                payload: &after[..length],
            })
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

    /// Forgets the records; the digest and the room stay.
    #[inline]
    pub fn clear(&mut self) {
        self.out.digest = self.out.digest();
        self.out.used = 0;
        self.out.records = 0;
    }
}
