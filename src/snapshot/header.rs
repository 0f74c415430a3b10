//! The block before a snapshot's state; `docs/FORMATS.md` draws it.

use ringframe_journal::planted::{Bug, is_planted};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute};

use crate::digest::Digest;
use crate::logic::Logic;
use crate::machine::Machine;
use crate::types::{Applied, Epoch, Nanos, Sequence};

/// The state begins here.
pub const HEADER_BYTES: usize = 256;
/// The version of the layout.
pub const FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"RINGSNAP";
const NAME_BYTES: usize = 48;
const HASHED_BYTES: usize = HEADER_BYTES - 32;

/// Whose state a snapshot holds, and where that state stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name of the logic.
    pub logic: String,
    /// The [`Logic::VERSION`] of the build that wrote it …
    pub version: u32,
    /// … and its [`Logic::SCHEMA`].
    pub schema: u32,
    /// The last command that is in the state, and what came of all of them.
    pub applied: Applied,
    /// The digest of everything emitted up to there.
    pub digest: Digest,
    /// How many bytes the state takes.
    pub state_bytes: u64,
    /// BLAKE3 of those bytes: the [`state_digest`](crate::codec::state_digest).
    pub state_digest: [u8; 32],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Layout {
    magic: [u8; 8],
    format: U32,
    version: U32,
    schema: U32,
    active: U32,
    name: [u8; NAME_BYTES],
    sequence: U64,
    time: U64,
    epoch: U32,
    zeros: U32,
    events: U64,
    digest: [u8; Digest::BYTES],
    state_bytes: U64,
    reserved: [u8; 40],
    state_digest: [u8; 32],
    checksum: [u8; 32],
}

impl Header {
    pub(super) fn of<L: Logic>(
        machine: &Machine<L>,
        state_bytes: u64,
        state_digest: [u8; 32],
    ) -> Self {
        let mut applied = machine.applied();
        if is_planted(Bug::SnapshotOff) {
            applied.sequence = applied.sequence.next();
        }
        Self {
            logic: L::NAME.to_owned(),
            version: L::VERSION,
            schema: L::SCHEMA,
            applied,
            digest: machine.digest(),
            state_bytes,
            state_digest,
        }
    }

    pub(super) fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut name = [0; NAME_BYTES];
        name[..self.logic.len()].copy_from_slice(self.logic.as_bytes());
        let mut bytes: [u8; HEADER_BYTES] = transmute!(Layout {
            magic: MAGIC,
            format: FORMAT.into(),
            version: self.version.into(),
            schema: self.schema.into(),
            active: self.applied.version.into(),
            name,
            sequence: self.applied.sequence.0.into(),
            time: self.applied.time.0.into(),
            epoch: self.applied.epoch.0.into(),
            zeros: 0.into(),
            events: self.applied.events.into(),
            digest: self.digest.to_bytes(),
            state_bytes: self.state_bytes.into(),
            reserved: [0; 40],
            state_digest: self.state_digest,
            checksum: [0; 32],
        });
        let checksum = blake3::hash(&bytes[..HASHED_BYTES]);
        bytes[HASHED_BYTES..].copy_from_slice(checksum.as_bytes());
        bytes
    }

    /// What the bytes say, or what is wrong with them.
    pub(super) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        let checksum = blake3::hash(&bytes[..HASHED_BYTES]);
        let raw: Layout = transmute!(*bytes);
        if raw.magic != MAGIC {
            return Err("it does not begin as a snapshot does".to_owned());
        }
        // Another format may have its checksum elsewhere.
        if raw.format != FORMAT {
            return Err(format!("format version {}, this build reads {FORMAT}", raw.format));
        }
        if raw.checksum != *checksum.as_bytes() {
            return Err("the checksum of its header does not match".to_owned());
        }
        let name = String::from_utf8_lossy(&raw.name);
        Ok(Self {
            logic: name.trim_end_matches('\0').to_owned(),
            version: raw.version.get(),
            schema: raw.schema.get(),
            applied: Applied {
                sequence: Sequence(raw.sequence.get()),
                time: Nanos(raw.time.get()),
                epoch: Epoch(raw.epoch.get()),
                version: raw.active.get(),
                events: raw.events.get(),
            },
            digest: Digest::from_bytes(&raw.digest),
            state_bytes: raw.state_bytes.get(),
            state_digest: raw.state_digest,
        })
    }

    /// What the whole file takes; none where the length is nonsense.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        self.state_bytes.checked_add(HEADER_BYTES as u64)
    }
}
