//! The node's own commands: they stand in the one order with the logic's, and never reach it.

use crate::record::{KIND_LIMIT, Record};
use crate::types::Sequence;

/// What the node tells every node that reads its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// From here on the logic behaves as this version. The first command of a journal is one.
    Activate {
        /// The version.
        version: u32,
    },
    /// What the writer's digest was after a command.
    Digest {
        /// The command.
        sequence: Sequence,
        /// [`Digest::value`](crate::digest::Digest::value) then.
        value: u128,
    },
    /// The writer's digest after this very command is to follow, so that nodes can be compared
    /// there.
    Mark,
}

const ACTIVATE: u16 = KIND_LIMIT;
const DIGEST: u16 = KIND_LIMIT + 1;
const MARK: u16 = KIND_LIMIT + 2;

/// Whether frames of this kind are for the node, not for logic.
pub const fn is_control(kind: u16) -> bool {
    kind >= KIND_LIMIT
}

/// The digest after every command whose sequence is a multiple of this goes into the journal.
pub const DIGEST_EVERY: u64 = 1 << 14;

impl Record for Control {
    const NAME: &'static str = "control command";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 24;

    fn kind(&self) -> u16 {
        match self {
            Self::Activate { .. } => ACTIVATE,
            Self::Digest { .. } => DIGEST,
            Self::Mark => MARK,
        }
    }

    fn encode(&self, into: &mut [u8]) -> usize {
        match self {
            Self::Activate { version } => {
                into[..4].copy_from_slice(&version.to_le_bytes());
                4
            }
            Self::Digest { sequence, value } => {
                into[..8].copy_from_slice(&sequence.0.to_le_bytes());
                into[8..24].copy_from_slice(&value.to_le_bytes());
                24
            }
            Self::Mark => 0,
        }
    }

    fn read(kind: u16, bytes: &[u8]) -> Option<Self> {
        match kind {
            ACTIVATE => {
                Some(Self::Activate { version: u32::from_le_bytes(bytes.try_into().ok()?) })
            }
            DIGEST => {
                let (sequence, value) = bytes.split_first_chunk()?;
                Some(Self::Digest {
                    sequence: Sequence(u64::from_le_bytes(*sequence)),
                    value: u128::from_le_bytes(value.try_into().ok()?),
                })
            }
            MARK => bytes.is_empty().then_some(Self::Mark),
            _ => None,
        }
    }
}
