//! Prices, quantities and positions conserve: what the nodes said to all commands that stand in
//! their journal is what the naive exchange says, each in the version that was active there, to the
//! byte, and what was bought was sold.

use std::collections::BTreeMap;

use ringframe::control::{self, Control};
use ringframe::embed::Outcome;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::logic::Moment;
use ringframe::record::Record;
use ringframe::types::{Nanos, Sequence};
use ringframe_journal::{Reader, SimulatedStorage};

use crate::client::Wrong;
use crate::naive::Naive;
use crate::newer::as_taken;

/// Both from their beginning; a node that begins with a copy has less, and is equal to the other
/// one where both have something.
pub(crate) fn as_the_naive_exchange(
    journal: &SimulatedStorage,
    events: &SimulatedStorage,
) -> Result<(), Wrong> {
    let failed = |error| format!("it cannot be read: {error}");
    let mut commands = Reader::open_first(journal.clone()).map_err(failed)?;
    let mut events = Reader::open_first(events.clone()).map_err(failed)?;
    if (commands.next_sequence(), events.next_sequence()) != (1, 1) {
        return Ok(());
    }
    let (mut naive, mut version) = (Naive::default(), 0);
    while let Some(frame) = commands.next_frame().map_err(failed)? {
        let at = Moment { sequence: Sequence(frame.sequence()), time: Nanos(frame.timestamp()) };
        let unread = |error| format!("command {}: {error}", at.sequence.0);
        if control::is_control(frame.kind()) {
            let control = Control::decode(frame.kind(), frame.schema(), frame.payload());
            if let Control::Activate { version: next } = control.map_err(unread)? {
                version = next;
            }
            continue;
        }
        let command = Command::decode(frame.kind(), frame.schema(), frame.payload());
        let command = command.map_err(unread)?;
        for expected in naive.step(&as_taken(version, &command), &at) {
            let said = match events.next_frame().map_err(failed)? {
                None => None,
                Some(event) => {
                    let told = Outcome::<Exchange>::decode(&event.frame());
                    Some(told.map_err(|fault| fault.to_string())?)
                }
            };
            if said.as_ref().map(|said| (said.cause, &said.result))
                != Some((at.sequence, &expected))
            {
                let said = said.map(|said| (said.cause.0, said.result));
                return Err(format!(
                    "to command {}, {command:?}, the nodes say {said:?}, the naive exchange \
                     {expected:?}",
                    at.sequence.0
                ));
            }
        }
    }
    if let Some(event) = events.next_frame().map_err(failed)? {
        return Err(format!("event {} is of no command", event.sequence()));
    }
    let mut sums: BTreeMap<u16, i64> = BTreeMap::new();
    for (instrument, position) in naive.positions() {
        *sums.entry(instrument).or_default() += position;
    }
    match sums.values().all(|sum| *sum == 0) {
        true => Ok(()),
        false => Err(format!("positions do not cancel out: {sums:?}")),
    }
}
