//! What is traded: terms, state, the two sides of the book, the sleeping stops, and who has what.

use serde::{Deserialize, Serialize};
use zerocopy::IntoBytes;

use super::command::{State, Terms};
use super::ids::Symbol;
use super::ladder::{EMPTY, Ladder, Queue};
use super::orders::{Order, Orders};
use super::reject::Why;

/// No price is higher.
const PRICE_MAX: u32 = 1_999_999_900;
/// No range of prices is wider.
const TICKS_MAX: u32 = 1 << 22;

/// One side of a book.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Half {
    pub(super) displayed: Ladder,
    pub(super) hidden: Ladder,
    /// Market orders that an auction collects: before every price.
    pub(super) market: Queue,
}

impl Default for Half {
    fn default() -> Self {
        Self { displayed: Ladder::default(), hidden: Ladder::default(), market: Queue::EMPTY }
    }
}

impl Half {
    /// The best rank that an order stands at, or [`EMPTY`].
    #[inline]
    pub(super) fn best(&self) -> u32 {
        self.displayed.best().min(self.hidden.best())
    }

    /// The order that trades first, market orders aside: best price, displayed before hidden, then
    /// time.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        if self.displayed.best() <= self.hidden.best() {
            self.displayed.first()
        } else {
            self.hidden.first()
        }
    }

    /// Every rank that has orders, from the best on.
    pub(super) fn ranks(&self) -> impl Iterator<Item = u32> {
        let (mut displayed, mut hidden) = (self.displayed.best(), self.hidden.best());
        std::iter::from_fn(move || {
            let rank = displayed.min(hidden);
            if rank == EMPTY {
                return None;
            }
            if displayed == rank {
                displayed = self.displayed.after(rank);
            }
            if hidden == rank {
                hidden = self.hidden.after(rank);
            }
            Some(rank)
        })
    }
}

/// The rank of a tick on a side: the better the price, the lower.
#[inline]
pub(super) const fn rank(is_buy: bool, tick: u32) -> u32 {
    if is_buy { !tick } else { tick }
}

/// One instrument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Instrument {
    #[serde(with = "terms_bytes")]
    pub(super) terms: Terms,
    pub(super) state: State,
    /// Whether the auction that it collects for now follows a halt.
    pub(super) halted: bool,
    /// The price of its last trade; 0 for none.
    pub(super) last: u32,
    /// The lowest and the highest price that an order had leave to have since it was last closed.
    reach: (u32, u32),
    /// 2⁶⁴ / tick: see [`Instrument::ticks`].
    per_tick: u64,
    pub(super) buys: Half,
    pub(super) sells: Half,
    /// Sleeping buys, the lowest stop price first.
    pub(super) buy_stops: Ladder,
    /// Sleeping sells, the highest stop price first.
    pub(super) sell_stops: Ladder,
}

