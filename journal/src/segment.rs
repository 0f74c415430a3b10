//! One file of frames: its name, its header block and the seal that closes it.
//!
//! ```text
//! offset 0            512          4096                          end              segment_bytes
//!        ┌────────────┬────────────┬──────────┬─────┬───────────┬────────────────┐
//!        │ header     │ seal       │ frame    │ ... │ End frame │ zeros          │
//!        └────────────┴────────────┴──────────┴─────┴───────────┴────────────────┘
//!          at the roll  by the keeper, once every frame before it is durable
//! ```
//!
//! A segment is *prepared* (zeros throughout, named, durable), then *active* (it has a header),
//! then *sealed* (it has a seal too). Header and seal lie in sectors of their own, so writing one
//! can never tear the other. Both are a function of what was appended alone, no clock and
//! no host name: the same frames make the same bytes on every node.
//!
//! The chain: `digest = BLAKE3(previous digest ‖ header ‖ frames)`, kept in the seal beside the
//! previous digest. It lives in the seal and not in the next header because the next segment takes
//! frames long before its predecessor is durable and hashed.

use crate::error::Damage;
use crate::frame::{crc32c, u32_at, u64_at};

/// The block that header and seal share; the first frame follows it.
pub const BLOCK_BYTES: u64 = 4096;
/// Where the seal begins: a sector of its own.
pub const SEAL_OFFSET: u64 = 512;
/// The encoded size of a header and of a seal.
pub const HEADER_BYTES: usize = 128;
/// The version of every layout in this crate.
pub const FORMAT: u32 = 1;
/// The longest name of a logic.
pub const LOGIC_NAME_BYTES_MAX: usize = 48;
/// What a segment's file name ends with.
pub const SUFFIX: &str = ".segment";

const HEADER_MAGIC: [u8; 8] = *b"RINGFRAM";
const SEAL_MAGIC: [u8; 8] = *b"RINGSEAL";
const CRC_OFFSET: usize = HEADER_BYTES - 4;

/// A BLAKE3 digest of a segment and everything before it.
pub type Digest = [u8; 32];
/// What the first segment of a journal chains from.
pub const DIGEST_NONE: Digest = [0; 32];

/// Whose commands a journal holds; a journal of another logic is refused by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicId {
    /// At most [`LOGIC_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The version in force when the segment began.
    pub version: u32,
}

/// The first 128 bytes of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The segment's number: dense, from 1; also its file name.
    pub number: u64,
    /// The size of the file.
    pub segment_bytes: u64,
    /// The sequence of the first frame.
    pub first_sequence: u64,
    /// The epoch in force when the segment began.
    pub epoch: u32,
    /// The logic in force when the segment began.
    pub logic: LogicId,
}

/// What the keeper adds when a segment is complete and durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Where the frames end, the End frame included.
    pub end: u64,
    /// The last frame's sequence.
    pub last_sequence: u64,
    /// The last frame's timestamp.
    pub last_timestamp: u64,
    /// The last frame's epoch.
    pub last_epoch: u32,
    /// The digest in the seal of the segment before, or [`DIGEST_NONE`].
    pub previous: Digest,
    /// The digest of this segment.
    pub digest: Digest,
}

/// How a segment ended, known at the roll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) end: u64,
    pub(crate) last_sequence: u64,
    pub(crate) last_timestamp: u64,
    pub(crate) last_epoch: u32,
}

/// What stands where a header or a seal belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored<T> {
    /// Zeros: not written yet.
    Blank,
    /// Whole, with a good checksum.
    Good(T),
    /// Neither.
    Bad(Damage),
}

impl<T> Stored<T> {
    /// The value, if it is whole.
    pub fn good(&self) -> Option<&T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Blank | Self::Bad(_) => None,
        }
    }
}

/// The file name of a segment.
pub fn file_name(number: u64) -> String {
    format!("{number:010}{SUFFIX}")
}

/// The number in a segment's file name, if it is one.
pub fn file_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok()?;
    (file_name(number) == name && number > 0).then_some(number)
}

impl Header {
    /// The bytes at the start of the segment.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&HEADER_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&(BLOCK_BYTES as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.logic.version.to_le_bytes());
        bytes[48..48 + self.logic.name.len()].copy_from_slice(self.logic.name.as_bytes());
        finish(bytes)
    }

    /// Judges the start of a segment's file.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Stored<Self> {
        match open(bytes, HEADER_MAGIC) {
            Stored::Blank => return Stored::Blank,
            Stored::Bad(damage) => return Stored::Bad(damage),
            Stored::Good(()) => {}
        }
        let format = u32_at(bytes, 8);
        if format != FORMAT {
            return Stored::Bad(Damage::Format(format));
        }
        let name = &bytes[48..48 + LOGIC_NAME_BYTES_MAX];
        let name = &name[..name.iter().position(|&byte| byte == 0).unwrap_or(name.len())];
        let Ok(name) = std::str::from_utf8(name) else {
            return Stored::Bad(Damage::Checksum);
        };
        Stored::Good(Self {
            number: u64_at(bytes, 16),
            segment_bytes: u64_at(bytes, 24),
            first_sequence: u64_at(bytes, 32),
            epoch: u32_at(bytes, 40),
            logic: LogicId { name: name.to_owned(), version: u32_at(bytes, 44) },
        })
    }
}

