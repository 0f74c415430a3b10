//! Commands as text, both ways: `read(write(command))` is the command.

use ringframe::exchange::command::{
    AddInstrument, Cancel, ChangeInstrument, ChangeState, Command, Disconnected, EndDay, Enter,
    Handling, Kill, Lifetime, MassCancel, Modify, Pricing, Replace, SelfTrade, SetParticipant,
    SetSession, Sides, State, Terms, Tick,
};
use ringframe::exchange::ids::{Side, Symbol, Token};
use zerocopy::{FromBytes, IntoBytes};

/// The instrument that orders mean when they name none.
pub(crate) const USUAL: &str = "ABC";
pub(crate) const STATES: [(&str, State); 5] = [
    ("closed", State::Closed),
    ("pre-open", State::PreOpen),
    ("open", State::Open),
    ("halted", State::Halted),
    ("pre-close", State::PreClose),
];
pub(crate) const SIDES: [(&str, Side); 4] = [
    ("bid", Side::Buy),
    ("ask", Side::Sell),
    ("short", Side::Short),
    ("exempt", Side::ShortExempt),
];
const MODES: [(&str, SelfTrade); 4] = [
    ("none", SelfTrade::Allow),
    ("newest", SelfTrade::CancelNewest),
    ("oldest", SelfTrade::CancelOldest),
    ("both", SelfTrade::CancelBoth),
];

fn value<T: Copy>(table: &[(&str, T)], name: &str) -> Result<T, String> {
    let row = table.iter().find(|row| row.0 == name);
    row.map(|row| row.1).ok_or_else(|| format!("no such thing here: {name}"))
}

pub(crate) fn name<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|row| row.1 == *value).expect("the table is whole").0
}

/// The words of a line that are not read yet.
struct Words<'a>(std::iter::Peekable<std::str::SplitWhitespace<'a>>);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn word(&mut self) -> Result<&'a str, String> {
        self.next().ok_or_else(|| "the line ends too early".into())
    }

    fn number<T: TryFrom<u64>>(&mut self) -> Result<T, String> {
        number(self.word()?)
    }

    fn symbol(&mut self) -> Result<Symbol, String> {
        symbol(self.word()?)
    }

    fn name(&mut self) -> Result<(u16, Token), String> {
        read_name(self.word()?)
    }
}

fn number<T: TryFrom<u64>>(word: &str) -> Result<T, String> {
    let number: u64 = word.parse().map_err(|_| format!("no number: {word}"))?;
    T::try_from(number).map_err(|_| format!("too large: {word}"))
}

fn symbol(word: &str) -> Result<Symbol, String> {
    let word = if word == "BLANK" { "" } else { word };
    Symbol::new(word).ok_or_else(|| format!("no symbol: {word}"))
}

fn write_symbol(symbol: Symbol) -> String {
    if symbol == Symbol::BLANK { "BLANK".into() } else { symbol.to_string() }
}

/// Sessions are called A to Z for 1 to 26.
fn session(word: &str) -> Result<u16, String> {
    match word.as_bytes() {
        [letter @ b'A'..=b'Z'] => Ok(u16::from(letter - b'A') + 1),
        _ => Err(format!("no session: {word}")),
    }
}

pub(crate) fn write_session(session: u16) -> char {
    if (1..=26).contains(&session) { char::from(b'A' + session as u8 - 1) } else { '?' }
}

/// `A1`: token `A1` of session A. `B:A1`: that token of session B. `~A1`: with a bit too many.
pub(crate) fn read_name(word: &str) -> Result<(u16, Token), String> {
    let (bad, word) = word.strip_prefix('~').map_or((false, word), |word| (true, word));
    let (owner, text) = word.split_once(':').unwrap_or((word.get(..1).unwrap_or(""), word));
    let padded = format!("{text:<14}");
    let wire = padded.as_bytes().try_into().map_err(|_| format!("too long: {word}"))?;
    let token = Token::from_wire(wire).ok_or_else(|| format!("no token: {word}"))?;
    let mut bytes = [0; 12];
    bytes.copy_from_slice(token.as_bytes());
    bytes[3] |= u8::from(bad) << 7;
    Ok((session(owner)?, Token::read_from_bytes(&bytes).expect("12 bytes")))
}

