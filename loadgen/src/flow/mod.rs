//! Order flows for benches and load: seeded, the same on every machine, integers only.
//!
//! ```text
//!  Mix     five plain mixes, 1 or 100 instruments   ─┐              ┌─► setup: fills the books
//!          130 to 870 k resting orders               ├─► Market ─► Flow
//!  Equity  shaped like equities, five regimes        ─┘  knows      └─► ops: what is measured
//!          10³ to 10⁷ resting orders                     what is live
//! ```
//!
//! A flow is made before the run, by playing it on a [`Market`]: cancels and replaces name orders
//! that are live at that moment, by price-time priority as any exchange has it.

use crate::random::Random;

pub use equity::{Equity, Regime};
pub use market::{Fill, Market};
pub use mix::Mix;

mod equity;
mod market;
mod mix;
mod path;

#[cfg(test)]
mod recount;

/// Every price is a multiple of this: one cent, in ten-thousandths.
pub const TICK: u32 = 100;
/// Prices are below so many ticks.
pub const TICKS: u32 = 1 << 15;
/// Where every instrument begins: 100.00, in ticks.
pub const START: u32 = 10_000;
/// How far apart commands are when a flow runs at its own pace: a million commands a second.
pub const NANOS: u64 = 1_000;

/// Who wants what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Wants shares.
    Buy,
    /// Has shares.
    Sell,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    fn any(random: &mut Random) -> Self {
        if random.chance(1, 2) { Self::Buy } else { Self::Sell }
    }
}

/// One command. Orders are numbered from 0 in the order in which they come, replaces included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A new limit order.
    Add {
        /// Its number.
        id: u32,
        /// What it trades, from 0.
        instrument: u16,
        /// Buy or sell.
        side: Side,
        /// Its limit, in ten-thousandths.
        price: u32,
        /// How many shares.
        quantity: u32,
        /// Whether what does not trade at once is canceled.
        immediate: bool,
    },
    /// An order is taken back; it may be gone already.
    Cancel {
        /// Which one.
        id: u32,
    },
    /// A new order in place of a live one, on the same side of the same book, last in its queue.
    Replace {
        /// The order that goes.
        old: u32,
        /// The number of the one that comes.
        new: u32,
        /// Its limit, in ten-thousandths.
        price: u32,
        /// How many shares in all, those that the old one traded already included.
        quantity: u32,
    },
}

/// What to play: first the books are filled, then comes what is measured.
#[derive(Clone, Debug)]
pub struct Flow {
    /// What tables call it.
    pub name: String,
    /// How many instruments there are.
    pub instruments: u16,
    /// Fills the books.
    pub setup: Vec<Op>,
    /// What is measured.
    pub ops: Vec<Op>,
}

impl Flow {
    /// How many orders it numbers.
    pub fn orders(&self) -> u32 {
        let numbered = |op: &&Op| !matches!(op, Op::Cancel { .. });
        self.setup.iter().chain(&self.ops).filter(numbered).count() as u32
    }

    /// A hash of all commands: equal flows have equal ones, on every machine.
    pub fn fingerprint(&self) -> u64 {
        self.setup.iter().chain(&self.ops).fold(0xCBF2_9CE4_8422_2325, |hash, op| {
            let words = match *op {
                Op::Add { id, instrument, side, price, quantity, immediate } => {
                    let flags = (side as u32) << 1 | u32::from(immediate);
                    [1 + (flags << 2) + (u32::from(instrument) << 16), id, price, quantity]
                }
                Op::Cancel { id } => [2, id, 0, 0],
                Op::Replace { old, new, price, quantity } => [3 + (old << 2), new, price, quantity],
            };
            words.iter().fold(hash, |hash, &word| {
                (hash ^ u64::from(word)).wrapping_mul(0x0000_0100_0000_01B3)
            })
        })
    }
}

/// Plays commands on a market and keeps them.
struct Recorder {
    market: Market,
    ops: Vec<Op>,
    next_id: u32,
}

impl Recorder {
    fn new(instruments: u16) -> Self {
        Self { market: Market::new(instruments), ops: Vec::new(), next_id: 0 }
    }

    fn play(&mut self, op: Op) {
        self.market.apply(&op, |_| {});
        self.ops.push(op);
    }

    /// Enters an order at a tick and says which number it got.
    fn add(
        &mut self,
        instrument: u16,
        side: Side,
        tick: u32,
        quantity: u32,
        immediate: bool,
    ) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let price = tick * TICK;
        self.play(Op::Add { id, instrument, side, price, quantity, immediate });
        id
    }

    fn replace(&mut self, old: u32, tick: u32, quantity: u32) -> u32 {
        let new = self.next_id;
        self.next_id += 1;
        self.play(Op::Replace { old, new, price: tick * TICK, quantity });
        new
    }

    /// Enters an immediate order that trades with the best `orders` of the other side: with all of
    /// the first ones and with half of the last.
    fn sweep(&mut self, instrument: u16, side: Side, orders: usize) {
        let (mut quantity, mut last) = (0, None);
        for id in self.market.queue(instrument, side.opposite()).take(orders) {
            let open = self.market.open(id);
            quantity += open;
            last = Some((self.market.tick(id), open));
        }
        match last {
            Some((tick, open)) => self.add(instrument, side, tick, quantity - open / 2, true),
            None => self.add(instrument, side, START, LOT, true),
        };
    }
}

const LOT: u32 = 100;

/// One to ten lots.
fn any_quantity(random: &mut Random) -> u32 {
    LOT * (1 + random.below(10))
}
