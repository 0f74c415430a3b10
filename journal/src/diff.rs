//! Where two journals part: the first frame that is not the same, byte for byte, in both.

use crate::error::Error;
use crate::frame::{Decoded, FrameRef, decode};
use crate::reader::Reader;
use crate::storage::Storage;
use crate::survey::survey;

/// One of the two journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// A frame and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The segment.
    pub number: u64,
    /// The frame's offset in it.
    pub offset: u64,
    bytes: Vec<u8>,
}

impl Located {
    /// The frame itself.
    pub fn frame(&self) -> FrameRef<'_> {
        match decode(&self.bytes) {
            Decoded::Frame(frame) => frame,
            _ => unreachable!("the bytes came from a frame"),
        }
    }
}

/// What comparing two journals found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// None: both hold the same frames and end together.
    Nothing {
        /// How many frames were compared.
        frames: u64,
        /// The sequence after the last of them.
        next: u64,
    },
    /// Both hold a frame of this sequence, and these differ.
    Frame {
        /// The first's.
        left: Box<Located>,
        /// The second's.
        right: Box<Located>,
    },
    /// Equal as far as the shorter goes.
    Ends {
        /// Which one ends first.
        side: Side,
        /// The first sequence that it does not have.
        sequence: u64,
        /// How many frames were compared.
        frames: u64,
    },
}

/// Compares two journals from the later of their first sequences on. Segment boundaries do not
/// matter, nor do frames that one of them has already pruned.
pub fn diff<A: Storage, B: Storage>(left: A, right: B) -> Result<Difference, Error> {
    let firsts = (first_sequence(&left)?, first_sequence(&right)?);
    let start = firsts.0.max(firsts.1);
    let mut left = match at(left, start)? {
        Ok(reader) => reader,
        Err(sequence) => return Ok(Difference::Ends { side: Side::Left, sequence, frames: 0 }),
    };
    let mut right = match at(right, start)? {
        Ok(reader) => reader,
        Err(sequence) => return Ok(Difference::Ends { side: Side::Right, sequence, frames: 0 }),
    };
    let mut frames = 0;
    loop {
        let sequence = left.next_sequence();
        match (left.next_frame()?, right.next_frame()?) {
            (None, None) => return Ok(Difference::Nothing { frames, next: sequence }),
            (None, Some(_)) => return Ok(Difference::Ends { side: Side::Left, sequence, frames }),
            (Some(_), None) => return Ok(Difference::Ends { side: Side::Right, sequence, frames }),
            (Some(one), Some(two)) if one.bytes() == two.bytes() => frames += 1,
            (Some(one), Some(two)) => {
                let (one, two) = (one.bytes().to_vec(), two.bytes().to_vec());
                let (left, right) = (located(&left, one), located(&right, two));
                return Ok(Difference::Frame { left: Box::new(left), right: Box::new(right) });
            }
        }
    }
}

/// The first sequence there is or, in an empty journal, 1.
fn first_sequence<S: Storage>(storage: &S) -> Result<u64, Error> {
    let segments = survey(storage)?;
    let first = segments.iter().find_map(|info| info.header.good());
    Ok(first.map_or(1, |header| header.first_sequence))
}

/// A reader before `sequence`, or the sequence at which the journal ends before that.
fn at<S: Storage>(storage: S, sequence: u64) -> Result<Result<Reader<S>, u64>, Error> {
    if survey(&storage)?.iter().all(|info| info.header.good().is_none()) && sequence > 1 {
        return Ok(Err(1));
    }
    match Reader::open(storage, sequence) {
        Ok(reader) => Ok(Ok(reader)),
        Err(Error::OutOfRange { next, .. }) if next < sequence => Ok(Err(next)),
        Err(error) => Err(error),
    }
}

/// Where the frame that the reader has just returned stands.
fn located<S: Storage>(reader: &Reader<S>, bytes: Vec<u8>) -> Located {
    let (number, end) = reader.position().expect("a reader that returned a frame stands somewhere");
    Located { number, offset: end - bytes.len() as u64, bytes }
}
