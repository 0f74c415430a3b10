//! A running hash of what logic emitted: two nodes that did the same have the same digest at the
//! same sequence. It is cheap enough to be always on, and it finds accidents, not forgers: what
//! must stand up to an adversary is hashed with BLAKE3 (snapshots, segments).

use serde::{Deserialize, Serialize};

/// The hash so far of a stream of 16-byte blocks.
///
/// Four lanes take the blocks in turn, so that their multiplications overlap; how the stream is cut
/// into calls makes no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    lanes: [u64; LANES],
    /// How many blocks there were.
    blocks: u64,
}

const LANES: usize = 4;
/// The unit of the stream.
pub const BLOCK_BYTES: usize = 16;

// Odd, with about half of their bits set: fractional digits of pi, as others use them.
const SEEDS: [u64; LANES] =
    [0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7345, 0xA409_3822_299F_31D1, 0x082E_FA98_EC4E_6C89];
const LOW: u64 = 0x4528_21E6_38D0_1377;
const HIGH: u64 = 0xBE54_66CF_34E9_0C6D;

impl Default for Digest {
    fn default() -> Self {
        Self { lanes: SEEDS, blocks: 0 }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.value())
    }
}

impl Digest {
    /// What [`Digest::to_bytes`] takes.
    pub const BYTES: usize = 8 * (LANES + 1);

    /// All that is needed to go on from here: the lanes, then how many blocks there were.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let words = self.lanes.iter().chain([&self.blocks]);
        for (into, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *into = word.to_le_bytes();
        }
        bytes
    }

    /// Goes on from what [`Digest::to_bytes`] said.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(bytes.as_chunks().0[at]);
        Self { lanes: std::array::from_fn(word), blocks: word(LANES) }
    }

    /// The hash as a number.
    pub fn value(&self) -> u128 {
        let ends = |salt| {
            let ends =
                self.lanes.iter().fold(self.blocks ^ salt, |sum, &lane| fold(sum ^ lane, HIGH));
            u128::from(fold(ends, LOW))
        };
        ends(HIGH) << 64 | ends(LOW)
    }

    /// Takes in whole blocks.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        assert!(rest.is_empty(), "{} bytes are no whole blocks", bytes.len());
        // The lane whose turn it is comes first, and turns round with each block.
        let turn = (self.blocks % LANES as u64) as usize;
        self.lanes.rotate_left(turn);
        let mut fours = blocks.chunks_exact(LANES);
        for four in &mut fours {
            for (lane, block) in self.lanes.iter_mut().zip(four) {
                *lane = mix(*lane, block);
            }
        }
        for (lane, block) in self.lanes.iter_mut().zip(fours.remainder()) {
            *lane = mix(*lane, block);
        }
        self.lanes.rotate_right(turn);
        self.blocks += blocks.len() as u64;
    }
}

/// A lane that folds to zero still has what it was before in the sum.
#[inline]
fn mix(lane: u64, block: &[u8; BLOCK_BYTES]) -> u64 {
    let wide = u128::from_le_bytes(*block);
    fold(wide as u64 ^ lane, (wide >> 64) as u64 ^ HIGH).wrapping_add(lane.rotate_left(23))
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ (wide >> 64) as u64
}
