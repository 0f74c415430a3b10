//! Section 10: the auctions.

use std::cmp::Reverse;

use ringframe::exchange::event::{Crossed, Venue};

use super::Naive;
use super::order::Order;

impl Naive {
    /// Trades what crosses, all at one price. Says that price, if there was a trade.
    pub(super) fn uncross(&mut self, instrument: u16, venue: Venue) -> Vec<u32> {
        let price = self.uncross_price(instrument);
        let eligible = |buy| -> Vec<u64> {
            let queue = self.queue(instrument, buy);
            queue.iter().filter(|order| order.takes(price)).map(|order| order.number).collect()
        };
        let (bids, asks) = (eligible(true), eligible(false));
        if bids.is_empty() || asks.is_empty() {
            return Vec::new();
        }
        let mut volume = 0;
        let mut icebergs = Vec::new();
        let (mut bid, mut ask) = (0, 0);
        while bid < bids.len() && ask < asks.len() {
            let (buy, sell) = (*self.order(bids[bid]), *self.order(asks[ask]));
            let quantity = buy.open.min(sell.open);
            volume += u64::from(quantity);
            self.fill(&buy, &sell, price, quantity, venue);
            icebergs.extend([buy, sell].iter().filter(|o| o.is_iceberg()).map(|o| o.number));
            bid += usize::from(buy.open == quantity);
            ask += usize::from(sell.open == quantity);
        }
        let match_number = self.matches;
        self.say(Crossed { volume, match_number, price, instrument, venue, reserved: 0 });
        icebergs.sort_unstable();
        icebergs.dedup();
        for number in icebergs {
            self.show_anew(number);
        }
        vec![price]
    }

    /// The best of all ticks of the instrument's range, and of the orders that stand outside it.
    fn uncross_price(&self, instrument: u16) -> u32 {
        let terms = &self.instrument(instrument).terms;
        let reference = self.instrument(instrument).reference();
        let open = |buy: bool, price: u32| -> u64 {
            let eligible = |order: &&Order| order.takes(price);
            self.side(instrument, buy).filter(eligible).map(|order| u64::from(order.open)).sum()
        };
        let goodness = |price: &u32| {
            let (bids, asks) = (open(true, *price), open(false, *price));
            let imbalance = Reverse(bids.abs_diff(asks));
            (bids.min(asks), imbalance, Reverse(price.abs_diff(reference)), *price)
        };
        let both = [true, false].into_iter().flat_map(|buy| self.side(instrument, buy));
        let prices: Vec<u32> = both.map(|order| order.price).filter(|price| *price != 0).collect();
        let lowest = prices.iter().fold(terms.lowest, |lowest, price| lowest.min(*price));
        let highest = prices.iter().fold(terms.highest, |highest, price| highest.max(*price));
        (lowest..=highest)
            .step_by(terms.tick as usize)
            .max_by_key(goodness)
            .expect("a range has a price")
    }
}
