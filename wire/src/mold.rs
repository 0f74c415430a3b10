//! `MoldUDP64`: datagrams of numbered messages, and requests for those that got lost.
//!
//! A datagram is a header of 20 bytes and as many blocks as it says: two bytes of length, then the
//! message. Blocks are checked before the first of them is handed out, so that a datagram is either
//! taken whole or not at all.

use zerocopy::byteorder::big_endian::{U16, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::layout::{Alpha, structs};

/// What a datagram should not be longer than, to travel in one piece.
pub const DATAGRAM_BYTES: usize = 1_400;
/// The header's length.
pub const HEADER_BYTES: usize = 20;
const END: u16 = 0xFFFF;

/// The name of a session.
pub type Session = Alpha<10>;

structs! {
    /// What each datagram begins with; a request is nothing else.
    pub struct Header {
        /// Which session.
        pub session: Session,
        /// The number of the first message; where there is none, of the next one.
        pub sequence: U64,
        /// How many messages; 0 for a heartbeat, 0xFFFF for the end.
        pub count: U16,
    }
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);

/// A datagram from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Which session; a datagram of another one is no part of the stream.
    pub session: Session,
    /// The number of the first message; where there is none, of the next one.
    pub sequence: u64,
    /// What it says.
    pub said: Said<'a>,
}

/// What a datagram says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// Messages.
    Messages(Blocks<'a>),
    /// Nothing new.
    Heartbeat,
    /// There will be no more messages.
    End,
}

impl<'a> Datagram<'a> {
    /// Reads a whole datagram; `None` when its blocks are not exactly its bytes.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (header, blocks) = Header::read_from_prefix(bytes).ok()?;
        let said = match header.count.get() {
            0 => blocks.is_empty().then_some(Said::Heartbeat)?,
            END => blocks.is_empty().then_some(Said::End)?,
            count => Said::Messages(Blocks::checked(blocks, count)?),
        };
        Some(Self { session: header.session, sequence: header.sequence.get(), said })
    }
}

/// The messages of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    fn checked(bytes: &'a [u8], count: u16) -> Option<Self> {
        let mut blocks = Self { rest: bytes };
        for _ in 0..count {
            blocks.next()?;
        }
        blocks.rest.is_empty().then_some(Self { rest: bytes })
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk()?;
        let (message, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(message)
    }
}

/// A datagram in the making.
#[derive(Debug)]
pub struct Packer<'a> {
    bytes: &'a mut [u8],
    used: usize,
    count: u16,
}

impl<'a> Packer<'a> {
    /// Begins a datagram in `bytes`; `None` when not even its header has room there.
    pub fn new(bytes: &'a mut [u8], session: Session, sequence: u64) -> Option<Self> {
        let header = Header { session, sequence: sequence.into(), count: U16::ZERO };
        header.write_to_prefix(bytes).ok()?;
        Some(Self { bytes, used: HEADER_BYTES, count: 0 })
    }

    /// Adds a message; `false` when it has no room any more.
    #[must_use]
    pub fn push(&mut self, message: &[u8]) -> bool {
        self.try_push(message).is_some()
    }

    fn try_push(&mut self, message: &[u8]) -> Option<()> {
        let count = self.count.checked_add(1).filter(|count| *count != END)?;
        let length = u16::try_from(message.len()).ok()?;
        let (head, rest) = self.bytes.get_mut(self.used..)?.split_first_chunk_mut()?;
        rest.get_mut(..message.len())?.copy_from_slice(message);
        *head = length.to_be_bytes();
        self.used += size_of_val(head) + message.len();
        self.count = count;
        Some(())
    }

    /// The datagram; without messages it is a heartbeat.
    pub fn finish(self) -> &'a [u8] {
        let count = self.count;
        self.close(count)
    }

    /// The datagram that says that there will be no more, whatever was added to it.
    pub fn end(mut self) -> &'a [u8] {
        self.used = HEADER_BYTES;
        self.close(END)
    }

    fn close(self, count: u16) -> &'a [u8] {
        let Self { bytes, used, .. } = self;
        bytes[HEADER_BYTES - size_of::<u16>()..HEADER_BYTES].copy_from_slice(&count.to_be_bytes());
        &bytes[..used]
    }
}

/// Asks for messages that got lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which session.
    pub session: Session,
    /// The number of the first message.
    pub sequence: u64,
    /// How many.
    pub count: u16,
}

impl Request {
    /// Reads a whole datagram; `None` when it is anything but a request.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let header = Header::read_from_bytes(bytes).ok()?;
        Some(Self {
            session: header.session,
            sequence: header.sequence.get(),
            count: header.count.get(),
        })
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let Self { session, sequence, count } = *self;
        let header = Header { session, sequence: sequence.into(), count: count.into() };
        zerocopy::transmute!(header)
    }
}
