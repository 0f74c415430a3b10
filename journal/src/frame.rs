//! One record of the journal, and the only code that turns it into bytes and back.
//!
//! ```text
//! offset  0        4        8           16          24      28     30       32
//!         ┌────────┬────────┬───────────┬───────────┬───────┬──────┬────────┬─────────┬─────┐
//!         │crc32c  │length  │sequence   │timestamp  │epoch  │kind  │schema  │payload  │zeros│
//!         └────────┴────────┴───────────┴───────────┴───────┴──────┴────────┴─────────┴─────┘
//! ```
//!
//! All integers are little-endian. `length` counts header and payload but not the zeros that fill
//! the frame up to a multiple of 8, so it is never zero; `crc32c` covers everything from `length`
//! to the end of the payload. The first eight bytes are stored last and in one piece: a reader that
//! sees them non-zero sees a whole frame.

use crate::storage::Region;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 32;
/// The largest payload of one frame.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Payloads up to here are put together before they are checksummed and copied.
const SMALL_BYTES_MAX: usize = 480;

/// Where that is done. It is kept, because clearing it costs as much as filling it.
pub(crate) struct Scratch([u8; HEADER_BYTES + SMALL_BYTES_MAX]);

impl Default for Scratch {
    fn default() -> Self {
        Self([0; HEADER_BYTES + SMALL_BYTES_MAX])
    }
}

/// Frames begin at multiples of this.
pub const ALIGN: usize = 8;
/// The largest frame, padding included.
pub const FRAME_BYTES_MAX: usize = HEADER_BYTES + PAYLOAD_BYTES_MAX;
/// The kind of the frame that closes a segment; it carries the next segment's first sequence.
pub const KIND_END: u16 = u16::MAX;

const _: () = assert!(HEADER_BYTES.is_multiple_of(ALIGN) && FRAME_BYTES_MAX.is_multiple_of(ALIGN));

/// What the caller appends. The journal gives no meaning to anything in it but the sequence, which
/// must be dense, and the epoch, which must not fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The command's number: dense, from 1, never reused.
    pub sequence: u64,
    /// Nanoseconds since 1970, decided by the sequencer.
    pub timestamp: u64,
    /// The leadership term that ordered the frame.
    pub epoch: u32,
    /// What the payload is; any value but [`KIND_END`].
    pub kind: u16,
    /// The version of the payload's encoding.
    pub schema: u16,
    /// The bytes themselves, at most [`PAYLOAD_BYTES_MAX`].
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// How many bytes the frame takes in a segment.
    pub fn stored_bytes(&self) -> usize {
        (HEADER_BYTES + self.payload.len()).next_multiple_of(ALIGN)
    }

    /// The header but for its checksum.
    #[inline]
    fn header(&self) -> [u8; HEADER_BYTES] {
        let length = (HEADER_BYTES + self.payload.len()) as u32;
        let mut header = [0; HEADER_BYTES];
        header[4..8].copy_from_slice(&length.to_le_bytes());
        header[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        header[16..24].copy_from_slice(&self.timestamp.to_le_bytes());
        header[24..28].copy_from_slice(&self.epoch.to_le_bytes());
        header[28..30].copy_from_slice(&self.kind.to_le_bytes());
        header[30..32].copy_from_slice(&self.schema.to_le_bytes());
        header
    }

    /// Writes the frame at `offset`, its first word last.
    #[inline]
    pub(crate) fn store<R: Region>(&self, region: &mut R, offset: u64, scratch: &mut Scratch) {
        if self.payload.len() <= SMALL_BYTES_MAX {
            self.store_small(region, offset, scratch);
        } else {
            self.store_large(region, offset);
        }
    }

    /// In one piece: what a small frame costs is the calls, not the bytes.
    #[inline]
    fn store_small<R: Region>(&self, region: &mut R, offset: u64, Scratch(bytes): &mut Scratch) {
        let total = HEADER_BYTES + self.payload.len();
        bytes[..HEADER_BYTES].copy_from_slice(&self.header());
        bytes[HEADER_BYTES..total].copy_from_slice(self.payload);
        let crc = crc32c(&bytes[4..total]);
        region.write(offset + 8, &bytes[8..total]);
        region.publish(offset, u64::from(total as u32) << 32 | u64::from(crc));
    }

    /// Without a copy in between.
    #[inline]
    fn store_large<R: Region>(&self, region: &mut R, offset: u64) {
        let (word, rest) = self.encode_header();
        region.write(offset + 8, &rest);
        region.write(offset + HEADER_BYTES as u64, self.payload);
        region.publish(offset, word);
    }

    /// The first word, to be stored last, and the rest of the header.
    fn encode_header(&self) -> (u64, [u8; HEADER_BYTES - 8]) {
        let header = self.header();
        let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        crc.update(&header[4..]);
        crc.update(self.payload);
        let crc = crc.finalize() as u32;
        let mut rest = [0; HEADER_BYTES - 8];
        rest.copy_from_slice(&header[8..]);
        (u64::from(u32_at(&header, 4)) << 32 | u64::from(crc), rest)
    }

    /// Appends the encoded frame, padding included, to `into`.
    pub fn encode(&self, into: &mut Vec<u8>) {
        assert!(self.payload.len() <= PAYLOAD_BYTES_MAX);
        let (word, rest) = self.encode_header();
        let end = into.len() + self.stored_bytes();
        into.extend_from_slice(&word.to_le_bytes());
        into.extend_from_slice(&rest);
        into.extend_from_slice(self.payload);
        into.resize(end, 0);
    }
}

