//! The uncross: one price for all that an auction collected. `docs/EXCHANGE.md`, section 10.

use super::book::{Book, Owners};
use super::event::{self, Crossed, Event, Venue};
use super::instruments::{Half, Instrument};
use super::matching::Traded;
use super::orders::{Order, Orders};
use crate::logic::Emit;

/// The shares that stand at a tick or better, for each tick that has any, from the best on.
struct Depth {
    /// Market orders: at any price.
    market: u64,
    /// Ticks from the best on, each with all shares up to it, market orders included.
    sums: Vec<(u32, u64)>,
    is_buy: bool,
}

impl Depth {
    fn new(half: &Half, is_buy: bool, orders: &Orders) -> Self {
        let shares = |(_, order): (u32, &Order)| u64::from(order.open);
        let market = half.market.iter(orders).map(shares).sum();
        let mut sum = market;
        let sums = half
            .ranks()
            .map(|rank| {
                for ladder in [&half.displayed, &half.hidden] {
                    sum += ladder.queue(rank).iter(orders).map(shares).sum::<u64>();
                }
                (if is_buy { !rank } else { rank }, sum)
            })
            .collect();
        Self { market, sums, is_buy }
    }

    /// The shares that trade at this tick.
    fn at(&self, tick: u32) -> u64 {
        let better = self
            .sums
            .partition_point(|&(each, _)| if self.is_buy { each >= tick } else { each <= tick });
        if better == 0 { self.market } else { self.sums[better - 1].1 }
    }
}

/// The tick that the auction trades at, and how much.
fn uncross_tick(instrument: &Instrument, orders: &Orders) -> Option<(u32, u64)> {
    let bids = Depth::new(&instrument.buys, true, orders);
    let asks = Depth::new(&instrument.sells, false, orders);
    let terms = &instrument.terms;
    let reference = instrument.reference();
    let ticks = || bids.sums.iter().chain(&asks.sums).map(|&(tick, _)| tick);
    // The range may have moved since the orders came. Were they not to trade where they stand,
    // they could be left crossed.
    let (lowest, highest) = (terms.lowest / terms.tick, terms.highest / terms.tick);
    let (lowest, highest) = (ticks().fold(lowest, u32::min), ticks().fold(highest, u32::max));
    // Between the ticks of two orders nothing changes, so the best tick is one of these: an
    // order's, one beside it, one beside the reference price, or an end of the range.
    let beside_orders = ticks().flat_map(|tick| [tick.saturating_sub(1), tick, tick + 1]);
    let below = reference / terms.tick;
    beside_orders
        .chain([below, below + 1, lowest, highest])
        .filter(|tick| (lowest..=highest).contains(tick))
        .map(|tick| {
            let (bid, ask) = (bids.at(tick), asks.at(tick));
            let imbalance = bid.abs_diff(ask);
            let distance = (tick * terms.tick).abs_diff(reference);
            (bid.min(ask), imbalance, distance, tick)
        })
        .min_by_key(|&(volume, imbalance, distance, tick)| {
            (u64::MAX - volume, imbalance, distance, !tick)
        })
        .filter(|&(volume, ..)| volume > 0)
        .map(|(volume, _, _, tick)| (tick, volume))
}

impl<O: Owners> Book<O> {
    /// Trades what the auction collected, and says where.
    pub(super) fn uncross(
        &mut self,
        number: u16,
        venue: Venue,
        emit: &mut Emit<'_, Event>,
    ) -> Traded {
        let instrument = self.instruments.get(number);
        let Some((tick, volume)) = uncross_tick(instrument, &self.orders) else {
            return Traded::default();
        };
        let price = instrument.price(tick);
        let mut left = volume;
        let mut last = [None, None];
        while left > 0 {
            let instrument = self.instruments.get(number);
            let firsts = [&instrument.buys, &instrument.sells]
                .map(|half| half.market.first().or_else(|| half.first()));
            let [Some(buy), Some(sell)] = firsts else { break };
            let open = |slot| u64::from(self.orders.get(slot).open);
            let quantity = left.min(open(buy)).min(open(sell));
            left -= quantity;
            self.pair(buy, sell, price, quantity as u32, venue, emit);
            last = [Some(buy), Some(sell)];
        }
        self.instruments.get_mut(number).last = price;
        let match_number = self.matches;
        emit.event(&Event::Crossed(Crossed {
            volume,
            match_number,
            price,
            instrument: number,
            venue,
            reserved: 0,
        }));
        self.show_slices(last, emit);
        Traded { lowest: tick, highest: tick, is_over: false }
    }

    /// Icebergs that traded in the auction and have shares left show their next slice. Only the
    /// last order of each side can.
    fn show_slices(&mut self, mut last: [Option<u32>; 2], emit: &mut Emit<'_, Event>) {
        last.sort_unstable_by_key(|slot| slot.map(|slot| self.orders.get(slot).number));
        for slot in last.into_iter().flatten() {
            let order = self.orders.get(slot);
            if order.has(Order::LINKED)
                && self.orders.extra(order).is_some_and(|extra| extra.display > 0)
            {
                self.show_anew(slot, emit);
            }
        }
    }

    fn pair(
        &mut self,
        buy_slot: u32,
        sell_slot: u32,
        price: u32,
        quantity: u32,
        venue: Venue,
        emit: &mut Emit<'_, Event>,
    ) {
        let (buy, sell) = (*self.orders.get(buy_slot), *self.orders.get(sell_slot));
        let (buyer, seller) = (self.owners.owner(buy.number), self.owners.owner(sell.number));
        let [buy_shown, sell_shown] =
            [&buy, &sell].map(|order| self.orders.displayed(order).min(quantity));
        self.orders.execute(buy_slot, quantity);
        self.orders.execute(sell_slot, quantity);
        self.owners.traded(buy.instrument, buyer.place, seller.place, quantity);
        self.matches += 1;
        emit.event(&Event::Traded(event::Traded {
            match_number: self.matches,
            maker: self.order_id(&buy, buyer),
            taker: self.order_id(&sell, seller),
            price,
            quantity,
            maker_remaining: buy.open - quantity,
            maker_displayed: self.orders.displayed(self.orders.get(buy_slot)),
            maker_shown: buy_shown,
            taker_remaining: sell.open - quantity,
            taker_shown: sell_shown,
            maker_side: buy.side(),
            taker_side: sell.side(),
            venue,
            maker_hidden: u8::from(buy.has(Order::HIDDEN)),
        }));
        for (slot, owner) in [(buy_slot, buyer), (sell_slot, seller)] {
            let order = *self.orders.get(slot);
            if order.open == 0 {
                self.end(slot, &order, owner);
            }
        }
    }
}
