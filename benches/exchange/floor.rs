//! A bare engine, the ruler: nothing but what any engine must touch. Orders of 32 bytes in a slab
//! with 32-bit links, levels by tick shared by both sides, a bitmap of two levels above them. No
//! events, no risk, no tokens, no self-trade prevention.

use loadgen::flow::{Fill, Flow, Op, Side, TICK, TICKS};

use crate::cpu_nanos;

pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
#[repr(C)]
struct Order {
    id: u32,
    previous: u32,
    next: u32,
    tick: u32,
    /// 0: the slot is free.
    open: u32,
    executed: u32,
    instrument: u16,
    side: Side,
    spare: [u8; 5],
}

const _: () = assert!(size_of::<Order>() == 32 && size_of::<Level>() == 16);

#[derive(Clone, Copy)]
struct Level {
    first: u32,
    last: u32,
    quantity: u64,
}

const WORDS: usize = TICKS as usize / 64;

struct Book {
    levels: Vec<Level>,
    words: [u64; WORDS],
    summary: [u64; WORDS / 64],
    bid: u32,
    ask: u32,
}

/// How a command's order is found. `hint` is the slot that came with the command.
pub(crate) trait Names {
    fn slot(&self, id: u32, hint: u32) -> u32;
    fn added(&mut self, id: u32, slot: u32);
    fn removed(&mut self, id: u32);
}

/// Commands carry slots: nothing to look up.
pub(crate) struct Slots;

impl Names for Slots {
    fn slot(&self, _id: u32, hint: u32) -> u32 {
        hint
    }

    fn added(&mut self, _id: u32, _slot: u32) {}

    fn removed(&mut self, _id: u32) {}
}

/// Commands carry numbers: open addressing, linear probes, nothing left behind by removals.
pub(crate) struct Hashed {
    entries: Vec<[u32; 2]>,
    shift: u32,
}

impl Hashed {
    pub(crate) fn new(resting: usize) -> Self {
        let size = (4 * resting).next_power_of_two().max(1_024);
        Self { entries: vec![[NONE; 2]; size], shift: 64 - size.ilog2() }
    }

