//! Which events somebody looks for: those of a session, of a token, of an order.

use serde_json::Value;

use super::form::{Form, number, session, token};
use crate::exchange::event::{Event, OrderId};
use crate::exchange::ids::Token;
use crate::exchange::reject::Reject;

/// What an event must be of; nothing asks for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    session: Option<u16>,
    token: Option<Token>,
    /// The market's name of an order.
    order: Option<u64>,
}

impl Filter {
    /// The names that [`Self::narrow`] knows.
    pub const NAMES: [&str; 3] = ["session", "token", "order"];

    /// Asks for this, too: `session` 3, `token` A1, `order` 12.
    pub fn narrow(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "session" => self.session = Some(read(name, value, session())?),
            "token" => self.token = Some(read(name, value, token())?),
            "order" => self.order = Some(read(name, value, number())?),
            _ => return Err(format!("{name:?} is none of {}", Self::NAMES.join(", "))),
        }
        Ok(())
    }

    /// Whether it is looked for.
    pub fn admits(&self, result: Result<&Event, &Reject>) -> bool {
        if *self == Self::default() {
            return true;
        }
        match result {
            Err(Reject::Rejected(it)) => self.fits(it.session, it.token, None),
            Ok(Event::Accepted(it)) => self.fits_order(&it.order),
            Ok(Event::Replaced(it)) => {
                self.fits_order(&it.new.order)
                    || self.fits(it.new.order.session, it.old_token, Some(it.old_reference))
            }
            Ok(Event::Canceled(it)) => self.fits_order(&it.order),
            Ok(Event::Modified(it)) => self.fits_order(&it.order),
            Ok(Event::Traded(it)) => self.fits_order(&it.maker) || self.fits_order(&it.taker),
            Ok(Event::Rested(it)) => self.fits_order(&it.order),
            Ok(Event::Triggered(it)) => self.fits_order(&it.order),
            Ok(Event::MassCanceled(it)) => self.fits_session(it.session),
            Ok(Event::SessionSet(it)) => self.fits_session(it.terms.session),
            Ok(
                Event::InstrumentAdded(_)
                | Event::InstrumentChanged(_)
                | Event::StateChanged(_)
                | Event::Crossed(_)
                | Event::ParticipantSet(_)
                | Event::Killed(_)
                | Event::DayEnded(_),
            ) => false,
        }
    }

    fn fits_order(&self, order: &OrderId) -> bool {
        self.fits(order.session, order.token, Some(order.reference))
    }

    fn fits_session(&self, session: u16) -> bool {
        let Self { session: wanted, token, order } = *self;
        wanted == Some(session) && token.is_none() && order.is_none()
    }

    fn fits(&self, session: u16, token: Token, order: Option<u64>) -> bool {
        self.session.is_none_or(|wanted| wanted == session)
            && self.token.is_none_or(|wanted| wanted == token)
            && self.order.is_none_or(|wanted| Some(wanted) == order)
    }
}

/// Reads a word as JSON would be read, where a number needs no quotes.
pub(super) fn read<T>(what: &str, whose: &str, form: Form<T>) -> Result<T, String> {
    let text = || (form.read)(&Value::String(whose.to_owned()));
    let value = || whose.parse::<u64>().ok().and_then(|number| (form.read)(&number.into()));
    // In JSON an empty text is how a field says "none".
    let found = if whose.is_empty() { None } else { text().or_else(value) };
    found.ok_or_else(|| format!("{what} {whose:?}: expected {}", (form.allowed)()))
}
