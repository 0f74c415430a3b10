//! The exchange's records, pinned: the files under `tests/golden/exchange/` are what journals and
//! event logs hold, `docs/FORMATS.md` draws them, and today's code writes and reads them.
//!
//! `RINGFRAME_BLESS=1 cargo test --test library records` writes the files anew: only ever right
//! for a new schema version, in files of its own: records written before must stay readable.

use std::fmt::{Debug, Write as _};
use std::path::Path;

use ringframe::exchange::command::{
    AddInstrument, Cancel, ChangeInstrument, ChangeState, Command, Disconnected, EndDay, Enter,
    Handling, Kill, Lifetime, MassCancel, Modify, Pricing, Replace, SelfTrade, SetParticipant,
    SetSession, Sides, State, Terms, Tick,
};
use ringframe::exchange::event::{
    Accepted, Canceled, Crossed, DayEnded, Event, InstrumentAdded, InstrumentChanged, Killed,
    MassCanceled, Modified, OrderId, ParticipantSet, Reason, Replaced, Rested, SessionSet,
    StateChanged, Traded, Triggered, Venue,
};
use ringframe::exchange::ids::{Side, Symbol, Token};
use ringframe::exchange::reject::{Reject, Rejected, Why};
use ringframe::record::{Record, RecordError};
use zerocopy::TryFromBytes;

const FORMATS: &str = include_str!("../../docs/FORMATS.md");

const TOKEN: Token = Token::number(0x1112_1314_2122_2324);
const OTHER: Token = Token::number(0x3132_3334_4142_4344);

fn symbol() -> Symbol {
    Symbol::new("RINGFRAM").expect("eight letters")
}

fn terms() -> Terms {
    Terms {
        symbol: symbol(),
        tick: 0x0101,
        lot: 0x0202,
        lowest: 0x0303,
        highest: 0x0404,
        collar: 0x0505,
        reference: 0x0606,
    }
}

fn participant() -> SetParticipant {
    SetParticipant {
        notional_max: 0x0101_0101_0101,
        position_max: 0x0202_0202_0202,
        quantity_max: 0x0303,
        open_orders_max: 0x0404,
        rate: 0x0505,
        burst: 0x0606,
        participant: 0x0707,
        self_trade: SelfTrade::CancelOldest,
        reserved: [0; 5],
    }
}

fn session() -> SetSession {
    SetSession { session: 0x0101, participant: 0x0202, cancel_on_disconnect: 0x0303 }
}

/// One of every kind; no two fields of one size are alike, so that none can trade places.
fn commands() -> Vec<Command> {
    let enter = Enter {
        expires: 0x0A0B_0C0D_0E0F,
        symbol: symbol(),
        token: TOKEN,
        session: 0x0101,
        marks: 0x0202,
        price: 0x0303,
        quantity: 0x0404,
        display: 0x0505,
        minimum: 0x0606,
        stop: 0x0707,
        side: Side::ShortExempt,
        pricing: Pricing::Market,
        lifetime: Lifetime::AllOrNothing,
        handling: Handling::Displayed,
    };
    let replace = Replace {
        expires: 0x0A0B_0C0D_0E0F,
        old: TOKEN,
        new: OTHER,
        session: 0x0101,
        marks: 0x0202,
        marks_kept: 0x0303,
        lifetime: Lifetime::GoodTill,
        handling: Handling::PostOnly,
        price: 0x0404,
        quantity: 0x0505,
        display: 0x0606,
        minimum: 0x0707,
        stop: 0x0808,
        reserved: 0,
    };
    let (quantity, session_id) = (0x0101, 0x0202);
    vec![
        enter.into(),
        replace.into(),
        Cancel { token: TOKEN, quantity, session: session_id, reserved: 0 }.into(),
        Modify { token: TOKEN, quantity, session: session_id, side: Side::Short, reserved: 0 }
            .into(),
        MassCancel {
            symbol: symbol(),
            session: session_id,
            sides: Sides::Sell,
            reserved: 0,
            reserved_too: 0,
        }
        .into(),
        Disconnected { session: session_id }.into(),
        AddInstrument(terms()).into(),
        ChangeInstrument(terms()).into(),
        ChangeState { symbol: symbol(), state: State::PreClose, reserved: [0; 7] }.into(),
        participant().into(),
        session().into(),
        Kill { participant: 0x0101, on: 0x0202 }.into(),
        Tick.into(),
        EndDay.into(),
    ]
}

fn order(reference: u64, token: Token) -> OrderId {
    OrderId { reference, token, session: 0x0101, instrument: 0x0202 }
}

