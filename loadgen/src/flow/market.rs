//! The simplest market that knows what is live: price-time priority, orders by number, levels by
//! tick.

use super::{Op, Side, TICK, TICKS};

/// Two orders traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The resting order.
    pub maker: u32,
    /// The incoming one.
    pub taker: u32,
    /// At this price, in ten-thousandths.
    pub price: u32,
    /// So many shares.
    pub quantity: u32,
}

/// All books and all orders, the gone ones included.
#[derive(Debug)]
pub struct Market {
    orders: Vec<Order>,
    books: Vec<Book>,
    live: Vec<u32>,
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Order {
    previous: u32,
    next: u32,
    /// Where it stands in `live`.
    place: u32,
    tick: u32,
    open: u32,
    executed: u32,
    instrument: u16,
    side: Side,
}

/// The queues of one instrument. Both sides share the levels: a book is never crossed.
#[derive(Debug)]
struct Book {
    levels: Vec<Level>,
    /// The highest tick with bids, or 0.
    bid: u32,
    /// The lowest tick with asks, or [`TICKS`].
    ask: u32,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    first: u32,
    last: u32,
}

const EMPTY: Level = Level { first: NONE, last: NONE };

impl Market {
    /// Empty books.
    pub fn new(instruments: u16) -> Self {
        let book = || Book { levels: vec![EMPTY; TICKS as usize], bid: 0, ask: TICKS };
        let books = (0..instruments).map(|_| book()).collect();
        Self { orders: Vec::new(), books, live: Vec::new() }
    }

    /// The numbers of the resting orders, in no order.
    pub fn live(&self) -> &[u32] {
        &self.live
    }

    /// Whether an order rests.
    pub fn is_live(&self, id: u32) -> bool {
        self.orders[id as usize].place != NONE
    }

    /// How many shares of an order are open.
    pub fn open(&self, id: u32) -> u32 {
        self.orders[id as usize].open
    }

    /// How many shares an order traded, under all its numbers.
    pub fn executed(&self, id: u32) -> u32 {
        self.orders[id as usize].executed
    }

    /// An order's limit in ticks.
    pub fn tick(&self, id: u32) -> u32 {
        self.orders[id as usize].tick
    }

    /// An order's instrument and side.
    pub fn stands(&self, id: u32) -> (u16, Side) {
        let order = &self.orders[id as usize];
        (order.instrument, order.side)
    }

    /// The best tick of a side; 0 without bids, [`TICKS`] without asks.
    pub fn best(&self, instrument: u16, side: Side) -> u32 {
        let book = &self.books[usize::from(instrument)];
        match side {
            Side::Buy => book.bid,
            Side::Sell => book.ask,
        }
    }

    /// The resting orders of a side in the order in which they trade.
    pub fn queue(&self, instrument: u16, side: Side) -> impl Iterator<Item = u32> {
        let book = &self.books[usize::from(instrument)];
        let mut tick = self.best(instrument, side);
        let mut id = book.level(tick).first;
        std::iter::from_fn(move || {
            if id == NONE {
                tick = book.next(side, tick);
                id = book.level(tick).first;
            }
            let found = (id != NONE).then_some(id)?;
            id = self.orders[found as usize].next;
            Some(found)
        })
    }

    /// Plays one command and tells every fill.
    pub fn apply(&mut self, op: &Op, fill: impl FnMut(Fill)) {
        match *op {
            Op::Add { id, instrument, side, price, quantity, immediate } => {
                self.enter(id, Order::new(instrument, side, price, quantity, 0), immediate, fill);
            }
            Op::Cancel { id } => self.remove(id),
            Op::Replace { old, new, price, quantity } => {
                let Order { instrument, side, executed, .. } = self.orders[old as usize];
                self.remove(old);
                let open = quantity - executed;
                self.enter(new, Order::new(instrument, side, price, open, executed), false, fill);
            }
        }
    }

    fn enter(&mut self, id: u32, mut order: Order, immediate: bool, mut fill: impl FnMut(Fill)) {
        let maker_side = order.side.opposite();
        while order.open > 0 {
            let best = self.best(order.instrument, maker_side);
            let maker_id = self.books[usize::from(order.instrument)].level(best).first;
            if maker_id == NONE || !order.reaches(best) {
                break;
            }
            let maker = &mut self.orders[maker_id as usize];
            let quantity = order.open.min(maker.open);
            maker.open -= quantity;
            maker.executed += quantity;
            order.open -= quantity;
            order.executed += quantity;
            fill(Fill { maker: maker_id, taker: id, price: best * TICK, quantity });
            if maker.open == 0 {
                self.remove(maker_id);
            }
        }
        assert_eq!(id as usize, self.orders.len(), "orders are numbered as they come");
        self.orders.push(order);
        if order.open > 0 && !immediate {
            self.rest(id);
        }
    }

    fn rest(&mut self, id: u32) {
        let Order { tick, instrument, side, .. } = self.orders[id as usize];
        let book = &mut self.books[usize::from(instrument)];
        match side {
            Side::Buy => book.bid = book.bid.max(tick),
            Side::Sell => book.ask = book.ask.min(tick),
        }
        let level = &mut book.levels[tick as usize];
        let previous = std::mem::replace(&mut level.last, id);
        match previous {
            NONE => level.first = id,
            previous => self.orders[previous as usize].next = id,
        }
        let order = &mut self.orders[id as usize];
        order.previous = previous;
        order.place = self.live.len() as u32;
        self.live.push(id);
    }

