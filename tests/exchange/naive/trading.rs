//! Sections 5 to 7: continuous trading, self-trade prevention and stops.

use std::collections::VecDeque;

use ringframe::exchange::command::{Handling, Lifetime, SelfTrade, State};
use ringframe::exchange::event::{Reason, Traded, Venue};

use super::Naive;
use super::order::{Order, Standing, reaches};

/// What an order met on its way into the book.
#[derive(Default)]
struct Met {
    prices: Vec<u32>,
    prevented: bool,
}

impl Naive {
    /// What `Accepted` says of it: asked before it is there.
    pub(super) fn displayed_at_once(&self, order: &Order) -> u32 {
        let waits = order.stop == 0 && !order.is_immediate();
        let meets_nothing = self.instrument(order.instrument).state != State::Open
            || self.first_for(order, Some(order.price)).is_none();
        if waits && meets_nothing { order.slice() } else { 0 }
    }

    /// An accepted order takes its way.
    pub(super) fn arrive(&mut self, number: u64) {
        let order = *self.order(number);
        let instrument = self.instrument(order.instrument);
        if instrument.state != State::Open {
            let standing = if order.stop == 0 { Standing::Book } else { Standing::Parked };
            self.stand(number, standing);
        } else if order.stop == 0 {
            let prices = self.execute(number, false);
            let elected = self.elect(order.instrument, &prices);
            self.trigger(elected);
        } else if satisfies(&order, instrument.reference()) {
            self.trigger(vec![number]);
        } else {
            self.stand(number, Standing::Parked);
        }
    }

    fn stand(&mut self, number: u64, standing: Standing) {
        self.places += 1;
        let place = self.places;
        let order = self.order_mut(number);
        order.standing = standing;
        order.place = place;
        order.displayed = if standing == Standing::Book { order.slice() } else { 0 };
    }

    /// An order trades, and what is left rests or is canceled. Says the prices of its trades.
    fn execute(&mut self, number: u64, was_stop: bool) -> Vec<u32> {
        let order = *self.order(number);
        if was_stop && self.is_beyond_collar(&order) {
            self.cancel_whole(number, Reason::Collar);
            return Vec::new();
        }
        let limit = if order.is_market() { self.collar(&order) } else { Some(order.price) };
        if order.handling == Handling::PostOnly && self.first_for(&order, limit).is_some() {
            self.cancel_whole(number, Reason::PostOnly);
            return Vec::new();
        }
        let all_or_nothing = order.lifetime == Lifetime::AllOrNothing;
        let needed = if all_or_nothing { order.open } else { order.minimum };
        if u64::from(needed) > self.available(&order, limit) {
            self.cancel_whole(number, Reason::Unfilled);
            return Vec::new();
        }
        let met = self.trade(number, limit);
        if self.is_live(number) {
            self.settle(number, was_stop, &met);
        }
        met.prices
    }

    /// What becomes of the remainder.
    fn settle(&mut self, number: u64, was_stop: bool, met: &Met) {
        let order = *self.order(number);
        if order.is_market() && self.side(order.instrument, !order.is_buy()).next().is_some() {
            self.cancel_whole(number, Reason::Collar);
        } else if order.is_market() || order.is_immediate() {
            self.cancel_whole(number, Reason::Immediate);
        } else {
            self.stand(number, Standing::Book);
            let announced = was_stop || met.prevented || !met.prices.is_empty();
            if announced && !order.is_hidden() {
                self.say(self.order(number).rested(0));
            }
        }
    }

    /// The orders of one side of a book, in no order.
    pub(super) fn side(&self, instrument: u16, buy: bool) -> impl Iterator<Item = &Order> {
        self.orders.iter().filter(move |order| {
            order.standing == Standing::Book
                && order.instrument == instrument
                && order.is_buy() == buy
        })
    }

    /// One side of a book, the best first.
    pub(crate) fn queue(&self, instrument: u16, buy: bool) -> Vec<&Order> {
        let mut queue: Vec<_> = self.side(instrument, buy).collect();
        queue.sort_by_key(|order| order.priority());
        queue
    }

    /// What `order` meets first, going as far as `limit`.
    fn first_for(&self, order: &Order, limit: Option<u32>) -> Option<&Order> {
        self.side(order.instrument, !order.is_buy())
            .min_by_key(|resting| resting.priority())
            .filter(|first| limit.is_none_or(|limit| reaches(order.is_buy(), limit, first.price)))
    }

    fn trade(&mut self, number: u64, limit: Option<u32>) -> Met {
        let mut met = Met::default();
        while self.is_live(number) {
            let taker = *self.order(number);
            let Some(maker) = self.first_for(&taker, limit).copied() else { break };
            let mode = self.self_trade(taker.participant);
            if maker.participant == taker.participant && mode != SelfTrade::Allow {
                met.prevented = true;
                self.prevent(&maker, &taker, mode);
            } else {
                met.prices.push(maker.price);
                let quantity = taker.open.min(maker.at_hand());
                self.fill(&maker, &taker, maker.price, quantity, Venue::Continuous);
                if maker.is_iceberg() && maker.displayed == quantity {
                    self.show_anew(maker.number);
                }
            }
        }
        met
    }

    fn prevent(&mut self, maker: &Order, taker: &Order, mode: SelfTrade) {
        let prevented = Some((taker.open.min(maker.at_hand()), maker.price));
        if mode != SelfTrade::CancelNewest {
            self.cancel_prevented(maker.number, Reason::SelfTrade, prevented);
        }
        if mode != SelfTrade::CancelOldest {
            self.cancel_prevented(taker.number, Reason::SelfTrade, prevented);
        }
    }

