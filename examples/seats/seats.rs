//! Seats of a hall, sold one by one: the logic that `docs/TUTORIAL.md` writes.

use std::collections::BTreeMap;

use ringframe::codec::SerdeRecord;
use ringframe::logic::{Emit, Logic, Moment, Nanos};
use serde::{Deserialize, Serialize};

/// What comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Sell { seat: u16, to: u64 },
    GiveBack { seat: u16, by: u64 },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Sold { seat: u16, to: u64, ticket: u64 },
    GivenBack { seat: u16 },
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reject {
    NoSuchSeat,
    Taken { since: Nanos },
    NotYours,
}

// serde writes them; this says what they are called and how long they may be.
impl SerdeRecord for Command {
    const NAME: &'static str = "seats command";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 32;
}
impl SerdeRecord for Event {
    const NAME: &'static str = "seats event";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 32;
}
impl SerdeRecord for Reject {
    const NAME: &'static str = "seats reject";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 16;
}

/// How many there are, counted from 1.
pub const SEATS: u16 = 100;

/// All state: who sits where. A `BTreeMap`, because its order is the same on every node.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Hall {
    sold: BTreeMap<u16, Sale>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sale {
    to: u64,
    at: Nanos,
}

/// The proof that a command is valid. Its field is private, so only `check` makes one.
pub struct Checked(Command);

impl Logic for Hall {
    const NAME: &'static str = "seats";
    const VERSION: u32 = 1;

    type Command = Command;
    type Event = Event;
    type Reject = Reject;
    type Checked = Checked;

    /// Looks, and decides. `&self`: it could not change anything if it wanted to.
    fn check(&self, command: &Command, _at: &Moment) -> Result<Checked, Reject> {
        match *command {
            Command::Sell { seat, .. } => {
                if !(1..=SEATS).contains(&seat) {
                    return Err(Reject::NoSuchSeat);
                }
                if let Some(sale) = self.sold.get(&seat) {
                    return Err(Reject::Taken { since: sale.at });
                }
            }
            Command::GiveBack { seat, by } => {
                if self.sold.get(&seat).is_none_or(|sale| sale.to != by) {
                    return Err(Reject::NotYours);
                }
            }
        }
        Ok(Checked(command.clone()))
    }

    /// Does, and tells. It has no way to fail: what could go wrong was refused above.
    fn apply(&mut self, checked: Checked, at: &Moment, emit: &mut Emit<'_, Event>) {
        match checked.0 {
            Command::Sell { seat, to } => {
                self.sold.insert(seat, Sale { to, at: at.time });
                // A number that is unique, and the same on every replay, without asking anyone.
                let ticket = at.sequence.0;
                emit.event(&Event::Sold { seat, to, ticket });
            }
            Command::GiveBack { seat, .. } => {
                self.sold.remove(&seat);
                emit.event(&Event::GivenBack { seat });
            }
        }
    }
}
