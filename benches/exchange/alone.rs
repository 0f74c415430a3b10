//! The exchange's own book without the exchange: no tokens, no parties, no risk, no digest. Orders
//! come in as they come to the floor, and every event is encoded as the exchange would tell it,
//! with the order's number for a token.

use std::time::Instant;

use loadgen::flow::{Fill, Flow, Op, START, Side, TICK, TICKS};
use ringframe::exchange::book::{Book, Incoming, Owner, Owners};
use ringframe::exchange::command::{Lifetime, SelfTrade, Terms};
use ringframe::exchange::event::{Event, Reason};
use ringframe::exchange::ids::{Side as OrderSide, Symbol, Token};
use ringframe::exchange::reject::Reject;
use ringframe::logic::{Outbox, Sequence};

use crate::floor::{Bare, Hashed, NONE, Names, Slots, Written, take};
use crate::mixes::{expected, flows};
use crate::regimes::{clock, quantiles};
use crate::table::{Table, median};
use crate::whole::BATCH;
use crate::{Scale, cpu_nanos, rate};

/// Nobody in particular: an order is found by its number and called by it.
struct Nobody<N>(N);

impl<N: Names> Owners for Nobody<N> {
    #[inline]
    fn owner(&self, number: u32) -> Owner {
        Owner { token: Token::number(u64::from(number)), session: 0, place: 0 }
    }

    #[inline]
    fn self_trade(&self, _place: u16) -> SelfTrade {
        SelfTrade::Allow
    }

    #[inline]
    fn entered(&mut self, number: u32, slot: u32) {
        self.0.added(number, slot);
    }

    #[inline]
    fn traded(&mut self, _instrument: u16, _buyer: u16, _seller: u16, _quantity: u32) {}

    #[inline]
    fn reduced(&mut self, _place: u16, _instrument: u16, _is_buy: bool, _quantity: u32) {}

    #[inline]
    fn ended(&mut self, number: u32, _owner: Owner) {
        self.0.removed(number);
    }
}

struct Alone<N> {
    book: Book<Nobody<N>>,
    outbox: Outbox<Event, Reject>,
    commands: u64,
}

impl<N: Names> Alone<N> {
    /// Instruments are open, the books are filled.
    fn new(names: N, flow: &Flow) -> Self {
        let book = Book::new(Nobody(names));
        let mut alone = Self { book, outbox: Outbox::default(), commands: 0 };
        for _ in 0..flow.instruments {
            let number = alone.book.add_instrument(Terms {
                symbol: Symbol::BLANK,
                tick: TICK,
                lot: 1,
                lowest: TICK,
                highest: TICK * (TICKS - 1),
                collar: START * TICK / 2,
                reference: START * TICK,
            });
            alone.book.open(number);
        }
        alone.book.reserve(2 * flow.setup.len());
        for op in &flow.setup {
            alone.apply(op, NONE);
            alone.outbox.discard();
        }
        alone
    }

    #[inline]
    fn apply(&mut self, op: &Op, hint: u32) {
        self.commands += 1;
        let mut emit = self.outbox.emit(Sequence(self.commands));
        let book = &mut self.book;
        match *op {
            Op::Add { id, instrument, side, price, quantity, immediate } => {
                let side = if side == Side::Buy { OrderSide::Buy } else { OrderSide::Sell };
                let lifetime = if immediate { Lifetime::Immediate } else { Lifetime::Day };
                let tick = price / TICK;
                let incoming = Incoming {
                    instrument,
                    side,
                    lifetime,
                    tick,
                    price,
                    quantity,
                    ..Incoming::default()
                };
                book.enter(id, book.owners.owner(id), &incoming, &mut emit);
            }
            Op::Cancel { id } => {
                let slot = book.owners.0.slot(id, hint);
                if book.live(slot, id).is_some() {
                    book.cancel(slot, Reason::User, &mut emit);
                }
            }
            Op::Replace { old, new, price, quantity } => {
                let slot = book.owners.0.slot(old, hint);
                if let Some(mut incoming) = book.live(slot, old) {
                    incoming.quantity = quantity - incoming.executed;
                    (incoming.price, incoming.tick) = (price, price / TICK);
                    book.replace(slot, new, book.owners.owner(new), &incoming, &mut emit);
                }
            }
        }
    }
}