fn accepted() -> Accepted {
    Accepted {
        order: order(0x0101_0101_0101, TOKEN),
        expires: 0x0A0B_0C0D_0E0F,
        price: 0x0303,
        quantity: 0x0404,
        displayed: 0x0505,
        display: 0x0606,
        minimum: 0x0707,
        stop: 0x0808,
        side: Side::ShortExempt,
        pricing: Pricing::Market,
        lifetime: Lifetime::AllOrNothing,
        handling: Handling::Displayed,
        marks: 0x0909,
        reserved: 0,
    }
}

fn traded() -> Traded {
    Traded {
        match_number: 0x0303_0303_0303,
        maker: order(0x0101_0101_0101, TOKEN),
        taker: order(0x0202_0202_0202, OTHER),
        price: 0x0303,
        quantity: 0x0404,
        maker_remaining: 0x0505,
        maker_displayed: 0x0606,
        maker_shown: 0x0808,
        taker_remaining: 0x0707,
        taker_shown: 0x0909,
        maker_side: Side::Short,
        taker_side: Side::Buy,
        venue: Venue::Closing,
        maker_hidden: 1,
    }
}

fn events() -> Vec<Event> {
    let order = order(0x0101_0101_0101, TOKEN);
    let (price, displayed, remaining) = (0x0303, 0x0404, 0x0505);
    let canceled = Canceled {
        order,
        decrement: 0x0606,
        remaining,
        displayed,
        shown: 0x0808,
        prevented: 0x0707,
        price,
        side: Side::Short,
        reason: Reason::SelfTrade,
        incoming: 1,
        reserved: [0; 5],
    };
    let (side, decrement, shown, reserved) = (Side::Short, 0x0606, 0x0707, [0; 7]);
    let replaced = Replaced {
        new: accepted(),
        old_reference: 0x0202_0202_0202,
        old_token: OTHER,
        old_shown: 0x0A0A,
    };
    let state = StateChanged {
        symbol: symbol(),
        instrument: 0x0101,
        from: State::PreOpen,
        to: State::Open,
        reserved: 0,
    };
    let crossed = Crossed {
        volume: 0x0101_0101_0101,
        match_number: 0x0202_0202_0202,
        price,
        instrument: 0x0404,
        venue: Venue::Halt,
        reserved: 0,
    };
    vec![
        accepted().into(),
        replaced.into(),
        canceled.into(),
        Modified { order, remaining, displayed, decrement, shown, side, reserved }.into(),
        traded().into(),
        Rested { order, price, displayed, remaining, old_shown: shown, side, reserved }.into(),
        Triggered { order, stop: 0x0303, quantity: 0x0404 }.into(),
        MassCanceled { session: 0x0101, reserved: 0, count: 0x0202 }.into(),
        InstrumentAdded { terms: terms(), instrument: 0x0707 }.into(),
        InstrumentChanged { terms: terms(), instrument: 0x0707 }.into(),
        state.into(),
        crossed.into(),
        ParticipantSet(participant()).into(),
        SessionSet { terms: session(), is_new: 1 }.into(),
        Killed { participant: 0x0101, on: 0x0202 }.into(),
        DayEnded { tokens: 0x0101_0101_0101 }.into(),
    ]
}

fn rejects() -> Vec<Reject> {
    vec![Rejected { token: TOKEN, session: 0x0101, why: Why::Position, used_up: 1 }.into()]
}

