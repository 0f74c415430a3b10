//! GLIMPSE: how all books stand, said in messages of ITCH, and from which message of the market on
//! to listen. It comes in packets of `soup`, in a session that ends with it.

use crate::itch;
use crate::layout::Malformed;
use crate::soup::{digits, number};

/// What a snapshot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Of the day, a stock, or an order.
    State(itch::Message),
    /// That was all.
    End {
        /// The number of the market's next message.
        next: u64,
    },
}

impl Message {
    /// The bytes of the message that ends it.
    pub const END_BYTES: usize = 21;

    /// Reads a message of exactly these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let [kind @ b'G', rest @ ..] = bytes else {
            return itch::Message::decode(bytes).map(Self::State);
        };
        let next = if bytes.len() == Self::END_BYTES { number(rest) } else { None };
        next.map(|next| Self::End { next }).ok_or(Malformed {
            protocol: "GLIMPSE message",
            kind: Some(*kind),
            length: bytes.len(),
            expected: Self::END_BYTES,
        })
    }

    /// The message that ends it; the sequence number stands on the right.
    pub fn end(next: u64) -> [u8; Self::END_BYTES] {
        let mut bytes = [b'G'; Self::END_BYTES];
        bytes[1..].copy_from_slice(&digits::<20>(next));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_a_letter_and_a_number_on_the_right() {
        assert_eq!(&Message::end(1), b"G                   1");
        assert_eq!(&Message::end(u64::MAX), b"G18446744073709551615");
        for next in [0, 1, 42, u64::MAX] {
            assert_eq!(Message::decode(&Message::end(next)), Ok(Message::End { next }));
        }
        for wrong in [&b"G"[..], b"G                    ", b"G                   x", &[b'G'; 22]] {
            assert_eq!(Message::decode(wrong).unwrap_err().expected, Message::END_BYTES);
        }
        assert!(Message::decode(b"").is_err());
        let mut event = *b"S  ";
        assert!(Message::decode(&event).is_err());
        event[0] = b'?';
        assert_eq!(Message::decode(&event).unwrap_err().expected, 0);
    }
}
