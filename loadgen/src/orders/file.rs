//! Recorded flows: lines of text, or a market's day in ITCH 5.0.
//!
//! ```text
//! # loadgen flow 1
//! setup enter 0 AAPL sell 300 2300100 day
//! 0 enter 1 AAPL buy 100 2300100 now
//! 12000 cancel 0
//! 15000 replace 0 2 300 2300200
//! ```
//!
//! A line begins with when the command was sent, in nanoseconds from the start, or with `setup`
//! when it fills the books before. Orders have numbers from 0, each one more than the last; prices
//! are in ten-thousandths; `now` is canceled where it does not trade at once. `replace OLD NEW
//! SHARES PRICE` has the shares in all, those that the old order traded included. Lines that begin
//! with `#` and empty ones say nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Write};
use std::path::Path;

use ringframe_wire::ouch::Stock;

use super::itch;
use super::script::{Listing, Script};
use crate::flow::{Op, Side};
use crate::schedule::Times;

const FIRST_LINE: &str = "# loadgen flow 1";
const BUFFER_BYTES: usize = 1 << 20;

/// Reads either, up to so many commands: text by its first line, ITCH otherwise.
pub(crate) fn read(path: &Path, most: usize) -> Result<Script, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut first = Vec::new();
    let beginning = (&file).take(FIRST_LINE.len() as u64).read_to_end(&mut first);
    beginning.map_err(|error| wrong(error.to_string()))?;
    let name = path.display().to_string();
    let is_text = first == FIRST_LINE.as_bytes();
    let all = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(first).chain(file));
    if is_text { parse(all, name, most) } else { itch::script(all, name, most) }.map_err(wrong)
}

/// Writes what is about to be played.
pub(crate) fn write(path: &Path, script: &Script, times: &Times) -> Result<(), String> {
    let written = File::create(path).and_then(|file| {
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
        format(script, times, &mut file)?;
        file.flush()
    });
    written.map_err(|error| format!("{}: {error}", path.display()))
}

fn format(script: &Script, times: &Times, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{FIRST_LINE}")?;
    let setup = script.setup.iter().map(|op| (None, op));
    let played = times.due.iter().zip(&script.ops).map(|(at, op)| (Some(at), op));
    let mut instruments = Vec::new();
    for (at, op) in setup.chain(played) {
        match at {
            Some(at) => write!(out, "{at} "),
            None => write!(out, "setup "),
        }?;
        match *op {
            Op::Add { id, instrument, side, price, quantity, immediate } => {
                let listing = &script.listings[usize::from(instrument)];
                let side = if side == Side::Buy { "buy" } else { "sell" };
                let time = if immediate { "now" } else { "day" };
                let (stock, price) = (listing.stock, listing.price(price));
                instruments.push(instrument);
                writeln!(out, "enter {id} {stock} {side} {quantity} {price} {time}")
            }
            Op::Cancel { id } => writeln!(out, "cancel {id}"),
            Op::Replace { old, new, price, quantity } => {
                let instrument = instruments[old as usize];
                let price = script.listings[usize::from(instrument)].price(price);
                instruments.push(instrument);
                writeln!(out, "replace {old} {new} {quantity} {price}")
            }
        }?;
    }
    Ok(())
}

fn parse(text: impl BufRead, name: String, most: usize) -> Result<Script, String> {
    let mut parsing = Parsing::default();
    let mut script =
        Script { name, listings: Vec::new(), setup: Vec::new(), ops: Vec::new(), times: None };
    let mut times = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if script.ops.len() == most {
            break;
        }
        let line = line.map_err(|error| format!("line {number}: {error}"))?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((at, command)) = words.split_first().filter(|(first, _)| !first.starts_with('#'))
        else {
            continue;
        };
        let op = parsing.op(command).ok_or_else(|| format!("line {number}: no command: {line}"))?;
        if *at == "setup" && times.is_empty() {
            script.setup.push(op);
            continue;
        }
        let at = at.parse().ok().filter(|at| times.last().is_none_or(|last| last <= at));
        times.push(at.ok_or_else(|| format!("line {number}: the times are not in order"))?);
        script.ops.push(op);
    }
    (script.listings, script.times) = (parsing.listings, Some(times));
    Ok(script)
}

