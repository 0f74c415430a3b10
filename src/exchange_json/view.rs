//! What people look at: books, accounts, sessions; each by itself, or in a list.

use super::filter::read;
use super::form::{decimal, name, named, number, price, session, symbol, token};
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
    /// The book of every instrument, in the order of their numbers.
    Books,
    /// Every session, and how many open orders it has.
    Sessions,
}

impl View {
    /// From two words: `book AAPL`, `account 7`, `session 3`; or from one: `books`, `sessions`.
    pub fn parse(what: &str, whose: &str) -> Result<Self, String> {
        match what {
            "book" => read(what, whose, symbol()).map(Self::Book),
            "account" => read(what, whose, number()).map(Self::Account),
            "session" => read(what, whose, session()).map(Self::Session),
            "books" if whose.is_empty() => Ok(Self::Books),
            "sessions" if whose.is_empty() => Ok(Self::Sessions),
            _ => Err(format!(
                "{what:?} is no view: expected book, account or session and which one, or books, \
                 or sessions"
            )),
        }
    }

    /// One line of JSON, without its end.
    pub fn json(self, exchange: &Exchange) -> Result<String, String> {
        self.json_of(exchange, usize::MAX)
    }

    /// The same, of so many levels of each side of a book, and so many orders of a session.
    pub fn json_of(self, exchange: &Exchange, most: usize) -> Result<String, String> {
        let mut out = String::new();
        match self {
            Self::Books => {
                let books = exchange.symbols().filter_map(|symbol| exchange.top(symbol, most));
                Writer::object(&mut out, |to| {
                    to.list("books", books, |to, book| write_book(to, &book));
                });
            }
            Self::Sessions => Writer::object(&mut out, |to| {
                to.list("sessions", exchange.sessions(), |to, (mut terms, live)| {
                    terms.fields(&mut Visit::WriteAll(to));
                    to.field("open_orders", number(), live);
                });
            }),
            Self::Book(symbol) => {
                let book = find_book(exchange, symbol, most)?;
                Writer::object(&mut out, |to| to.within("book", |to| write_book(to, &book)));
            }
            Self::Account(number) => {
                let account = find_account(exchange, number)?;
                Writer::object(&mut out, |to| {
                    to.within("account", |to| write_account(to, account));
                });
            }
            Self::Session(number) => {
                let mut session = find_session(exchange, number)?;
                session.orders.truncate(most);
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
            Self::Books => Ok(books_text(exchange)),
            Self::Sessions => Ok(sessions_text(exchange)),
            Self::Book(symbol) => Ok(book_text(&find_book(exchange, symbol, usize::MAX)?)),
            Self::Account(number) => Ok(account_text(&find_account(exchange, number)?)),
            Self::Session(number) => Ok(session_text(&find_session(exchange, number)?)),
        }
    }
}

fn find_book(exchange: &Exchange, symbol: Symbol, levels: usize) -> Result<Book, String> {
    const NAMED: usize = 10;
    exchange.top(symbol, levels).ok_or_else(|| {
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

/// The best level of each side of each book.
fn books_text(exchange: &Exchange) -> String {
    let titles = ["symbol", "state", "reference", "quantity", "buy", "sell", "quantity"];
    let mut rows = vec![titles.map(str::to_owned)];
    for book in exchange.symbols().filter_map(|symbol| exchange.top(symbol, 1)) {
        let best = |levels: &[Level]| match levels.first() {
            None => <[String; 2]>::default(),
            Some(level) => [level.quantity.to_string(), price_text(level.price)],
        };
        let ([buying, buy], [selling, sell]) = (best(&book.buys), best(&book.sells));
        let reference = decimal(book.reference.into());
        let symbol = book.terms.symbol.to_string();
        rows.push([symbol, name(book.state), reference, buying, buy, sell, selling]);
    }
    table(&rows)
}

fn sessions_text(exchange: &Exchange) -> String {
    let titles = ["session", "participant", "open orders"];
    let mut rows = vec![titles.map(str::to_owned)];
    for (terms, live) in exchange.sessions() {
        rows.push([terms.session.to_string(), terms.participant.to_string(), live.to_string()]);
    }
    table(&rows)
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
