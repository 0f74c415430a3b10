//! The fields of the commands, each called as in its struct. One that may be left out then has the
//! struct's default, which means "none", "all" or what most orders are.

use super::form::{flag, named, number, price, session, symbol, time, token};
use super::object::{Object, Visit};
use crate::exchange::command::{
    AddInstrument, Cancel, ChangeInstrument, ChangeState, Command, Disconnected, EndDay, Enter,
    Kill, MassCancel, Modify, Replace, SetParticipant, SetSession, Terms, Tick,
};

/// One of every kind, before its fields are read.
pub(super) fn blanks() -> [Command; 14] {
    [
        Enter::default().into(),
        Replace::default().into(),
        Cancel::default().into(),
        Modify::default().into(),
        MassCancel::default().into(),
        Disconnected::default().into(),
        AddInstrument::default().into(),
        ChangeInstrument::default().into(),
        ChangeState::default().into(),
        SetParticipant::default().into(),
        SetSession::default().into(),
        Kill::default().into(),
        Tick.into(),
        EndDay.into(),
    ]
}

/// What a command's kind is called, and its fields.
pub(super) fn parts(command: &mut Command) -> (&'static str, &mut dyn Object) {
    match command {
        Command::Enter(it) => ("enter", it),
        Command::Replace(it) => ("replace", it),
        Command::Cancel(it) => ("cancel", it),
        Command::Modify(it) => ("modify", it),
        Command::MassCancel(it) => ("mass_cancel", it),
        Command::Disconnected(it) => ("disconnected", it),
        Command::AddInstrument(it) => ("add_instrument", &mut it.0),
        Command::ChangeInstrument(it) => ("change_instrument", &mut it.0),
        Command::ChangeState(it) => ("change_state", it),
        Command::SetParticipant(it) => ("set_participant", it),
        Command::SetSession(it) => ("set_session", it),
        Command::Kill(it) => ("kill", it),
        Command::Tick(it) => ("tick", it),
        Command::EndDay(it) => ("end_day", it),
    }
}

impl Object for Enter {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("session", session(), &mut self.session);
        visit.need("symbol", symbol(), &mut self.symbol);
        visit.need("token", token(), &mut self.token);
        visit.need("side", named(), &mut self.side);
        visit.need("quantity", number(), &mut self.quantity);
        visit.may("pricing", named(), &mut self.pricing);
        visit.may("price", price(), &mut self.price);
        visit.may("lifetime", named(), &mut self.lifetime);
        visit.may("expires", time(), &mut self.expires);
        visit.may("handling", named(), &mut self.handling);
        visit.may("display", number(), &mut self.display);
        visit.may("minimum", number(), &mut self.minimum);
        visit.may("stop", price(), &mut self.stop);
        visit.may("marks", number(), &mut self.marks);
    }
}

impl Object for Replace {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("session", session(), &mut self.session);
        visit.need("old", token(), &mut self.old);
        visit.need("new", token(), &mut self.new);
        visit.need("quantity", number(), &mut self.quantity);
        visit.may("price", price(), &mut self.price);
        visit.may("lifetime", named(), &mut self.lifetime);
        visit.may("expires", time(), &mut self.expires);
        visit.may("handling", named(), &mut self.handling);
        visit.may("display", number(), &mut self.display);
        visit.may("minimum", number(), &mut self.minimum);
        visit.may("stop", price(), &mut self.stop);
        visit.may("marks", number(), &mut self.marks);
        visit.may("marks_kept", number(), &mut self.marks_kept);
    }
}

impl Object for Cancel {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("session", session(), &mut self.session);
        visit.need("token", token(), &mut self.token);
        visit.may("quantity", number(), &mut self.quantity);
    }
}

impl Object for Modify {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("session", session(), &mut self.session);
        visit.need("token", token(), &mut self.token);
        visit.need("side", named(), &mut self.side);
        visit.need("quantity", number(), &mut self.quantity);
    }
}

impl Object for MassCancel {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("session", session(), &mut self.session);
        visit.may("symbol", symbol(), &mut self.symbol);
        visit.may("sides", named(), &mut self.sides);
    }
}

impl Object for Disconnected {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("session", session(), &mut self.session);
    }
}

impl Object for Terms {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("symbol", symbol(), &mut self.symbol);
        visit.need("tick", price(), &mut self.tick);
        visit.unless("lot", number(), 1, &mut self.lot);
        visit.need("lowest", price(), &mut self.lowest);
        visit.need("highest", price(), &mut self.highest);
        visit.may("collar", price(), &mut self.collar);
        visit.may("reference", price(), &mut self.reference);
    }
}

impl Object for ChangeState {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("symbol", symbol(), &mut self.symbol);
        visit.need("state", named(), &mut self.state);
    }
}

impl Object for SetParticipant {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("participant", number(), &mut self.participant);
        visit.may("self_trade", named(), &mut self.self_trade);
        visit.may("quantity_max", number(), &mut self.quantity_max);
        visit.may("notional_max", price(), &mut self.notional_max);
        visit.may("open_orders_max", number(), &mut self.open_orders_max);
        visit.may("position_max", number(), &mut self.position_max);
        visit.may("rate", number(), &mut self.rate);
        visit.may("burst", number(), &mut self.burst);
    }
}

impl Object for SetSession {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("session", session(), &mut self.session);
        visit.need("participant", number(), &mut self.participant);
        visit.may("cancel_on_disconnect", flag(), &mut self.cancel_on_disconnect);
    }
}

impl Object for Kill {
    fn fields(&mut self, visit: &mut Visit<'_, '_>) {
        visit.need("participant", number(), &mut self.participant);
        visit.need("on", flag(), &mut self.on);
    }
}

impl Object for Tick {
    fn fields(&mut self, _visit: &mut Visit<'_, '_>) {}
}

impl Object for EndDay {
    fn fields(&mut self, _visit: &mut Visit<'_, '_>) {}
}