#[derive(Default)]
struct Parsing {
    listings: Vec<Listing>,
    by_stock: BTreeMap<Stock, u16>,
    orders: u32,
}

impl Parsing {
    fn op(&mut self, words: &[&str]) -> Option<Op> {
        match *words {
            ["enter", id, stock, side, quantity, price, time] => {
                let side = match side {
                    "buy" => Side::Buy,
                    "sell" => Side::Sell,
                    _ => return None,
                };
                let immediate = match time {
                    "day" => false,
                    "now" => true,
                    _ => return None,
                };
                let instrument = self.instrument(Stock::new(stock)?)?;
                let (price, quantity) = (price.parse().ok()?, quantity.parse().ok()?);
                let id = self.new_order(id)?;
                Some(Op::Add { id, instrument, side, price, quantity, immediate })
            }
            ["cancel", id] => Some(Op::Cancel { id: self.old_order(id)? }),
            ["replace", old, new, quantity, price] => {
                let (price, quantity) = (price.parse().ok()?, quantity.parse().ok()?);
                let old = self.old_order(old)?;
                Some(Op::Replace { old, new: self.new_order(new)?, price, quantity })
            }
            _ => None,
        }
    }

    /// The number of a stock, a new one if need be.
    fn instrument(&mut self, stock: Stock) -> Option<u16> {
        if let Some(number) = self.by_stock.get(&stock) {
            return Some(*number);
        }
        let number = u16::try_from(self.listings.len()).ok()?;
        self.listings.push(Listing { stock, shift: 0 });
        self.by_stock.insert(stock, number);
        Some(number)
    }

    fn old_order(&self, id: &str) -> Option<u32> {
        id.parse().ok().filter(|id| *id < self.orders)
    }

    fn new_order(&mut self, id: &str) -> Option<u32> {
        let id = id.parse().ok().filter(|id| *id == self.orders)?;
        self.orders += 1;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Mix;
    use crate::orders::script::demo_instruments;

    #[test]
    fn what_was_written_is_read() {
        let mut script = Script::of_flow(Mix::FMOD.flow(500), &demo_instruments()).expect("fits");
        let due: Vec<u64> = (0..500).map(|number| number * 10).collect();
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("flow");
        let times = Times { due: due.clone(), from: 0, until: 5_000 };
        write(&path, &script, &times).expect("a file");
        let part = super::read(&path, 30).expect("a part");
        assert_eq!((part.ops.len(), part.times), (30, Some(due[..30].to_vec())));
        let read = super::read(&path, usize::MAX).expect("just written");
        assert_eq!(read.times.as_ref(), Some(&due));
        // The prices were moved when it was written.
        let moved = script.listings[0].shift as u32;
        for op in script.setup.iter_mut().chain(&mut script.ops) {
            if let Op::Add { price, .. } | Op::Replace { price, .. } = op {
                *price += moved;
            }
        }
        assert_eq!((read.setup, read.ops), (script.setup, script.ops));
    }

    #[test]
    fn what_is_no_flow_is_refused_with_its_line() {
        let flow = |lines: &str| {
            parse(format!("{FIRST_LINE}\n{lines}").as_bytes(), String::new(), usize::MAX)
        };
        assert!(flow("# nothing\n\n0 enter 0 AAPL buy 1 100 day\n5 cancel 0").is_ok());
        for bad in [
            "0 enter 1 AAPL buy 1 100 day",
            "0 cancel 0",
            "0 enter 0 AAPL up 1 100 day",
            "0 enter 0 AAPL buy 1 100",
            "enter 0 AAPL buy 1 100 day",
            "5 enter 0 AAPL buy 1 100 day\n4 cancel 0",
            "0 enter 0 AAPL buy 1 100 day\nsetup cancel 0",
        ] {
            let error = flow(bad).expect_err(bad);
            assert!(error.starts_with(&format!("line {}", bad.lines().count() + 1)), "{error}");
        }
    }
}