pub(crate) fn write_name(session: u16, token: Token) -> String {
    let bad = if token.as_bytes()[3] == 0 { "" } else { "~" };
    let owner = write_session(session);
    let text = token.to_string();
    if text.starts_with(owner) { format!("{bad}{text}") } else { format!("{bad}{owner}:{text}") }
}

/// What a line may ask for.
pub(crate) enum Line {
    Command(Command),
    /// From now on it is so late.
    Time(u64),
    /// So many instruments more.
    Instruments(u32),
}

pub(crate) fn read(line: &str) -> Result<Line, String> {
    let mut words = Words(line.split_whitespace().peekable());
    let verb = words.word()?;
    let command = match verb {
        "time" => return Ok(Line::Time(words.number()?)),
        "instruments" => return Ok(Line::Instruments(words.number()?)),
        "instrument" => AddInstrument(read_terms(&mut words)?).into(),
        "change" => ChangeInstrument(read_terms(&mut words)?).into(),
        "participant" => read_participant(&mut words)?.into(),
        "session" => read_session(&mut words)?.into(),
        "replace" => read_replace(&mut words)?.into(),
        "mass" => read_mass(&mut words)?.into(),
        "cancel" => {
            let (session, token) = words.name()?;
            let quantity = if words.next() == Some("to") { words.number()? } else { 0 };
            Cancel { token, quantity, session, reserved: 0 }.into()
        }
        "modify" => {
            let (session, token) = words.name()?;
            let side = value(&SIDES, words.word()?)?;
            Modify { token, quantity: words.number()?, session, side, reserved: 0 }.into()
        }
        "state" => {
            let symbol = words.symbol()?;
            let state = value(&STATES, words.word()?)?;
            ChangeState { symbol, state, reserved: [0; 7] }.into()
        }
        "disconnected" => Disconnected { session: session(words.word()?)? }.into(),
        "kill" => Kill { participant: words.number()?, on: 1 }.into(),
        "revive" => Kill { participant: words.number()?, on: 0 }.into(),
        "tick" => Tick.into(),
        "end-day" => EndDay.into(),
        _ => read_enter(value(&SIDES, verb)?, &mut words)?.into(),
    };
    match words.next() {
        None => Ok(Line::Command(command)),
        Some(word) => Err(format!("unexpected: {word}")),
    }
}

pub(crate) fn write(command: &Command) -> String {
    match command {
        Command::Enter(enter) => write_enter(enter),
        Command::Replace(replace) => write_replace(replace),
        Command::Cancel(Cancel { token, quantity, session, .. }) => {
            format!("cancel {}{}", write_name(*session, *token), option("to", *quantity))
        }
        Command::Modify(Modify { token, quantity, session, side, .. }) => {
            format!("modify {} {} {quantity}", write_name(*session, *token), name(&SIDES, side))
        }
        Command::MassCancel(mass) => write_mass(mass),
        Command::Disconnected(gone) => format!("disconnected {}", write_session(gone.session)),
        Command::AddInstrument(add) => format!("instrument {}", write_terms(&add.0)),
        Command::ChangeInstrument(change) => format!("change {}", write_terms(&change.0)),
        Command::ChangeState(ChangeState { symbol, state, .. }) => {
            format!("state {} {}", write_symbol(*symbol), name(&STATES, state))
        }
        Command::SetParticipant(set) => write_participant(set),
        Command::SetSession(set) => {
            let cancels = if set.cancel_on_disconnect == 0 { "" } else { " cancels" };
            format!("session {} of {}{cancels}", write_session(set.session), set.participant)
        }
        Command::Kill(Kill { participant, on: 0 }) => format!("revive {participant}"),
        Command::Kill(Kill { participant, .. }) => format!("kill {participant}"),
        Command::Tick(_) => "tick".into(),
        Command::EndDay(_) => "end-day".into(),
    }
}