impl Instrument {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            state: State::Closed,
            halted: false,
            last: 0,
            reach: (terms.lowest, terms.highest),
            per_tick: u64::MAX / u64::from(terms.tick),
            buys: Half::default(),
            sells: Half::default(),
            buy_stops: Ladder::default(),
            sell_stops: Ladder::default(),
        }
    }

    /// How far orders could lie apart under other terms.
    fn reach(&self, terms: &Terms) -> (u32, u32) {
        if self.state == State::Closed {
            return (terms.lowest, terms.highest);
        }
        (self.reach.0.min(terms.lowest), self.reach.1.max(terms.highest))
    }

    /// Whether the terms may change to these before it is closed. A ladder has an index of all
    /// prices from its best order to its worst: they must not drift apart.
    pub(super) fn may_become(&self, terms: &Terms) -> bool {
        let same_grid = (self.terms.tick, self.terms.lot) == (terms.tick, terms.lot);
        let (lowest, highest) = self.reach(terms);
        self.state == State::Closed || (same_grid && (highest - lowest) / terms.tick <= TICKS_MAX)
    }

    pub(super) fn become_like(&mut self, terms: Terms) {
        self.reach = self.reach(&terms);
        self.per_tick = u64::MAX / u64::from(terms.tick);
        self.terms = terms;
    }

    /// Goes to another state; says which one it was in.
    pub(super) fn go(&mut self, to: State) -> State {
        if to == State::Closed {
            self.reach = (self.terms.lowest, self.terms.highest);
        }
        std::mem::replace(&mut self.state, to)
    }

    #[inline]
    pub(super) fn half(&self, is_buy: bool) -> &Half {
        if is_buy { &self.buys } else { &self.sells }
    }

    #[inline]
    pub(super) fn half_mut(&mut self, is_buy: bool) -> &mut Half {
        if is_buy { &mut self.buys } else { &mut self.sells }
    }

    /// Links the order where it belongs by its flags, behind those of its price.
    #[inline]
    pub(super) fn link(&mut self, slot: u32, orders: &mut Orders) {
        let order = *orders.get(slot);
        let is_buy = order.is_buy();
        if order.has(Order::PARKED | Order::MARKET) {
            return self.link_rare(slot, orders);
        }
        let rank = rank(is_buy, order.tick);
        let half = self.half_mut(is_buy);
        let ladder = if order.has(Order::HIDDEN) { &mut half.hidden } else { &mut half.displayed };
        ladder.push(rank, slot, orders);
    }

    #[cold]
    fn link_rare(&mut self, slot: u32, orders: &mut Orders) {
        let order = *orders.get(slot);
        if order.has(Order::PARKED) {
            let (rank, ladder) = self.stops(&order, orders);
            ladder.push(rank, slot, orders);
        } else {
            self.half_mut(order.is_buy()).market.push(slot, orders);
        }
    }

    /// Takes the order out of where it stands.
    #[inline]
    pub(super) fn unlink(&mut self, slot: u32, orders: &mut Orders) {
        let order = *orders.get(slot);
        let is_buy = order.is_buy();
        if order.has(Order::PARKED | Order::MARKET) {
            return self.unlink_rare(slot, orders);
        }
        let rank = rank(is_buy, order.tick);
        let half = self.half_mut(is_buy);
        let ladder = if order.has(Order::HIDDEN) { &mut half.hidden } else { &mut half.displayed };
        ladder.unlink(rank, slot, orders);
    }

    #[cold]
    fn unlink_rare(&mut self, slot: u32, orders: &mut Orders) {
        let order = *orders.get(slot);
        if order.has(Order::PARKED) {
            let (rank, ladder) = self.stops(&order, orders);
            ladder.unlink(rank, slot, orders);
        } else {
            self.half_mut(order.is_buy()).market.unlink(slot, orders);
        }
    }

    /// Where a stop sleeps. Buys wake on the way up, sells on the way down, so their ranks are the
    /// other way round than in the book.
    fn stops(&mut self, order: &Order, orders: &Orders) -> (u32, &mut Ladder) {
        let stop = orders.extra(order).map_or(0, |extra| extra.stop);
        if order.is_buy() {
            (rank(false, stop), &mut self.buy_stops)
        } else {
            (rank(true, stop), &mut self.sell_stops)
        }
    }

    /// What prices are compared with: the last trade's, else the one that was set, else 0.
    #[inline]
    pub(super) fn reference(&self) -> u32 {
        if self.last == 0 { self.terms.reference } else { self.last }
    }

    /// The price of a tick.
    #[inline]
    pub(super) fn price(&self, tick: u32) -> u32 {
        tick * self.terms.tick
    }

    /// How many whole ticks a price has, without a division. With m = ⌊(2⁶⁴ - 1) / t⌋,
    /// ⌊m (p + 1) / 2⁶⁴⌋ is ⌊p / t⌋ for all p and t of 32 bits: it is less than (p + 1) / t, and by
    /// (p + 1) (1 + (2⁶⁴ - 1) mod t) / (2⁶⁴ t) at most, which is no more than 1 / t.
    #[inline]
    pub(super) fn ticks(&self, price: u32) -> u32 {
        ((u128::from(self.per_tick) * (u128::from(price) + 1)) >> 64) as u32
    }

    /// The tick of a price that an order may have.
    #[inline]
    pub(super) fn tick(&self, price: u32) -> Option<u32> {
        let tick = self.ticks(price);
        let fits = tick * self.terms.tick == price
            && price >= self.terms.lowest
            && price <= self.terms.highest;
        fits.then_some(tick)
    }

    /// The worst tick that the collar lets an order of this side trade at; `None` for any.
    #[inline]
    pub(super) fn collar(&self, is_buy: bool) -> Option<u32> {
        let reference = self.reference();
        if self.terms.collar == 0 || reference == 0 {
            return None;
        }
        // Rounded towards the reference: a tick beyond the collar is beyond it.
        Some(if is_buy {
            reference.saturating_add(self.terms.collar) / self.terms.tick
        } else {
            reference.saturating_sub(self.terms.collar).div_ceil(self.terms.tick)
        })
    }

    /// Whether an order at this price could trade farther from the reference price than it may.
    #[inline]
    pub(super) fn is_beyond_collar(&self, is_buy: bool, price: u32) -> bool {
        let (reference, collar) = (self.reference(), self.terms.collar);
        let is_beyond = if is_buy {
            price > reference.saturating_add(collar)
        } else {
            price < reference.saturating_sub(collar)
        };
        is_beyond && collar != 0 && reference != 0
    }

    pub(super) fn is_auction(&self) -> bool {
        matches!(self.state, State::PreOpen | State::PreClose)
    }

    /// Its own part of [`super::Exchange::bytes`].
    pub(super) fn bytes(&self) -> usize {
        [&self.buys, &self.sells]
            .iter()
            .map(|half| half.displayed.bytes() + half.hidden.bytes())
            .sum()
    }
}

