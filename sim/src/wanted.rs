//! What a client wants of each order that it sent, and whether that is what it got: the dialect
//! stands between it and the exchange, in both directions.

use std::collections::BTreeMap;

use ringframe::wire::ouch::{Enter, Executed, Order, Replace, Side, Stock, Token};

use crate::newer::MOST;

/// All orders that it sent, by their tokens.
#[derive(Default)]
pub(crate) struct Wanted(BTreeMap<Token, Want>);

#[derive(Clone, Copy, Debug)]
struct Want {
    side: Side,
    stock: Stock,
    shares: u32,
    /// At this price or better.
    price: u32,
}

impl Wanted {
    pub(crate) fn enter(&mut self, enter: &Enter) {
        let Enter { token, side, stock, shares, price, .. } = *enter;
        self.0.insert(token, Want { side, stock, shares: shares.get(), price: price.get() });
    }

    pub(crate) fn replace(&mut self, replace: &Replace) {
        if let Some(old) = self.0.get(&replace.old).copied() {
            let (shares, price) = (replace.shares.get(), replace.price.get());
            self.0.insert(replace.new, Want { shares, price, ..old });
        }
    }

    /// An order was taken as this one; of a replaced one some shares may have traded before.
    pub(crate) fn taken(&self, order: &Order, is_new: bool) -> Result<(), String> {
        let is_it = |want: &&Want| {
            let shares = order.shares.get();
            // The second version takes no more than so many.
            let most = [want.shares, want.shares.min(MOST)];
            (want.side, want.stock, want.price) == (order.side, order.stock, order.price.get())
                && if is_new { most.contains(&shares) } else { shares <= want.shares }
        };
        let want = self.0.get(&order.token);
        want.filter(is_it).map(drop).ok_or_else(|| format!("{want:?} was taken as {order:?}"))
    }

    /// It traded, at no worse a price.
    pub(crate) fn executed(&self, executed: &Executed) -> Result<(), String> {
        let price = executed.price.get();
        let is_good = |want: &&Want| match want.side {
            Side::BUY => price <= want.price,
            _ => price >= want.price,
        };
        let want = self.0.get(&executed.token);
        want.filter(is_good).map(drop).ok_or_else(|| format!("{want:?} was done as {executed:?}"))
    }
}