/// ` word number`, unless it is 0.
fn option(word: &str, number: impl Into<u64>) -> String {
    match number.into() {
        0 => String::new(),
        number => format!(" {word} {number}"),
    }
}

fn read_terms(words: &mut Words<'_>) -> Result<Terms, String> {
    let symbol = words.symbol()?;
    let mut terms =
        Terms { symbol, tick: 1, lot: 1, lowest: 1, highest: 1000, collar: 0, reference: 0 };
    while let Some(word) = words.next() {
        match word {
            "tick" => terms.tick = words.number()?,
            "lot" => terms.lot = words.number()?,
            "range" => (terms.lowest, terms.highest) = (words.number()?, words.number()?),
            "collar" => terms.collar = words.number()?,
            "reference" => terms.reference = words.number()?,
            _ => return Err(format!("an instrument has no {word}")),
        }
    }
    Ok(terms)
}

fn write_terms(terms: &Terms) -> String {
    let Terms { symbol, tick, lot, lowest, highest, collar, reference } = *terms;
    let rest = option("collar", collar) + &option("reference", reference);
    format!("{} tick {tick} lot {lot} range {lowest} {highest}{rest}", write_symbol(symbol))
}

fn read_participant(words: &mut Words<'_>) -> Result<SetParticipant, String> {
    let mut set = SetParticipant { participant: words.number()?, ..SetParticipant::default() };
    while let Some(word) = words.next() {
        match word {
            "self" => set.self_trade = value(&MODES, words.word()?)?,
            "quantity" => set.quantity_max = words.number()?,
            "notional" => set.notional_max = words.number()?,
            "orders" => set.open_orders_max = words.number()?,
            "position" => set.position_max = words.number()?,
            "rate" => set.rate = words.number()?,
            "burst" => set.burst = words.number()?,
            _ => return Err(format!("a participant has no {word}")),
        }
    }
    Ok(set)
}

fn write_participant(set: &SetParticipant) -> String {
    let mode = match set.self_trade {
        SelfTrade::Allow => String::new(),
        mode => format!(" self {}", name(&MODES, &mode)),
    };
    let limits = option("quantity", set.quantity_max)
        + &option("notional", set.notional_max)
        + &option("orders", set.open_orders_max)
        + &option("position", set.position_max)
        + &option("rate", set.rate)
        + &option("burst", set.burst);
    format!("participant {}{mode}{limits}", set.participant)
}

fn read_session(words: &mut Words<'_>) -> Result<SetSession, String> {
    let session = session(words.word()?)?;
    if words.word()? != "of" {
        return Err("a session is `of` a participant".into());
    }
    let participant = words.number()?;
    let cancel_on_disconnect = u32::from(words.next() == Some("cancels"));
    Ok(SetSession { session, participant, cancel_on_disconnect })
}

fn read_mass(words: &mut Words<'_>) -> Result<MassCancel, String> {
    let mut mass = MassCancel { session: session(words.word()?)?, ..MassCancel::default() };
    while let Some(word) = words.next() {
        match word {
            "bids" => mass.sides = Sides::Buy,
            "asks" => mass.sides = Sides::Sell,
            _ => mass.symbol = symbol(word)?,
        }
    }
    Ok(mass)
}

fn write_mass(mass: &MassCancel) -> String {
    let sides = match mass.sides {
        Sides::Both => "",
        Sides::Buy => " bids",
        Sides::Sell => " asks",
    };
    let symbol = match mass.symbol {
        Symbol::BLANK => String::new(),
        symbol => format!(" {symbol}"),
    };
    format!("mass {}{symbol}{sides}", write_session(mass.session))
}

