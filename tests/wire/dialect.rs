//! What the dialects say, beside the exchange: each answer by its letters, and the book that a
//! reader of the market data has beside the exchange's own.

use std::collections::{BTreeMap, BTreeSet};

use ringframe::dialect::Names;
use ringframe::dialect::itch::Market;
use ringframe::dialect::ouch::{To, firm, rejected, start_of_day, tell};
use ringframe::exchange::command::{
    AddInstrument, Command, EndDay, Enter, Handling, Lifetime, Pricing, Replace, SelfTrade,
    SetParticipant, SetSession, State, Terms,
};
use ringframe::exchange::ids::{Side, Symbol, Token};
use ringframe::exchange::reject::{Reject, Rejected, Why};
use ringframe::exchange::view::Level;
use ringframe::types::Nanos;
use ringframe::wire::itch;
use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{self, Outbound, time_in_force};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zerocopy::TryFromBytes;

use crate::samples::alpha;
use crate::venue::{FIRM, Reader, Venue, aapl, enter};

fn open() -> Venue {
    let mut venue = Venue::new();
    venue.go(State::PreOpen);
    venue.go(State::Open);
    venue
}

#[test]
fn an_accepted_order_says_what_was_asked() {
    let mut venue = open();
    let mut number = 0;
    let sides = [ouch::Side::BUY, ouch::Side::SELL, ouch::Side::SHORT, ouch::Side::SHORT_EXEMPT];
    for (display, capacity) in b"YANP".iter().flat_map(|a| b"APRO".iter().map(move |b| (*a, *b))) {
        for (sweep, seconds) in
            b"YNy".iter().flat_map(|a| [0, 1, 600, 99_997, 99_998, 99_999].map(|b| (*a, b)))
        {
            number += 1;
            let asked = ouch::Enter {
                display: ouch::Display(display),
                capacity: ouch::Capacity(capacity),
                sweep: ouch::Sweep(sweep),
                time_in_force: seconds.into(),
                firm: if number % 2 == 0 { FIRM } else { Alpha::BLANK },
                // Apart, so that none meets another.
                price: if number % 4 == 0 { 1_000_000 } else { 2_000_000 }.into(),
                ..enter(&format!("T{number}"), sides[number % 4])
            };
            let told = venue.ask(1, asked);
            let [(To::Session(1), Outbound::Accepted(accepted)), ..] = told[..] else {
                panic!("{asked:?} is answered by {told:?}");
            };
            let expected = ouch::Order {
                token: asked.token,
                side: asked.side,
                shares: asked.shares,
                stock: asked.stock,
                price: asked.price,
                time_in_force: asked.time_in_force,
                firm: FIRM,
                display: asked.display,
                reference: (number as u64).into(),
                capacity: asked.capacity,
                sweep: asked.sweep,
                minimum: asked.minimum,
                cross: asked.cross,
                state: ouch::OrderState::LIVE,
            };
            assert_eq!(accepted.order, expected);
            assert_eq!(accepted.time.get() / Nanos::SECOND, 34_200);
        }
    }
}

#[test]
fn what_cannot_be_taken_is_rejected_by_its_letter() {
    let base = || enter("T", ouch::Side::BUY);
    let cases: [(u8, ouch::Enter); 14] = [
        (b'Z', ouch::Enter { shares: 0.into(), ..base() }),
        (b'Z', ouch::Enter { shares: 1_000_000.into(), ..base() }),
        (b'm', ouch::Enter { shares: 999_999.into(), ..base() }),
        (b'S', ouch::Enter { stock: alpha("NONE"), ..base() }),
        (b'D', ouch::Enter { display: ouch::Display(b'Z'), ..base() }),
        (b'X', ouch::Enter { price: 0.into(), ..base() }),
        (b'X', ouch::Enter { price: 2_000_000_000.into(), ..base() }),
        (b'N', ouch::Enter { minimum: 10.into(), ..base() }),
        (b'O', ouch::Enter { time_in_force: 100_000.into(), ..base() }),
        (b'O', ouch::Enter { side: ouch::Side(b'?'), ..base() }),
        (b'O', ouch::Enter { capacity: ouch::Capacity(b'?'), ..base() }),
        (b'O', ouch::Enter { sweep: ouch::Sweep(b'?'), ..base() }),
        (b'O', ouch::Enter { firm: alpha("ELSE"), ..base() }),
        (b'O', ouch::Enter { cross: ouch::Cross::OPENING, ..base() }),
    ];
    for (letter, asked) in cases {
        let mut venue = open();
        let told = venue.ask(1, asked);
        let [(To::Session(1), Outbound::Rejected(no))] = told[..] else {
            panic!("{asked:?} is answered by {told:?}");
        };
        assert_eq!((no.token, no.reason), (asked.token, ouch::RejectReason(letter)), "{asked:?}");
        assert_eq!(venue.ask(1, base()), [], "the token is used up");
    }
    assert_eq!(open().ask(1, ouch::Enter { token: Alpha(*b"no-token      "), ..base() }), []);
}

