//! What things are called in commands and events.

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, TryFromBytes};

/// Buy, or which kind of sell.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(u8)]
pub enum Side {
    /// Wants shares.
    #[default]
    Buy,
    /// Has shares.
    Sell,
    /// Has borrowed shares.
    Short,
    /// Has borrowed shares, exempt from the short-sale test.
    ShortExempt,
}

impl Side {
    /// Whether it buys.
    #[inline]
    pub const fn is_buy(self) -> bool {
        matches!(self, Self::Buy)
    }
}

/// An instrument's name, padded with spaces on the right.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct Symbol(pub [u8; 8]);

impl Symbol {
    /// No instrument.
    pub const BLANK: Self = Self([b' '; 8]);

    /// From up to eight characters.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [b' '; 8];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self(bytes))
    }
}

impl Default for Symbol {
    fn default() -> Self {
        Self::BLANK
    }
}

impl std::fmt::Display for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(String::from_utf8_lossy(&self.0).trim_end())
    }
}

impl std::fmt::Debug for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A client's name for an order: 84 bits, which hold 14 letters, digits and spaces of 6 bits each,
/// or a number.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Token {
    /// The first four letters: 20 bits; the others are zeros.
    pub(super) high: u32,
    /// The letters between.
    pub(super) middle: u32,
    /// The last letters.
    pub(super) low: u32,
}

/// The letters of a token, each by its place here. The space is 0: a blank token is all zeros.
const LETTERS: &[u8; 63] = b" 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The other way round; 0xFF for what is no letter.
const VALUES: [u8; 256] = {
    let mut values = [0xFF; 256];
    let mut value = 0;
    while value < LETTERS.len() {
        values[LETTERS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

impl Token {
    /// How many letters a token has.
    pub const LETTERS: usize = 14;
    /// How many bits there is room for; 84 of them are used.
    pub const BITS: u32 = 96;
    const HIGH_BITS: u32 = 84 - 64;

    /// A token that is a number, for tests and tools.
    pub const fn number(number: u64) -> Self {
        Self { high: 0, middle: (number >> 32) as u32, low: number as u32 }
    }

    /// From its bits; those that have no room are dropped.
    #[inline]
    pub const fn from_bits(bits: u128) -> Self {
        Self { high: (bits >> 64) as u32, middle: (bits >> 32) as u32, low: bits as u32 }
    }

    /// All of them in one number.
    #[inline]
    pub const fn bits(self) -> u128 {
        (self.high as u128) << 64 | (self.middle as u128) << 32 | self.low as u128
    }

    /// From letters, digits and spaces as they stand on the wire; `None` for anything else.
    #[inline]
    pub fn from_wire(text: &[u8; Self::LETTERS]) -> Option<Self> {
        let mut bits = 0_u128;
        let mut worst = 0;
        for &letter in text {
            let value = VALUES[letter as usize];
            worst |= value;
            bits = (bits << 6) | u128::from(value & 63);
        }
        (worst < 64).then_some(Self::from_bits(bits))
    }

    /// As it stands on the wire. A number that is no text gets `?` for what is no letter.
    #[inline]
    pub fn to_wire(self) -> [u8; Self::LETTERS] {
        let mut bits = self.bits();
        let mut text = [0; Self::LETTERS];
        for letter in text.iter_mut().rev() {
            *letter = LETTERS.get((bits & 63) as usize).copied().unwrap_or(b'?');
            bits >>= 6;
        }
        text
    }

    /// Whether it has no bits that no token has.
    #[inline]
    pub(super) const fn is_valid(self) -> bool {
        self.high >> Self::HIGH_BITS == 0
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(String::from_utf8_lossy(&self.to_wire()).trim())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