/// `100@50` or `100@market`, with what follows it.
fn read_order(words: &mut Words<'_>) -> Result<(Enter, u16), String> {
    let size = words.word()?;
    let (quantity, price) = size.split_once('@').ok_or_else(|| format!("no order: {size}"))?;
    let market = price == "market";
    let mut enter = Enter {
        symbol: symbol(USUAL)?,
        quantity: number(quantity)?,
        pricing: if market { Pricing::Market } else { Pricing::Limit },
        price: if market { 0 } else { number(price)? },
        ..Enter::default()
    };
    let mut kept = 0;
    while let Some(word) = words.next() {
        match word {
            "ioc" => enter.lifetime = Lifetime::Immediate,
            "fok" => enter.lifetime = Lifetime::AllOrNothing,
            "good-till" => enter.lifetime = Lifetime::GoodTill,
            "expires" => enter.expires = words.number()?,
            "till" => {
                enter.lifetime = Lifetime::GoodTill;
                enter.expires = words.number()?;
            }
            "hidden" => enter.handling = Handling::Hidden,
            "post-only" => enter.handling = Handling::PostOnly,
            "show" => enter.display = words.number()?,
            "minimum" => enter.minimum = words.number()?,
            "stop" => enter.stop = words.number()?,
            "price" => enter.price = words.number()?,
            "marks" => enter.marks = words.number()?,
            "kept" => kept = words.number()?,
            "in" => enter.symbol = words.symbol()?,
            _ => return Err(format!("an order has no {word}")),
        }
    }
    Ok((enter, kept))
}

fn read_enter(side: Side, words: &mut Words<'_>) -> Result<Enter, String> {
    let (session, token) = words.name()?;
    Ok(Enter { session, token, side, ..read_order(words)?.0 })
}

fn read_replace(words: &mut Words<'_>) -> Result<Replace, String> {
    let (session, old) = words.name()?;
    let new = words.name()?.1;
    let (order, marks_kept) = read_order(words)?;
    Ok(Replace {
        expires: order.expires,
        old,
        new,
        session,
        marks: order.marks,
        marks_kept,
        lifetime: order.lifetime,
        handling: order.handling,
        price: order.price,
        quantity: order.quantity,
        display: order.display,
        minimum: order.minimum,
        stop: order.stop,
        reserved: 0,
    })
}

fn write_order(enter: &Enter) -> String {
    let lifetime = match enter.lifetime {
        Lifetime::Day => "",
        Lifetime::Immediate => " ioc",
        Lifetime::AllOrNothing => " fok",
        Lifetime::GoodTill => " good-till",
    };
    let handling = match enter.handling {
        Handling::Displayed => "",
        Handling::Hidden => " hidden",
        Handling::PostOnly => " post-only",
    };
    let (price, beside) = match enter.pricing {
        Pricing::Limit => (enter.price.to_string(), 0),
        Pricing::Market => ("market".into(), enter.price),
    };
    let instrument = match write_symbol(enter.symbol) {
        usual if usual == USUAL => String::new(),
        other => format!(" in {other}"),
    };
    let numbers = option("price", beside)
        + &option("expires", enter.expires)
        + &option("show", enter.display)
        + &option("minimum", enter.minimum)
        + &option("stop", enter.stop)
        + &option("marks", enter.marks);
    format!("{}@{price}{lifetime}{handling}{numbers}{instrument}", enter.quantity)
}

fn write_enter(enter: &Enter) -> String {
    let who = write_name(enter.session, enter.token);
    format!("{} {who} {}", name(&SIDES, &enter.side), write_order(enter))
}

fn write_replace(replace: &Replace) -> String {
    let order = Enter {
        expires: replace.expires,
        symbol: symbol(USUAL).expect("it is one"),
        lifetime: replace.lifetime,
        handling: replace.handling,
        price: replace.price,
        quantity: replace.quantity,
        display: replace.display,
        minimum: replace.minimum,
        stop: replace.stop,
        marks: replace.marks,
        ..Enter::default()
    };
    let old = write_name(replace.session, replace.old);
    let new = write_name(replace.session, replace.new);
    let kept = option("kept", replace.marks_kept);
    format!("replace {old} {new} {}{kept}", write_order(&order))
}
