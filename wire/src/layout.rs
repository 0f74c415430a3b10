//! What messages are made of: texts, letters, a six-byte number; and how a list of layouts becomes
//! the messages of a protocol.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// ASCII, left-justified, padded with spaces on the right. Whatever else came is kept as it came.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct Alpha<const N: usize>(pub [u8; N]);

impl<const N: usize> Alpha<N> {
    /// All spaces.
    pub const BLANK: Self = Self([b' '; N]);

    /// From a text; `None` when it has no room or is not printable ASCII.
    pub fn new(text: &str) -> Option<Self> {
        Self::from_text(text.as_bytes())
    }

    /// Brings a text that may stand anywhere between spaces to the left, because clients differ;
    /// `None` when it has no room or is not printable ASCII.
    pub(super) fn from_text(bytes: &[u8]) -> Option<Self> {
        let text = trim(bytes);
        let is_text = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let mut own = [b' '; N];
        own.get_mut(..text.len())?.copy_from_slice(text);
        is_text.then_some(Self(own))
    }

    /// Without the spaces around it.
    pub fn text(&self) -> &[u8] {
        trim(&self.0)
    }

    /// Whether there is nothing but spaces.
    pub fn is_blank(&self) -> bool {
        self.text().is_empty()
    }
}

impl<const N: usize> Default for Alpha<N> {
    fn default() -> Self {
        Self::BLANK
    }
}

impl<const N: usize> std::fmt::Display for Alpha<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text().escape_ascii().fmt(f)
    }
}

impl<const N: usize> std::fmt::Debug for Alpha<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Without the spaces around it.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

/// A number of six bytes: ITCH's nanoseconds since midnight.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct U48([u8; 6]);

impl U48 {
    /// The lowest 48 bits: a day of nanoseconds needs 47.
    pub const fn new(value: u64) -> Self {
        let [_, _, low @ ..] = value.to_be_bytes();
        Self(low)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        let mut bytes = [0; 8];
        let (_, low) = bytes.split_at_mut(2);
        low.copy_from_slice(&self.0);
        u64::from_be_bytes(bytes)
    }
}

impl std::fmt::Debug for U48 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Of which protocol, and who would have said it.
    pub protocol: &'static str,
    /// The first byte.
    pub kind: Option<u8>,
    /// How many bytes there were.
    pub length: usize,
    /// How long a message of this type is; 0 when there is no such type.
    pub expected: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { protocol, length, expected, .. } = self;
        match self.kind.map(u8::escape_ascii) {
            None => write!(f, "no bytes at all where an {protocol} was expected"),
            Some(kind) if *expected == 0 => write!(f, "there is no {protocol} of type '{kind}'"),
            Some(kind) => {
                write!(f, "{length} bytes where an {protocol} of type '{kind}' has {expected}")
            }
        }
    }
}

impl std::error::Error for Malformed {}

/// Makes a type for the letters of one field. The set is open: any byte can be read.
macro_rules! letters {
    ($(
        $(#[$doc:meta])*
        pub struct $name:ident {
            $($(#[$letter_doc:meta])* $letter_name:ident = $letter:literal,)+
        }
    )+) => {$(
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            PartialEq,
            Eq,
            zerocopy::FromBytes,
            zerocopy::IntoBytes,
            zerocopy::Immutable,
            zerocopy::KnownLayout,
            zerocopy::Unaligned,
        )]
        #[repr(transparent)]
        pub struct $name(pub u8);

        impl $name {
            $($(#[$letter_doc])* pub const $letter_name: Self = Self($letter);)+
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}('{}')", stringify!($name), self.0.escape_ascii())
            }
        }
    )+};
}

/// Makes structs whose bytes are the value. All fields are unaligned, so there is no padding.
macro_rules! structs {
    ($(
        $(#[$doc:meta])*
        pub struct $name:ident {
            $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)+
        }
    )+) => {$(
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            PartialEq,
            Eq,
            zerocopy::FromBytes,
            zerocopy::IntoBytes,
            zerocopy::Immutable,
            zerocopy::KnownLayout,
            zerocopy::Unaligned,
        )]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)+
        }
    )+};
}

/// Makes the enum of a protocol's messages: a letter, a struct, and how long both are together.
/// `or` a byte shorter: older versions lack the last field, which then reads as a space.
macro_rules! messages {
    (
        $(#[$doc:meta])*
        pub enum $name:ident: $text:literal {
            $($letter:literal => $kind:ident, $length:literal $(or $shorter:literal)?;)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(
                #[doc = concat!(stringify!($letter), ", ", stringify!($length), " bytes.")]
                $kind($kind),
            )+
        }

        $(
            const _: () = assert!(1 + size_of::<$kind>() == $length);
            $(const _: () = assert!($shorter + 1 == $length);)?

            impl From<$kind> for $name {
                #[inline]
                fn from(message: $kind) -> Self {
                    Self::$kind(message)
                }
            }
        )+

        impl $name {
            /// No message is longer.
            pub const BYTES_MAX: usize = {
                let mut max = 0;
                $(if $length > max {
                    max = $length;
                })+
                max
            };

            /// Writes the message at the start of `into` and says how long it is; `None` when it
            /// has no room there.
            #[inline]
            pub fn encode(&self, into: &mut [u8]) -> Option<usize> {
                let (letter, body) = match self {
                    $(Self::$kind(message) => ($letter, zerocopy::IntoBytes::as_bytes(message)),)+
                };
                let (first, rest) = into.get_mut(..=body.len())?.split_first_mut()?;
                *first = letter;
                rest.copy_from_slice(body);
                Some(1 + body.len())
            }

            /// Reads the message that these bytes are.
            #[inline]
            pub fn decode(bytes: &[u8]) -> Result<Self, $crate::layout::Malformed> {
                let malformed = |expected| $crate::layout::Malformed {
                    protocol: $text,
                    kind: bytes.first().copied(),
                    length: bytes.len(),
                    expected,
                };
                let Some((first, body)) = bytes.split_first() else {
                    return Err(malformed(0));
                };
                match *first {
                    $($letter => {
                        $(if bytes.len() == $shorter {
                            let mut whole = [b' '; size_of::<$kind>()];
                            whole[..body.len()].copy_from_slice(body);
                            return Ok(Self::$kind(zerocopy::transmute!(whole)));
                        })?
                        zerocopy::FromBytes::read_from_bytes(body)
                            .map(Self::$kind)
                            .map_err(|_| malformed($length))
                    })+
                    _ => Err(malformed(0)),
                }
            }
        }
    };
}

pub(crate) use {letters, messages, structs};
