//! The exchange in JSON: `docs/JSON.md` shows a line of every kind, and today's code writes and
//! reads those lines; errors name the field.

use ringframe::exchange::Exchange;
use ringframe::exchange::command::{
    Cancel, Command, Enter, Handling, Kill, Lifetime, Pricing, SelfTrade, SetParticipant,
    SetSession, State, Terms,
};
use ringframe::exchange::event::{
    Accepted, Canceled, Crossed, DayEnded, Event, InstrumentAdded, InstrumentChanged, Killed,
    MassCanceled, Modified, OrderId, ParticipantSet, Reason, Replaced, Rested, SessionSet,
    StateChanged, Traded, Triggered, Venue,
};
use ringframe::exchange::ids::{Side, Symbol, Token};
use ringframe::exchange::reject::{Reject, Rejected, Why};
use ringframe::exchange_json::{View, parse_command, write_command, write_event};
use ringframe::logic::{Moment, Nanos, Outbox, Sequence, step};
use ringframe::record::Record;

const PAGE: &str = include_str!("../../docs/JSON.md");

/// The lines of JSON below a heading of the page.
fn shown(heading: &str) -> Vec<&'static str> {
    let (_, section) = PAGE.split_once(heading).expect(heading);
    let section = section.split("\n## ").next().unwrap_or_default();
    section.lines().filter(|line| line.starts_with('{')).collect()
}

fn written(command: &Command) -> String {
    let mut line = String::new();
    write_command(&mut line, command);
    line
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).expect("it is short")
}

fn token(text: &str) -> Token {
    let wire = format!("{text:<14}");
    Token::from_wire(wire.as_bytes().try_into().expect("it is short")).expect("a token")
}

