//! Sections 4 and 8: entering and replacing orders.

use ringframe::exchange::command::{Enter, Handling, Lifetime, Pricing, Replace, State, Terms};
use ringframe::exchange::event::{Reason, Replaced};
use ringframe::exchange::ids::Token;
use ringframe::exchange::reject::Why;
use zerocopy::IntoBytes;

use super::order::{Order, Standing};
use super::{Naive, QUANTITY_MAX, Refusal};

impl Naive {
    pub(super) fn enter(&mut self, enter: &Enter, now: u64) -> Result<(), Refusal> {
        check_token(enter.token)?;
        let participant = self.session(enter.session)?.participant;
        if !self.used.insert((enter.session, enter.token)) {
            return Err(Why::DuplicateToken.into());
        }
        let order = self
            .check_enter(enter, participant, now)
            .map_err(|why| Refusal { why, used_up: true })?;
        self.count_entry(participant, now);
        self.say(order.accepted(self.displayed_at_once(&order)));
        self.orders.push(order);
        self.arrive(order.number);
        Ok(())
    }

    fn check_enter(&self, enter: &Enter, participant: u16, now: u64) -> Result<Order, Why> {
        let order = Order {
            number: self.used.len() as u64,
            refreshes: 0,
            token: enter.token,
            session: enter.session,
            participant,
            instrument: self.find(enter.symbol)?,
            marks: enter.marks,
            side: enter.side,
            pricing: enter.pricing,
            lifetime: enter.lifetime,
            handling: enter.handling,
            expires: enter.expires,
            price: enter.price,
            display: enter.display,
            minimum: enter.minimum,
            stop: enter.stop,
            open: enter.quantity,
            displayed: 0,
            executed: 0,
            standing: Standing::Entering,
            place: 0,
        };
        self.check_may_enter(&order, now)?;
        if enter.quantity == 0 || enter.quantity > QUANTITY_MAX {
            return Err(Why::InvalidQuantity);
        }
        self.check_order(&order, enter.quantity, None, now)?;
        Ok(order)
    }

    pub(super) fn replace(&mut self, replace: &Replace, now: u64) -> Result<(), Refusal> {
        check_token(replace.new)?;
        let old = *self.live(replace.session, replace.old)?;
        if self.used.contains(&(replace.session, replace.new)) {
            return Err(Why::DuplicateToken.into());
        }
        if replace.quantity > QUANTITY_MAX || replace.quantity <= old.executed {
            self.cancel_whole(old.number, Reason::User);
            return Ok(());
        }
        self.used.insert((replace.session, replace.new));
        let order =
            self.check_replace(replace, &old, now).map_err(|why| Refusal { why, used_up: true })?;
        self.count_entry(order.participant, now);
        self.remove(old.number);
        self.say(Replaced {
            new: order.accepted(self.displayed_at_once(&order)),
            old_reference: old.id().reference,
            old_token: old.token,
            old_shown: old.displayed,
        });
        self.orders.push(order);
        self.arrive(order.number);
        Ok(())
    }

    fn check_replace(&self, replace: &Replace, old: &Order, now: u64) -> Result<Order, Why> {
        let kept = replace.marks_kept;
        let order = Order {
            number: self.used.len() as u64,
            refreshes: 0,
            token: replace.new,
            marks: (old.marks & kept) | (replace.marks & !kept),
            lifetime: replace.lifetime,
            handling: replace.handling,
            expires: replace.expires,
            price: replace.price,
            display: replace.display,
            minimum: replace.minimum,
            stop: if replace.stop == 0 { old.stop } else { replace.stop },
            open: replace.quantity - old.executed,
            displayed: 0,
            standing: Standing::Entering,
            place: 0,
            ..*old
        };
        self.check_may_enter(&order, now)?;
        self.check_order(&order, replace.quantity, Some(old), now)?;
        Ok(order)
    }

    /// Section 4, 4 and 5.
    fn check_may_enter(&self, order: &Order, now: u64) -> Result<(), Why> {
        if self.participants[&order.participant].killed {
            return Err(Why::KillSwitch);
        }
        self.check_rate(order.participant, now)?;
        match self.instrument(order.instrument).state {
            State::Closed => Err(Why::Closed),
            State::Halted => Err(Why::Halted),
            State::PreOpen | State::Open | State::PreClose => Ok(()),
        }
    }

    /// Section 4, from 6 on; `quantity` is what must be in lots.
    fn check_order(
        &self,
        order: &Order,
        quantity: u32,
        old: Option<&Order>,
        now: u64,
    ) -> Result<(), Why> {
        let instrument = self.instrument(order.instrument);
        let terms = &instrument.terms;
        check(quantity.is_multiple_of(terms.lot), Why::NotInLots)?;
        let price_is_good =
            if order.is_market() { order.price == 0 } else { is_price(terms, order.price) };
        check(price_is_good, Why::InvalidPrice)?;
        check(order.stop == 0 || is_price(terms, order.stop), Why::InvalidStop)?;
        let becomes_stop = old.is_some_and(|old| old.stop == 0 && order.stop != 0);
        check(!becomes_stop, Why::InvalidStop)?;
        check_display(order, terms.lot)?;
        check_lifetime(order, now)?;
        let minimum_is_good = order.minimum <= order.open
            && order.minimum.is_multiple_of(terms.lot)
            && order.lifetime == Lifetime::Immediate
            && order.stop == 0;
        check(order.minimum == 0 || minimum_is_good, Why::InvalidMinimum)?;
        let post_only = order.handling == Handling::PostOnly;
        if instrument.state != State::Open {
            let collectable = !order.is_immediate() && !post_only && order.minimum == 0;
            check(collectable, Why::NotInAuction)?;
        }
        check(!(post_only && order.stop != 0), Why::InvalidStop)?;
        self.check_limits(order, old)
    }
}

fn check(good: bool, why: Why) -> Result<(), Why> {
    if good { Ok(()) } else { Err(why) }
}

/// A token has 84 bits; the last 12 of its first word are zeros.
pub(super) fn check_token(token: Token) -> Result<(), Why> {
    let bytes = token.as_bytes();
    let first = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    check(first >> 20 == 0, Why::InvalidToken)
}

fn is_price(terms: &Terms, price: u32) -> bool {
    price != 0
        && price.is_multiple_of(terms.tick)
        && (terms.lowest..=terms.highest).contains(&price)
}

fn check_display(order: &Order, lot: u32) -> Result<(), Why> {
    let plain = order.handling == Handling::Displayed && order.pricing == Pricing::Limit;
    let display_is_good = order.display == 0
        || (plain
            && order.display < order.open
            && order.display.is_multiple_of(lot)
            && order.open.div_ceil(order.display) <= 1_000);
    let handling_is_good = order.handling == Handling::Displayed || !order.is_market();
    check(display_is_good && handling_is_good, Why::InvalidDisplay)
}

fn check_lifetime(order: &Order, now: u64) -> Result<(), Why> {
    let expiry_is_good =
        if order.is_good_till() { order.expires > now } else { order.expires == 0 };
    check(expiry_is_good, Why::InvalidLifetime)?;
    check(!(order.stop != 0 && order.is_immediate()), Why::InvalidLifetime)
}
