//! What the bytes of a protocol mean to the exchange, and what its events are in the bytes of one.
//! `wire` knows no exchange and the exchange knows no wire: they meet here.
//!
//! - [`ouch`]: a session's messages to commands, events and refusals to messages of sessions.
//! - [`itch`]: events to what the market sees.
//!
//! Equal events give equal bytes: no clock, no setting and no other input is in them. An event says
//! nearly all that a message must; the rest is in two small tables, [`Names`] and [`itch::Market`].
//! With them one can begin anywhere in the log of events.

use serde::{Deserialize, Serialize};

use crate::exchange::command::SetSession;
use crate::exchange::event::Event;
use crate::exchange::ids::Symbol;
use crate::types::Nanos;

pub mod itch;
pub mod ouch;

/// What numbers in events stand for: the symbols of instruments, the participants of sessions.
///
/// It only grows, and what a number stands for never changes: a table that followed the events for
/// longer is as right for the earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// By the instrument's number.
    symbols: Vec<Symbol>,
    /// By the session's number.
    sessions: Vec<Option<SetSession>>,
}

impl Names {
    /// Learns what the event names.
    pub fn on_event(&mut self, event: &Event) {
        match event {
            Event::InstrumentAdded(added) => {
                // Numbers are dense, but one who knows the instrument already hears of it again.
                *entry(&mut self.symbols, added.instrument as usize) = added.terms.symbol;
            }
            Event::SessionSet(set) => {
                *entry(&mut self.sessions, usize::from(set.terms.session)) = Some(set.terms);
            }
            _ => {}
        }
    }

    /// Who speaks in the session, if there is one.
    pub fn account(&self, session: u16) -> Option<ouch::Account> {
        let terms = self.sessions.get(usize::from(session)).copied().flatten()?;
        Some(ouch::Account { session, firm: ouch::firm(terms.participant) })
    }

    /// Each session, and whether its orders are canceled when it loses its connection: as it was
    /// last set.
    pub fn sessions(&self) -> impl Iterator<Item = (u16, bool)> {
        self.sessions.iter().flatten().map(|each| (each.session, each.cancel_on_disconnect != 0))
    }

    /// Blank for a number that nobody added.
    fn symbol(&self, instrument: u16) -> Symbol {
        self.symbols.get(usize::from(instrument)).copied().unwrap_or_default()
    }
}

/// The place with this number, made if it is not there.
fn entry<T: Clone + Default>(table: &mut Vec<T>, place: usize) -> &mut T {
    if place >= table.len() {
        table.resize(place + 1, T::default());
    }
    &mut table[place]
}

/// Midnight is UTC's: a zone would be a setting, and the bytes of a day would depend on it.
const fn since_midnight(time: Nanos) -> u64 {
    time.0 % (86_400 * Nanos::SECOND)
}