impl Seal {
    pub(crate) fn new(closed: Closed, previous: Digest, digest: Digest) -> Self {
        let Closed { end, last_sequence, last_timestamp, last_epoch } = closed;
        Self { end, last_sequence, last_timestamp, last_epoch, previous, digest }
    }

    /// The bytes at [`SEAL_OFFSET`].
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEAL_MAGIC);
        bytes[8..16].copy_from_slice(&self.end.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.last_sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.last_timestamp.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.last_epoch.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.previous);
        bytes[72..104].copy_from_slice(&self.digest);
        finish(bytes)
    }

    /// Judges the bytes at [`SEAL_OFFSET`].
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Stored<Self> {
        match open(bytes, SEAL_MAGIC) {
            Stored::Blank => Stored::Blank,
            Stored::Bad(damage) => Stored::Bad(damage),
            Stored::Good(()) => Stored::Good(Self {
                end: u64_at(bytes, 8),
                last_sequence: u64_at(bytes, 16),
                last_timestamp: u64_at(bytes, 24),
                last_epoch: u32_at(bytes, 32),
                previous: bytes[40..72].try_into().expect("32 bytes"),
                digest: bytes[72..104].try_into().expect("32 bytes"),
            }),
        }
    }
}

fn finish(mut bytes: [u8; HEADER_BYTES]) -> [u8; HEADER_BYTES] {
    let crc = crc32c(&bytes[..CRC_OFFSET]);
    bytes[CRC_OFFSET..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn open(bytes: &[u8; HEADER_BYTES], magic: [u8; 8]) -> Stored<()> {
    if bytes.iter().all(|&byte| byte == 0) {
        return Stored::Blank;
    }
    if bytes[..8] != magic {
        return Stored::Bad(Damage::Magic);
    }
    if crc32c(&bytes[..CRC_OFFSET]) != u32_at(bytes, CRC_OFFSET) {
        return Stored::Bad(Damage::Checksum);
    }
    Stored::Good(())
}

/// The running hash of a segment, fed its frames in order.
#[derive(Clone)]
pub struct SegmentHasher {
    hasher: blake3::Hasher,
    /// Frames that wait until there are enough of them: BLAKE3 hashes many of its chunks of 1 KiB
    /// side by side, and one after the other if it gets no more at a time.
    waiting: Vec<u8>,
}

impl SegmentHasher {
    /// So much is hashed at a time, or more.
    const ENOUGH: usize = 64 * 1024;

    /// Begins with what comes before the frames.
    pub fn new(previous: &Digest, header: &Header) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(previous);
        hasher.update(&header.encode());
        Self { hasher, waiting: Vec::new() }
    }

    /// Takes the next bytes of the frames.
    pub fn update(&mut self, bytes: &[u8]) {
        if self.waiting.len() + bytes.len() < Self::ENOUGH {
            self.waiting.extend_from_slice(bytes);
            return;
        }
        self.hasher.update(&self.waiting);
        self.waiting.clear();
        self.hasher.update(bytes);
    }

    /// The segment's digest.
    pub fn finish(&self) -> Digest {
        *self.hasher.clone().update(&self.waiting).finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            number: 3,
            segment_bytes: 1 << 20,
            first_sequence: 42,
            epoch: 2,
            logic: LogicId { name: "exchange".into(), version: 9 },
        }
    }

    #[test]
    fn header_and_seal_come_back_and_flips_do_not() {
        let seal = Seal {
            end: 8192,
            last_sequence: 50,
            last_timestamp: 5,
            last_epoch: 2,
            previous: [1; 32],
            digest: [2; 32],
        };
        assert_eq!(Header::decode(&header().encode()), Stored::Good(header()));
        assert_eq!(Seal::decode(&seal.encode()), Stored::Good(seal.clone()));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = header().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Header::decode(&bytes), Stored::Bad(_)), "header bit {bit}");
            let mut bytes = seal.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Seal::decode(&bytes), Stored::Bad(_)), "seal bit {bit}");
        }
        assert_eq!(Header::decode(&[0; HEADER_BYTES]), Stored::Blank);
    }

    #[test]
    fn names_and_numbers_are_one() {
        assert_eq!(file_name(12), "0000000012.segment");
        assert_eq!(file_number("0000000012.segment"), Some(12));
        for other in ["12.segment", "0000000000.segment", "lock", "0000000012.cut"] {
            assert_eq!(file_number(other), None, "{other}");
        }
    }
}
