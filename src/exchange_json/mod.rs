//! The exchange in JSON, for people and scripts: one object a line. `docs/JSON.md` shows each kind.
//!
//! - [`parse_command`] and [`write_command`]: what can be asked, both ways.
//! - [`write_event`]: what happened, or why not.
//! - [`View`]: what stands in a book, an account, a session; in JSON and as a table.
//! - [`Filter`]: which events somebody looks for.
//!
//! In here: a `form` is one way of writing a value, an `object` has fields, `command` and `event`
//! say what the fields of each kind are.

use serde_json::Value;

use crate::exchange::command::Command;
use crate::exchange::event::Event;
use crate::exchange::reject::Reject;
use crate::types::{Nanos, Sequence};
use form::{number, time};
use object::{Pairs, Reader, Visit, Writer};

mod command;
mod event;
mod filter;
mod form;
mod object;
mod view;

pub use filter::Filter;
pub use view::View;

/// Reads one line: an object whose one field is called as the command's kind. An error names the
/// field and what is allowed there.
pub fn parse_command(line: &str) -> Result<Command, String> {
    let Pairs(kinds): Pairs<Pairs<Value>> =
        serde_json::from_str(line).map_err(|error| no_object(&error))?;
    let known = || command::blanks().map(|mut blank| command::parts(&mut blank).0).join(", ");
    let [(kind, fields)] = <[_; 1]>::try_from(kinds).map_err(|kinds| {
        format!("{} fields where one is expected, called as a command: {}", kinds.len(), known())
    })?;
    for mut command in command::blanks() {
        let (name, object) = command::parts(&mut command);
        if name == kind {
            Reader::read(name, fields, object)?;
            return Ok(command);
        }
    }
    Err(format!("{kind:?} is no command: expected one of {}", known()))
}

/// What the parser says, without the line, which is always the first.
fn no_object(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let at = format!(" at line {} column {}", error.line(), error.column());
    let what = text.strip_suffix(&at).unwrap_or(&text);
    format!("column {}: {what}; expected such as {{\"tick\":{{}}}}", error.column())
}

/// Adds the line of a command, without its end. What may be left out is.
pub fn write_command(out: &mut String, command: &Command) {
    let mut command = *command;
    let (name, object) = command::parts(&mut command);
    Writer::object(out, |to| {
        to.within(name, |to| object.fields(&mut Visit::Write(to)));
    });
}

/// Adds the line of an event or a refusal, without its end: its number, the command that caused it,
/// that command's time, and the event under the name of its kind.
pub fn write_event(
    out: &mut String,
    event_number: u64,
    cause: Sequence,
    at: Nanos,
    result: Result<&Event, &Reject>,
) {
    Writer::object(out, |to| {
        to.field("number", number(), event_number);
        to.field("cause", number(), cause.0);
        to.field("time", time(), at.0);
        to.field("nanos", number(), at.0);
        match result {
            Ok(event) => event::event(to, event),
            Err(Reject::Rejected(rejected)) => event::rejected(to, rejected),
        }
    });
}