/// The checksum of everything that this crate writes.
#[inline]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// A frame whose checksum was verified: only [`decode`] makes one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FrameRef<'a> {
    bytes: &'a [u8],
}

/// What stands at a frame boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole frame with a good checksum.
    Frame(FrameRef<'a>),
    /// Zeros: nothing was ever published here.
    Blank,
    /// The frame claims this many bytes and fewer were given.
    Short {
        /// How many bytes [`decode`] needs to judge.
        needed: usize,
    },
    /// Bytes that are no frame.
    Bad(BadFrame),
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadFrame {
    /// The length is below a header's or above the largest frame's.
    Length(u32),
    /// The checksum does not match.
    Checksum,
    /// The padding is not zero.
    Padding,
    /// The frame is whole but carries another sequence than the one that belongs here.
    Sequence(u64),
    /// The frame is whole but its epoch is lower than its predecessor's.
    Epoch(u32),
}

impl std::fmt::Display for BadFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length(length) => write!(f, "impossible frame length {length}"),
            Self::Checksum => write!(f, "checksum mismatch"),
            Self::Padding => write!(f, "padding is not zero"),
            Self::Sequence(found) => write!(f, "frame carries sequence {found}"),
            Self::Epoch(found) => write!(f, "frame falls back to epoch {found}"),
        }
    }
}

/// Judges the bytes at a frame boundary. Bytes after the frame are ignored.
#[inline]
pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    if bytes.len() < HEADER_BYTES {
        return Decoded::Short { needed: HEADER_BYTES };
    }
    let crc = u32_at(bytes, 0);
    let length = u32_at(bytes, 4);
    if crc == 0 && length == 0 {
        return Decoded::Blank;
    }
    let total = length as usize;
    if !(HEADER_BYTES..=FRAME_BYTES_MAX).contains(&total) {
        return Decoded::Bad(BadFrame::Length(length));
    }
    let stored = total.next_multiple_of(ALIGN);
    if bytes.len() < stored {
        return Decoded::Short { needed: stored };
    }
    if crc32c(&bytes[4..total]) != crc {
        return Decoded::Bad(BadFrame::Checksum);
    }
    if bytes[total..stored].iter().any(|&byte| byte != 0) {
        return Decoded::Bad(BadFrame::Padding);
    }
    Decoded::Frame(FrameRef { bytes: &bytes[..stored] })
}

impl<'a> FrameRef<'a> {
    /// For bytes that [`decode`] has accepted as exactly one frame a moment ago.
    #[inline]
    pub(crate) fn decoded_before(bytes: &'a [u8]) -> Self {
        debug_assert!(matches!(decode(bytes), Decoded::Frame(frame) if frame.bytes == bytes));
        Self { bytes }
    }

    /// The frame as it stands in the segment, padding included.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// See [`Frame::sequence`].
    #[inline]
    pub fn sequence(&self) -> u64 {
        u64_at(self.bytes, 8)
    }

    /// See [`Frame::timestamp`].
    #[inline]
    pub fn timestamp(&self) -> u64 {
        u64_at(self.bytes, 16)
    }

    /// See [`Frame::epoch`].
    #[inline]
    pub fn epoch(&self) -> u32 {
        u32_at(self.bytes, 24)
    }

    /// See [`Frame::kind`].
    #[inline]
    pub fn kind(&self) -> u16 {
        u16::from_le_bytes([self.bytes[28], self.bytes[29]])
    }

    /// See [`Frame::schema`].
    #[inline]
    pub fn schema(&self) -> u16 {
        u16::from_le_bytes([self.bytes[30], self.bytes[31]])
    }

    /// See [`Frame::payload`].
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..u32_at(self.bytes, 4) as usize]
    }

    /// The same frame as its fields.
    pub fn frame(&self) -> Frame<'a> {
        Frame {
            sequence: self.sequence(),
            timestamp: self.timestamp(),
            epoch: self.epoch(),
            kind: self.kind(),
            schema: self.schema(),
            payload: self.payload(),
        }
    }
}

impl std::fmt::Debug for FrameRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.frame().fmt(f)
    }
}

#[inline]
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

#[inline]
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(payload: &[u8]) -> Frame<'_> {
        Frame { sequence: 7, timestamp: 11, epoch: 3, kind: 2, schema: 1, payload }
    }

    #[test]
    fn every_length_comes_back() {
        for length in [0, 1, 7, 8, 9, 100, PAYLOAD_BYTES_MAX] {
            let payload = vec![0xAB; length];
            let mut bytes = Vec::new();
            sample(&payload).encode(&mut bytes);
            assert_eq!(bytes.len(), sample(&payload).stored_bytes());
            match decode(&bytes) {
                Decoded::Frame(frame) => assert_eq!(frame.frame(), sample(&payload)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let mut bytes = Vec::new();
        sample(b"thirteen byte").encode(&mut bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&bytes), Decoded::Frame(_)), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn every_truncation_asks_for_more() {
        let mut bytes = Vec::new();
        sample(b"some payload").encode(&mut bytes);
        for length in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..length]), Decoded::Short { .. }), "length {length}");
        }
        assert_eq!(decode(&[0; 64]), Decoded::Blank);
    }
}