    /// One trade; who has nothing left is gone.
    pub(super) fn fill(
        &mut self,
        maker: &Order,
        taker: &Order,
        price: u32,
        quantity: u32,
        venue: Venue,
    ) {
        for (order, bought) in [(maker, maker.is_buy()), (taker, taker.is_buy())] {
            let filled = self.order_mut(order.number);
            filled.open -= quantity;
            filled.executed += quantity;
            filled.displayed = filled.displayed.saturating_sub(quantity);
            let change = if bought { i64::from(quantity) } else { -i64::from(quantity) };
            *self.positions.entry((order.participant, order.instrument)).or_default() += change;
        }
        self.matches += 1;
        self.instruments[usize::from(maker.instrument)].last_trade = price;
        let (made, took) = (*self.order(maker.number), *self.order(taker.number));
        self.say(Traded {
            match_number: self.matches,
            maker: made.id(),
            taker: took.id(),
            price,
            quantity,
            maker_remaining: made.open,
            maker_displayed: made.displayed,
            maker_shown: maker.displayed - made.displayed,
            taker_remaining: took.open,
            taker_shown: taker.displayed - took.displayed,
            maker_side: made.side,
            taker_side: took.side,
            venue,
            maker_hidden: u8::from(made.is_hidden()),
        });
        for order in [made, took].iter().filter(|order| order.open == 0) {
            self.remove(order.number);
        }
    }

    /// Shows the next slice of an iceberg, if it has shares left.
    pub(super) fn show_anew(&mut self, number: u64) {
        if self.is_live(number) {
            let old_shown = self.order(number).displayed;
            self.stand(number, Standing::Book);
            self.order_mut(number).refreshes += 1;
            self.say(self.order(number).rested(old_shown));
        }
    }

    /// How many shares there are for `order`, as its self-trade mode would leave them.
    fn available(&self, order: &Order, limit: Option<u32>) -> u64 {
        let mode = self.self_trade(order.participant);
        let is_own = |other: &Order| other.participant == order.participant;
        let in_reach: Vec<&Order> = self
            .queue(order.instrument, !order.is_buy())
            .into_iter()
            .filter(|other| limit.is_none_or(|limit| reaches(order.is_buy(), limit, other.price)))
            .collect();
        let sum = |orders: &[&Order]| orders.iter().map(|order| u64::from(order.open)).sum();
        match mode {
            SelfTrade::Allow => sum(&in_reach),
            SelfTrade::CancelOldest => {
                in_reach.iter().filter(|other| !is_own(other)).map(|o| u64::from(o.open)).sum()
            }
            SelfTrade::CancelNewest | SelfTrade::CancelBoth => {
                let mut count = 0;
                for level in in_reach.chunk_by(|a, b| a.price == b.price) {
                    let (before, ends) = up_to_own(level, is_own);
                    count += before;
                    if ends {
                        break;
                    }
                }
                count
            }
        }
    }

    /// Which stops wake up by trades at these prices, in the order in which they do.
    pub(super) fn elect(&self, instrument: u16, prices: &[u32]) -> Vec<u64> {
        let (Some(&lowest), Some(&highest)) = (prices.iter().min(), prices.iter().max()) else {
            return Vec::new();
        };
        let parked =
            |order: &&Order| order.instrument == instrument && order.standing == Standing::Parked;
        let (mut buys, mut sells): (Vec<&Order>, Vec<&Order>) =
            self.orders.iter().filter(parked).partition(|order| order.is_buy());
        buys.retain(|order| order.stop <= highest);
        buys.sort_by_key(|order| (order.stop, order.number));
        sells.retain(|order| order.stop >= lowest);
        sells.sort_by_key(|order| (std::cmp::Reverse(order.stop), order.number));
        buys.into_iter().chain(sells).map(|order| order.number).collect()
    }

    /// Wakes these stops, then those that their trades wake, until nothing wakes up any more.
    pub(super) fn trigger(&mut self, elected: Vec<u64>) {
        let mut waiting = VecDeque::new();
        self.queue_up(&mut waiting, elected);
        while let Some(number) = waiting.pop_front() {
            let instrument = self.order(number).instrument;
            self.say(self.order(number).triggered());
            self.order_mut(number).stop = 0;
            let prices = self.execute(number, true);
            let elected = self.elect(instrument, &prices);
            self.queue_up(&mut waiting, elected);
        }
    }

    /// An elected stop is not elected again.
    fn queue_up(&mut self, waiting: &mut VecDeque<u64>, elected: Vec<u64>) {
        for number in elected {
            self.order_mut(number).standing = Standing::Entering;
            waiting.push_back(number);
        }
    }
}

fn satisfies(stop: &Order, reference: u32) -> bool {
    reference != 0 && if stop.is_buy() { reference >= stop.stop } else { reference <= stop.stop }
}

/// What a level has before the first own order, and whether it has one.
fn up_to_own(level: &[&Order], is_own: impl Fn(&Order) -> bool) -> (u64, bool) {
    let (hidden, displayed): (Vec<&Order>, Vec<&Order>) =
        level.iter().partition(|order| order.is_hidden());
    let mut count = 0;
    for order in &displayed {
        if is_own(order) {
            return (count, true);
        }
        count += u64::from(order.displayed);
    }
    count += displayed.iter().map(|order| u64::from(order.open - order.displayed)).sum::<u64>();
    for order in hidden {
        if is_own(order) {
            return (count, true);
        }
        count += u64::from(order.open);
    }
    (count, false)
}