/// A flow with the slots that its cancels and replaces name in this book.
struct Play<'a> {
    flow: &'a Flow,
    hints: Vec<u32>,
}

impl<'a> Play<'a> {
    /// Panics unless the book trades as the market does.
    fn new(flow: &'a Flow, expected: u64) -> Self {
        let mut alone = Alone::new(Written(vec![NONE; flow.orders() as usize]), flow);
        let mut hints = Vec::with_capacity(flow.ops.len());
        let mut traded = 0;
        for op in &flow.ops {
            hints.push(match *op {
                Op::Add { .. } => NONE,
                Op::Cancel { id } | Op::Replace { old: id, .. } => {
                    alone.book.owners.0.slot(id, NONE)
                }
            });
            alone.apply(op, NONE);
            for outcome in alone.outbox.outcomes() {
                if let Ok(Event::Traded(event)) = outcome {
                    let (maker, taker) = (event.maker.reference as u32, 0);
                    let (price, quantity) = (event.price, event.quantity);
                    take(&mut traded, &Fill { maker, taker, price, quantity });
                }
            }
            alone.outbox.discard();
        }
        assert_eq!(traded, expected, "{}: the book alone trades as the market", flow.name);
        Self { flow, hints }
    }

    fn run<N: Names>(&self, names: N) -> u64 {
        let mut alone = Alone::new(names, self.flow);
        let begun = cpu_nanos();
        measured(&mut alone, self, |_| {});
        cpu_nanos() - begun
    }

    /// Nanoseconds of each command.
    fn latencies(&self) -> Vec<u32> {
        let mut alone = Alone::new(Slots, self.flow);
        let mut latencies = Vec::with_capacity(self.flow.ops.len());
        let mut last = Instant::now();
        measured(&mut alone, self, |_| {
            let now = Instant::now();
            latencies.push((now - last).as_nanos() as u32);
            last = now;
        });
        latencies
    }
}

/// A function of its own: `instructions` counts what happens in it.
#[inline(never)]
fn measured<N: Names>(alone: &mut Alone<N>, play: &Play<'_>, mut watch: impl FnMut(&Op)) {
    for (ops, hints) in play.flow.ops.chunks(BATCH).zip(play.hints.chunks(BATCH)) {
        for (op, &hint) in ops.iter().zip(hints) {
            alone.apply(op, hint);
            watch(op);
        }
        std::hint::black_box(alone.outbox.encoded());
        alone.outbox.discard();
    }
}

/// One run that reads no clock.
pub(crate) fn play(flow: &Flow) {
    let play = Play::new(flow, expected(flow));
    measured(&mut Alone::new(Slots, flow), &play, |_| {});
}

pub(crate) fn run(scale: &Scale) {
    let clock = clock();
    let title = format!(
        "the book alone with its events, million commands/s of processor time; ns of one command, \
         of which reading the clock takes p50 {}, p99 {}, p99.9 {}",
        clock[0], clock[1], clock[2]
    );
    let columns = [
        "flow", "floor", "hashed", "book", "hashed", "of floor", "bar", "p50", "p99", "p99.9",
        "max",
    ];
    let mut table = Table::new(&title, &columns);
    for (flow, (share, multiple)) in flows(scale) {
        let bare = Bare::new(&flow);
        let play = Play::new(&flow, expected(&flow));
        let mut figures = [const { Vec::new() }; 4];
        for _ in 0..scale.pick(5, 1) {
            let hashed = Hashed::new(flow.setup.len());
            let times =
                [bare.with_slots().0, bare.with_hashes().0, play.run(Slots), play.run(hashed)];
            for (figures, time) in figures.iter_mut().zip(times) {
                figures.push(rate(flow.ops.len(), time));
            }
        }
        let [slots, hashed, book, book_hashed] = figures.map(median);
        let million = |figure: f64| format!("{figure:.1}");
        let mut row = vec![flow.name.clone()];
        row.extend([slots, hashed, book, book_hashed].map(million));
        row.push(format!("{:.2}", book / slots));
        row.push(million(share * multiple * slots));
        row.extend(quantiles(&mut play.latencies(), &[0.5, 0.99, 0.999, 1.0]));
        table.row(row);
    }
    table.print();
}