    /// Takes an order off its book, if it is there.
    fn remove(&mut self, id: u32) {
        let Order { previous, next, place, tick, instrument, side, .. } = self.orders[id as usize];
        if place == NONE {
            return;
        }
        self.orders[id as usize].place = NONE;
        self.live.swap_remove(place as usize);
        if let Some(&moved) = self.live.get(place as usize) {
            self.orders[moved as usize].place = place;
        }
        let book = &mut self.books[usize::from(instrument)];
        let level = &mut book.levels[tick as usize];
        match previous {
            NONE => level.first = next,
            previous => self.orders[previous as usize].next = next,
        }
        match next {
            NONE => level.last = previous,
            next => self.orders[next as usize].previous = previous,
        }
        if level.first == NONE {
            match side {
                Side::Buy if book.bid == tick => book.bid = book.next(side, tick),
                Side::Sell if book.ask == tick => book.ask = book.next(side, tick),
                _ => {}
            }
        }
    }
}

impl Order {
    fn new(instrument: u16, side: Side, price: u32, open: u32, executed: u32) -> Self {
        let tick = price / TICK;
        let (previous, next, place) = (NONE, NONE, NONE);
        Self { previous, next, place, tick, open, executed, instrument, side }
    }

    fn reaches(&self, tick: u32) -> bool {
        match self.side {
            Side::Buy => self.tick >= tick,
            Side::Sell => self.tick <= tick,
        }
    }
}

impl Book {
    fn level(&self, tick: u32) -> Level {
        self.levels.get(tick as usize).copied().unwrap_or(EMPTY)
    }

    /// The tick of the next level with orders, away from the touch.
    fn next(&self, side: Side, tick: u32) -> u32 {
        let holds = |tick: &u32| self.level(*tick).first != NONE;
        match side {
            Side::Buy => (1..tick).rev().find(holds).unwrap_or(0),
            Side::Sell => (tick + 1..TICKS).find(holds).unwrap_or(TICKS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn add(id: u32, side: Side, tick: u32, quantity: u32, immediate: bool) -> Op {
        Op::Add { id, instrument: 0, side, price: tick * TICK, quantity, immediate }
    }

    fn play(market: &mut Market, op: Op) -> Vec<(u32, u32, u32)> {
        let mut fills = Vec::new();
        market.apply(&op, |fill| fills.push((fill.maker, fill.price / TICK, fill.quantity)));
        fills
    }

    #[test]
    fn the_better_price_trades_first_then_the_older_order() {
        let mut market = Market::new(1);
        for (id, tick) in [(0, 102), (1, 101), (2, 101), (3, 103)] {
            assert!(play(&mut market, add(id, Side::Sell, tick, 10, false)).is_empty());
        }
        let fills = play(&mut market, add(4, Side::Buy, 102, 35, true));
        assert_eq!(fills, [(1, 101, 10), (2, 101, 10), (0, 102, 10)]);
        assert_eq!(market.live(), [3]);
        assert!(!market.is_live(4), "an immediate order does not rest");
        assert_eq!((market.best(0, Side::Buy), market.best(0, Side::Sell)), (0, 103));
    }

    #[test]
    fn what_is_left_of_a_limit_order_rests_and_keeps_its_place() {
        let mut market = Market::new(1);
        play(&mut market, add(0, Side::Buy, 100, 10, false));
        play(&mut market, add(1, Side::Buy, 100, 10, false));
        assert_eq!(play(&mut market, add(2, Side::Sell, 99, 4, false)), [(0, 100, 4)]);
        assert_eq!(play(&mut market, add(3, Side::Sell, 99, 26, false)).len(), 2);
        assert_eq!(market.live(), [3]);
        assert_eq!((market.open(3), market.executed(3)), (10, 16));
        assert_eq!(market.best(0, Side::Sell), 99);
    }

    #[test]
    fn canceled_orders_are_gone_and_canceling_again_does_nothing() {
        let mut market = Market::new(1);
        for id in 0..3 {
            play(&mut market, add(id, Side::Buy, 100 + id, 10, false));
        }
        play(&mut market, Op::Cancel { id: 2 });
        play(&mut market, Op::Cancel { id: 2 });
        assert_eq!(market.best(0, Side::Buy), 101);
        assert_eq!(market.queue(0, Side::Buy).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn a_replaced_order_goes_last_and_what_it_traded_counts() {
        let mut market = Market::new(1);
        play(&mut market, add(0, Side::Buy, 100, 10, false));
        play(&mut market, add(1, Side::Buy, 100, 10, false));
        play(&mut market, add(2, Side::Sell, 100, 4, true));
        play(&mut market, Op::Replace { old: 0, new: 3, price: 100 * TICK, quantity: 10 });
        assert_eq!(market.queue(0, Side::Buy).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((market.open(3), market.executed(3), market.is_live(0)), (6, 4, false));
    }
}
