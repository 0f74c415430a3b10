//! What random markets are too small to reach: prices far apart, more orders than one chunk of
//! memory holds, more timers than are kept for orders that are gone.

use std::collections::BTreeSet;

use fastrand::Rng;
use ringframe::exchange::command::{
    AddInstrument, Cancel, ChangeState, Command, Enter, Lifetime, MassCancel, SetParticipant,
    SetSession, State, Terms, Tick,
};
use ringframe::exchange::event::{Event, Reason};
use ringframe::exchange::ids::{Side, Symbol, Token};
use ringframe::logic::{Moment, Nanos};

use crate::engine::{Engine, Real};
use crate::naive::{Naive, Outcome};

const PRICE_MAX: u32 = 4_000_000;
const SESSION: u16 = 1;

fn symbol() -> Symbol {
    Symbol::new("WIDE").expect("it is short")
}

/// An open market with one session, and the time in it.
struct Market<E> {
    engine: E,
    at: Moment,
}

impl<E: Engine> Market<E> {
    fn open() -> Self {
        let mut market = Self { engine: E::default(), at: Moment::default() };
        let symbol = symbol();
        let terms = Terms {
            symbol,
            tick: 1,
            lot: 1,
            lowest: 1,
            highest: PRICE_MAX,
            collar: 0,
            reference: 0,
        };
        let participant = 1;
        market.step(AddInstrument(terms));
        for state in [State::PreOpen, State::Open] {
            market.step(ChangeState { symbol, state, reserved: [0; 7] });
        }
        market.step(SetParticipant { participant, ..SetParticipant::default() });
        market.step(SetSession { session: SESSION, participant, cancel_on_disconnect: 0 });
        market
    }

    fn step(&mut self, command: impl Into<Command>) -> Vec<Outcome> {
        self.at.sequence = self.at.sequence.next();
        self.engine.step(&command.into(), &self.at)
    }
}

fn enter(number: u64, side: Side, price: u32) -> Enter {
    let (symbol, token, session) = (symbol(), Token::number(number), SESSION);
    Enter { symbol, token, session, side, price, quantity: 10, ..Enter::default() }
}

fn cancel(number: u64) -> Cancel {
    Cancel { token: Token::number(number), session: SESSION, quantity: 0, reserved: 0 }
}

/// The tokens of the orders that were canceled for this reason.
fn canceled(outcomes: &[Outcome], reason: Reason) -> Vec<Token> {
    let token = |outcome: &Outcome| match outcome {
        Ok(Event::Canceled(canceled)) if canceled.reason == reason => Some(canceled.order.token),
        _ => None,
    };
    outcomes.iter().filter_map(token).collect()
}

#[test]
fn prices_far_apart_trade_in_order() {
    let (mut naive, mut real) = (Market::<Naive>::open(), Market::<Real>::open());
    let mut rng = Rng::with_seed(1);
    for number in 1..=1_500 {
        // Both sides grow outwards from the middle, so that ladders grow at either end.
        let distance = rng.u32(0..PRICE_MAX / 2 / 1_500 * number as u32);
        let command: Command = match rng.u32(0..10) {
            0..3 => cancel(rng.u64(1..=number)).into(),
            3 => enter(number, Side::Buy, PRICE_MAX / 2 + distance / 8).into(),
            4 => enter(number, Side::Sell, PRICE_MAX / 2 - distance / 8).into(),
            5..8 => enter(number, Side::Buy, PRICE_MAX / 2 - distance).into(),
            _ => enter(number, Side::Sell, PRICE_MAX / 2 + distance).into(),
        };
        assert_eq!(real.step(command), naive.step(command), "{command:?}");
        if number.is_multiple_of(100) {
            real.engine = real.engine.restarted();
            real.engine.logic.assert_invariants();
        }
    }
    assert!(real.engine.logic.live_orders() > 300);
}

#[test]
fn a_snapshot_of_many_orders_carries_them_all() {
    const ORDERS: u64 = 70_000;
    let mut market = Market::<Real>::open();
    for number in 1..=ORDERS {
        let price = 1 + (number as u32).wrapping_mul(0x9E37_79B9) % 1_000;
        assert_eq!(market.step(enter(number, Side::Buy, price)).len(), 1);
    }
    let saved = market.engine.saved();
    let mut restarted = Market { engine: market.engine.restarted(), at: market.at };
    assert!(restarted.engine.saved() == saved, "saved again");
    restarted.engine.logic.assert_invariants();
    let mass = MassCancel { session: SESSION, ..MassCancel::default() };
    let outcomes = restarted.step(mass);
    assert_eq!(canceled(&outcomes, Reason::Mass).len(), ORDERS as usize);
    assert!(outcomes == market.step(mass), "both say the same");
    assert!(restarted.engine.saved() == market.engine.saved(), "and end in the same state");
}

#[test]
fn no_timer_is_lost_among_those_of_orders_that_are_gone() {
    const ORDERS: u64 = 6_000;
    let mut market = Market::<Real>::open();
    let mut waiting = BTreeSet::new();
    let mut rng = Rng::with_seed(2);
    for number in 1..=ORDERS {
        let order = enter(number, Side::Buy, 100);
        let expires = rng.u64(1_000..2_000);
        market.step(Enter { lifetime: Lifetime::GoodTill, expires, ..order });
        if number.is_multiple_of(10) {
            waiting.insert(Token::number(number));
        } else {
            assert_eq!(market.step(cancel(number)).len(), 1);
        }
    }
    market.at.time = Nanos(1_999);
    let timed_out = canceled(&market.step(Tick), Reason::Timeout);
    assert_eq!(timed_out.len(), waiting.len());
    assert_eq!(timed_out.into_iter().collect::<BTreeSet<_>>(), waiting);
}
