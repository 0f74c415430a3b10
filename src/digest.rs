//! A running hash of what logic emitted: two nodes that did the same have the same digest at the
//! same sequence. It is cheap enough to be always on, and it finds accidents, not forgers: what
//! must stand up to an adversary is hashed with BLAKE3 (snapshots, segments).

use serde::{Deserialize, Serialize};

/// The hash so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    low: u64,
    high: u64,
}

// Odd, with about half of their bits set: the fractional parts of pi, as others use them.
const K0: u64 = 0x243F_6A88_85A3_08D3;
const K1: u64 = 0x1319_8A2E_0370_7345;
const K2: u64 = 0xA409_3822_299F_31D1;

impl Default for Digest {
    fn default() -> Self {
        Self { low: K0, high: K1 }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.high, self.low)
    }
}

impl Digest {
    /// Takes in one record of the command `sequence`.
    #[expect(clippy::inline_always, reason = "a known length needs no loop")]
    #[inline(always)]
    pub fn update(&mut self, sequence: u64, kind: u16, bytes: &[u8]) {
        // Length and kind first, so that no two lists of records are the same string of words.
        let what = (u64::from(kind) << 32) | bytes.len() as u64;
        let mut lane = fold(sequence ^ K2, what ^ K1);
        let mut pairs = bytes.chunks_exact(16);
        for pair in &mut pairs {
            lane = fold(word(&pair[..8]) ^ lane, word(&pair[8..]) ^ K2).wrapping_add(lane);
        }
        let rest = pairs.remainder();
        if !rest.is_empty() {
            let mut last = [0; 16];
            last[..rest.len()].copy_from_slice(rest);
            lane = fold(word(&last[..8]) ^ lane, word(&last[8..]) ^ K2).wrapping_add(lane);
        }
        // Two words of state: a lane that folds to zero cannot erase what came before it.
        self.low = fold(self.low ^ lane, K0).wrapping_add(self.high);
        self.high = self.high.rotate_left(23) ^ self.low;
    }
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ (wide >> 64) as u64
}
