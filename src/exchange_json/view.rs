//! What people look at: books, accounts, sessions.

use serde_json::Value;

use super::form::{Form, decimal, name, named, number, price, session, symbol, token};
use super::object::{Object, Visit, Writer};
use crate::exchange::Exchange;
use crate::exchange::ids::Symbol;
use crate::exchange::view::{Account, Book, Holding, Level, OpenOrder, Session};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The book of an instrument.
    Book(Symbol),
    /// A participant: limits, positions, open shares.
    Account(u16),
    /// A session: its open orders.
    Session(u16),
}

impl View {
    /// From two words: `book AAPL`, `account 7`, `session 3`.
    pub fn parse(what: &str, whose: &str) -> Result<Self, String> {
        match what {
            "book" => word(what, whose, symbol()).map(Self::Book),
            "account" => word(what, whose, number()).map(Self::Account),
            "session" => word(what, whose, session()).map(Self::Session),
            _ => Err(format!("{what:?} is no view: expected book, account or session")),
        }
    }

    /// One line of JSON, without its end.
    pub fn json(self, exchange: &Exchange) -> Result<String, String> {
        let mut out = String::new();
        match self {
            Self::Book(symbol) => {
                let book = find_book(exchange, symbol)?;
                Writer::object(&mut out, |to| to.within("book", |to| write_book(to, &book)));
            }
            Self::Account(number) => {
                let account = find_account(exchange, number)?;
                Writer::object(&mut out, |to| {
                    to.within("account", |to| write_account(to, account));
                });
            }
            Self::Session(number) => {
                let session = find_session(exchange, number)?;
                Writer::object(&mut out, |to| {
                    to.within("session", |to| write_session(to, session));
                });
            }
        }
        Ok(out)
    }

    /// A table for people; each line has its end.
    pub fn text(self, exchange: &Exchange) -> Result<String, String> {
        match self {
            Self::Book(symbol) => Ok(book_text(&find_book(exchange, symbol)?)),
            Self::Account(number) => Ok(account_text(&find_account(exchange, number)?)),
            Self::Session(number) => Ok(session_text(&find_session(exchange, number)?)),
        }
    }
}

/// Reads a word as JSON would be read, where a number needs no quotes.
fn word<T>(what: &str, whose: &str, form: Form<T>) -> Result<T, String> {
    let text = || (form.read)(&Value::String(whose.to_owned()));
    let value = || whose.parse::<u64>().ok().and_then(|number| (form.read)(&number.into()));
    // In JSON an empty text is how a field says "none".
    let found = if whose.is_empty() { None } else { text().or_else(value) };
    found.ok_or_else(|| format!("{what} {whose:?}: expected {}", (form.allowed)()))
}

fn find_book(exchange: &Exchange, symbol: Symbol) -> Result<Book, String> {
    const NAMED: usize = 10;
    exchange.book(symbol).ok_or_else(|| {
        let mut known: Vec<String> =
            exchange.symbols().take(NAMED + 1).map(|symbol| symbol.to_string()).collect();
        if known.len() > NAMED {
            known[NAMED] = "…".into();
        }
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        format!("no instrument {symbol} here; there are: {known}")
    })
}

fn find_account(exchange: &Exchange, participant: u16) -> Result<Account, String> {
    exchange.account(participant).ok_or_else(|| {
        format!("no participant {participant} here: set_participant has not set it by then")
    })
}

fn find_session(exchange: &Exchange, session: u16) -> Result<Session, String> {
    exchange
        .session(session)
        .ok_or_else(|| format!("no session {session} here: set_session has not set it by then"))
}

fn write_book(to: &mut Writer<'_>, book: &Book) {
    to.field("symbol", symbol(), book.terms.symbol);
    to.field("state", named(), book.state);
    to.field("reference", price(), book.reference);
    for (side, levels) in [("buys", &book.buys), ("sells", &book.sells)] {
        to.list(side, levels, |to, level| {
            to.field("price", price(), level.price);
            to.field("quantity", number(), level.quantity);
            to.field("displayed", number(), level.displayed);
            to.field("orders", number(), level.orders);
        });
    }
}

