//! The fields of the events, each called as in its struct. All are always there, so that a script
//! need not ask.

use super::form::{flag, named, number, price, symbol, time, token};
use super::object::{Object, Visit, Writer};
use crate::exchange::command::Terms;
use crate::exchange::event::{
    Accepted, Canceled, Crossed, Event, Killed, MassCanceled, Modified, OrderId, Replaced, Rested,
    StateChanged, Traded, Triggered,
};
use crate::exchange::reject::Rejected;

/// Adds the event under the name of its kind.
pub(super) fn event(to: &mut Writer<'_>, event: &Event) {
    match event {
        Event::Accepted(it) => to.within("accepted", |to| accepted(to, it)),
        Event::Replaced(it) => to.within("replaced", |to| replaced(to, it)),
        Event::Canceled(it) => to.within("canceled", |to| canceled(to, it)),
        Event::Modified(it) => to.within("modified", |to| modified(to, it)),
        Event::Traded(it) => to.within("traded", |to| traded(to, it)),
        Event::Rested(it) => to.within("rested", |to| rested(to, it)),
        Event::Triggered(it) => to.within("triggered", |to| triggered(to, it)),
        Event::MassCanceled(it) => to.within("mass_canceled", |to| mass_canceled(to, *it)),
        Event::InstrumentAdded(it) => {
            to.within("instrument_added", |to| instrument(to, it.terms, it.instrument));
        }
        Event::InstrumentChanged(it) => {
            to.within("instrument_changed", |to| instrument(to, it.terms, it.instrument));
        }
        Event::StateChanged(it) => to.within("state_changed", |to| state_changed(to, it)),
        Event::Crossed(it) => to.within("crossed", |to| crossed(to, it)),
        Event::ParticipantSet(it) => to.within("participant_set", |to| all(to, it.0)),
        Event::SessionSet(it) => to.within("session_set", |to| {
            all(to, it.terms);
            to.field("is_new", flag(), it.is_new);
        }),
        Event::Killed(it) => to.within("killed", |to| killed(to, *it)),
        Event::DayEnded(it) => {
            to.within("day_ended", |to| to.field("tokens", number(), it.tokens));
        }
    }
}

/// Adds the refusal.
pub(super) fn rejected(to: &mut Writer<'_>, it: &Rejected) {
    let Rejected { token: name, session, why, used_up } = *it;
    to.within("rejected", |to| {
        to.field("session", number(), session);
        to.field("token", token(), name);
        to.field("why", named(), why);
        to.field("used_up", flag(), used_up);
        to.plain("silent", why.is_silent());
    });
}

/// All fields of what a command holds.
fn all(to: &mut Writer<'_>, mut object: impl Object) {
    object.fields(&mut Visit::WriteAll(to));
}

fn order(to: &mut Writer<'_>, name: &str, it: &OrderId) {
    let OrderId { reference, token: client, session, instrument } = *it;
    to.within(name, |to| {
        to.field("reference", number(), reference);
        to.field("token", token(), client);
        to.field("session", number(), session);
        to.field("instrument", number(), instrument);
    });
}

fn accepted(to: &mut Writer<'_>, it: &Accepted) {
    order(to, "order", &it.order);
    to.field("side", named(), it.side);
    to.field("quantity", number(), it.quantity);
    to.field("pricing", named(), it.pricing);
    to.field("price", price(), it.price);
    to.field("lifetime", named(), it.lifetime);
    to.field("expires", time(), it.expires);
    to.field("handling", named(), it.handling);
    to.field("displayed", number(), it.displayed);
    to.field("display", number(), it.display);
    to.field("minimum", number(), it.minimum);
    to.field("stop", price(), it.stop);
    to.field("marks", number(), it.marks);
}

fn replaced(to: &mut Writer<'_>, it: &Replaced) {
    to.within("new", |to| accepted(to, &it.new));
    to.field("old_reference", number(), it.old_reference);
    to.field("old_token", token(), it.old_token);
    to.field("old_shown", number(), it.old_shown);
}

fn canceled(to: &mut Writer<'_>, it: &Canceled) {
    order(to, "order", &it.order);
    to.field("side", named(), it.side);
    to.field("price", price(), it.price);
    to.field("decrement", number(), it.decrement);
    to.field("remaining", number(), it.remaining);
    to.field("displayed", number(), it.displayed);
    to.field("shown", number(), it.shown);
    to.field("prevented", number(), it.prevented);
    to.field("reason", named(), it.reason);
    to.field("incoming", flag(), it.incoming);
}

fn modified(to: &mut Writer<'_>, it: &Modified) {
    order(to, "order", &it.order);
    to.field("side", named(), it.side);
    to.field("decrement", number(), it.decrement);
    to.field("remaining", number(), it.remaining);
    to.field("displayed", number(), it.displayed);
    to.field("shown", number(), it.shown);
}

fn traded(to: &mut Writer<'_>, it: &Traded) {
    to.field("match_number", number(), it.match_number);
    to.field("price", price(), it.price);
    to.field("quantity", number(), it.quantity);
    order(to, "maker", &it.maker);
    to.field("maker_side", named(), it.maker_side);
    to.field("maker_remaining", number(), it.maker_remaining);
    to.field("maker_displayed", number(), it.maker_displayed);
    to.field("maker_shown", number(), it.maker_shown);
    to.field("maker_hidden", flag(), it.maker_hidden);
    order(to, "taker", &it.taker);
    to.field("taker_side", named(), it.taker_side);
    to.field("taker_remaining", number(), it.taker_remaining);
    to.field("taker_shown", number(), it.taker_shown);
    to.field("venue", named(), it.venue);
}

fn rested(to: &mut Writer<'_>, it: &Rested) {
    order(to, "order", &it.order);
    to.field("side", named(), it.side);
    to.field("price", price(), it.price);
    to.field("displayed", number(), it.displayed);
    to.field("remaining", number(), it.remaining);
    to.field("old_shown", number(), it.old_shown);
}

fn triggered(to: &mut Writer<'_>, it: &Triggered) {
    order(to, "order", &it.order);
    to.field("stop", price(), it.stop);
    to.field("quantity", number(), it.quantity);
}

fn mass_canceled(to: &mut Writer<'_>, it: MassCanceled) {
    to.field("session", number(), it.session);
    to.field("count", number(), it.count);
}

fn instrument(to: &mut Writer<'_>, terms: Terms, instrument: u32) {
    to.field("instrument", number(), instrument);
    all(to, terms);
}

fn state_changed(to: &mut Writer<'_>, it: &StateChanged) {
    to.field("instrument", number(), it.instrument);
    to.field("symbol", symbol(), it.symbol);
    to.field("from", named(), it.from);
    to.field("to", named(), it.to);
}

fn crossed(to: &mut Writer<'_>, it: &Crossed) {
    to.field("instrument", number(), it.instrument);
    to.field("price", price(), it.price);
    to.field("volume", number(), it.volume);
    to.field("match_number", number(), it.match_number);
    to.field("venue", named(), it.venue);
}

fn killed(to: &mut Writer<'_>, it: Killed) {
    to.field("participant", number(), it.participant);
    to.field("on", flag(), it.on);
}
