//! `ringframe watch`: the live book of one stock, built from the market's feed.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use ringframe::client::{Book, ClientError, Feed, Level};
use ringframe::clock::Clock;
use ringframe::types::Nanos;
use ringframe::wire::itch::{State, Stock};
use ringframe::wire::layout::Alpha;

use super::client::LoginArgs;
use super::client::line::decimal;
use super::{Answer, Failure};

/// It is drawn at most so often.
const DRAW_NANOS: u64 = Nanos::SECOND / 10;
/// Where a node of this machine is, unless it is told otherwise.
const TARGET: &str = "127.0.0.1:9002";
const GLIMPSE: &str = "127.0.0.1:9004";
const LOOK: Duration = Duration::from_millis(20);
/// With `--once`, what is there after this time is all.
const ONCE_NANOS_MAX: u64 = 10 * Nanos::SECOND;

/// Show the live book of one stock
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe watch AAPL
  ringframe watch AAPL --once --depth 3

With --glimpse, or without a --target, it begins with a snapshot of the books and knows of no trade
before that; else it reads the feed from its first message on. On a terminal it draws; elsewhere it
writes a line whenever the best prices or the last trade have changed.")]
pub(crate) struct WatchArgs {
    /// Which stock
    symbol: String,
    #[command(flatten)]
    login: LoginArgs,
    /// Where market data is; with a comma a pair's, of which the one that leads lets us in
    #[arg(long, value_name = "ADDR", value_delimiter = ',', default_value = TARGET)]
    target: Vec<String>,
    /// Where snapshots of the books are, of a pair both [default: 127.0.0.1:9004, without a
    /// --target]
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    glimpse: Vec<String>,
    /// How many prices of each side
    #[arg(long, value_name = "N", default_value_t = 10)]
    depth: usize,
    /// Show it once, as it is now
    #[arg(long)]
    once: bool,
    /// With --once: all is there when nothing came for so long
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500)]
    quiet: u64,
    /// With --once: give up when a server lets us in and says nothing for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

pub(crate) fn run(args: &WatchArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let symbol = args.symbol.to_ascii_uppercase();
    let stock: Stock = Alpha::new(&symbol)
        .ok_or_else(|| Failure::Usage(format!("'{symbol}' has more than 8 letters")))?;
    let mut book = Book::new(stock);
    let mut feed = begin(args, &mut book)?;
    if args.once {
        read_all(&mut feed, &mut book, args)?;
        // A server that is gone needs no good-bye.
        let _ = feed.logout();
        if !book.is_listed() {
            writeln!(out, "{symbol} is not listed")?;
            return Ok(Answer::No);
        }
        write!(out, "{}", table(&symbol, &book, args.depth))?;
        return Ok(Answer::Yes);
    }
    let is_terminal = io::stdout().is_terminal();
    let clock = Clock::new();
    let mut drawn_at = Nanos::default();
    let mut drawn = String::new();
    loop {
        let wait = if is_due(&clock, drawn_at) { LOOK } else { LOOK / 4 };
        receive(&mut feed, &mut book, wait)?;
        if !is_due(&clock, drawn_at) {
            continue;
        }
        drawn_at = clock.now();
        let picture = match is_terminal {
            true => format!("\x1b[H\x1b[J{}", table(&symbol, &book, args.depth)),
            false => format!("{}\n", best(&symbol, &book)),
        };
        if picture != drawn {
            out.write_all(picture.as_bytes())?;
            out.flush()?;
            drawn = picture;
        }
    }
}

/// From a snapshot on, where there is one to be had.
fn begin(args: &WatchArgs, book: &mut Book) -> Result<Feed, Failure> {
    let mut login = args.login.login(&args.target, 1)?;
    if args.once {
        login.timing.give_up = Duration::from_secs(args.wait);
    }
    let by_default = args.glimpse.is_empty();
    let glimpse = match by_default {
        true if args.target == [TARGET] => vec![GLIMPSE.to_owned()],
        true => return Ok(Feed::connect(login)?),
        false => args.glimpse.clone(),
    };
    let (state, feed) = match Feed::late(&login, &glimpse) {
        // Older nodes have none. What is wrong with the login would be wrong again.
        Err(error) if by_default && error.is_lost() => return Ok(Feed::connect(login)?),
        late => late?,
    };
    for message in &state {
        book.apply(message).map_err(|why| Failure::Fault(format!("a snapshot: {why}")))?;
    }
    Ok(feed)
}

