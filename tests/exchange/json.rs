//! Random commands there and back as JSON, and what the views say of the market they make.

use std::collections::BTreeMap;

use ringframe::exchange::ids::Symbol;
use ringframe::exchange::view::Level;
use ringframe::exchange_json::{Filter, View, parse_command, write_command, write_event};
use ringframe::record::Record;
use serde_json::Value;

use crate::engine::{Engine, Real};
use crate::random::Commands;

#[test]
fn every_command_is_the_same_there_and_back() {
    let mut kinds = [0; 14];
    for (command, _) in Commands::new(1).take(20_000) {
        let mut line = String::new();
        write_command(&mut line, &command);
        assert_eq!(parse_command(&line), Ok(command), "{line}");
        kinds[command.kind() as usize - 1] += 1;
    }
    assert!(kinds.iter().all(|&count| count > 0), "every kind: {kinds:?}");
}

#[test]
fn every_event_is_one_line_of_json() {
    let mut real = Real::default();
    for (command, at) in Commands::new(2).take(5_000) {
        for outcome in real.step(&command, &at) {
            let mut line = String::new();
            write_event(&mut line, 1, at.sequence, at.time, outcome.as_ref());
            let value: Value =
                serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert_eq!(value["nanos"], at.time.0, "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }
}

/// Open shares of a symbol: buying, selling.
type Open = BTreeMap<Symbol, [u64; 2]>;

fn add(open: &mut Open, symbol: Symbol, is_buy: bool, quantity: u64) {
    if quantity > 0 {
        open.entry(symbol).or_default()[usize::from(!is_buy)] += quantity;
    }
}

/// Books, accounts and sessions count the same shares.
fn agree(real: &Real) {
    let exchange = &real.logic;
    let (mut in_books, mut in_sessions, mut asleep) = (Open::new(), Open::new(), Open::new());
    let mut in_accounts = Open::new();
    for symbol in exchange.symbols() {
        let book = exchange.book(symbol).expect("a symbol has a book");
        for (is_buy, levels) in [(true, &book.buys), (false, &book.sells)] {
            let price = |level: &&Level| level.price > 0;
            let prices: Vec<u32> = levels.iter().filter(price).map(|level| level.price).collect();
            let is_sorted = prices.is_sorted_by(|a, b| if is_buy { a > b } else { a < b });
            assert!(is_sorted, "the best price first: {prices:?}");
            for level in levels {
                assert!(level.displayed <= level.quantity && level.orders > 0, "{level:?}");
                add(&mut in_books, symbol, is_buy, level.quantity);
            }
        }
    }
    for number in 0..100 {
        if let Some(account) = exchange.account(number) {
            for held in account.holdings {
                add(&mut in_accounts, held.symbol, true, held.buying);
                add(&mut in_accounts, held.symbol, false, held.selling);
            }
        }
        for open in exchange.session(number).map(|session| session.orders).unwrap_or_default() {
            let into = if open.stop > 0 { &mut asleep } else { &mut in_sessions };
            add(into, open.symbol, open.side.is_buy(), open.quantity.into());
        }
    }
    assert_eq!(in_books, in_sessions, "books and sessions");
    for (symbol, [buying, selling]) in asleep {
        add(&mut in_sessions, symbol, true, buying);
        add(&mut in_sessions, symbol, false, selling);
    }
    assert_eq!(in_accounts, in_sessions, "accounts and sessions");
}

#[test]
fn views_count_the_same_shares() {
    let mut real = Real::default();
    for (step, (command, at)) in Commands::new(3).take(10_000).enumerate() {
        real.step(&command, &at);
        if step % 50 == 0 {
            agree(&real);
        }
    }
}

#[test]
fn views_are_tables_and_json() {
    let mut real = Real::default();
    for (command, at) in Commands::new(4).take(500) {
        real.step(&command, &at);
    }
    for (what, whose) in [("book", "ABC"), ("account", "1"), ("session", "TRDR01")] {
        let view = View::parse(what, whose).expect("a view");
        let json = view.json(&real.logic).expect("it is there");
        let json: Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
        assert!(json[what].is_object(), "{json}");
        assert!(view.text(&real.logic).expect("it is there").lines().count() > 1);
    }
}

/// All tokens and sessions that a line names.
fn named(line: &Value, found: &mut Vec<(&'static str, String)>) {
    match line {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("token" | "old_token", Value::String(token)) => {
                        found.push(("token", token.clone()));
                    }
                    ("reference" | "old_reference", Value::Number(order)) => {
                        found.push(("order", order.to_string()));
                    }
                    ("session", session) => found.push(("session", session.to_string())),
                    _ => named(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| named(item, found)),
        _ => {}
    }
}

#[test]
fn a_filter_admits_what_names_what_is_looked_for_and_nothing_else() {
    let mut real = Real::default();
    let mut lines = Vec::new();
    let mut words = std::collections::BTreeSet::new();
    for (command, at) in Commands::new(7).take(2_000) {
        for outcome in real.step(&command, &at) {
            let mut line = String::new();
            write_event(&mut line, 1, at.sequence, at.time, outcome.as_ref());
            let line: Value = serde_json::from_str(&line).unwrap();
            let mut found = Vec::new();
            named(&line, &mut found);
            words.extend(found.into_iter().filter(|(_, value)| !value.is_empty()));
            lines.push((line, outcome));
        }
    }
    // A few of each, from all over the run.
    let mut compared = 0;
    for name in Filter::NAMES {
        let words: Vec<_> = words.iter().filter(|(of, _)| *of == name).collect();
        assert!(words.len() > 3, "{name}: {words:?}");
        for word in words.iter().step_by(words.len().div_ceil(20)) {
            let mut filter = Filter::default();
            filter.narrow(word.0, &word.1).unwrap();
            for (line, outcome) in &lines {
                let mut found = Vec::new();
                named(line, &mut found);
                let is_named = found.contains(*word);
                assert_eq!(filter.admits(outcome.as_ref()), is_named, "{word:?}: {line}");
                compared += usize::from(is_named);
            }
        }
    }
    assert!(compared > 100, "{compared}");
    assert!(lines.iter().all(|(_, outcome)| Filter::default().admits(outcome.as_ref())));
    let wrong = Filter::default().narrow("side", "buy").unwrap_err();
    assert!(wrong.contains("session, token, order"), "{wrong}");
}
