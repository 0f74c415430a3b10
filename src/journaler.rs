//! The stage that winds a ring onto segments: commands onto the journal, events onto their log.

use disruptor::Polling;
use ringframe_journal::frame::HEADER_BYTES;
use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::storage::Storage;
use ringframe_journal::{Append, Error, Writer};

use crate::pipeline::SlotReader;
use crate::slot::{SLOT_PAYLOAD_BYTES, Slot};
use crate::stage::{Fault, Stage};
use crate::types::Nanos;

/// So many frames at most per poll: others of the same core wait meanwhile.
const BATCH: usize = 256;
const STORED_BYTES_MAX: usize = HEADER_BYTES + SLOT_PAYLOAD_BYTES;

/// Copies slots to segments as they stand.
pub struct Journaler<S: Storage> {
    name: &'static str,
    slots: SlotReader,
    writer: Writer<S>,
    fault: fn(Error) -> Fault,
    oldest: Option<Nanos>,
}

impl<S: Storage> Journaler<S> {
    /// The journaler of commands.
    pub fn commands(slots: SlotReader, writer: Writer<S>) -> Self {
        Self { name: "journaler", slots, writer, fault: Fault::Journal, oldest: None }
    }

    /// The event log.
    pub fn events(slots: SlotReader, writer: Writer<S>) -> Self {
        Self { name: "event_log", slots, writer, fault: Fault::EventLog, oldest: None }
    }

    fn wind(&mut self) -> Result<usize, Error> {
        // What the guard below covers is consumed, whatever becomes of it: so no more is taken than
        // there is room for.
        if is_planted(Bug::ApplyEarly) {
            self.writer.publish()?;
        }
        let room = self.writer.room_for(STORED_BYTES_MAX)?.min(BATCH);
        if room == 0 {
            return Ok(0);
        }
        let mut slots = match self.slots.take(room as u64) {
            Ok(slots) => slots,
            Err(Polling::NoEvents | Polling::Shutdown) => return Ok(0),
        };
        let wound = wind(&mut slots, &mut self.writer, &mut self.oldest);
        if wound.is_err() {
            // Who comes after it in the ring must not take what is not journaled.
            std::mem::forget(slots);
        }
        wound
    }
}

/// When this returns, before the guard of the slots goes, all of them are journaled.
fn wind<'a, S: Storage>(
    slots: impl Iterator<Item = &'a Slot>,
    writer: &mut Writer<S>,
    oldest: &mut Option<Nanos>,
) -> Result<usize, Error> {
    let mut work = 0;
    for slot in slots {
        let frame = slot.frame();
        oldest.get_or_insert(Nanos(frame.timestamp));
        let appended = writer.append(&frame)?;
        assert!(appended == Append::Done, "there was room");
        work += 1;
    }
    if !is_planted(Bug::ApplyEarly) {
        writer.publish()?;
    }
    Ok(work)
}

impl<S: Storage> Stage for Journaler<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        self.oldest = None;
        self.wind().map_err(self.fault)
    }

    fn oldest(&self) -> Option<Nanos> {
        self.oldest
    }

    fn close(&mut self, _now: Nanos) -> Result<(), Fault> {
        self.writer.publish().map(|_| ()).map_err(self.fault)
    }
}