fn is_due(clock: &Clock, drawn_at: Nanos) -> bool {
    clock.now() >= drawn_at.after(DRAW_NANOS)
}

/// All that there is now, which is something: a server without a word has no market to show.
fn read_all(feed: &mut Feed, book: &mut Book, args: &WatchArgs) -> Result<(), Failure> {
    let clock = Clock::new();
    let first = feed.soup().next();
    // Behind a snapshot there may be no more.
    let mut has_begun = first > 1;
    let patience = if has_begun { ONCE_NANOS_MAX } else { args.wait.saturating_mul(Nanos::SECOND) };
    let mut latest = clock.now().after(patience);
    loop {
        let left = Duration::from_nanos(latest.0.saturating_sub(clock.now().0));
        let quiet = if has_begun { Duration::from_millis(args.quiet) } else { left };
        let received = receive(feed, book, quiet);
        if !has_begun && feed.soup().next() > first {
            has_begun = true;
            latest = clock.now().after(ONCE_NANOS_MAX);
        }
        match received {
            Ok(true) if clock.now() < latest => {}
            Ok(_) if !has_begun => {
                return Err(Failure::Fault(format!(
                    "{}: it let us in and then said nothing for {} s: is market data there? \
                     --target names another place, and --wait gives it more time",
                    args.target.join(", "),
                    args.wait
                )));
            }
            // All there will ever be.
            Ok(_) | Err(Stop::Ended(_)) => return Ok(()),
            Err(stop) => return Err(stop.into()),
        }
    }
}

/// Why no more messages come.
enum Stop {
    /// The session is over.
    Ended(ClientError),
    Failed(Failure),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Ended { .. } => Self::Ended(error),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Ended(error) => error.into(),
            Stop::Failed(failure) => failure,
        }
    }
}

/// `false` when nothing came in this time.
fn receive(feed: &mut Feed, book: &mut Book, wait: Duration) -> Result<bool, Stop> {
    match feed.receive(wait) {
        Ok(Some(received)) => {
            let number = received.number;
            let applied = book.apply(&received.message);
            applied
                .map_err(|why| Stop::Failed(Failure::Fault(format!("message {number}: {why}"))))?;
        }
        Ok(None) => return Ok(false),
        Err(error @ ClientError::Malformed { .. }) => say!("{error}"),
        Err(error) if error.is_lost() => {
            say!("{error}");
            feed.reconnect()?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

fn state(book: &Book) -> &'static str {
    match book.state() {
        _ if !book.is_listed() => "not listed",
        Some(State::HALTED) => "halted",
        Some(State::PAUSED) => "paused",
        Some(State::QUOTING) => "collecting",
        Some(State::TRADING) => "trading",
        _ => "listed",
    }
}

fn last(book: &Book) -> String {
    book.last().map_or_else(
        || "no trade".to_owned(),
        |trade| format!("last {} @ {}", trade.shares, decimal(trade.price)),
    )
}

/// The best prices, in one line.
fn best(symbol: &str, book: &Book) -> String {
    let of = |level: Option<(u32, Level)>| match level {
        Some((price, level)) => format!("{} @ {}", level.shares, decimal(price)),
        None => "none".to_owned(),
    };
    let (bid, ask) = (of(book.bids().next()), of(book.asks().next()));
    format!("{symbol} {}, bid {bid}, ask {ask}, {}", state(book), last(book))
}

/// The best prices of both sides, side by side.
fn table(symbol: &str, book: &Book, depth: usize) -> String {
    let mut text = format!("{symbol}  {}  {}\n", state(book), last(book));
    let [orders, shares, bid, ask] = ["orders", "shares", "bid", "ask"];
    let _ = writeln!(text, "{orders:>7} {shares:>10} {bid:>12} | {ask:<12} {shares:<10} {orders}");
    let bids: Vec<_> = book.bids().take(depth).collect();
    let asks: Vec<_> = book.asks().take(depth).collect();
    for row in 0..bids.len().max(asks.len()) {
        let cells = |level: Option<&(u32, Level)>| match level {
            Some((price, it)) => [decimal(*price), it.shares.to_string(), it.orders.to_string()],
            None => [const { String::new() }; 3],
        };
        let [bid, shares, orders] = cells(bids.get(row));
        let _ = write!(text, "{orders:>7} {shares:>10} {bid:>12} | ");
        let [ask, shares, orders] = cells(asks.get(row));
        let line = format!("{ask:<12} {shares:<10} {orders}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