/// Those that use up a token are told, the others are not.
#[test]
fn each_refusal_has_a_letter_or_silence() {
    let mut letters = String::new();
    for why in (0..=u8::MAX).filter_map(|why| Why::try_read_from_bytes(&[why]).ok()) {
        let used_up = Rejected { token: Token::number(1), session: 7, why, used_up: 1 };
        let Some((7, Outbound::Rejected(told))) = rejected(&Reject::Rejected(used_up), Nanos(0))
        else {
            panic!("{why:?} is not told");
        };
        letters.push(char::from(told.reason.0));
        let kept = Rejected { used_up: 0, ..used_up };
        assert_eq!(rejected(&Reject::Rejected(kept), Nanos(0)), None);
    }
    assert_eq!(letters, "OOOOOSLxCHZOXXDONRmoenvvOOOOOOOOO");
}

#[test]
fn a_conversation() {
    let mut venue = open();
    let letters = |told: &[(To, Outbound)]| {
        let letter = |(to, said): &(To, Outbound)| {
            let mut bytes = [0; 128];
            let To::Session(session) = to else { panic!("to everyone") };
            said.encode(&mut bytes).expect("room");
            format!("{session}{}", char::from(bytes[0]))
        };
        told.iter().map(letter).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(letters(&venue.ask(1, enter("A", ouch::Side::BUY))), "1A");
    let told = venue.ask(2, ouch::Enter { shares: 30.into(), ..enter("B", ouch::Side::SHORT) });
    assert_eq!(letters(&told), "2A 1E 2E");
    let [_, (_, Outbound::Executed(maker)), (_, Outbound::Executed(taker))] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(
        (maker.liquidity, taker.liquidity),
        (ouch::Liquidity::ADDED, ouch::Liquidity::REMOVED)
    );
    assert_eq!((maker.token, taker.token), (alpha("A"), alpha("B")));
    assert_eq!((maker.match_number.get(), taker.match_number.get()), (1, 1));
    // Of 100, 30 are executed: 90 in all leave 60.
    let replace = ouch::Replace {
        old: alpha("A"),
        new: alpha("C"),
        shares: 90.into(),
        price: 999_900.into(),
        time_in_force: time_in_force::MARKET_HOURS.into(),
        ..crate::samples::replace()
    };
    let told = venue.ask(1, replace);
    let [(_, Outbound::Replaced(replaced))] = told[..] else { panic!("{told:?}") };
    assert_eq!((replaced.old, replaced.order.token), (alpha("A"), alpha("C")));
    assert_eq!((replaced.order.shares.get(), replaced.order.time_in_force.get()), (60, 99_998));
    assert_eq!(replaced.order.capacity, ouch::Capacity::PRINCIPAL);
    assert_eq!(venue.ask(1, replace), [], "the old order is not live, the new token is used");
    let told = venue.ask(1, ouch::Cancel { token: alpha("C"), shares: 50.into() });
    let [(_, Outbound::Canceled(canceled))] = told[..] else { panic!("{told:?}") };
    assert_eq!((canceled.decrement.get(), canceled.reason), (40, ouch::CancelReason::USER));
    // Its own: the resting one goes.
    let own = ouch::Enter { price: 999_900.into(), ..enter("D", ouch::Side::SELL) };
    let told = venue.ask(1, own);
    let [(_, Outbound::Accepted(_)), (_, Outbound::SelfMatch(own))] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((own.token, own.liquidity), (alpha("C"), ouch::Liquidity::ADDED));
    assert_eq!((own.decrement.get(), own.prevented.get()), (20, 20));
    let modify = ouch::Modify { token: alpha("D"), side: ouch::Side::SHORT, shares: 70.into() };
    let told = venue.ask(1, modify);
    let [(_, Outbound::Modified(modified))] = told[..] else { panic!("{told:?}") };
    assert_eq!((modified.side, modified.shares.get()), (ouch::Side::SHORT, 70));
    let too_many = ouch::Replace { old: alpha("D"), shares: 1_000_000.into(), ..replace };
    let too_many = ouch::Replace { new: alpha("E"), ..too_many };
    assert_eq!(letters(&venue.ask(1, too_many)), "1C");
    assert_eq!(letters(&venue.ask(1, enter("E", ouch::Side::BUY))), "1A", "not used up");
    venue.go(State::Closed);
    venue.told.clear();
    venue.run(&EndDay.into());
    let [(To::Everyone, Outbound::SystemEvent(end))] = venue.told[..] else { panic!() };
    assert_eq!(end.event, ouch::Day::END);
}

/// The one that came is canceled, not the one that waited.
#[test]
fn who_met_its_own_knows_whether_it_came() {
    let mut venue = open();
    let self_trade = SelfTrade::CancelBoth;
    let participant = SetParticipant { participant: 1, self_trade, ..SetParticipant::default() };
    venue.run(&participant.into());
    venue.ask(1, enter("A", ouch::Side::BUY));
    let told = venue.ask(1, ouch::Enter { shares: 30.into(), ..enter("B", ouch::Side::SELL) });
    let [_, (_, Outbound::SelfMatch(waited)), (_, Outbound::SelfMatch(came))] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((waited.token, waited.liquidity), (alpha("A"), ouch::Liquidity::ADDED));
    assert_eq!((came.token, came.liquidity), (alpha("B"), ouch::Liquidity::REMOVED));
}

#[test]
fn a_session_begins_with_the_start_of_day() {
    let mut venue = Venue::new();
    let started = |to: &(To, Outbound)| matches!(to, (_, Outbound::SystemEvent(_)));
    assert!(venue.told.iter().all(started));
    let sessions: Vec<To> = venue.told.drain(..).map(|(to, _)| to).collect();
    assert_eq!(sessions, [1, 2, 3].map(To::Session));
    let set = |session| SetSession { session, participant: 2, cancel_on_disconnect: 1 };
    venue.run(&set(2).into());
    assert_eq!(venue.told, [], "it was there before");
    let start = start_of_day(venue.now());
    venue.run(&set(4).into());
    assert_eq!(venue.told, [(To::Session(4), start)]);
}

#[test]
fn names_know_the_sessions() {
    let mut names = Names::default();
    let mut venue = Venue::new();
    let again = SetSession { session: 2, participant: 2, cancel_on_disconnect: 7 };
    venue.run(&again.into());
    venue.log.iter().for_each(|(event, _)| names.on_event(event));
    assert_eq!(names.sessions().collect::<Vec<_>>(), [(1, false), (2, true), (3, false)]);
    let account = names.account(2).expect("it was set");
    assert_eq!((account.session, account.firm), (2, alpha("F002")));
    assert!(names.account(0).is_none() && names.account(4).is_none());
}

#[test]
fn each_participant_has_a_firm_of_its_own() {
    let firms: BTreeSet<[u8; 4]> = (0..=u16::MAX).map(|each| firm(each).0).collect();
    assert_eq!(firms.len(), 1 << 16);
    let some = [0, 1, 35, 36, 46_655, 46_656, 65_535].map(firm);
    assert_eq!(some, ["F000", "F001", "F00Z", "F010", "FZZZ", "G000", "GEKF"].map(alpha));
}

/// What the exchange shows at each price.
fn displayed(levels: &[Level]) -> BTreeMap<u32, u64> {
    let shown = levels.iter().filter(|level| level.price > 0 && level.displayed > 0);
    shown.map(|level| (level.price, level.displayed)).collect()
}

fn random_command(random: &mut fastrand::Rng, number: u64) -> Command {
    let session = random.u16(1..=3);
    let recent = Token::number(number.saturating_sub(random.u64(1..40)));
    let quantity = random.u32(1..300);
    let price = random.u32(9_990..10_010) * 100;
    let handling = [Handling::Displayed, Handling::Displayed, Handling::Hidden][random.usize(..3)];
    let is_iceberg = handling == Handling::Displayed && quantity > 50 && random.bool();
    let display = if is_iceberg { random.u32(1..quantity) } else { 0 };
    let token = Token::number(number);
    match random.u32(..10) {
        0..=4 => Command::Enter(Enter {
            symbol: aapl(),
            token,
            session,
            price,
            quantity,
            display,
            stop: if random.u32(..8) == 0 { random.u32(9_990..10_010) * 100 } else { 0 },
            side: [Side::Buy, Side::Sell, Side::Short][random.usize(..3)],
            pricing: Pricing::Limit,
            lifetime: if random.u32(..6) == 0 && handling != Handling::Hidden {
                Lifetime::Immediate
            } else {
                Lifetime::Day
            },
            handling,
            ..Enter::default()
        }),
        5 | 6 => Command::Replace(Replace {
            old: recent,
            new: token,
            session,
            price,
            quantity,
            display,
            handling,
            ..Replace::default()
        }),
        _ => Command::Cancel(ringframe::exchange::command::Cancel {
            token: recent,
            quantity: [0, random.u32(1..200)][random.usize(..2)],
            session,
            reserved: 0,
        }),
    }
}

/// So many days' states.
fn days(count: usize) -> impl Iterator<Item = State> {
    let day = [State::PreOpen, State::Open, State::Halted, State::PreOpen, State::Open];
    let day = day.into_iter().chain([State::PreClose, State::Closed]);
    std::iter::repeat_n(day, count).flatten()
}

/// At every event, what is told is a function of the event, of the market as it was saved before,
/// and of the names, of that moment or any later one.
#[test]
fn one_can_begin_anywhere_in_the_log() {
    let mut random = fastrand::Rng::with_seed(8);
    let mut venue = Venue::new();
    for state in days(3) {
        venue.go(state);
        if state == State::Closed {
            venue.run(&EndDay.into());
        }
        for _ in 0..100 {
            let number = venue.now().0 % (1 << 40);
            venue.run(&random_command(&mut random, number));
        }
        // Names that those before know nothing of.
        let (session, symbol) = (random.u16(..), format!("NEW{}", random.u16(..)));
        venue.run(&SetSession { session, participant: 1, cancel_on_disconnect: 1 }.into());
        let symbol = Symbol::new(&symbol).expect("short enough");
        venue.run(&AddInstrument(Terms { symbol, ..venue.terms }).into());
    }
    let mut latest = Names::default();
    venue.log.iter().for_each(|(event, _)| latest.on_event(event));
    let latest: Names = saved(&latest);
    let (mut names, mut market) = (Names::default(), Market::default());
    let [mut told, mut seen] = [0, 0];
    for (event, time) in &venue.log {
        let [mut live, mut anew] = [Vec::new(), Vec::new()];
        names.on_event(event);
        tell(event, *time, &names, |to, said| live.push((to, said)));
        tell(event, *time, &latest, |to, said| anew.push((to, said)));
        assert_eq!(live, anew, "{event:?}");
        told += live.len();
        let mut resumed: Market = saved(&market);
        let [mut live, mut anew] = [Vec::new(), Vec::new()];
        market.on_event(event, *time, |said| live.push(said));
        resumed.on_event(event, *time, |said| anew.push(said));
        assert_eq!((live.as_slice(), &market), (anew.as_slice(), &resumed), "{event:?}");
        seen += live.len();
    }
    assert_eq!(names, latest);
    assert!(told > 1_000 && seen > 1_000, "{told} and {seen} messages are too few");
}

/// It, written and read again.
fn saved<T: Serialize + DeserializeOwned>(it: &T) -> T {
    serde_json::from_str(&serde_json::to_string(it).expect("JSON")).expect("the same")
}

#[test]
fn the_market_sees_the_book() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut venue = Venue::new();
    let mut reader = Reader::default();
    for state in days(6) {
        venue.go(state);
        if state == State::Closed {
            venue.run(&EndDay.into());
        }
        for step in 0..400 {
            let number = if state == State::Halted { step } else { venue.now().0 % (1 << 40) };
            venue.run(&random_command(&mut random, number));
            venue.seen.drain(..).for_each(|message| reader.read(&message));
            let book = venue.exchange.book(aapl()).expect("there is one");
            assert_eq!(reader.levels(itch::Side::BUY), displayed(&book.buys));
            assert_eq!(reader.levels(itch::Side::SELL), displayed(&book.sells));
            let (buys, sells) = (reader.levels(itch::Side::BUY), reader.levels(itch::Side::SELL));
            if let (State::Open, Some((buy, _)), Some((sell, _))) =
                (state, buys.last_key_value(), sells.first_key_value())
            {
                assert!(buy < sell, "crossed");
            }
        }
    }
    for kind in "SRHAECXDUPQ".chars() {
        assert!(reader.counts.contains_key(&kind), "no {kind} in {:?}", reader.counts);
    }
    // Six days, each from its first message to its last.
    assert_eq!(reader.counts[&'S'], 6 * 6);
}
