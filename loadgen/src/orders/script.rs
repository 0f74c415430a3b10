//! What is played: orders by number, for instruments by name, each in the hands of a session.

use ringframe_wire::ouch::Stock;

use crate::flow::{Flow, Op, START, Side, TICK};

/// An instrument that the server lists, and where it trades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Up to eight letters.
    pub symbol: String,
    /// In ten-thousandths.
    pub reference: u32,
}

/// What `ringframe serve` lists when nobody told it otherwise.
pub fn demo_instruments() -> Vec<Listed> {
    let known = [("AAPL", 2_300_000), ("MSFT", 4_200_000), ("NVDA", 1_400_000)];
    let known = known.map(|(symbol, reference)| (symbol.to_owned(), reference));
    let invented = (0..100).map(|number| (format!("SYN{number:03}"), 100_000 + number * 20_000));
    let all = known.into_iter().chain(invented);
    all.map(|(symbol, reference)| Listed { symbol, reference }).collect()
}

/// An instrument of a flow as the server knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Its name.
    pub stock: Stock,
    /// What is added to the flow's prices.
    pub shift: i64,
}

impl Listing {
    /// A price of the flow as the server is told it.
    pub fn price(&self, price: u32) -> u32 {
        (i64::from(price) + self.shift).clamp(1, i64::from(u32::MAX)) as u32
    }
}

/// Commands, and when they were sent if somebody wrote that down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What it is called.
    pub name: String,
    /// The instruments, by the flow's numbers.
    pub listings: Vec<Listing>,
    /// Fills the books, before the clock starts.
    pub setup: Vec<Op>,
    /// What is measured.
    pub ops: Vec<Op>,
    /// When each of `ops` was sent, in nanoseconds from the first.
    pub times: Option<Vec<u64>>,
}

impl Script {
    /// A flow on the instruments of a server. Its prices are moved to where each trades. Where a
    /// flow has more instruments than the server has that leave room for its lowest price, some
    /// share a book.
    pub fn of_flow(flow: Flow, listed: &[Listed]) -> Result<Self, String> {
        let price = |op: &Op| match *op {
            Op::Add { price, .. } | Op::Replace { price, .. } => Some(price),
            Op::Cancel { .. } => None,
        };
        let lowest = flow.setup.iter().chain(&flow.ops).filter_map(price).min();
        let below = i64::from(START * TICK) - i64::from(lowest.unwrap_or(START * TICK));
        let mut fitting = Vec::new();
        for Listed { symbol, reference } in listed {
            let stock = Stock::new(symbol)
                .ok_or_else(|| format!("'{symbol}' is no symbol: it has up to 8 letters"))?;
            let shift = i64::from(*reference) - i64::from(START * TICK);
            if i64::from(*reference) - below >= i64::from(TICK) {
                fitting.push(Listing { stock, shift });
            }
        }
        if fitting.is_empty() {
            return Err(format!(
                "the flow '{}' reaches {:.2} below its middle, which leaves a price on none of the \
                 {} instruments: give --symbols that trade higher",
                flow.name,
                below as f64 / 10_000.0,
                listed.len()
            ));
        }
        let numbers = 0..usize::from(flow.instruments);
        let listings = numbers.map(|number| fitting[number % fitting.len()]).collect();
        let Flow { name, setup, ops, .. } = flow;
        Ok(Self { name, listings, setup, ops, times: None })
    }

    /// How many orders it numbers.
    pub fn orders(&self) -> u32 {
        let numbered = |op: &&Op| !matches!(op, Op::Cancel { .. });
        self.setup.iter().chain(&self.ops).filter(numbered).count() as u32
    }

    /// Where each order is, by its number: the first half of the sessions buys, the other sells, so
    /// that nobody meets itself; one session alone does both, and may. A replace is its order's
    /// owner's.
    pub fn places(&self, sessions: usize) -> Vec<Place> {
        let buyers = (sessions / 2).max(1);
        let sellers = if sessions > 1 { buyers..sessions } else { 0..1 };
        let mut places = vec![Place::default(); self.orders() as usize];
        for op in self.setup.iter().chain(&self.ops) {
            match *op {
                Op::Add { id, side, instrument, .. } => {
                    let session = match side {
                        Side::Buy => id as usize % buyers,
                        Side::Sell => sellers.start + id as usize % sellers.len(),
                    };
                    places[id as usize] = Place { session: session as u16, instrument };
                }
                Op::Replace { old, new, .. } => places[new as usize] = places[old as usize],
                Op::Cancel { .. } => {}
            }
        }
        places
    }
}

/// Where an order is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Whose it is, from 0.
    pub session: u16,
    /// In which of the flow's instruments.
    pub instrument: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Mix;

    #[test]
    fn prices_move_to_where_an_instrument_trades() {
        let script = Script::of_flow(Mix::F100.flow(1_000), &demo_instruments()).expect("fits");
        assert_eq!(script.listings.len(), 100);
        let [apple, microsoft] = [script.listings[0], script.listings[1]];
        assert_eq!((apple.stock.text(), apple.price(START * TICK)), (&b"AAPL"[..], 2_300_000));
        assert_eq!(microsoft.price(START * TICK + TICK), 4_200_100);
        let low = [Listed { symbol: "LOW".into(), reference: TICK }];
        let error = Script::of_flow(Mix::F1.flow(1_000), &low).expect_err("no room");
        assert!(error.contains("--symbols"), "{error}");
    }

    #[test]
    fn buyers_and_sellers_are_others_and_a_replace_stays_with_its_owner() {
        let script = Script::of_flow(Mix::FMOD.flow(5_000), &demo_instruments()).expect("fits");
        let owners: Vec<u16> = script.places(5).iter().map(|place| place.session).collect();
        for op in script.setup.iter().chain(&script.ops) {
            match *op {
                Op::Add { id, side, .. } => {
                    assert_eq!(owners[id as usize] < 2, side == Side::Buy, "{op:?}");
                }
                Op::Replace { old, new, .. } => {
                    assert_eq!(owners[old as usize], owners[new as usize]);
                }
                Op::Cancel { .. } => {}
            }
        }
        assert!((0..5).all(|session| owners.contains(&session)));
        assert!(script.places(1).iter().all(|place| place.session == 0));
    }
}