#[test]
fn the_page_shows_every_command() {
    let lines = shown("## Commands");
    let mut kinds = Vec::new();
    for line in lines {
        let command = parse_command(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(written(&command), line, "as it is written (left) and as the page shows it");
        kinds.push(command.kind());
    }
    assert_eq!(kinds, (1..=14).collect::<Vec<u16>>(), "one of every kind, in order");
}

fn order(reference: u64, name: &str, session: u16) -> OrderId {
    OrderId { reference, token: token(name), session, instrument: 0 }
}

fn accepted() -> Accepted {
    Accepted {
        order: order(1, "A1", 1),
        expires: 1_767_367_800_000_000_000,
        price: 1_012_500,
        quantity: 300,
        displayed: 100,
        display: 100,
        minimum: 0,
        stop: 0,
        side: Side::Buy,
        pricing: Pricing::Limit,
        lifetime: Lifetime::GoodTill,
        handling: Handling::Displayed,
        marks: 0,
        reserved: 0,
    }
}

fn terms() -> Terms {
    Terms {
        symbol: symbol("AAPL"),
        tick: 100,
        lot: 1,
        lowest: 100,
        highest: 10_000_000,
        collar: 50_000,
        reference: 1_012_500,
    }
}

fn traded() -> Traded {
    Traded {
        match_number: 1,
        maker: order(2, "A2", 1),
        taker: order(3, "B1", 2),
        price: 1_012_500,
        quantity: 50,
        maker_remaining: 150,
        maker_displayed: 100,
        maker_shown: 50,
        taker_remaining: 0,
        taker_shown: 0,
        maker_side: Side::Buy,
        taker_side: Side::ShortExempt,
        venue: Venue::Continuous,
        maker_hidden: 0,
    }
}

fn events() -> Vec<Event> {
    let order = order(2, "A2", 1);
    let (side, price) = (Side::Buy, 1_012_500);
    let replaced =
        Replaced { new: accepted(), old_reference: 1, old_token: token("A1"), old_shown: 100 };
    let canceled = Canceled {
        order,
        decrement: 50,
        remaining: 100,
        displayed: 100,
        shown: 50,
        prevented: 50,
        price,
        side,
        reason: Reason::SelfTrade,
        incoming: 0,
        reserved: [0; 5],
    };
    let state = StateChanged {
        symbol: symbol("AAPL"),
        instrument: 0,
        from: State::PreOpen,
        to: State::Open,
        reserved: 0,
    };
    let crossed = Crossed {
        volume: 1_200,
        match_number: 7,
        price,
        instrument: 0,
        venue: Venue::Opening,
        reserved: 0,
    };
    let participant = SetParticipant {
        participant: 1,
        self_trade: SelfTrade::CancelOldest,
        notional_max: 10_000_000_000,
        ..SetParticipant::default()
    };
    let session = SetSession { session: 1, participant: 1, cancel_on_disconnect: 1 };
    let rested = Rested {
        order: OrderId { reference: (1 << 32) + 2, ..order },
        price,
        displayed: 100,
        remaining: 100,
        old_shown: 30,
        side,
        reserved: [0; 7],
    };
    let modified = Modified {
        order,
        remaining: 100,
        displayed: 100,
        decrement: 50,
        shown: 0,
        side,
        reserved: [0; 7],
    };
    vec![
        accepted().into(),
        replaced.into(),
        canceled.into(),
        modified.into(),
        traded().into(),
        rested.into(),
        Triggered { order, stop: price, quantity: 100 }.into(),
        MassCanceled { session: 1, reserved: 0, count: 2 }.into(),
        InstrumentAdded { terms: terms(), instrument: 0 }.into(),
        InstrumentChanged { terms: terms(), instrument: 0 }.into(),
        state.into(),
        crossed.into(),
        ParticipantSet(participant).into(),
        SessionSet { terms: session, is_new: 1 }.into(),
        Killed { participant: 1, on: 1 }.into(),
        DayEnded { tokens: 3 }.into(),
    ]
}

/// The golden lines of the events stand in the page.
#[test]
fn the_page_shows_every_event_and_the_refusal() {
    let events = events();
    let kinds: Vec<u16> = events.iter().map(Record::kind).collect();
    assert_eq!(kinds, (1..=16).collect::<Vec<u16>>(), "one of every kind, in order");
    let refused = Rejected { token: token("A1"), session: 1, why: Why::DuplicateToken, used_up: 0 };
    let refused = Reject::Rejected(refused);
    let results = events.iter().map(Ok).chain([Err(&refused)]);
    let now: Vec<String> = (1..)
        .zip(results)
        .map(|(number, result)| {
            let mut line = String::new();
            let time = Nanos(1_767_367_800_000_000_000 + number);
            write_event(&mut line, number, Sequence(number + 3), time, result);
            line
        })
        .collect();
    let page = shown("## Events");
    assert_eq!(now.join("\n"), page.join("\n"), "as written (left) and as the page shows it");
}

/// Every field of a record stands in its line, under its own name.
#[test]
fn no_field_is_forgotten() {
    let events = events();
    for (event, line) in events.iter().zip(shown("## Events")) {
        let value: serde_json::Value = serde_json::from_str(line).expect("the page is JSON");
        let text = value.to_string();
        for field in format!("{event:#?}").lines().filter_map(|line| line.split_once(": ")) {
            let name = field.0.trim();
            let is_filler = name.starts_with("reserved") || name.contains(' ');
            // A struct within another is told as its fields.
            let is_there = text.contains(&format!("\"{name}\":")) || name == "terms";
            assert!(is_filler || is_there, "{name} of {line}");
        }
    }
}

#[test]
fn what_may_be_left_out_has_its_usual_value() {
    let short = r#"{"enter":{"session":"TRDR07","symbol":"AAPL","token":"A1","side":"buy",
        "quantity":100,"price":"101.25"}}"#;
    let enter = Enter {
        session: 7,
        symbol: symbol("AAPL"),
        token: token("A1"),
        quantity: 100,
        price: 1_012_500,
        ..Enter::default()
    };
    assert_eq!(parse_command(short), Ok(enter.into()));
    for price in ["1012500", "\"101.2500\"", "\"101.250\""] {
        let line = short.replace("\"101.25\"", price);
        assert_eq!(parse_command(&line), Ok(enter.into()), "{price}");
    }
    let cancel = Cancel { token: Token::number(10), quantity: 0, session: 7, reserved: 0 };
    let line = r##"{"cancel":{"session":7,"token":"#a"}}"##;
    assert_eq!(parse_command(line), Ok(cancel.into()));
    assert_eq!(written(&cancel.into()), line);
}

/// What has no text of its own is the same there and back all the same.
#[test]
fn odd_values_survive() {
    let bytes = [b"\xff\0caf\xc3\xa9!", b"\"\\#{}'\t\n", b"#ABC\"   ", b"\0\0\0\0\0\0\0\0"];
    for bytes in bytes {
        let enter = Enter { symbol: Symbol(*bytes), ..Enter::default() };
        let line = written(&enter.into());
        assert_eq!(parse_command(&line), Ok(enter.into()), "{line}");
    }
    for bits in [0, 1, 62, 63, 1 << 83, 1 << 84, (1 << 96) - 1] {
        let enter = Enter {
            token: Token::from_bits(bits),
            expires: u64::MAX,
            price: u32::MAX,
            ..Enter::default()
        };
        let line = written(&enter.into());
        assert_eq!(parse_command(&line), Ok(enter.into()), "{line}");
    }
    let kill = Kill { participant: 3, on: 2 };
    assert_eq!(parse_command(&written(&kill.into())), Ok(kill.into()));
}

