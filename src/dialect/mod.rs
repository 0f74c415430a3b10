//! What the bytes of a protocol mean to the exchange, and what its events are in the bytes of one.
//! `wire` knows no exchange and the exchange knows no wire: they meet here.
//!
//! - [`ouch`]: a session's messages to commands, events and refusals to messages of sessions.
//! - [`itch`]: events to what the market sees.
//!
//! Both follow the events from the first of the log on, because not each event says all that a
//! message must. Equal events give equal bytes: no clock, no setting and no other input is in them.

use crate::exchange::ids::Symbol;
use crate::types::Nanos;

pub mod itch;
pub mod ouch;

/// The symbols of instruments, by their numbers.
#[derive(Clone, Debug, Default)]
struct Symbols(Vec<Symbol>);

impl Symbols {
    /// Numbers are dense and come in order.
    fn add(&mut self, instrument: u16, symbol: Symbol) {
        let place = usize::from(instrument);
        if place >= self.0.len() {
            self.0.resize(place + 1, Symbol::BLANK);
        }
        self.0[place] = symbol;
    }

    /// Blank for a number that nobody added.
    fn get(&self, instrument: u16) -> Symbol {
        self.0.get(usize::from(instrument)).copied().unwrap_or_default()
    }
}

/// Midnight is UTC's: a zone would be a setting, and the bytes of a day would depend on it.
const fn since_midnight(time: Nanos) -> u64 {
    time.0 % (86_400 * Nanos::SECOND)
}