/// Three lines a record: its kind and length, its bytes, and what they say.
fn text<R: Record>(records: &[R]) -> String {
    let mut text = String::new();
    let mut bytes = vec![0xEE; R::BYTES_MAX];
    for record in records {
        let length = record.encode(&mut bytes);
        let _ = write!(text, "kind {} bytes {length}\n  ", record.kind());
        for byte in &bytes[..length] {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = writeln!(text, "\n  {record:?}");
    }
    text
}

fn golden(name: &str, now: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/exchange").join(name);
    if std::env::var_os("RINGFRAME_BLESS").is_some() {
        std::fs::write(&path, now).expect(name);
    }
    std::fs::read_to_string(&path).expect(name)
}

/// Today's code writes the golden bytes, reads them back, and knows every kind.
fn pinned<R: Record>(name: &str, records: &[R]) {
    let now = text(records);
    let pinned = golden(name, &now);
    for (now, pinned) in now.lines().zip(pinned.lines()) {
        assert_eq!(now, pinned, "{name}: now (left) and pinned");
    }
    assert_eq!(now.len(), pinned.len(), "{name}");

    let lines: Vec<&str> = pinned.lines().collect();
    for (record, lines) in records.iter().zip(lines.chunks(3)) {
        let hex = lines[1].trim().as_bytes();
        let digits = hex.chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
        let bytes: Vec<u8> =
            digits.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
        assert_eq!(R::decode(record.kind(), R::VERSION, &bytes).as_ref(), Ok(record));
        let longer = [&bytes[..], &[0]].concat();
        let length = longer.len();
        let (name, kind, version) = (R::NAME, record.kind(), R::VERSION);
        let malformed = RecordError::Malformed { name, kind, version, bytes: length };
        assert_eq!(R::decode(kind, version, &longer), Err(malformed));
        let newer = RecordError::UnknownVersion { name, version: version + 1, newest: version };
        assert_eq!(R::decode(kind, version + 1, &bytes), Err(newer));
    }
    let kinds: Vec<u16> = records.iter().map(Record::kind).collect();
    assert_eq!(kinds, (1..=records.len() as u16).collect::<Vec<_>>(), "{name}: one of every kind");
    let beyond = kinds.len() as u16 + 1;
    let largest = vec![0; R::BYTES_MAX];
    for length in 0..=R::BYTES_MAX {
        assert_eq!(R::read(beyond, &largest[..length]), None, "{name}: a kind without a sample");
    }
}

#[test]
fn records_are_the_golden_bytes() {
    pinned("commands-1.txt", &commands());
    pinned("events-1.txt", &events());
    pinned("rejects-1.txt", &rejects());
}

/// Every value that a byte may have, by name.
fn values<T: TryFromBytes + Debug>(name: &str) -> String {
    let read = |byte: u8| T::try_read_from_bytes(&[byte]).ok().map(|value| (byte, value));
    let values = (0..=255).filter_map(read);
    let values: Vec<_> = values.map(|(byte, value)| format!("{byte} {value:?}")).collect();
    format!("{name}: {}\n", values.join(", "))
}

#[test]
fn named_values_are_the_golden_numbers() {
    let now = [
        values::<Side>("Side"),
        values::<Pricing>("Pricing"),
        values::<Lifetime>("Lifetime"),
        values::<Handling>("Handling"),
        values::<Sides>("Sides"),
        values::<State>("State"),
        values::<SelfTrade>("SelfTrade"),
        values::<Reason>("Reason"),
        values::<Venue>("Venue"),
        values::<Why>("Why"),
    ]
    .concat();
    assert_eq!(now, golden("values-1.txt", &now), "now (left) and pinned");
    for (name, values) in now.lines().filter_map(|line| line.split_once(": ")) {
        let cell = format!("| {values} |");
        assert!(FORMATS.contains(&cell), "docs/FORMATS.md does not say of {name}: {values}");
    }
}

/// The field names of a record's one struct, in order, from what `Debug` prints of it: nested
/// structs are one field.
fn fields(record: &impl Debug) -> Vec<String> {
    let pretty = format!("{record:#?}");
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let named = || pretty.lines().filter(|line| line.contains(": "));
    let outer = named().map(|line| indent(&line)).min();
    let outer = named().filter(|line| Some(indent(line)) == outer);
    outer.filter_map(|line| line.trim().split(':').next()).map(str::to_owned).collect()
}

/// The tables of `docs/FORMATS.md` name every kind with its fields in order, and add up.
fn drawn<R: Record>(heading: &str, records: &[R]) {
    let (_, section) = FORMATS.split_once(heading).expect(heading);
    let section = section.split("\n#").next().unwrap_or_default();
    let mut bytes = vec![0; R::BYTES_MAX];
    for record in records {
        let start = format!("| {} | ", record.kind());
        let row = section.lines().find(|line| line.starts_with(&start)).expect(&start);
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = format!("{record:?}");
        assert_eq!(Some(cells[2]), name.split('(').next(), "{row}");
        let length = record.encode(&mut bytes);
        assert_eq!(cells[3], length.to_string(), "bytes of {row}");
        let parts = cells[4].split(", ").filter_map(|part| part.rsplit_once(' '));
        let (names, sizes): (Vec<&str>, Vec<&str>) = parts.unzip();
        let sum: usize = sizes.iter().map(|size| size.parse::<usize>().expect(row)).sum();
        assert_eq!(sum, length, "the sum of {row}");
        assert_eq!(names, fields(record), "the fields of {row}");
    }
}

#[test]
fn the_documentation_draws_them() {
    drawn("### Commands of the exchange", &commands());
    drawn("### Events of the exchange", &events());
    drawn("### Rejects of the exchange", &rejects());
}
