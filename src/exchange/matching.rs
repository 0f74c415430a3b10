//! An incoming order meets those that wait: `docs/EXCHANGE.md`, sections 5 and 6.

use super::book::{Book, Owner, Owners};
use super::command::SelfTrade;
use super::event::{self, Canceled, Event, Reason, Venue};
use super::orders::Order;
use crate::logic::Emit;

/// Between which ticks an order traded; 0 for not at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traded {
    pub(super) lowest: u32,
    pub(super) highest: u32,
    /// Whether nothing is left of the order.
    pub(super) is_over: bool,
}

impl Traded {
    #[inline]
    fn at(&mut self, tick: u32) {
        self.lowest = if self.lowest == 0 { tick } else { self.lowest.min(tick) };
        self.highest = self.highest.max(tick);
    }
}

impl<O: Owners> Book<O> {
    /// Lets the order trade with everything up to this rank of the other side.
    pub(super) fn sweep(
        &mut self,
        slot: u32,
        owner: Owner,
        limit: u32,
        emit: &mut Emit<'_, Event>,
    ) -> Traded {
        let Order { instrument, .. } = *self.orders.get(slot);
        let is_buy = self.orders.get(slot).is_buy();
        let mut traded = Traded::default();
        loop {
            let half = self.instruments.get(instrument).half(!is_buy);
            let Some(maker_slot) = half.first().filter(|_| half.best() <= limit) else {
                return traded;
            };
            let maker = *self.orders.get(maker_slot);
            let maker_owner = self.owners.owner(maker.number);
            if let Some(mode) = self.self_trade(owner, maker_owner) {
                self.prevent(slot, maker_slot, mode, emit);
                if mode != SelfTrade::CancelOldest {
                    traded.is_over = true;
                    return traded;
                }
                continue;
            }
            traded.at(maker.tick);
            if self.trade((slot, owner), (maker_slot, maker_owner), emit) {
                traded.is_over = true;
                return traded;
            }
        }
    }

    /// Trades what both have; says whether the incoming order is done.
    #[inline]
    fn trade(
        &mut self,
        (taker_slot, taker_owner): (u32, Owner),
        (maker_slot, maker_owner): (u32, Owner),
        emit: &mut Emit<'_, Event>,
    ) -> bool {
        let (taker, maker) = (*self.orders.get(taker_slot), *self.orders.get(maker_slot));
        let quantity = taker.open.min(self.orders.slice(&maker));
        self.orders.execute(maker_slot, quantity);
        self.orders.execute(taker_slot, quantity);
        let (buyer, seller) =
            if maker.is_buy() { (maker_owner, taker_owner) } else { (taker_owner, maker_owner) };
        self.owners.traded(taker.instrument, buyer.place, seller.place, quantity);
        let instrument = self.instruments.get_mut(taker.instrument);
        let price = instrument.price(maker.tick);
        instrument.last = price;
        self.matches += 1;
        let (maker_left, taker_left) = (*self.orders.get(maker_slot), *self.orders.get(taker_slot));
        let is_hidden = maker.has(Order::HIDDEN);
        emit.event(&Event::Traded(event::Traded {
            match_number: self.matches,
            maker: self.order_id(&maker, maker_owner),
            taker: self.order_id(&taker, taker_owner),
            price,
            quantity,
            maker_remaining: maker_left.open,
            maker_displayed: self.orders.displayed(&maker_left),
            maker_shown: if is_hidden { 0 } else { quantity },
            taker_remaining: taker_left.open,
            taker_shown: 0,
            maker_side: maker.side(),
            taker_side: taker.side(),
            venue: Venue::Continuous,
            maker_hidden: u8::from(is_hidden),
        }));
        if maker_left.open == 0 {
            self.end(maker_slot, &maker_left, maker_owner);
        } else if self.orders.slice(&maker_left) == 0 {
            self.show_anew(maker_slot, emit);
        }
        if taker_left.open == 0 {
            self.end(taker_slot, &taker_left, taker_owner);
        }
        taker_left.open == 0
    }

    /// Shows an iceberg's next slice, at the end of its queue.
    pub(super) fn show_anew(&mut self, slot: u32, emit: &mut Emit<'_, Event>) {
        let order = *self.orders.get(slot);
        let old_shown = self.orders.displayed(&order);
        let instrument = self.instruments.get_mut(order.instrument);
        instrument.unlink(slot, &mut self.orders);
        if let Some(extra) = self.orders.extra_mut(slot) {
            extra.slice = extra.display.min(order.open);
            extra.refreshes += 1;
        }
        instrument.link(slot, &mut self.orders);
        self.say_rested(slot, old_shown, emit);
    }

    fn prevent(
        &mut self,
        taker_slot: u32,
        maker_slot: u32,
        mode: SelfTrade,
        emit: &mut Emit<'_, Event>,
    ) {
        let (taker, maker) = (*self.orders.get(taker_slot), *self.orders.get(maker_slot));
        let prevented = taker.open.min(self.orders.slice(&maker));
        let price = self.instruments.get(maker.instrument).price(maker.tick);
        let gone = match mode {
            SelfTrade::Allow => [None, None],
            SelfTrade::CancelNewest => [None, Some(taker_slot)],
            SelfTrade::CancelOldest => [Some(maker_slot), None],
            SelfTrade::CancelBoth => [Some(maker_slot), Some(taker_slot)],
        };
        for slot in gone.into_iter().flatten() {
            let order = *self.orders.get(slot);
            let owner = self.owners.owner(order.number);
            emit.event(&Event::Canceled(Canceled {
                prevented,
                price,
                ..self.canceled(&order, owner, order.open, Reason::SelfTrade)
            }));
            self.end(slot, &order, owner);
        }
    }

    /// The participant's way with its own orders, where the resting one is its own and it minds.
    #[inline]
    fn self_trade(&self, taker: Owner, resting: Owner) -> Option<SelfTrade> {
        if resting.place != taker.place {
            return None;
        }
        Some(self.owners.self_trade(taker.place)).filter(|&mode| mode != SelfTrade::Allow)
    }

    /// Whether at least `needed` shares would trade with the order, own ones taken as self-trade
    /// prevention would leave them.
    pub(super) fn available(&self, slot: u32, owner: Owner, limit: u32, needed: u32) -> bool {
        let taker = self.orders.get(slot);
        let half = self.instruments.get(taker.instrument).half(!taker.is_buy());
        let needed = u64::from(needed);
        let mut found = 0;
        for rank in half.ranks().take_while(|&rank| rank <= limit) {
            let queues = [&half.displayed, &half.hidden].map(|ladder| ladder.queue(rank));
            let [displayed, hidden] = queues;
            let mut reserves = 0;
            for queue in [displayed, hidden] {
                for (_, order) in queue.iter(&self.orders) {
                    match self.self_trade(owner, self.owners.owner(order.number)) {
                        Some(SelfTrade::CancelOldest) => continue,
                        Some(_) => return found >= needed,
                        None => {}
                    }
                    let slice = self.orders.slice(order);
                    found += u64::from(slice);
                    reserves += u64::from(order.open - slice);
                    if found >= needed {
                        return true;
                    }
                }
                found += std::mem::take(&mut reserves);
            }
            if found >= needed {
                return true;
            }
        }
        false
    }
}
