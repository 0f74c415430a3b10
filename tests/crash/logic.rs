//! A logic that makes long frames, so that few of them fill a segment, and whose state tells each
//! command that it has applied.

use ringframe::codec::SerdeRecord;
use ringframe::logic::{Emit, Logic, Moment};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Adds up.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    sum: u64,
    /// Every number, in order.
    numbers: Vec<u64>,
}

/// A number, and a long text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Add(u64, ByteBuf);
/// The sum after it, and a longer text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sum(u64, ByteBuf);
/// Refused: an odd hundred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refused(u64);

impl Add {
    /// The command that becomes this sequence.
    pub(crate) fn numbered(sequence: u64) -> Self {
        Self(sequence, ByteBuf::from(vec![sequence as u8; 240]))
    }
}

impl SerdeRecord for Add {
    const NAME: &'static str = "add";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 260;
}
impl SerdeRecord for Sum {
    const NAME: &'static str = "sum";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 280;
}
impl SerdeRecord for Refused {
    const NAME: &'static str = "refused";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 9;
}

impl Logic for Sums {
    const NAME: &'static str = "sums";
    const VERSION: u32 = 1;
    type Command = Add;
    type Event = Sum;
    type Reject = Refused;
    type Checked = u64;

    fn check(&self, command: &Add, _at: &Moment) -> Result<u64, Refused> {
        if command.0.is_multiple_of(10) { Err(Refused(command.0)) } else { Ok(command.0) }
    }

    fn apply(&mut self, number: u64, _at: &Moment, emit: &mut Emit<'_, Sum>) {
        self.sum += number;
        self.numbers.push(number);
        emit.event(&Sum(self.sum, ByteBuf::from(vec![number as u8; 260])));
    }
}