#[test]
fn errors_name_the_field_and_what_is_allowed() {
    let order = concat!(
        r#"{"enter":{"session":1,"symbol":"AAPL","token":"A1","#,
        r#""side":"buy","quantity":100,"price":"101.25"}}"#
    );
    assert!(parse_command(order).is_ok());
    let cases = [
        ("\"101.25\"", "101.25", "enter.price is 101.25: expected a text with at most 4 decimals"),
        ("\"101.25\"", "\"101.25000\"", "enter.price is \"101.25000\": expected a text"),
        ("\"101.25\"", "\"-1\"", "enter.price is \"-1\": expected"),
        ("\"101.25\"", "\"+1\"", "enter.price is \"+1\": expected"),
        ("\"101.25\"", "\"1.\"", "enter.price is \"1.\": expected"),
        ("\"101.25\"", "\"429496.7296\"", "up to 429496.7295"),
        ("\"101.25\"", "4294967296", "enter.price is 4294967296: expected"),
        (":100,", ":-1,", "enter.quantity is -1: expected a whole number up to 4294967295"),
        (":100,", ":1e2,", "enter.quantity is 100.0: expected a whole number"),
        (":100,", ":\"100\",", "enter.quantity is \"100\": expected a whole number"),
        (":1,", ":65536,", "enter.session is 65536: expected a whole number up to 65535"),
        (":1,", ":\"TRDR00\",", "\"TRDR01\" to \"TRDR99\""),
        (":1,", ":\"TRDR+1\",", "enter.session is \"TRDR+1\""),
        ("AAPL", "NINECHARS", "enter.symbol is \"NINECHARS\": expected up to 8 printable ASCII"),
        ("AAPL", "é", "enter.symbol is \"é\": expected up to 8 printable ASCII"),
        ("\"A1\"", "\"A_1\"", "enter.token is \"A_1\": expected up to 14 letters, digits"),
        ("\"A1\"", "\"ABCDEFGHIJKLMNO\"", "enter.token is \"ABCDEFGHIJKLMNO\""),
        ("\"A1\"", "\"#\"", "enter.token is \"#\""),
        ("buy", "bye", "enter.side is \"bye\": expected one of buy, sell, short, short_exempt"),
        ("\"side\":\"buy\",", "", "enter needs side: one of buy, sell, short, short_exempt"),
        (
            "quantity",
            "quantitty",
            "enter has no field \"quantitty\": it has session, symbol, token",
        ),
        ("\"side\"", "\"token\"", "column 58: \"token\" is there twice"),
        ("{\"enter\"", "{\"entre\"", "\"entre\" is no command: expected one of enter, replace"),
        ("}}", "}", "column 96: EOF while parsing an object"),
        ("}}", "},\"tick\":{}}", "2 fields where one is expected, called as a command: enter,"),
    ];
    for (from, to, expected) in cases {
        let line = order.replacen(from, to, 1);
        let error = parse_command(&line).expect_err(&line);
        assert!(error.contains(expected), "{line}\n  said: {error}\n  not:  {expected}");
        assert!(!error.contains('\n') && !error.contains("  "), "{error}");
    }
    let long = order.replace("A1", &"A".repeat(10_000));
    assert!(parse_command(&long).expect_err("it is too long").len() < 200);
}

/// The page shows what its market looks like.
#[test]
fn the_page_shows_every_view() {
    let mut exchange = Exchange::default();
    let mut outbox = Outbox::default();
    for (sequence, line) in (1..).zip(shown("## Views")) {
        let Ok(command) = parse_command(line) else { continue };
        let at = Moment { sequence: Sequence(sequence), time: Nanos(Nanos::SECOND) };
        step(&mut exchange, &command, &at, &mut outbox);
        assert!(outbox.outcomes().all(|outcome| outcome.is_ok()), "{line}");
        outbox.clear();
    }
    let mut missing = String::new();
    let views =
        [("book", "AAPL"), ("account", "1"), ("session", "1"), ("books", ""), ("sessions", "")];
    for (what, whose) in views {
        let view = View::parse(what, whose).expect("a view");
        for shown in [view.text(&exchange), view.json(&exchange)] {
            let shown = shown.expect("it is there").trim_end().to_owned() + "\n";
            if !PAGE.contains(&shown) {
                missing += &shown;
            }
        }
    }
    assert!(missing.is_empty(), "the page does not show:\n{missing}");
}

#[test]
fn views_that_are_not_there_say_so() {
    let exchange = Exchange::default();
    let error = |what, whose| {
        View::parse(what, whose).and_then(|view| view.text(&exchange)).expect_err(whose)
    };
    assert_eq!(error("book", "AAPL"), "no instrument AAPL here; there are: none");
    assert!(error("account", "7").starts_with("no participant 7 here"));
    assert!(error("session", "TRDR07").starts_with("no session 7 here"));
    assert!(error("account", "x").starts_with("account \"x\": expected a whole number"));
    assert!(error("books", "AAPL").contains("expected book, account or session"));
}