fn write_account(to: &mut Writer<'_>, mut account: Account) {
    account.terms.fields(&mut Visit::WriteAll(to));
    to.plain("killed", account.killed);
    to.field("open_orders", number(), account.live);
    to.list("holdings", &account.holdings, |to, holding| {
        to.field("symbol", symbol(), holding.symbol);
        to.plain("position", holding.position);
        to.field("buying", number(), holding.buying);
        to.field("selling", number(), holding.selling);
    });
}

fn write_session(to: &mut Writer<'_>, mut session: Session) {
    session.terms.fields(&mut Visit::WriteAll(to));
    to.list("orders", &session.orders, |to, open| {
        to.field("reference", number(), open.order.reference);
        to.field("token", token(), open.order.token);
        to.field("symbol", symbol(), open.symbol);
        to.field("side", named(), open.side);
        to.field("price", price(), open.price);
        to.field("quantity", number(), open.quantity);
        to.field("displayed", number(), open.displayed);
        to.field("stop", price(), open.stop);
    });
}

/// `market` for no price.
fn price_text(price: u32) -> String {
    if price == 0 { "market".into() } else { decimal(price.into()) }
}

fn book_text(book: &Book) -> String {
    let Book { terms, state, reference, buys, sells } = book;
    let mut rows = vec![
        ["orders", "shown", "quantity", "buy", "sell", "quantity", "shown", "orders"]
            .map(str::to_owned),
    ];
    for place in 0..buys.len().max(sells.len()) {
        let cells = |level: Option<&Level>| match level {
            None => <[String; 4]>::default(),
            Some(Level { price, orders, quantity, displayed }) => [
                orders.to_string(),
                displayed.to_string(),
                quantity.to_string(),
                price_text(*price),
            ],
        };
        let mut row = <[String; 8]>::default();
        row[..4].clone_from_slice(&cells(buys.get(place)));
        row[4..].clone_from_slice(&cells(sells.get(place)));
        row[4..].reverse();
        rows.push(row);
    }
    let reference = decimal((*reference).into());
    format!("{}: {}, reference {reference}\n{}", terms.symbol, name(*state), table(&rows))
}

fn account_text(account: &Account) -> String {
    let Account { terms, killed, live, holdings } = account;
    let stopped = if *killed { ", stopped" } else { "" };
    let head = format!("participant {}: {live} open orders{stopped}\n", terms.participant);
    // The limits are the fields that a command would need to set them again.
    let mut limits = String::new();
    super::write_command(&mut limits, &(*terms).into());
    let mut rows = vec![["symbol", "position", "buying", "selling"].map(str::to_owned)];
    for Holding { symbol, position, buying, selling } in holdings {
        let numbers = (position.to_string(), buying.to_string(), selling.to_string());
        rows.push([symbol.to_string(), numbers.0, numbers.1, numbers.2]);
    }
    format!("{head}{limits}\n{}", table(&rows))
}

fn session_text(session: &Session) -> String {
    let Session { terms, orders } = session;
    let head = format!(
        "session {} of participant {}: {} open orders\n",
        terms.session,
        terms.participant,
        orders.len()
    );
    let titles = ["token", "symbol", "side", "price", "quantity", "shown", "stop"];
    let mut rows = vec![titles.map(str::to_owned)];
    for OpenOrder { order, symbol, side, price, quantity, displayed, stop } in orders {
        rows.push([
            order.token.to_string(),
            symbol.to_string(),
            name(*side),
            price_text(*price),
            quantity.to_string(),
            displayed.to_string(),
            if *stop == 0 { String::new() } else { decimal((*stop).into()) },
        ]);
    }
    head + &table(&rows)
}

/// Columns as wide as what is in them; to the right, where numbers belong.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
