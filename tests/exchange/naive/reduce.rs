//! Section 8: making orders smaller, in place.

use ringframe::exchange::command::{Cancel, Modify};
use ringframe::exchange::event::{Modified, Reason};
use ringframe::exchange::ids::Token;
use ringframe::exchange::reject::Why;

use super::Naive;
use super::entry::check_token;
use super::order::Order;

impl Naive {
    pub(super) fn live(&self, session: u16, token: Token) -> Result<&Order, Why> {
        check_token(token)?;
        self.session(session)?;
        let is_it = |order: &&Order| (order.session, order.token) == (session, token);
        self.orders.iter().find(is_it).ok_or(Why::UnknownOrder)
    }

    pub(super) fn order(&self, number: u64) -> &Order {
        self.orders.iter().find(|order| order.number == number).expect("a live order")
    }

    pub(super) fn order_mut(&mut self, number: u64) -> &mut Order {
        self.orders.iter_mut().find(|order| order.number == number).expect("a live order")
    }

    pub(super) fn is_live(&self, number: u64) -> bool {
        self.orders.iter().any(|order| order.number == number)
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.orders.retain(|order| order.number != number);
    }

    pub(super) fn cancel_whole(&mut self, number: u64, reason: Reason) {
        self.cancel_prevented(number, reason, None);
    }

    /// `prevented`: which trade was prevented, as quantity and price.
    pub(super) fn cancel_prevented(
        &mut self,
        number: u64,
        reason: Reason,
        prevented: Option<(u32, u32)>,
    ) {
        let before = *self.order(number);
        let mut order = before;
        order.reduce_to(0);
        self.remove(number);
        let mut canceled = order.canceled(&before, reason);
        if let Some((quantity, price)) = prevented {
            canceled.prevented = quantity;
            canceled.price = price;
        }
        self.say(canceled);
    }

    pub(super) fn cancel(&mut self, cancel: &Cancel) -> Result<(), Why> {
        let order = *self.live(cancel.session, cancel.token)?;
        let left = cancel.quantity.saturating_sub(order.executed);
        if left >= order.open {
            return Err(Why::NothingToReduce);
        }
        if left == 0 {
            self.cancel_whole(order.number, Reason::User);
            return Ok(());
        }
        let smaller = self.order_mut(order.number);
        smaller.reduce_to(left);
        let canceled = smaller.canceled(&order, Reason::User);
        self.say(canceled);
        Ok(())
    }

    pub(super) fn modify(&mut self, modify: &Modify) -> Result<(), Why> {
        let order = *self.live(modify.session, modify.token)?;
        let left = modify.quantity.saturating_sub(order.executed);
        if left == 0 || left > order.open {
            return Err(Why::NothingToReduce);
        }
        if modify.side != order.side && (order.is_buy() || modify.side.is_buy()) {
            return Err(Why::InvalidSide);
        }
        let changed = self.order_mut(order.number);
        changed.reduce_to(left);
        changed.side = modify.side;
        let modified = Modified {
            order: changed.id(),
            remaining: changed.open,
            displayed: changed.displayed,
            decrement: order.open - left,
            shown: order.displayed - changed.displayed,
            side: changed.side,
            reserved: [0; 7],
        };
        self.say(modified);
        Ok(())
    }
}