    fn home(&self, id: u32) -> usize {
        (u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    fn place(&self, id: u32) -> usize {
        let mut place = self.home(id);
        while self.entries[place][0] != id && self.entries[place][0] != NONE {
            place = (place + 1) & (self.entries.len() - 1);
        }
        place
    }
}

impl Names for Hashed {
    fn slot(&self, id: u32, _hint: u32) -> u32 {
        self.entries[self.place(id)][1]
    }

    fn added(&mut self, id: u32, slot: u32) {
        let place = self.place(id);
        self.entries[place] = [id, slot];
    }

    fn removed(&mut self, id: u32) {
        let mask = self.entries.len() - 1;
        let mut hole = self.place(id);
        let mut place = (hole + 1) & mask;
        while self.entries[place][0] != NONE {
            let from_home = place.wrapping_sub(self.home(self.entries[place][0])) & mask;
            if from_home >= place.wrapping_sub(hole) & mask {
                self.entries[hole] = self.entries[place];
                hole = place;
            }
            place = (place + 1) & mask;
        }
        self.entries[hole] = [NONE; 2];
    }
}

/// Remembers every slot, for writing the slots into the commands beforehand.
pub(crate) struct Written(pub(crate) Vec<u32>);

impl Names for Written {
    fn slot(&self, id: u32, _hint: u32) -> u32 {
        self.0[id as usize]
    }

    fn added(&mut self, id: u32, slot: u32) {
        self.0[id as usize] = slot;
    }

    fn removed(&mut self, _id: u32) {}
}

pub(crate) struct Floor<N> {
    names: N,
    slab: Vec<Order>,
    free: u32,
    books: Vec<Book>,
    /// Every fill folded into one number, so that none can be left out.
    pub(crate) traded: u64,
}

impl<N: Names> Floor<N> {
    fn new(names: N, flow: &Flow) -> Self {
        let book = || Book {
            levels: vec![Level { first: NONE, last: NONE, quantity: 0 }; TICKS as usize],
            words: [0; WORDS],
            summary: [0; WORDS / 64],
            bid: 0,
            ask: TICKS,
        };
        let books = (0..flow.instruments).map(|_| book()).collect();
        let slab = Vec::with_capacity(2 * flow.setup.len());
        Self { names, slab, free: NONE, books, traded: 0 }
    }

    #[inline]
    fn apply(&mut self, op: &Op, hint: u32) {
        match *op {
            Op::Add { id, instrument, side, price, quantity, immediate } => {
                self.enter(Order::new(id, instrument, side, price, quantity, 0), immediate);
            }
            Op::Cancel { id } => {
                if let Some(slot) = self.find(id, hint) {
                    self.remove(slot);
                }
            }
            Op::Replace { old, new, price, quantity } => {
                if let Some(slot) = self.find(old, hint) {
                    let Order { instrument, side, executed, .. } = self.slab[slot as usize];
                    self.remove(slot);
                    let open = quantity - executed;
                    self.enter(Order::new(new, instrument, side, price, open, executed), false);
                }
            }
        }
    }

    fn find(&self, id: u32, hint: u32) -> Option<u32> {
        let slot = self.names.slot(id, hint);
        let order = self.slab.get(slot as usize)?;
        (order.id == id && order.open > 0).then_some(slot)
    }

    fn enter(&mut self, mut order: Order, immediate: bool) {
        while order.open > 0 {
            let book = &mut self.books[usize::from(order.instrument)];
            let (tick, reached) = match order.side {
                Side::Buy => (book.ask, order.tick >= book.ask),
                Side::Sell => (book.bid, order.tick <= book.bid),
            };
            let Some(level) = book.levels.get_mut(tick as usize).filter(|_| reached) else { break };
            if level.first == NONE {
                break;
            }
            let maker_slot = level.first;
            let maker = &mut self.slab[maker_slot as usize];
            let quantity = order.open.min(maker.open);
            order.open -= quantity;
            order.executed += quantity;
            maker.executed += quantity;
            self.traded = fold(self.traded, maker.id, quantity);
            if quantity == maker.open {
                self.remove(maker_slot);
            } else {
                maker.open -= quantity;
                level.quantity -= u64::from(quantity);
            }
        }
        if order.open > 0 && !immediate {
            self.rest(order);
        }
    }

    fn rest(&mut self, mut order: Order) {
        let slot = match self.free {
            NONE => {
                self.slab.push(order);
                self.slab.len() as u32 - 1
            }
            slot => {
                self.free = self.slab[slot as usize].next;
                slot
            }
        };
        let book = &mut self.books[usize::from(order.instrument)];
        match order.side {
            Side::Buy => book.bid = book.bid.max(order.tick),
            Side::Sell => book.ask = book.ask.min(order.tick),
        }
        let level = &mut book.levels[order.tick as usize];
        level.quantity += u64::from(order.open);
        order.previous = level.last;
        level.last = slot;
        if order.previous == NONE {
            level.first = slot;
            book.set(order.tick);
        } else {
            self.slab[order.previous as usize].next = slot;
        }
        self.slab[slot as usize] = order;
        self.names.added(order.id, slot);
    }

    fn remove(&mut self, slot: u32) {
        let Order { id, previous, next, tick, open, instrument, side, .. } =
            self.slab[slot as usize];
        self.names.removed(id);
        self.slab[slot as usize].open = 0;
        self.slab[slot as usize].next = self.free;
        self.free = slot;
        let book = &mut self.books[usize::from(instrument)];
        let level = &mut book.levels[tick as usize];
        level.quantity -= u64::from(open);
        match previous {
            NONE => level.first = next,
            previous => self.slab[previous as usize].next = next,
        }
        match next {
            NONE => level.last = previous,
            next => self.slab[next as usize].previous = previous,
        }
        if level.first == NONE {
            book.clear(tick);
            match side {
                Side::Buy if book.bid == tick => book.bid = book.below(tick),
                Side::Sell if book.ask == tick => book.ask = book.above(tick),
                _ => {}
            }
        }
    }
}

impl Order {
    fn new(id: u32, instrument: u16, side: Side, price: u32, open: u32, executed: u32) -> Self {
        let (tick, spare) = (price / TICK, [0; 5]);
        Self { id, previous: NONE, next: NONE, tick, open, executed, instrument, side, spare }
    }
}

impl Book {
    fn set(&mut self, tick: u32) {
        let word = tick as usize / 64;
        self.words[word] |= 1 << (tick % 64);
        self.summary[word / 64] |= 1 << (word % 64);
    }

    fn clear(&mut self, tick: u32) {
        let word = tick as usize / 64;
        self.words[word] &= !(1 << (tick % 64));
        if self.words[word] == 0 {
            self.summary[word / 64] &= !(1 << (word % 64));
        }
    }

    /// The nearest level with orders above a tick, or [`TICKS`].
    fn above(&self, tick: u32) -> u32 {
        above(&self.words, tick)
            .or_else(|| {
                let word = above(&self.summary, tick / 64)
                    .or_else(|| first(&self.summary, (tick as usize / 64) / 64 + 1))?;
                Some(word * 64 + self.words[word as usize].trailing_zeros())
            })
            .unwrap_or(TICKS)
    }

    /// The nearest level with orders below a tick, or 0.
    fn below(&self, tick: u32) -> u32 {
        below(&self.words, tick)
            .or_else(|| {
                let word = below(&self.summary, tick / 64)
                    .or_else(|| last(&self.summary, (tick as usize / 64) / 64))?;
                Some(word * 64 + 63 - self.words[word as usize].leading_zeros())
            })
            .unwrap_or(0)
    }
}

/// The next bit above `bit` within its word.
fn above(words: &[u64], bit: u32) -> Option<u32> {
    let rest = words[bit as usize / 64] & (u64::MAX << (bit % 64) << 1);
    (rest != 0).then(|| bit / 64 * 64 + rest.trailing_zeros())
}

/// The next bit below `bit` within its word.
fn below(words: &[u64], bit: u32) -> Option<u32> {
    let rest = words[bit as usize / 64] & !(u64::MAX << (bit % 64));
    (rest != 0).then(|| bit / 64 * 64 + 63 - rest.leading_zeros())
}

/// The first bit in the words from `from` on.
fn first(words: &[u64], from: usize) -> Option<u32> {
    let word = (from..words.len()).find(|&word| words[word] != 0)?;
    Some(word as u32 * 64 + words[word].trailing_zeros())
}

/// The last bit in the words before `end`.
fn last(words: &[u64], end: usize) -> Option<u32> {
    let word = (0..end).rev().find(|&word| words[word] != 0)?;
    Some(word as u32 * 64 + 63 - words[word].leading_zeros())
}

/// What [`Floor`] makes of fills; the checks make the same of a market's.
pub(crate) fn fold(traded: u64, maker: u32, quantity: u32) -> u64 {
    traded.rotate_left(5) ^ (u64::from(maker) << 32 | u64::from(quantity))
}

/// A flow with the slots that its cancels and replaces name.
pub(crate) struct Bare<'a> {
    flow: &'a Flow,
    hints: Vec<u32>,
}

impl<'a> Bare<'a> {
    pub(crate) fn new(flow: &'a Flow) -> Self {
        let mut floor = Floor::new(Written(vec![NONE; flow.orders() as usize]), flow);
        let mut hints = Vec::with_capacity(flow.ops.len());
        for op in &flow.setup {
            floor.apply(op, NONE);
        }
        for op in &flow.ops {
            hints.push(match *op {
                Op::Add { .. } => NONE,
                Op::Cancel { id } | Op::Replace { old: id, .. } => floor.names.slot(id, NONE),
            });
            floor.apply(op, NONE);
        }
        Self { flow, hints }
    }

    /// Nanoseconds of the measured commands, and the fold of all fills.
    fn run<N: Names>(&self, names: N) -> (u64, u64) {
        let mut floor = Floor::new(names, self.flow);
        for op in &self.flow.setup {
            // Nothing is canceled while books are filled.
            floor.apply(op, NONE);
        }
        let begun = cpu_nanos();
        for (op, &hint) in self.flow.ops.iter().zip(&self.hints) {
            floor.apply(op, hint);
        }
        (cpu_nanos() - begun, floor.traded)
    }

    pub(crate) fn with_slots(&self) -> (u64, u64) {
        self.run(Slots)
    }

    pub(crate) fn with_hashes(&self) -> (u64, u64) {
        self.run(Hashed::new(self.flow.setup.len()))
    }
}

/// Adds one fill of a market or an exchange to the fold.
pub(crate) fn take(traded: &mut u64, fill: &Fill) {
    *traded = fold(*traded, fill.maker, fill.quantity);
}