/// Whether the terms make sense.
pub(super) fn check_terms(terms: &Terms) -> Result<(), Why> {
    let Terms { symbol, tick, lot, lowest, highest, reference, .. } = *terms;
    let sound = symbol != Symbol::BLANK
        && tick > 0
        && lot > 0
        && lowest > 0
        && lowest <= highest
        && highest <= PRICE_MAX
        && reference <= PRICE_MAX
        && [lowest, highest, reference].iter().all(|price| price.is_multiple_of(tick))
        && (highest - lowest) / tick <= TICKS_MAX;
    if sound { Ok(()) } else { Err(Why::InvalidInstrument) }
}

/// All of them, and where each symbol is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Instruments {
    list: Vec<Instrument>,
    /// Open addressing; at most half full. A blank symbol is an empty place.
    places: Vec<(u64, u16)>,
}

impl Instruments {
    const MAX: usize = u16::MAX as usize;
    const BLANK: u64 = u64::from_ne_bytes(Symbol::BLANK.0);

    #[inline]
    fn hash(key: u64, places: usize) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & (places - 1)
    }

    /// The instrument's number.
    #[inline]
    pub(super) fn find(&self, symbol: Symbol) -> Result<u16, Why> {
        let key = u64::from_ne_bytes(symbol.0);
        if self.places.is_empty() || key == Self::BLANK {
            return Err(Why::UnknownInstrument);
        }
        let mut at = Self::hash(key, self.places.len());
        loop {
            match self.places[at] {
                (found, number) if found == key => return Ok(number),
                (Self::BLANK, _) => return Err(Why::UnknownInstrument),
                _ => at = (at + 1) & (self.places.len() - 1),
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.list.len() == Self::MAX
    }

    #[inline]
    pub(super) fn get(&self, number: u16) -> &Instrument {
        &self.list[number as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u16) -> &mut Instrument {
        &mut self.list[number as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Instrument> {
        self.list.iter()
    }

    pub(super) fn add(&mut self, terms: Terms) -> u16 {
        self.list.push(Instrument::new(terms));
        if self.list.len() * 2 > self.places.len() {
            self.places = vec![(Self::BLANK, 0); (self.list.len() * 4).next_power_of_two()];
            for number in 0..self.list.len() - 1 {
                self.place(number);
            }
        }
        self.place(self.list.len() - 1);
        self.list.len() as u16 - 1
    }

    fn place(&mut self, number: usize) {
        let key = u64::from_ne_bytes(self.list[number].terms.symbol.0);
        let mut at = Self::hash(key, self.places.len());
        while self.places[at].0 != Self::BLANK {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = (key, number as u16);
    }
}

/// Terms as the bytes that they are.
mod terms_bytes {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use zerocopy::FromBytes;

    use super::{IntoBytes, Terms};

    pub(super) fn serialize<S: Serializer>(terms: &Terms, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(terms.as_bytes())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Terms, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(from)?;
        Terms::read_from_bytes(&bytes).map_err(|_| D::Error::custom("bytes that are no terms"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_what_a_division_gives() {
        let edges = [1, 2, 3, 5, 7, 100, 641, 10_000, 65_536, u32::MAX / 2, u32::MAX - 1, u32::MAX];
        for tick in edges {
            let instrument = Instrument::new(Terms { tick, ..Terms::default() });
            let multiples = edges.map(|edge| (edge / tick).saturating_mul(tick));
            for price in edges.into_iter().chain(multiples) {
                for price in [price.saturating_sub(1), price, price.saturating_add(1)] {
                    assert_eq!(instrument.ticks(price), price / tick, "{price} / {tick}");
                }
            }
        }
    }
}
